"""An attempt that logs in a loop: what it says is cut to what the others and the screen can bear, and counted."""

from __future__ import annotations

import logging
import re
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.engine.conftest import Bench

from pipeloom.engine.log_budget import LINES, TAIL, LogBudget
from pipeloom.messages import TaskDef
from pipeloom.protocols import Channel


@given(st.lists(st.tuples(st.integers(0, 3 * LINES), st.floats(0, 2)), max_size=6))
def test_the_first_and_the_last_lines_of_a_second_are_kept_in_order_and_the_others_counted(
    bursts: list[tuple[int, float]],
) -> None:
    now, kept, number = [0.0], [], 0
    budget = LogBudget(lambda _level, text, _at: kept.append(text), clock=lambda: now[0])
    for lines, pause in bursts:
        for _ in range(lines):
            budget.line("INFO", str(number))
            number += 1
        now[0] += pause
    budget.flush()
    texts = [int(text) for text in kept if "left out" not in text]
    assert texts == sorted(set(texts))
    assert number == 0 or texts[-1] == number - 1
    counts = [int(text.split()[1].replace(",", "")) for text in kept if "left out" in text]
    assert (counts[-1] if counts else 0) == number - len(texts)
    assert len(texts) <= (len(bursts) + 1) * (LINES + TAIL)


def test_what_a_second_leaves_is_passed_on_though_nothing_more_is_said() -> None:
    last = threading.Event()

    def write(_level: str, text: str, _at: str | None) -> None:
        if text == f"{LINES + 4}":
            last.set()

    budget = LogBudget(write)
    for number in range(LINES + 5):
        budget.line("INFO", str(number))
    assert last.wait(20)


@pytest.mark.parametrize("how", ["log", "print"])
def test_a_flood_of_lines_costs_its_own_attempt_and_keeps_its_end(
    bench: Bench, how: str, capsys: pytest.CaptureFixture[str]
) -> None:
    say = logging.getLogger("flood").warning if how == "log" else print
    lines = 30_000

    def work(_task: TaskDef, _q: Channel) -> None:
        for number in range(lines):
            say(f"line {number}")

    engine = bench.run(work)
    assert engine.summary().ok
    texts = [text for (text,) in bench.rows("SELECT text FROM task_logs ORDER BY seq")]
    assert texts[-TAIL:] == [f"line {number}" for number in range(lines - TAIL, lines)]
    note = next(text for text in reversed(texts) if "left out" in text)
    assert re.fullmatch(rf"… [\d,]+ lines left out so far: more than {LINES} in a second …", note)
    assert sum(batch.messages for batch in bench.recorder.batches) < lines / 2
    capsys.readouterr()
