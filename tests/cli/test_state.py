"""`pipeloom state`: what tasks go on from, shown and taken away."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from ptyprocess import PtyProcess
from tests.cli.conftest import Popen, Run, command, first_line

LOAD = """
from pipeloom import Pipeline, TaskDef
def load(task, q):
    page = q.state.get("page", 0)
    q.put(state={"page": page + 1})
    if task.name == "bad":
        raise ValueError("no")
    if task.params.get("waits"):
        print("waiting", flush=True)
        q.sleep(60)
pipeline = Pipeline("pages", [TaskDef("a"), TaskDef("b", "bad"), TaskDef(7)], load)
waiting = Pipeline("waiting", [TaskDef("w", params={"waits": 1})], load)
"""


@pytest.fixture
def db(run: Run, folder: Path) -> Path:
    """A file whose tasks have left states."""
    (folder / "load.py").write_text(LOAD, encoding="utf-8")
    run("pipeloom", "run", "etl.db", "load.py:pipeline")
    return folder / "etl.db"


def kept(run: Run, *where: str) -> dict[object, object]:
    said = run("pipeloom", "state", "etl.db", *where, "--json").stdout.splitlines()
    return {told["task_id"]: told["state"] for told in map(json.loads, said)}


def test_states_are_shown_with_the_attempts_that_left_them(run: Run, db: Path) -> None:
    shown = run("pipeloom", "state", db)
    assert shown.returncode == 0
    assert [line.split()[1] for line in shown.stdout.splitlines()[1:]] == ["7", "a", "bad"]
    assert shown.stdout.count('{"page": 1}') == 3
    assert kept(run) == {7: {"page": 1}, "a": {"page": 1}, "b": {"page": 1}}
    assert kept(run, "status:error") == {"b": {"page": 1}}


def test_a_filter_says_whose_states_are_taken_away(run: Run, db: Path) -> None:
    gone = run("pipeloom", "state", db, "status:error", "--reset", "--yes")
    assert (gone.returncode, gone.stderr) == (0, "pipeloom: 1 state taken away.\n")
    assert set(kept(run)) == {7, "a"}
    run("pipeloom", "run", "etl.db", "load.py:pipeline")
    assert kept(run) == {7: {"page": 2}, "a": {"page": 2}, "b": {"page": 1}}


def test_without_a_terminal_taking_away_needs_a_yes(run: Run, db: Path) -> None:
    refused = run("pipeloom", "state", "etl.db", "--reset")
    assert refused.returncode == 2
    assert "pipeloom state etl.db --reset --yes" in refused.stderr
    assert len(kept(run)) == 3


@pytest.mark.pty
@pytest.mark.parametrize(("answer", "code", "left"), [("y", 0, 0), ("n", 1, 3), ("", 1, 3)])
def test_on_a_terminal_it_asks(run: Run, db: Path, answer: str, code: int, left: int) -> None:
    program = PtyProcess.spawn(command("pipeloom", "state", "etl.db", "--reset"), cwd=db.parent, env={**os.environ})
    program.write(f"{answer}\n".encode())
    while True:
        try:
            program.read()
        except EOFError:
            break
    assert program.wait() == code
    assert len(kept(run)) == left


def test_a_file_without_states_says_so(run: Run, folder: Path) -> None:
    run("pipeloom", "run", "etl.db", "one.py")
    assert run("pipeloom", "state", "etl.db").stdout == "No task of etl.db has left a state.\n"
    assert run("pipeloom", "state", "etl.db", "--reset", "--yes").stderr == ""


def test_the_states_of_a_file_in_use_are_shown_and_not_taken_away(run: Run, popen: Popen, db: Path) -> None:
    process: subprocess.Popen[str] = popen("pipeloom", "run", "etl.db", "load.py:waiting", "--json")
    while "waiting" not in first_line(process):
        continue
    assert "a" in kept(run)
    refused = run("pipeloom", "state", "etl.db", "--reset", "--yes")
    assert refused.returncode == 6
    assert "in use" in refused.stderr
    process.terminate()
    process.wait()
