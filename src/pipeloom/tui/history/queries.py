"""The lists that the history shows: attempts, runs, tasks, failures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from pipeloom.filters import Filter
from pipeloom.status import FINAL, Status
from pipeloom.store.read.failures import FailureGroup, failure_groups
from pipeloom.store.read.history import History
from pipeloom.store.read.paging import NEWEST, Sort, key_of
from pipeloom.store.read.run_queries import (
    Counts,
    as_left,
    attempts_as_left,
    counts_as_left,
    has_died,
    run_count,
    runs_after,
    task_counts,
)
from pipeloom.store.read.tasks import TaskStats, task_names, task_stats
from pipeloom.store.rows import AttemptRow, RunRow

EVERYTHING: Final = Filter()

COUNT_BUDGET_S: Final = 0.2
"""Seconds for counting the tasks of one run; its line shows no counts after that."""


@dataclass(frozen=True)
class AttemptsQuery:
    """Attempts that pass a filter, in an order; ids up to `newest`, so that rows do not move."""

    where: Filter = EVERYTHING
    sort: Sort = NEWEST
    newest: int | None = None
    size: int = 100

    def key(self, row: AttemptRow) -> int:
        """Return the attempt's id."""
        return row.id

    def total(self, history: History, budget_s: float | None = None) -> int:
        """Return the number of attempts."""
        return history.count(self.where, newest=self.newest, budget_s=budget_s)

    def page(
        self,
        history: History,
        limit: int,
        *,
        after: AttemptRow | None = None,
        before: AttemptRow | Literal["end"] | None = None,
        offset: int = 0,
    ) -> list[AttemptRow]:
        """Return attempts, without the columns that only the detail shows."""
        page = history.page(
            self.where,
            sort=self.sort,
            after=None if after is None else key_of(after, self.sort),
            before=before if before is None or before == "end" else key_of(before, self.sort),
            newest=self.newest,
            offset=offset,
            limit=limit,
        )
        return attempts_as_left(history, page)


@dataclass(frozen=True, slots=True)
class RunItem:
    """A line of the list of runs; without a run it stands for all runs."""

    run: RunRow | None = None
    counts: Counts | None = None
    """None: not counted."""
    log_errors: int = 0
    """Errors in the run's own log, as of a hook."""


@dataclass(frozen=True)
class RunsQuery:
    """One line for all runs, then one per run, newest first."""

    known: dict[int, tuple[str, Counts]] = field(default_factory=dict)
    """Counts of ended runs with their end, kept between readings."""
    size: int = 40

    def key(self, row: RunItem) -> int:
        """Return the run's id; 0 for all."""
        return 0 if row.run is None else row.run.id

    def total(self, history: History, budget_s: float | None = None) -> int:  # noqa: ARG002 - never long
        """Return the number of lines."""
        return run_count(history) + 1

    def page(
        self,
        history: History,
        limit: int,
        *,
        after: RunItem | None = None,
        before: RunItem | Literal["end"] | None = None,
        offset: int = 0,
    ) -> list[RunItem]:
        """Return lines, with the counts of their runs."""
        if before is not None:
            return self._before(history, limit, before, offset)
        below = None if after is None or after.run is None else after.run.id
        first = [RunItem()] if after is None and not offset else []
        skipped = offset - 1 if after is None and offset else offset
        runs = history.runs(before=below, limit=limit - len(first), offset=skipped)
        errors = history.log_errors([run.id for run in runs])
        return first + [replace(self._item(history, run), log_errors=errors.get(run.id, 0)) for run in runs]

    def _before(self, history: History, limit: int, before: RunItem | Literal["end"], offset: int) -> list[RunItem]:
        """Return the lines before one of them, or before the end, by counting: runs are few."""
        above = 0 if before == "end" or before.run is None else before.run.id
        later = runs_after(history, above) + 1 - offset
        start = max(0, later - limit)
        return self.page(history, later - start, offset=start) if later > start else []

    def _item(self, history: History, run: RunRow) -> RunItem:
        kept = self.known.get(run.id)
        if kept is not None and kept[0] == run.finished_at:
            return RunItem(run, kept[1])
        died = has_died(history.path, run)
        if died:
            run = as_left(run)
        try:
            counts = task_counts(history, run.id, budget_s=COUNT_BUDGET_S)
        except TimeoutError:
            return RunItem(run)
        if died:
            counts = counts_as_left(counts)
        if run.finished_at is not None and all(status in FINAL for status in counts):
            self.known[run.id] = run.finished_at, counts
        return RunItem(run, counts)


@dataclass(frozen=True)
class TasksQuery:
    """Tasks with an attempt that passes the filter, by name."""

    where: Filter = EVERYTHING
    size: int = 40
    _names: list[str] = field(default_factory=list)
    """Read when the tasks are counted."""

    def key(self, row: TaskStats) -> str:
        """Return the task's name."""
        return row.name

    def total(self, history: History, budget_s: float | None = None) -> int:  # noqa: ARG002 - the names are needed
        """Return the number of tasks."""
        self._names[:] = task_names(history, self.where)
        return len(self._names)

    def page(
        self,
        history: History,
        limit: int,
        *,
        after: TaskStats | None = None,
        before: TaskStats | Literal["end"] | None = None,
        offset: int = 0,
    ) -> list[TaskStats]:
        """Return the statistics of tasks."""
        start, stop = _place(self._names, after, before, offset, limit)
        return [_as_left(history, row) for row in task_stats(history, self._names[start:stop])]


@dataclass(frozen=True)
class FailuresQuery:
    """Failures that pass the filter, grouped by fingerprint."""

    where: Filter = EVERYTHING
    size: int = 100
    _groups: list[FailureGroup] = field(default_factory=list)

    def key(self, row: FailureGroup) -> str:
        """Return the fingerprint."""
        return row.fingerprint

    def total(self, history: History, budget_s: float | None = None) -> int:  # noqa: ARG002 - the groups are needed
        """Return the number of groups."""
        self._groups[:] = failure_groups(history, self.where)
        return len(self._groups)

    def page(
        self,
        history: History,  # noqa: ARG002 - all were read at once
        limit: int,
        *,
        after: FailureGroup | None = None,
        before: FailureGroup | Literal["end"] | None = None,
        offset: int = 0,
    ) -> list[FailureGroup]:
        """Return groups."""
        start, stop = _place(self._groups, after, before, offset, limit)
        return self._groups[start:stop]


def _as_left(history: History, row: TaskStats) -> TaskStats:
    run = None if row.status in FINAL else history.run(row.last_run_id)
    died = run is not None and has_died(history.path, run)
    return replace(row, status=Status.INTERRUPTED) if died else row


def _place(rows: Sequence[object], after: object, before: object, offset: int, limit: int) -> tuple[int, int]:
    """Return the first and last index of a page of a list."""
    if before is not None:
        stop = (len(rows) if before == "end" else _index(rows, before)) - offset
        return max(0, stop - limit), max(0, stop)
    start = offset + (0 if after is None else _index(rows, after) + 1)
    return start, start + limit


def _index(rows: Sequence[object], row: object) -> int:
    named = row.name if isinstance(row, TaskStats) else row
    return rows.index(named) if named in rows else 0
