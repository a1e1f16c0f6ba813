"""The cockpit in surroundings that lack something, as in a container."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.terminal.conftest import Start, Write
from tests.terminal.test_cockpit import CRASH

pytestmark = pytest.mark.pty

FEW = 'pipeline = Pipeline("few", [TaskDef(n, f"task-{n}") for n in range(3)], lambda task, q: print("told"))'
LONG = """
def work(task, q):
    q.put(MsgTaskProgress(task.task_id, 1, 2, "told"))
    q.sleep(60)
pipeline = Pipeline("long", [TaskDef(n, f"task-{n}") for n in range(1, 13)], work, workers=12)
"""
NO_FOLDER = "/dev/null/x"
"""A path at which nothing can be made, not even by root."""


@pytest.mark.parametrize("home", [NO_FOLDER, "/etc/passwd"])
def test_the_cockpit_needs_no_home(start: Start, write: Write, home: str) -> None:
    write("few.py", FEW)
    terminal = start("etl.db", "few.py", HOME=home, XDG_STATE_HOME=f"{home}/state")
    terminal.wait_for("3/3", "3 done")
    assert "not used" not in terminal.text, "nothing was wrong with the settings"
    terminal.press("q")
    assert terminal.end() == 0


def test_a_neighbour_that_is_named_like_a_module_of_the_screen_harms_nothing(
    start: Start, write: Write, tmp_path: Path
) -> None:
    (tmp_path / "jobs").mkdir()
    for name in ("tty", "colorsys", "few"):
        write(f"jobs/{name}.py", FEW)
    terminal = start("etl.db", "jobs/few.py")
    terminal.wait_for("3/3", "3 done")
    terminal.press("q")
    assert terminal.end() == 0


def test_a_log_that_cannot_be_opened_is_not_kept(start: Start, write: Write, tmp_path: Path) -> None:
    write("few.py", FEW)
    (tmp_path / "state" / "pipeloom" / "log" / "tui.log").mkdir(parents=True)
    terminal = start("etl.db", "few.py")
    terminal.wait_for("3/3", "3 done")
    terminal.press("q")
    assert terminal.end() == 0


def test_a_crash_without_a_log_says_what_it_was(start: Start, write: Write) -> None:
    terminal = start("etl.db", write("crash.py", CRASH), HOME=NO_FOLDER, XDG_STATE_HOME=NO_FOLDER)
    terminal.wait_for("half way")
    terminal.press("p")
    assert terminal.end() == 5
    assert "the screen has crashed: a bug of the screen" in terminal.text
    assert "Traceback" not in terminal.text


def test_the_size_is_the_terminal_s_whatever_is_exported(start: Start, write: Write) -> None:
    write("few.py", FEW)
    terminal = start("etl.db", "few.py", size=(24, 80), COLUMNS="200", LINES="10")
    terminal.wait_for("3/3", "3 done", "Quit")
    assert "Quit" in terminal.screen.display[23], terminal.text
    terminal.press("q")
    assert terminal.end() == 0


def test_bars_go_by_the_size_of_the_terminal_whatever_is_exported(start: Start, write: Write) -> None:
    write("long.py", LONG)
    terminal = start("run", "etl.db", "long.py", program="run_main", size=(24, 80), COLUMNS="200", LINES="10")
    terminal.wait_for("task-12", "told")
    terminal.press("\x03")
    assert terminal.end() == 130
