"""The time that a run has left."""

from __future__ import annotations

import pytest
from tests.tui.conftest import CLOCK, RUN, Cockpit, at

from pipeloom.status import Status
from pipeloom.store.rows import AttemptRow
from pipeloom.tui.live.throughput import time_left


def running(elapsed_s: float, progress: float | None = None, status: Status = Status.RUNNING) -> AttemptRow:
    return AttemptRow(1, 1, 1, 1, "load", status, progress, started_at=at(41 - elapsed_s))


@pytest.mark.parametrize(
    ("active", "waiting", "task_s", "left_s"),
    [
        # Equal tasks of a minute on four workers: 4 rounds of 60 s after what is under way.
        ([running(46)] * 4, 16, 60.0, 14 + 4 * 60),
        ([running(46)] * 4, 13, 60.0, 14 + 4 * 60),
        ([running(46)] * 4, 12, 60.0, 14 + 3 * 60),
        ([running(0), running(15), running(30), running(45)], 4, 60.0, 60 + 60),
        ([running(46)] * 4, 160_000, 60.0, 14 + 40_000 * 60),
        ([running(30, 0.5)], 0, None, 30),
        ([running(30, 0.5)], 2, None, 30 + 2 * 60),  # the first run: by the pace of what runs
        ([running(10), running(30, 0.5)], 0, 20.0, 30),
        ([running(10, status=Status.CANCELLING)], 1, 20.0, 20),
        ([running(10, status=Status.CANCELLING)], 0, 20.0, None),
        ([running(90)], 1, 60.0, 60),
        ([running(90)], 0, 60.0, None),  # longer than expected: nothing is known
        ([running(90)], 1, None, None),
        ([], 12, 60.0, None),  # nothing runs, as in a paused run
        ([], 0, 60.0, None),
    ],
)
def test_the_time_left_is_that_of_workers_who_take_one_task_after_another(
    active: list[AttemptRow], waiting: int, task_s: float | None, left_s: float | None
) -> None:
    assert time_left(active, waiting, task_s, CLOCK) == (None if left_s is None else pytest.approx(left_s))


def test_the_time_left_counts_the_time_until_a_retry() -> None:
    retries = [running(0)._replace(status=Status.RETRYING, due_at=at(41 + due_s)) for due_s in (90, 5)]
    assert time_left([running(10)], 1, 20.0, CLOCK, retries) == pytest.approx(90 + 20)
    assert time_left([running(10)], 9, 20.0, CLOCK, retries) == pytest.approx(10 + 11 * 20)


async def test_a_mass_cancel_changes_neither_rate_nor_eta(cockpit: Cockpit) -> None:
    rows = [AttemptRow(number, 12, number, 1, "load", Status.QUEUED, queued_at=at(0)) for number in range(1, 41)]
    for number in range(4):
        rows[number] = rows[number]._replace(status=Status.DONE, started_at=at(10), finished_at=at(40), duration_s=30.0)
    rows[4] = rows[4]._replace(status=Status.RUNNING, started_at=at(38))
    async with cockpit.app.run_test(size=(120, 40)) as pilot:
        cockpit.commit(rows, RUN)
        await cockpit.settle(pilot)
        before = cockpit.live._header_source.state()
        assert before.eta_s == pytest.approx(27 + 35 * 30)
        cancelled = [row._replace(status=Status.CANCELLED, finished_at=at(41)) for row in rows[5:]]
        cockpit.commit(cancelled)
        await cockpit.settle(pilot)
        after = cockpit.live._header_source.state()
        assert after.tasks_per_s == before.tasks_per_s
        assert after.eta_s == pytest.approx(27)
