"""Hostile workers under the cockpit: the good ones are done, and every way out leads out and gives the terminal back."""

from __future__ import annotations

import os
import signal
import termios
from pathlib import Path

import pytest
from tests.conftest import WaitFor
from tests.faults import visit_zoo, zoo
from tests.terminal.conftest import Start

pytestmark = [pytest.mark.pty, pytest.mark.slow, pytest.mark.kill]

WAYS_OUT = ("q", "SIGINT", "SIGTERM")
VISITS = [
    (executor, WAYS_OUT[number % 3], group)
    for executor in ("thread", "process")
    for number, group in enumerate(visit_zoo.groups(executor))
] + [("thread", way, visit_zoo.groups("thread")[-1]) for way in WAYS_OUT]


@pytest.mark.parametrize(
    ("executor", "way", "group"), VISITS, ids=lambda each: each if isinstance(each, str) else each[0]
)
def test_hostile_workers_harm_neither_the_others_nor_the_way_out(
    start: Start, tmp_path: Path, wait_for: WaitFor, executor: str, way: str, group: list[str]
) -> None:
    terminal = start(
        "etl.db", zoo.__file__, "--executor", executor, "--workers", len(group) + 1, "--grace", "1", ZOO=",".join(group)
    )
    terminal.wait_for("zoo")
    wait_for(lambda: visit_zoo.good_are_done(tmp_path), timeout=60)
    is_endless = group[0] in zoo.ENDLESS
    if not is_endless:
        wait_for(lambda: visit_zoo.has_ended(tmp_path), timeout=60)
    if way == "q":
        terminal.press("q")
        if is_endless:
            terminal.wait_for("Stop the run and quit?")
            terminal.press("\x1b[C\r")
    else:
        os.kill(terminal.process.pid, signal.Signals[way])
    code = terminal.end()
    assert visit_zoo.faults_of(tmp_path) == []
    assert code == (visit_zoo.code_of(tmp_path) if way == "q" else 128 + signal.Signals[way])
    assert terminal.modes_left() == set()
    assert termios.tcgetattr(terminal.process.fd) == terminal.before
