"""Terminals of any size and kind, and a program that was stopped in between."""

from __future__ import annotations

import os
import random
import re
import signal
from pathlib import Path

import pytest
from tests.conftest import WaitFor
from tests.terminal.conftest import Rows, Start, Write

pytestmark = pytest.mark.pty

WAITING = """
def work(task, q):
    q.put(MsgTaskProgress(task.task_id, 1, 2, "half way"))
    while not os.path.exists("enough"):
        q.sleep(0.05)
pipeline = Pipeline("waiting", [TaskDef(1, "[/] waiting")], work)
"""


@pytest.mark.parametrize(
    "size", [(1, 1), (2, 5), (5, 20), (11, 200), (40, 39), (12, 40), (40, 50), (200, 500)], ids=str
)
def test_a_terminal_of_any_size_is_survived_and_left(start: Start, write: Write, size: tuple[int, int]) -> None:
    terminal = start("etl.db", write("waiting.py", WAITING), size=size)
    if min(size) > 1:
        terminal.wait_for("[/] waiting" if size[0] >= 12 and size[1] >= 40 else "Enl")
    terminal.process.setwinsize(40, 120)
    terminal.screen.resize(40, 120)
    terminal.wait_for("half way", "[/] waiting")
    terminal.process.setwinsize(3, 30)
    terminal.screen.resize(3, 30)
    terminal.wait_for("Enlarge")
    os.kill(terminal.process.pid, signal.SIGTERM)
    assert terminal.end() == 128 + signal.SIGTERM


def test_a_hundred_resizes_are_survived(start: Start, write: Write) -> None:
    terminal, chance = start("etl.db", write("waiting.py", WAITING)), random.Random(14)
    terminal.wait_for("half way")
    for _ in range(100):
        terminal.process.setwinsize(chance.randrange(1, 60), chance.randrange(1, 200))
    terminal.process.setwinsize(40, 120)
    terminal.wait_for("half way")
    terminal.press("\x11")
    terminal.wait_for("Stop the run and quit?")
    terminal.press("\x1b[C\r")
    assert terminal.end() == 3


@pytest.mark.parametrize(
    "environment",
    [{"NO_COLOR": "1"}, {"TERM": "xterm"}, {"TERM": "linux"}, {"LANG": "C", "LC_ALL": "C"}, {"COLORTERM": ""}],
    ids=str,
)
def test_states_are_told_by_word_whatever_the_terminal_can_show(
    start: Start, write: Write, tmp_path: Path, environment: dict[str, str]
) -> None:
    terminal = start(
        "etl.db",
        write("waiting.py", WAITING),
        size=(40, 120),
        program="tui_main",
        detached=False,
        shell=False,
        **environment,
    )
    terminal.wait_for("1 running", "half way")
    (tmp_path / "enough").touch()
    terminal.wait_for("1 done", "100%")
    if "NO_COLOR" in environment:
        colours = re.findall(rb"[34]8;2;(\d+);(\d+);(\d+)[;m]", terminal.raw)
        assert all(red == green == blue for red, green, blue in colours)
    terminal.press("q")
    assert terminal.end() == 0


@pytest.mark.parametrize("term", ["dumb", "", "unknown"])
def test_a_terminal_that_cannot_draw_gets_plain_lines_or_is_told(start: Start, write: Write, term: str) -> None:
    write("quick.py", 'pipeline = Pipeline("quick", [TaskDef(1, "quick")], lambda task, q: None)')
    terminal = start("etl.db", "quick.py", TERM=term)
    assert terminal.end() == 0
    assert "1 done" in terminal.text
    assert b"\x1b[?1049h" not in terminal.raw
    terminal = start("etl.db", TERM=term)
    assert terminal.end() == 2
    assert "needs a terminal" in terminal.text


@pytest.mark.kill
def test_a_program_that_was_stopped_for_a_while_goes_on_and_has_lost_nothing(
    start: Start, write: Write, rows: Rows, tmp_path: Path, wait_for: WaitFor
) -> None:
    ticking = WAITING.replace("q.sleep(0.05)", "q.sleep(0.05); open('ticks', 'a').write('.')")
    terminal = start("etl.db", write("ticking.py", ticking))
    terminal.wait_for("half way")
    os.kill(terminal.process.pid, signal.SIGSTOP)
    wait_for(lambda: Path(f"/proc/{terminal.process.pid}/stat").read_text().rpartition(") ")[2].startswith("T"))
    (tmp_path / "ticks").write_text("")
    signal.sigtimedwait([], 6)  # longer than a heartbeat
    assert (tmp_path / "ticks").read_text() == ""
    assert rows("SELECT status FROM task_runs") == [("running",)]
    os.kill(terminal.process.pid, signal.SIGCONT)
    (tmp_path / "enough").touch()
    terminal.wait_for("1 done")
    terminal.press("q")
    assert terminal.end() == 0
    assert rows("SELECT status FROM task_runs") == [("done",)]
