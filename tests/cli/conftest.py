"""Runs the two programs as a shell does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest


class Run(Protocol):
    """Runs a program to its end; the options are those of `subprocess.run`, and `VARIABLES`."""

    def __call__(self, program: str, *arguments: object, **options: Any) -> subprocess.CompletedProcess[str]: ...


class Popen(Protocol):
    """Starts a program."""

    def __call__(self, program: str, *arguments: object) -> subprocess.Popen[str]: ...


GOOD = """
from pipeloom import *
def work(task, q):
    q.put(MsgTaskProgress(task.task_id, 1, 1, "all of it"))
    if task.name == "bad":
        raise KeyError("temp_max")
pipeline = Pipeline("good", [TaskDef(n, f"task-{n}") for n in range(3)], work)
failing = Pipeline("failing", [TaskDef(0, "bad"), TaskDef(1, "fine")], work)
"""


VARIABLES = {"columns": "COLUMNS", "zone": "TZ"}
"""Option of `Run` to the variable of the environment that it sets."""


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def command(program: str, *arguments: object) -> list[str]:
    entry = "tui_main" if program == "pipeloom-tui" else "run_main"
    return [sys.executable, "-c", f"from pipeloom.cli import {entry}; {entry}()", *map(str, arguments)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with pipelines in it, where the programs run."""
    (tmp_path / "good.py").write_text(GOOD, encoding="utf-8")
    (tmp_path / "one.py").write_text(GOOD.replace("failing =", "_other = None and"), encoding="utf-8")
    return tmp_path


@pytest.fixture
def run(folder: Path) -> Run:
    """Return a function that runs a program to its end."""

    def start(program: str, *arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
        options = {"stdin": subprocess.DEVNULL, "capture_output": True, **options}
        environment = {**os.environ, "HOME": str(folder), "XDG_STATE_HOME": str(folder / "state")}
        environment |= {name: str(options.pop(key)) for key, name in VARIABLES.items() if key in options}
        return subprocess.run(
            command(program, *arguments), cwd=folder, env=environment, text=True, timeout=60, check=False, **options
        )

    return start


@pytest.fixture
def popen(folder: Path) -> Iterator[Popen]:
    """Yield a function that starts a program; what a test leaves running is killed."""
    started: list[subprocess.Popen[str]] = []

    def start(program: str, *arguments: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            command(program, *arguments), cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
