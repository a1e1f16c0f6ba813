"""When the next run of a file is late."""

from __future__ import annotations

from itertools import accumulate

import pytest

from pipeloom.home.rhythm import rhythm_of

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0


@pytest.mark.parametrize(
    ("intervals", "on_time", "late"),
    [
        ([DAY] * 20, 1.2 * DAY, 1.3 * DAY),
        ([DAY, DAY * 1.1] * 10, 1.3 * DAY, 1.5 * DAY),
        ([15 * MINUTE] * 30, 18 * MINUTE, 20 * MINUTE),
        ([DAY] * 12 + [9 * DAY], 1.2 * DAY, 1.3 * DAY),  # one outage
        ([DAY, DAY, DAY, DAY, 3 * DAY] * 5, 3.7 * DAY, 3.8 * DAY),  # on weekdays
        ([HOUR] * 5, 1.2 * HOUR, 1.3 * HOUR),
    ],
)
def test_a_run_is_late_by_the_files_own_intervals(intervals: list[float], on_time: float, late: float) -> None:
    rhythm = rhythm_of([*accumulate(intervals, initial=1e9)])
    assert rhythm is not None
    assert (rhythm.is_late(on_time), rhythm.is_late(late)) == (False, True)
    assert not rhythm.is_late(11 * sum(intervals))  # given up


@pytest.mark.parametrize(
    "intervals",
    [
        [],
        [DAY] * 4,
        [0.0] * 10,
        [59.0] * 10,
        [MINUTE] * 8 + [DAY] + [MINUTE] * 8 + [DAY],  # by hand, on some days
        [15 * MINUTE] * 39 + [14 * HOUR] + [15 * MINUTE] * 39 + [14 * HOUR],  # in working hours
    ],
)
def test_what_has_no_rhythm_is_never_late(intervals: list[float]) -> None:
    assert rhythm_of([*accumulate(intervals, initial=1e9)]) is None
