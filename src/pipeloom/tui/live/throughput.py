"""How fast the tasks of a run end, and when its last one will.

The figures come from the attempts as they are on disk, so that all programs that show a run show the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from heapq import heapify, heapreplace
from statistics import median
from typing import Final

from pipeloom.status import Status
from pipeloom.store.rows import AttemptRow
from pipeloom.tui.style import format as fmt

_WORKED: Final = frozenset({Status.DONE, Status.ERROR})
"""Ends that took work: what was cancelled says nothing about the pace."""
_WINDOW_S: Final = 10
_KEPT_SECONDS: Final = 5_000
_PAST_WEIGHT: Final = 4
"""Number of tasks of this run that count as much as its past."""
_TELLING: Final = 0.05
"""Progress below which a task's own pace says nothing."""


class Throughput:
    """Counts the tasks that ended with work done, by the second of their end."""

    def __init__(self) -> None:
        self._ended: Counter[int] = Counter()
        self._tasks = 0
        self._sum_s = 0.0

    def add(self, row: AttemptRow) -> None:
        """Count the latest attempt of a task."""
        self._count(row, 1)

    def remove(self, row: AttemptRow) -> None:
        """Undo `add`: the attempt is not the latest of its task any more, or has changed."""
        self._count(row, -1)

    def _count(self, row: AttemptRow, number: int) -> None:
        if row.status not in _WORKED:
            return
        if row.duration_s is not None:
            self._tasks += number
            self._sum_s += number * row.duration_s
        if (moment := fmt.moment(row.finished_at)) is not None:
            self._ended[int(moment.timestamp())] += number
            if len(self._ended) > _KEPT_SECONDS:
                self._ended = Counter(dict(sorted(self._ended.items())[-_KEPT_SECONDS // 2 :]))

    def tasks_per_s(self, now: float, began: float) -> float | None:
        """Return the tasks ended per second, over the last ten seconds or since `began`; times in Unix seconds."""
        window = min(_WINDOW_S, now - began)
        if window < 1:
            return None
        first = int(now - window) + 1
        return max(0, sum(self._ended[second] for second in range(first, int(now) + 1))) / window

    def history(self, now: float, seconds: int) -> tuple[float, ...]:
        """Return the tasks ended in each of the last whole `seconds` seconds, oldest first."""
        newest = int(now) - 1
        return tuple(float(self._ended[second]) for second in range(newest - seconds + 1, newest + 1))

    def task_s(self, past_s: float | None) -> float | None:
        """Return how long a task takes, in seconds: here, and as long as few have ended, in earlier runs (`past_s`)."""
        weight = 0 if past_s is None else _PAST_WEIGHT
        total = self._tasks + weight
        return (self._sum_s + weight * (past_s or 0.0)) / total if total else None


def time_left(
    active: Sequence[AttemptRow],
    queued: int,
    task_s: float | None,
    now: float,
    retrying: Sequence[AttemptRow] = (),
) -> float | None:
    """Return the seconds until all tasks have ended, when each worker takes the next one as soon as it is free.

    `active` are the attempts that have a worker, `queued` is the number of tasks that wait for one, `retrying` are the
    attempts that wait for their time, and `task_s` is how long a task takes. None when nothing runs, or when the tasks
    that run tell too little.
    """
    waiting = queued + len(retrying)
    if task_s is None:
        task_s = _own_pace(active, now)
    left = [_task_left(row, task_s, now) for row in active]
    if not left or (task_s is None and waiting) or (not waiting and None in left):
        return None
    free = [seconds or 0.0 for seconds in left]
    whole_rounds = max(0, queued // len(free) - 1)
    free = [seconds + whole_rounds * (task_s or 0.0) for seconds in free]
    heapify(free)
    starts = [0.0] * (queued - whole_rounds * len(free)) + sorted(_due_in(row, now) for row in retrying)
    for start in starts:
        heapreplace(free, max(start, free[0]) + (task_s or 0.0))
    return max(free)


def _due_in(row: AttemptRow, now: float) -> float:
    due = fmt.moment(row.due_at)
    return 0.0 if due is None else due.timestamp() - now


def _own_pace(active: Iterable[AttemptRow], now: float) -> float | None:
    """Return how long a task takes by the progress of those that run."""
    paces = [
        elapsed / row.progress
        for row in active
        if (row.progress or 0.0) > _TELLING and row.progress and (elapsed := fmt.seconds_since(row.started_at, now))
    ]
    return median(paces) if paces else None


def _task_left(row: AttemptRow, task_s: float | None, now: float) -> float | None:
    """Return the seconds that a task has left; None when it is told to stop, or has taken longer than expected."""
    if row.status is not Status.RUNNING:
        return None
    elapsed, progress = fmt.seconds_since(row.started_at, now) or 0.0, min(row.progress or 0.0, 1.0)
    if progress > _TELLING:
        return elapsed * (1 - progress) / progress
    return None if task_s is None or elapsed > task_s else task_s - elapsed
