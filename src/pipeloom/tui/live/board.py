"""The board: the latest attempt of each task of a run, in a stable order."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, Final

from sortedcontainers import SortedList

from pipeloom.filters import Filter
from pipeloom.messages import TaskId
from pipeloom.status import ACTIVE, FINAL, Status
from pipeloom.store.rows import AttemptRow, RunRow

_GROUPS: Final = {
    Status.RUNNING: 0,
    Status.CANCELLING: 1,
    Status.RETRYING: 2,
    Status.ERROR: 3,
    Status.QUEUED: 4,
    Status.INTERRUPTED: 5,
    Status.CANCELLED: 5,
    Status.DONE: 5,
}
_GROUP_COUNT: Final = max(_GROUPS.values()) + 1
HISTORY_S: Final = 60
_RATE_WINDOW_S: Final = 10

SortKey = Callable[[AttemptRow], Any]


class Board:
    """A `RowSource` of the latest attempt of each task, keyed by task id. Fed with what was committed, nothing else.

    Tasks stand in groups (running, cancelling, retrying, error, queued, ended), inside a group in the order in which
    they were submitted; or, once `sort` was called, in the order that they had at that moment.
    """

    def __init__(self) -> None:
        self.run: RunRow | None = None
        self.counts: dict[Status, int] = dict.fromkeys(Status, 0)
        self._rows: list[AttemptRow] = []
        self._places: dict[TaskId, int] = {}
        self._older: dict[TaskId, list[AttemptRow]] = {}
        self._ranks: list[int] = []
        """The rank of each place: the place itself, unless a sort gave it another."""
        self._by_rank: list[int] = []
        """The place of each rank."""
        self._is_sorted = False
        self._groups = [SortedList() for _ in range(_GROUP_COUNT)]
        """The ranks of the shown tasks, by group."""
        self._filter = Filter()
        self._shown = bytearray()
        """For each place, whether its row passes the filter."""
        self._ended: deque[tuple[int, int]] = deque(maxlen=HISTORY_S + 1)
        self._started: float | None = None
        self._moved: dict[TaskId, float] = {}
        """When each active task last changed, in monotonic seconds."""

    # -- the rows ----------------------------------------------------------------------------------------------------

    def count(self) -> int:
        """Return the number of tasks that pass the filter."""
        return sum(map(len, self._groups))

    def total(self) -> int:
        """Return the number of tasks."""
        return len(self._rows)

    def window(self, start: int, stop: int) -> Sequence[AttemptRow]:
        """Return the rows at places `start` to `stop`."""
        rows: list[AttemptRow] = []
        for group in self._groups:
            if start < len(group):
                rows.extend(self._rows[self._by_rank[rank]] for rank in group.islice(max(start, 0), stop))
            start, stop = start - len(group), stop - len(group)
            if stop <= 0:
                break
        return rows

    def key(self, row: AttemptRow) -> TaskId:
        """Return the task's id."""
        return row.task_id

    def index(self, key: Hashable) -> int | None:
        """Return the index of the task; None when it does not pass the filter."""
        place = self._places.get(key)  # type: ignore[call-overload] # any hashable may be asked for
        if place is None or not self._shown[place]:
            return None
        group = self._group(self._rows[place])
        in_group: int = self._groups[group].index(self._ranks[place])
        return sum(map(len, self._groups[:group])) + in_group

    def row(self, task_id: object) -> AttemptRow | None:
        """Return the latest attempt of a task."""
        place = self._places.get(task_id)  # type: ignore[call-overload] # any hashable may be asked for
        return None if place is None else self._rows[place]

    def attempts_of(self, task_id: object) -> list[AttemptRow]:
        """Return the attempts of a task in this run, oldest first."""
        latest = self.row(task_id)
        return [] if latest is None else [*self._older.get(latest.task_id, ()), latest]

    def shown(self) -> list[AttemptRow]:
        """Return every row that passes the filter, in order."""
        return list(self.window(0, self.count()))

    def set_filter(self, where: Filter) -> None:
        """Show only the tasks whose latest attempt passes."""
        self._filter = where
        self._shown = bytearray(self._passing(self._rows))
        self._regroup()

    def sort(self, order: SortKey | None, *, descending: bool = False) -> None:
        """Sort the tasks by `order` as it is now, equal ones as submitted; None: by groups again."""
        self._is_sorted = order is not None
        self._ranks = list(range(len(self._rows)))
        self._by_rank = self._ranks[:]
        if order is not None:
            rows = self._rows
            self._by_rank.sort(key=lambda place: order(rows[place]), reverse=descending)
            for rank, place in enumerate(self._by_rank):
                self._ranks[place] = rank
        self._regroup()

    def _passing(self, rows: Sequence[AttemptRow]) -> bytes:
        return bytes(map(self._filter.matches, rows)) if self._filter else b"\1" * len(rows)

    def _regroup(self) -> None:
        self._groups = [SortedList(ranks) for ranks in self._grouped(range(len(self._rows)))]

    def _grouped(self, ranks: Iterable[int]) -> list[list[int]]:
        """Return those of the ranks that pass the filter, by group."""
        found: list[list[int]] = [[] for _ in range(_GROUP_COUNT)]
        for rank in ranks:
            place = self._by_rank[rank]
            if self._shown[place]:
                found[self._group(self._rows[place])].append(self._ranks[place])
        return found

    def _group(self, row: AttemptRow) -> int:
        return 0 if self._is_sorted else _GROUPS[row.status]

    # -- what was committed ------------------------------------------------------------------------------------------

    def apply(self, rows: Iterable[AttemptRow], run: RunRow | None, now_s: float) -> None:
        """Store the newest state of attempts and run; `now_s` is monotonic."""
        if run is not None:
            self.run = run
        if self._started is None:
            self._started = now_s
        fresh: dict[TaskId, AttemptRow] = {}
        known: list[AttemptRow] = []
        for row in rows:
            if row.task_id in self._places or row.task_id in fresh:
                known.append(row)
            else:
                fresh[row.task_id] = row
        ended = self._add(list(fresh.values()), now_s) + sum(self._take(row, now_s) for row in known)
        if ended:
            self._count_ended(int(now_s), ended)

    def tasks_per_s(self, now_s: float) -> float | None:
        """Return the tasks ended per second, over the last ten seconds or since the start."""
        if self._started is None or now_s - self._started < 1:
            return None
        window = min(_RATE_WINDOW_S, now_s - self._started)
        return sum(count for second, count in self._ended if second > now_s - window) / window

    def history(self, now_s: float, seconds: int) -> tuple[float, ...]:
        """Return the tasks ended in each of the last `seconds` seconds, oldest first."""
        by_second = dict(self._ended)
        newest = int(now_s) - 1
        return tuple(float(by_second.get(second, 0)) for second in range(newest - seconds + 1, newest + 1))

    def silent_s(self, row: AttemptRow, now_s: float) -> float:
        """Return the seconds since an active task changed; 0 for any other."""
        return now_s - self._moved.get(row.task_id, now_s)

    def _add(self, rows: list[AttemptRow], now_s: float) -> int:
        """Add tasks; returns how many of them have ended already."""
        # One object per place, shared by all lists: for 100,000 tasks each copy would be 3 MB.
        places = list(range(len(self._rows), len(self._rows) + len(rows)))
        self._places.update(zip((row.task_id for row in rows), places, strict=True))
        self._rows += rows
        self._ranks += places
        self._by_rank += places
        self._shown += self._passing(rows)
        for group, ranks in enumerate(self._grouped(places)):
            self._groups[group] += ranks
        statuses = Counter(row.status for row in rows)
        for status, count in statuses.items():
            self.counts[status] += count
        self._moved.update((row.task_id, now_s) for row in rows if row.status in ACTIVE)
        return sum(statuses[status] for status in FINAL)

    def _take(self, row: AttemptRow, now_s: float) -> bool:
        """Store the new state of a task; returns whether it has just ended."""
        place = self._places[row.task_id]
        before = self._rows[place]
        if row.attempt < before.attempt:
            self._keep_older(row)
            return False
        if row.attempt > before.attempt:
            self._keep_older(before)
        if row.status in ACTIVE:
            self._moved[row.task_id] = now_s
        else:
            self._moved.pop(row.task_id, None)
        self._hide(place, before)
        self._rows[place] = row
        self.counts[before.status] -= 1
        self.counts[row.status] += 1
        self._show(place, row)
        return row.status in FINAL and before.status not in FINAL

    def _keep_older(self, row: AttemptRow) -> None:
        known = {kept.attempt: kept for kept in self._older.get(row.task_id, ())}
        self._older[row.task_id] = [kept for _, kept in sorted((known | {row.attempt: row}).items())]

    def _show(self, place: int, row: AttemptRow) -> None:
        if not self._filter or self._filter.matches(row):
            self._shown[place] = True
            self._groups[self._group(row)].add(self._ranks[place])

    def _hide(self, place: int, row: AttemptRow) -> None:
        if self._shown[place]:
            self._shown[place] = False
            self._groups[self._group(row)].remove(self._ranks[place])

    def _count_ended(self, second: int, count: int) -> None:
        if self._ended and self._ended[-1][0] == second:
            count += self._ended.pop()[1]
        self._ended.append((second, count))
