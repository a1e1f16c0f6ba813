"""What is kept of the tasks of a run for its summary: little, for there may be a million."""

from __future__ import annotations

from pipeloom.engine.run.summary import RunCounts
from pipeloom.engine.writer.sink import CommitBatch
from pipeloom.status import Status
from pipeloom.store.rows import AttemptRow


def row(number: int, status: Status, attempt: int = 1, rows: int = 0) -> AttemptRow:
    return AttemptRow(10 * number + attempt, 1, f"t{number}", attempt, f"t{number}", status, message="why", rows=rows)


def test_failed_tasks_come_in_the_order_of_their_first_rows_and_go_when_a_retry_is_done() -> None:
    counts = RunCounts()
    counts.committed(CommitBatch(1, tuple(row(number, Status.QUEUED) for number in range(4)), None))
    counts.committed(CommitBatch(2, (row(3, Status.ERROR), row(1, Status.ERROR, rows=5), row(2, Status.ERROR)), None))
    assert [task.name for task in counts.failed()] == ["t1", "t2", "t3"]
    counts.committed(CommitBatch(3, (row(2, Status.QUEUED, 2), row(1, Status.DONE, 2, rows=7)), None))
    counts.committed(CommitBatch(4, (row(1, Status.ERROR, 1, rows=5),), None))  # of an earlier attempt, told again
    assert [task.name for task in counts.failed()] == ["t3"]
    assert counts.counts() == {Status.QUEUED: 2, Status.DONE: 1, Status.ERROR: 1}


def test_rows_of_an_attempt_that_is_told_again_count_once() -> None:
    counts = RunCounts()
    for written in (3, 8, 8):
        counts.committed(CommitBatch(1, (row(1, Status.RUNNING, rows=written),), None))
    counts.committed(CommitBatch(2, (row(1, Status.DONE, 2, rows=4),), None))
    assert counts.rows == 12


def test_tasks_that_ended_alike_are_kept_as_one() -> None:
    counts = RunCounts()
    counts.committed(CommitBatch(1, tuple(row(number, Status.DONE) for number in range(1000)), None))
    assert (counts.total(), counts.settled()) == (1000, 1000)
    assert len({id(kept) for kept in counts._latest.values()}) == 1
