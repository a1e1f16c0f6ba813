"""The board: the latest attempt of each task of a run, in a stable order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from itertools import islice
from typing import Any, Final

from sortedcontainers import SortedKeyList, SortedList

from pipeloom.filters import Filter
from pipeloom.messages import TaskId
from pipeloom.status import ACTIVE, Status
from pipeloom.store.read.tasks import typed_ids
from pipeloom.store.rows import AttemptRow, RunRow
from pipeloom.tui.live.throughput import Throughput, time_left
from pipeloom.tui.style import format as fmt

_GROUPS: Final = {
    Status.RUNNING: 0,
    Status.CANCELLING: 1,
    Status.ERROR: 2,
    Status.QUEUED: 3,
    Status.RETRYING: 5,
    Status.INTERRUPTED: 6,
    Status.CANCELLED: 6,
    Status.SKIPPED: 6,
    Status.DONE: 6,
}
_GROUP_COUNT: Final = max(_GROUPS.values()) + 1
_RUNNING: Final = _GROUPS[Status.RUNNING]
_QUEUED_AGAIN: Final = 4
"""The group of tasks that are queued for another attempt: they are at the end of the queue."""
_MOST_RETRIES: Final = 500
"""Number of retries whose times count for the time left; any others count as queued."""

SortKey = Callable[[AttemptRow], Any]
"""Returns the value to sort a row by; None: the row has none, and comes last in both directions."""


class Board:
    """A `RowSource` of the latest attempt of each task, keyed by task id. Fed with what was committed, nothing else.

    Tasks stand in groups (running, cancelling, error, queued, queued again, retrying, ended), inside a group in the
    order in which they were submitted, those that wait for another attempt in the order in which they will start; or,
    once `sort` was called, in the order that they had at that moment.
    """

    def __init__(self) -> None:
        self.run: RunRow | None = None
        self.counts: dict[Status, int] = dict.fromkeys(Status, 0)
        self.grows = False
        """Whether tasks find others: there may be more than are known."""
        self._entered_at: str | None = None
        """When the run entered its list of tasks: all of them have this time."""
        self._rows: list[AttemptRow] = []
        self._places: dict[TaskId, int] = {}
        self._older: dict[TaskId, list[AttemptRow]] = {}
        self._ranks: list[int] = []
        """The rank of each place: the place itself, unless a sort gave it another."""
        self._by_rank: list[int] = []
        """The place of each rank."""
        self._is_sorted = False
        self._groups = self._sorted_groups([[]] * _GROUP_COUNT)
        """The ranks of the shown tasks, by group."""
        self._asked = self._filter = Filter()
        self.held: TaskId | None = None
        """The task that stays in view although it passes the filter no longer; see `hold`."""
        self._shown = bytearray()
        """For each place, whether its row passes the filter."""
        self._throughput = Throughput()
        self._retrying: dict[TaskId, None] = {}
        """The tasks that wait for the time of their retry, in the order in which they came to."""
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

    def index_of(self, text: str) -> int | None:
        """Return the index of the task whose id a user has typed; None when there is none, or it does not pass."""
        return next((place for key in typed_ids(text) if (place := self.index(key)) is not None), None)

    def row(self, task_id: object) -> AttemptRow | None:
        """Return the latest attempt of a task."""
        place = self._places.get(task_id)  # type: ignore[call-overload] # any hashable may be asked for
        return None if place is None else self._rows[place]

    def attempts_of(self, task_id: object) -> list[AttemptRow]:
        """Return the attempts of a task in this run, oldest first."""
        latest = self.row(task_id)
        return [] if latest is None else [*self._older.get(latest.task_id, ()), latest]

    def next_running(self, index: int) -> int | None:
        """Return the index of the first running task after `index`, else of the first of all; None: none in view."""
        if not self._is_sorted:
            running = len(self._groups[_RUNNING])
            return None if not running else index + 1 if index + 1 < running else 0
        places = [place for place, row in enumerate(self.shown()) if row.status is Status.RUNNING]
        return next((place for place in places if place > index), places[0] if places else None)

    def shown(self) -> list[AttemptRow]:
        """Return every row that passes the filter, in order."""
        return list(self.window(0, self.count()))

    def set_filter(self, where: Filter) -> None:
        """Show only the tasks whose latest attempt passes."""
        self._asked = where
        self._filter = where if self.run is None else where.of_pipeline(self.run.pipeline)
        self._shown = bytearray(self._passing(self._rows))
        self._regroup()

    def hold(self, key: Hashable | None) -> bool:
        """Keep a task in view, also when it stops passing the filter; returns whether the one held before has left."""
        before = self.row(self.held)
        row = self.row(key)
        self.held = None if row is None else row.task_id
        if before is None or self._passes(before):
            return False
        self._hide(self._places[before.task_id], before)
        return True

    def sort(self, order: SortKey | None, *, descending: bool = False) -> None:
        """Sort the tasks by `order` as it is now, equal ones as submitted; None: by groups again."""
        self._is_sorted = order is not None
        self._ranks = list(range(len(self._rows)))
        self._by_rank = self._ranks[:]
        if order is not None:
            rows = self._rows
            values = [order(row) for row in rows]
            known = [place for place in self._by_rank if values[place] is not None]
            known.sort(key=lambda place: values[place], reverse=descending)
            self._by_rank = known + [place for place in self._by_rank if values[place] is None]
            for rank, place in enumerate(self._by_rank):
                self._ranks[place] = rank
        self._regroup()

    def _passing(self, rows: Sequence[AttemptRow]) -> bytes:
        return bytes(map(self._passes, rows)) if self._filter else b"\1" * len(rows)

    def _passes(self, row: AttemptRow) -> bool:
        return not self._filter or row.task_id == self.held or self._filter.matches(row)

    def _regroup(self) -> None:
        self._groups = self._sorted_groups(self._grouped(range(len(self._rows))))

    def _sorted_groups(self, grouped: Sequence[list[int]]) -> list[SortedList]:
        """Return the ranks of each group in order: for tasks that wait for another attempt that of their starts."""
        groups = [SortedList(ranks) for ranks in grouped]
        for group in (_QUEUED_AGAIN, _GROUPS[Status.RETRYING]):
            groups[group] = SortedKeyList(grouped[group], key=self._start_key)
        return groups

    def _start_key(self, rank: int) -> tuple[str, int]:
        row = self._rows[self._by_rank[rank]]
        return row.due_at or row.queued_at or "", row.id

    def _grouped(self, ranks: Iterable[int]) -> list[list[int]]:
        """Return those of the ranks that pass the filter, by group."""
        found: list[list[int]] = [[] for _ in range(_GROUP_COUNT)]
        for rank in ranks:
            place = self._by_rank[rank]
            if self._shown[place]:
                found[self._group(self._rows[place])].append(self._ranks[place])
        return found

    def _group(self, row: AttemptRow) -> int:
        if self._is_sorted:
            return 0
        return _QUEUED_AGAIN if row.status is Status.QUEUED and row.attempt > 1 else _GROUPS[row.status]

    # -- what was committed ------------------------------------------------------------------------------------------

    def apply(self, rows: Iterable[AttemptRow], run: RunRow | None, now_s: float) -> None:
        """Store the newest state of attempts and run; `now_s` is monotonic."""
        if run is not None:
            is_first, self.run = self.run is None, run
            if is_first and self._asked:
                self.set_filter(self._asked)
        fresh: dict[TaskId, AttemptRow] = {}
        known: list[AttemptRow] = []
        for row in rows:
            if row.task_id in self._places or row.task_id in fresh:
                known.append(row)
            else:
                fresh[row.task_id] = row
        self._add(list(fresh.values()), now_s)
        for row in known:
            self._take(row, now_s)

    def tasks_per_s(self, now: float) -> float | None:
        """Return the tasks ended per second lately, as of `now` in Unix seconds; None at the start of a run."""
        began = fmt.moment(self.run.started_at) if self.run is not None else None
        return None if began is None else self._throughput.tasks_per_s(now, began.timestamp())

    def history(self, now: float, seconds: int) -> tuple[float, ...]:
        """Return the tasks ended in each of the last `seconds` seconds, oldest first; `now` in Unix seconds."""
        return self._throughput.history(now, seconds)

    def time_left(self, now: float, past_s: float | None = None) -> float | None:
        """Return the seconds until all tasks have ended; `past_s` is how long a task took in earlier runs."""
        active = [self._rows[self._places[task_id]] for task_id in self._moved]
        retrying = [self._rows[self._places[task_id]] for task_id in islice(self._retrying, _MOST_RETRIES)]
        queued = self.counts[Status.QUEUED] + len(self._retrying) - len(retrying)
        return time_left(active, queued, self._throughput.task_s(past_s), now, retrying)

    def silent_s(self, row: AttemptRow, now_s: float) -> float:
        """Return the seconds since an active task changed; 0 for any other."""
        return now_s - self._moved.get(row.task_id, now_s)

    def last_error(self, row: AttemptRow) -> str:
        """Return the message of the attempt before that of `row`; "" when there was none."""
        return next((kept.message for kept in reversed(self._older.get(row.task_id, ()))), "")

    def _add(self, rows: list[AttemptRow], now_s: float) -> None:
        if rows and not self._rows:
            self._entered_at = rows[0].queued_at
        self.grows = self.grows or any(row.attempt == 1 and row.queued_at != self._entered_at for row in rows)
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
        self._retrying.update((row.task_id, None) for row in rows if row.status is Status.RETRYING)
        for row in rows:
            self._throughput.add(row)

    def _take(self, row: AttemptRow, now_s: float) -> None:
        """Store the new state of a task."""
        place = self._places[row.task_id]
        before = self._rows[place]
        if row.attempt < before.attempt:
            self._keep_older(row)
            return
        if row.attempt > before.attempt:
            self._keep_older(before)
        if row.status in ACTIVE:
            self._moved[row.task_id] = now_s
        else:
            self._moved.pop(row.task_id, None)
        if row.status is Status.RETRYING:
            self._retrying[row.task_id] = None
        else:
            self._retrying.pop(row.task_id, None)
        self._hide(place, before)
        self._rows[place] = row
        self.counts[before.status] -= 1
        self.counts[row.status] += 1
        self._show(place, row)
        self._throughput.remove(before)
        self._throughput.add(row)

    def _keep_older(self, row: AttemptRow) -> None:
        known = {kept.attempt: kept for kept in self._older.get(row.task_id, ())}
        self._older[row.task_id] = [kept for _, kept in sorted((known | {row.attempt: row}).items())]

    def _show(self, place: int, row: AttemptRow) -> None:
        if self._passes(row):
            self._shown[place] = True
            self._groups[self._group(row)].add(self._ranks[place])

    def _hide(self, place: int, row: AttemptRow) -> None:
        if self._shown[place]:
            self._shown[place] = False
            self._groups[self._group(row)].remove(self._ranks[place])
