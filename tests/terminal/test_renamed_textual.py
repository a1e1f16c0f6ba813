"""The real program on a Textual whose private names have changed: slower at most, and no less discreet."""

from __future__ import annotations

import termios
from pathlib import Path

import pytest
from tests.terminal.conftest import Rows, Start, Terminal, Write

from pipeloom.tui.textual_compat.contracts import CONTRACTS

pytestmark = pytest.mark.pty

RENAMING = Path(__file__).parent / "renamed"
NAMES = {
    "driver": "_run_input_thread",
    "event loop": "_run_once",
    "key dispatch": "_check_bindings",
    "crash page": "_fatal_error",
    "table size": "_scroll_update",
    "notice": "_driver",
}
"""Adapter -> the name that is another one."""
ALL = " ".join(NAMES.values())

QUIET = """
def work(task, q):
    q.put(MsgTaskProgress(task.task_id, 1, 1, "all there"))
pipeline = Pipeline("quiet", [TaskDef(n, f"quiet-{n}") for n in range(5)], work)
"""


def renamed(start: Start, pipeline: Path, names: str) -> Terminal:
    return start("etl.db", pipeline, PYTHONPATH=str(RENAMING), RENAMED=names)


def test_every_adapter_is_tried() -> None:
    assert {contract.adapter for contract in CONTRACTS} == set(NAMES)


@pytest.mark.parametrize("adapter", [*NAMES, "all"])
def test_without_an_adapter_the_program_works_and_says_so(start: Start, write: Write, adapter: str) -> None:
    terminal = renamed(start, write("quiet.py", QUIET), NAMES.get(adapter, ALL))
    terminal.wait_for("quiet-4", "5/5", "5 done")
    terminal.press("2")
    terminal.wait_for("history", "5 attempts")
    terminal.press("j/")
    terminal.wait_for("Clear")
    terminal.press("status:error")
    terminal.wait_for("0 of 5 attempts")
    terminal.press("\x1b")
    terminal.wait_for("5 attempts", gone="0 of")
    terminal.press("q")
    assert terminal.end() == 0
    assert terminal.modes_left() == set()
    assert termios.tcgetattr(terminal.process.fd) == terminal.before
    for name in NAMES if adapter == "all" else (adapter,):
        assert f"The {name} is Textual's own: with Textual".encode() in terminal.raw
    assert terminal.raw.count(b"is Textual's own") == (len(NAMES) if adapter == "all" else 1)


CRASH = """
from pipeloom.tui.live.screen import LiveScreen
class Told(RuntimeError):
    def __rich__(self):
        return "a bug of the screen"
def action_pause(self):
    secret = "s3cr" + "et"
    raise {error}("a bug of the screen")
LiveScreen.action_pause = action_pause
def work(task, q):
    q.put(MsgTaskProgress(task.task_id, 1, 20, "half way"))
    q.sleep(2)
pipeline = Pipeline("crash", [TaskDef(1, "one")], work)
"""


@pytest.mark.parametrize(
    ("names", "error"),
    [("", "RuntimeError"), ("", "Told"), *((names, "RuntimeError") for names in ("_fatal_error", "_exception", ALL))],
)
def test_a_crash_tells_no_local_variables_with_any_textual(
    start: Start, write: Write, rows: Rows, tmp_path: Path, names: str, error: str
) -> None:
    terminal = renamed(start, write("crash.py", CRASH.format(error=error)), names)
    terminal.wait_for("half way")
    terminal.press("p")
    assert terminal.end() == 5
    assert terminal.modes_left() == set()
    assert "the screen has crashed; its traceback is in" in terminal.text.replace("\n", "")
    assert rows("SELECT status FROM task_runs") == [("done",)]
    logged = next((tmp_path / "state").rglob("tui.log")).read_text()
    assert ("a bug of the screen" in logged) == ("_exception" not in names.split())
    assert "s3cret" not in logged
    assert b"s3cret" not in terminal.raw
