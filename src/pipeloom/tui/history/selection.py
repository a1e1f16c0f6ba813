"""The selection that an action of the history acts on: the cursor's row, the marked rows, or all rows shown."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final, TypeAlias

from pipeloom.filters import Filter, attempts_filter, failures_filter, marked_filter, status_filter
from pipeloom.status import Status
from pipeloom.store.read.failures import FailureGroup
from pipeloom.store.read.paging import Sort
from pipeloom.store.read.tasks import TaskStats
from pipeloom.store.rows import AttemptRow
from pipeloom.tui.history.queries import RunItem
from pipeloom.tui.style import format as fmt

HistoryRow: TypeAlias = AttemptRow | TaskStats | FailureGroup | RunItem

_FAILED: Final = status_filter([Status.ERROR, Status.INTERRUPTED])


def both(first: Filter, second: Filter) -> Filter:
    """Return the filter that passes what both pass."""
    return Filter((*first.terms, *second.terms))


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Cursor, marks and filter of the focused list, at one moment."""

    row: HistoryRow | None
    """The row under the cursor."""
    marked: tuple[Hashable, ...]
    """Keys of the marked rows, all of the same kind as `row`."""
    shown: Filter
    """The filter line and the chosen run together. No default: an empty filter means the whole file."""
    sort: Sort
    """Order of the rows that are shown."""

    @property
    def run_id(self) -> int | None:
        """The run of the row."""
        match self.row:
            case RunItem(run=run) if run is not None:
                return run.id
            case AttemptRow():
                return self.row.run_id
            case TaskStats() | FailureGroup():
                return self.row.last_run_id
            case _:
                return None

    @property
    def attempt_id(self) -> int | None:
        """Id of the row's attempt, or of the last one of its task or failure."""
        return attempt_of(self.row)

    @property
    def task_name(self) -> str | None:
        """The name of the row's task."""
        return self.row.name if isinstance(self.row, AttemptRow | TaskStats) else None

    @property
    def marked_ids(self) -> list[int]:
        """Ids of the marked attempts or runs, without the line of all runs."""
        return [key for key in self.marked if isinstance(key, int) and key]

    def failed(self) -> Filter:
        """Return the filter of the failed attempts that are shown."""
        return both(self.shown, _FAILED)

    def failures(self, row: FailureGroup) -> Filter:
        """Return the filter of the marked kinds of failure, else of the row's, among what is shown."""
        return both(self.shown, marked_filter("fail", [str(key) for key in self.marked] or [row.fingerprint]))

    def exported(self) -> Filter:
        """Return the filter of an export: the rows shown, or the attempts of the marked rows."""
        keys = self.marked
        match self.row:
            case AttemptRow() if keys:
                return attempts_filter(key for key in keys if isinstance(key, int))
            case RunItem() if keys:
                return marked_filter("run", [key for key in keys if isinstance(key, int)])
            case TaskStats() if keys:
                return both(self.shown, marked_filter("name", map(str, keys)))
            case FailureGroup():
                return both(self.shown, marked_filter("fail", map(str, keys)) if keys else failures_filter())
            case _:
                return self.shown

    def plain(self) -> str:
        """Return the row under the cursor as text."""
        match self.row:
            case AttemptRow() as row:
                return f"{row.task_id}\t{row.name}\t{row.status}\t{row.message}"
            case TaskStats() as row:
                return f"{row.name}\t{row.status}\t{fmt.percent(row.success)}"
            case FailureGroup() as row:
                return f"{row.error_type}\t{row.place}\t{row.attempts}\t{row.message}"
            case RunItem(run=run) if run is not None:
                return f"{run.id}\t{run.pipeline}\t{run.status}\t{run.started_at}"
            case _:
                return ""


def attempt_of(row: HistoryRow | None) -> int | None:
    """Return the id of the row's attempt, or of the last one of its task or failure."""
    match row:
        case AttemptRow():
            return row.id
        case TaskStats() | FailureGroup():
            return int(row.last_id)
        case _:
            return None
