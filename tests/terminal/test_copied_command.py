"""`Y` in a real terminal: the command that it copies is typed into a shell, and returns to the same screen."""

from __future__ import annotations

import base64
import re
import sys
from pathlib import Path

import pytest
from tests.terminal.conftest import Start, Write

from pipeloom import run_pipeline
from pipeloom.loader import load_pipeline

pytestmark = pytest.mark.pty

JOB = """
def work(task, q):
    q.progress(1, 1, "page " + task.name)
pipeline = Pipeline("pages", [TaskDef(n, f"it's {n}") for n in range(40)], work)
"""


def test_the_copied_command_returns_to_the_attempt(start: Start, write: Write, tmp_path: Path) -> None:
    pipeline = load_pipeline(str(write("job.py", JOB)))
    for _ in range(2):
        run_pipeline(tmp_path / "my etl.db", pipeline, ui="none")
    first = start("my etl.db")
    first.wait_for("80 attempts", "it's 39")
    first.press("[")
    first.wait_for("run 2 pages")
    first.press("[")
    first.wait_for("run 1 pages", "40 attempts")
    first.press("/\"it's 1")
    first.press('"\r')
    first.wait_for("11 of 40")
    first.press("jjd")
    first.wait_for("page it's 17", "Overview")
    first.press("Y")
    first.wait_for("Copied: pipeloom-tui")
    (encoded,) = re.findall(rb"\x1b\]52;c;([A-Za-z0-9+/=]+)", first.raw)
    command = base64.b64decode(encoded).decode()
    first.press("q")
    assert first.end() == 0
    folder = Path(sys.executable).parent
    again = start("--version", shell=True, PATH=f"{folder}:/usr/bin:/bin", program="run_main")
    again.wait_for("ready")
    again.press(f"clear; {command}\r")
    again.wait_for("run 1 pages", "11 of 40", "page it's 17", "Overview")
    again.press("q")
