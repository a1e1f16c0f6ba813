"""A program with nothing to do wakes the processor a few times a second, and keeps what it can be asked."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from pathlib import Path

import pytest
from tests.terminal.conftest import Start, Terminal, Write

pytestmark = [pytest.mark.pty, pytest.mark.alone]

MOST_A_SECOND = 5.0
_SETTLING_S = 7.0
"""Seconds until the program takes it that nobody looks: see `_REST_S` of the driver."""
_WATCHED_S = 6.0

ENDED = 'pipeline = Pipeline("ended", [TaskDef(n, f"task-{n}") for n in range(30)], lambda task, q: None)\n'


def wake_ups(terminal: Terminal) -> int:
    """Return how often threads of the program have waited."""
    waited = 0
    for status in Path(f"/proc/{terminal.process.pid}/task").glob("*/status"):
        with contextlib.suppress(FileNotFoundError):  # the thread has just ended
            waited += int(status.read_text().partition("\nvoluntary_ctxt_switches:")[2].split()[0])
    return waited


def test_a_screen_with_nothing_going_on_wakes_up_seldom(start: Start, write: Write, tmp_path: Path) -> None:
    live = start("etl.db", write("ended.py", ENDED))
    live.wait_for("30 done")
    viewer = start("etl.db", "--history")
    viewer.wait_for("30 attempts")
    live.press("2")
    live.wait_for("30 attempts")
    live.press("1")
    live.wait_for("30/30")
    with contextlib.closing(sqlite3.connect(tmp_path / "etl.db")) as connection:
        connection.execute("UPDATE pipeline_runs SET started_at = '2026-01-01T00:00:00.000000+00:00'")
        connection.commit()  # else the home screen counts the seconds since
    home = start()
    home.wait_for("1 file", "done")
    time.sleep(_SETTLING_S)
    before, began = [wake_ups(one) for one in (live, viewer, home)], time.monotonic()
    time.sleep(_WATCHED_S)
    took_s = time.monotonic() - began
    told = [(wake_ups(one) - was) / took_s for one, was in zip((live, viewer, home), before, strict=True)]
    # One more than is wanted: a thread that waits for the interpreter, or a toast that goes.
    assert max(told) <= MOST_A_SECOND + 1, told
    live.press("/task-7")  # and it is awake at once
    live.wait_for("1 of 30")
