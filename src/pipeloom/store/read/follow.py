"""Follows a run that another process writes: each look reads what has changed since the last one."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final

from pipeloom.status import ACTIVE, FINAL, WAITING, RunStatus, Status
from pipeloom.store.file.kind import FileKind
from pipeloom.store.read import values
from pipeloom.store.read.history import History
from pipeloom.store.rows import AttemptRow, RunRow
from pipeloom.times import monotonic

CHUNK: Final = 2_000
"""New attempts that one look reads at most, so that its transaction is short and the first rows are shown soon."""
_IDS: Final = 500
"""Attempts that one statement reads by id."""
_PROBE: Final = 64
"""Attempts at the head of the queue that are read first: tasks start in about the order in which they wait."""
_SHARE: Final = 20
"""Counting the attempts that wait takes at most one part in so many of the time."""
_TEXT_LIMIT: Final = 500

_LEFT_OUT: Final = frozenset({"result", "error", "params", "fingerprint"})
"""Columns that may be long: `History.attempt` reads them for one row."""
_TEXTS: Final = frozenset({"name", "message"})

_ACTIVE_SQL: Final = "'running','cancelling'"
_WAITING_SQL: Final = "'queued','retrying'"


@dataclass(frozen=True, slots=True)
class RunChanges:
    """What one look found."""

    attempts: tuple[AttemptRow, ...] = ()
    """The newest state of those that have changed, without the columns that may be long."""
    run: RunRow | None = None
    """The run, when anything of it but its heartbeat has changed."""
    is_whole: bool = True
    """Whether these are all changes; if not, the next look has more of them."""
    is_stale: bool = False
    """Whether the file contradicts earlier looks, as something else has changed it: follow the run from the start."""


class FollowedRun:
    """One run, as it was at the last look.

    An attempt that has ended never changes and is not read again. The few attempts that are active are read each time.
    Those that wait are read once they no longer do: the head of the queue is probed, and counting the attempts that
    wait shows whether others have left it.
    """

    def __init__(self, history: History, run_id: int, *, clock: Callable[[], float] = monotonic) -> None:
        self._history = history
        self.run_id = run_id
        self._clock = clock
        self._columns = ", ".join(_column(name, history.attempt_columns) for name in AttemptRow._fields)
        (first,) = history.rows("SELECT min(id) FROM task_runs WHERE run_id = ?", [run_id])[0]
        self._first = first if isinstance(first, int) else 1
        self._last = self._first - 1
        self._run: RunRow | None = None
        self._open: dict[int, Status] = {}
        self._active: dict[int, AttemptRow] = {}
        self._queue: deque[int] = deque()
        """Attempts in the order in which they were queued; it still has some that no longer are."""
        self._counts: Counter[Status] = Counter()
        """Attempts in each status."""
        self._count_due = float("-inf")
        self._is_checked = False
        """Whether the run was over at the last look, and its counts were checked then."""
        self._by_status = " INDEXED BY task_runs_status" if history.kind is FileKind.OURS else ""

    @property
    def run(self) -> RunRow | None:
        """The run at the last look."""
        return self._run

    def open_attempts(self) -> list[AttemptRow]:
        """Return the attempts that had not ended at the last look."""
        return self._read(list(self._open))

    def look(self) -> RunChanges:
        """Return what has changed since the last look. All queries see the file as of one moment."""
        with self._moment():
            run = self._changed_run()
            found = self._new()
            if len(found) == CHUNK:
                return RunChanges(tuple(found), run, is_whole=False)
            rows = {row.id: row for row in found} | {row.id: row for row in self._moved()}
            is_whole, is_over = self._settle(rows)
            self._is_checked = self._is_checked and run is None and not rows
            is_stale = is_over and not self._is_checked and self._is_wrong()
            self._is_checked = is_over
            return RunChanges(tuple(rows.values()), run, is_whole, is_stale)

    @contextmanager
    def _moment(self) -> Iterator[None]:
        """Let all queries inside see the file as of the first one."""
        self._history.rows("SAVEPOINT pipeloom_look")
        try:
            yield
        finally:
            self._history.rows("RELEASE pipeloom_look")

    def _changed_run(self) -> RunRow | None:
        run = self._history.run(self.run_id)
        if run is None:
            return None
        before, self._run = self._run, run
        return None if before == replace(run, heartbeat_at=before.heartbeat_at if before else None) else run

    def _new(self) -> list[AttemptRow]:
        """Return attempts that were entered since the last look."""
        sql = f"SELECT {self._columns} FROM task_runs WHERE id > ? AND run_id = ? ORDER BY id LIMIT {CHUNK}"
        return self._take(self._history.rows(sql, [self._last, self.run_id]))

    def _moved(self) -> list[AttemptRow]:
        """Return active attempts that have changed, that no longer are active, and that left the head of the queue."""
        where = f"status IN ({_ACTIVE_SQL}) AND id BETWEEN ? AND ?"
        sql = f"SELECT {self._columns} FROM task_runs{self._by_status} WHERE {where}"
        before, self._active = self._active, {}
        active = self._take(self._history.rows(sql, [self._first, self._last]))
        changed = [row for row in active if before.get(row.id) != row]
        return changed + self._read(before.keys() - self._active.keys()) + self._read(self._left_queue())

    def _left_queue(self) -> list[int]:
        """Take attempts that no longer wait from the head of the queue."""
        left: list[int] = []
        while self._queue:
            front = [self._queue.popleft() for _ in range(min(_PROBE, len(self._queue)))]
            waiting = [one for one in front if self._open.get(one) is Status.QUEUED]
            stay = {one for one, status in self._statuses(waiting) if status == Status.QUEUED}
            self._queue.extendleft(one for one in reversed(waiting) if one in stay)
            left += [one for one in waiting if one not in stay]
            if len(stay) * 2 > len(front):
                break
        return left

    def _settle(self, rows: dict[int, AttemptRow]) -> tuple[bool, bool]:
        """Add attempts that left the middle of the queue to `rows`; return if all is known, and if the run is over."""
        over = self._run is not None and self._run.status is not RunStatus.RUNNING
        began = self._clock()
        if not over and began < self._count_due:
            return False, False
        where = f"FROM task_runs{self._by_status} WHERE status IN ({_WAITING_SQL}) AND id BETWEEN ? AND ?"
        counted = dict(
            self._history.rows(f"SELECT status, count(*) {where} GROUP BY status", [self._first, self._last])
        )
        if any(counted.get(status.value, 0) != self._counts[status] for status in WAITING):
            now = dict(self._history.rows(f"SELECT id, status {where}", [self._first, self._last]))
            known = {one: status.value for one, status in self._open.items() if status in WAITING}
            rows |= {row.id: row for row in self._read(dict(known.items() ^ now.items()))}
        self._count_due = self._clock() + (self._clock() - began) * _SHARE
        return True, over

    def _is_wrong(self) -> bool:
        """Tell whether the counts in the file differ from those of the looks."""
        sql = "SELECT status, count(*) FROM task_runs WHERE run_id = ? GROUP BY status"
        counted = {values.status(status): count for status, count in self._history.rows(sql, [self.run_id])}
        return counted != {status: count for status, count in self._counts.items() if count}

    def _statuses(self, ids: Sequence[int]) -> list[tuple[int, str]]:
        if not ids:
            return []
        marks = ", ".join("?" * len(ids))
        return [(one, status) for one, status in self._history.rows(f"{_STATUS_OF} ({marks})", ids)]

    def _read(self, ids: Iterable[int]) -> list[AttemptRow]:
        """Return attempts by their ids."""
        found: list[AttemptRow] = []
        wanted = iter(ids)
        while some := list(islice(wanted, _IDS)):
            marks = ", ".join("?" * len(some))
            sql = f"SELECT {self._columns} FROM task_runs WHERE id IN ({marks}) AND run_id = ?"
            found += self._take(self._history.rows(sql, [*some, self.run_id]))
        return found

    def _take(self, found: Iterable[tuple[Any, ...]]) -> list[AttemptRow]:
        """Note the status of attempts and return their rows."""
        rows = [values.attempt_row(one) for one in found]
        for row in rows:
            before = self._open.pop(row.id, None)
            if before is not None:
                self._counts[before] -= 1
            self._counts[row.status] += 1
            self._last = max(self._last, row.id)
            if row.status in FINAL:
                continue
            self._open[row.id] = row.status
            if row.status is Status.QUEUED and before is not Status.QUEUED:
                self._queue.append(row.id)
            elif row.status in ACTIVE:
                self._active[row.id] = row
        return rows


def _column(name: str, stored: Container[str]) -> str:
    if name in _LEFT_OUT or name not in stored:
        return "NULL"
    return f"substr({name}, 1, {_TEXT_LIMIT})" if name in _TEXTS else name


_STATUS_OF: Final = "SELECT id, status FROM task_runs WHERE id IN"
