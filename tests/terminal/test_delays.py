"""What was committed shows soon, whatever opens and closes, and keys answer while tasks write without end."""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Callable

import pytest
from tests.terminal.conftest import Start, Terminal, Write

from pipeloom.tui.session.refresh_pacing import LONGEST_WAIT_S

pytestmark = [pytest.mark.pty, pytest.mark.alone]

TICKING = """
def work(task, q):
    while not q.cancelled:
        q.put(MsgTaskProgress(task.task_id, 1, 2, f"at {time.monotonic():.3f}"))
        q.sleep(0.02)
pipeline = Pipeline("ticking", [TaskDef(n, f"ticks-{n}") for n in range(2)], work, workers=2)
"""


def delay_s(terminal: Terminal, act: Callable[[], None]) -> float:
    """Return the seconds from the end of `act` until the screen shows what was put after it."""
    act()
    begin = time.monotonic()

    def is_shown() -> bool:
        return any(float(found) > begin for found in re.findall(r"at (\d+\.\d+)", terminal.text))

    terminal.wait_until(is_shown)
    return time.monotonic() - begin


def test_what_is_committed_shows_as_soon_after_a_dialog_as_without(start: Start, write: Write) -> None:
    terminal = start("etl.db", write("ticking.py", TICKING))
    terminal.wait_for("2 running", "at ")

    def ask_and_refuse() -> None:
        terminal.press("x")
        terminal.wait_for("Cancel this task?")
        terminal.press("n")
        terminal.wait_for("2 running", gone="Cancel this task?")

    plain = [delay_s(terminal, lambda: None) for _ in range(20)]
    after = [delay_s(terminal, ask_and_refuse) for _ in range(50)]
    # Keys come first: for a second after one, what was committed is fetched within `LONGEST_WAIT_S`.
    assert statistics.median(after) < LONGEST_WAIT_S + statistics.median(plain), (plain, after)
    assert max(after) < 3 * max(plain) + 0.3, (plain, after)


FLOOD = """
def work(task, q):
    for number in range(100_000_000):
        print("line", number)
        if number % 1000 == 0:
            q.sleep(0)
pipeline = Pipeline("flood", [TaskDef(n, f"floods-{n}") for n in range(2)], work, workers=2)
"""


def test_keys_answer_while_tasks_write_without_end(start: Start, write: Write) -> None:
    terminal = start("etl.db", write("flood.py", FLOOD))
    terminal.wait_for("2 running")
    for _ in range(10):
        terminal.press("?")
        terminal.wait_for("Mark every task in view.")
        terminal.press("\x1b")
        terminal.wait_for("2 running", gone="Mark every task in view.")
    terminal.press("l")
    terminal.wait_for("line 1")
    terminal.press("q")
    terminal.wait_for("Stop and quit")
    terminal.press("y")
    assert terminal.end() == 3
    assert terminal.modes_left() == set()
