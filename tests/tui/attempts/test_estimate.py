"""What is left of a task, and how sure that is."""

from __future__ import annotations

import pytest

from pipeloom.status import Status
from pipeloom.store.rows import AttemptRow, DurationBaseline
from pipeloom.tui.attempts.estimate import estimate
from pipeloom.tui.style import format as fmt
from pipeloom.tui.widgets.bar import bar

ROW = AttemptRow(1, 1, 1, 1, "load", Status.RUNNING)
STEADY = DurationBaseline(100, 95, 105)
SPREAD = DurationBaseline(100, 60, 240)


def left(progress: float | None, elapsed_s: float, past: DurationBaseline | None) -> str:
    told = estimate(ROW._replace(progress=progress), elapsed_s, past)
    assert told is not None
    return told.label


@pytest.mark.parametrize(
    ("progress", "elapsed_s", "past", "label"),
    [
        (None, 10, None, "?"),
        (0.01, 10, None, "?"),
        (0.5, 10, None, "~10s"),
        (None, 20, STEADY, "~80s"),
        (None, 10, SPREAD, "0–4m"),
        (0.9, 90, SPREAD, "6–24s"),
        (None, 500, STEADY, "?"),
        (1.0, 10, None, "<1s"),
    ],
)
def test_what_is_left_is_told_as_surely_as_it_is_known(
    progress: float | None, elapsed_s: float, past: DurationBaseline | None, label: str
) -> None:
    assert left(progress, elapsed_s, past) == label


def test_only_a_running_task_has_an_estimate() -> None:
    for status in set(Status) - {Status.RUNNING}:
        assert estimate(ROW._replace(status=status), 10, STEADY) is None
    assert estimate(ROW, None, STEADY) is None


def test_the_ghost_stands_where_the_median_stood() -> None:
    told = estimate(ROW._replace(progress=0.1), 25, STEADY)
    assert told is not None
    assert told.ghost == 0.25


@pytest.mark.parametrize(("progress", "elapsed_s", "slow"), [(0.1, 23, 2.3), (0.1, 11, None), (None, 250, 2.5)])
def test_a_task_that_takes_far_longer_than_it_used_to_is_slow(
    progress: float | None, elapsed_s: float, slow: float | None
) -> None:
    told = estimate(ROW._replace(progress=progress), elapsed_s, STEADY)
    assert told is not None
    assert told.slow == (None if slow is None else pytest.approx(slow))


@pytest.mark.parametrize(("ghost", "place"), [(0.0, 0), (0.3, 3), (0.7, 7), (1.0, 9)])
def test_the_ghost_is_a_mark_on_the_bar(ghost: float, place: int) -> None:
    plain, marked = bar(0.5, 10).plain, bar(0.5, 10, ghost=ghost).plain
    assert marked == plain[:place] + "┃" + plain[place + 1 :]
    assert bar(0.5, 10, ghost=ghost, ascii_only=True).plain.index("|") == place


@pytest.mark.parametrize(
    ("low", "high", "label"),
    [(60, 240, "1–4m"), (3, 9, "3–9s"), (1800, 7200, "0–2h"), (5, 80, "5–80s"), (20, 100, "0–2m")],
)
def test_a_range_is_told_in_one_unit(low: float, high: float, label: str) -> None:
    assert fmt.eta_range(low, high) == label
