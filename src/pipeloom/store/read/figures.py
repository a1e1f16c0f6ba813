"""How runs stand, in numbers: for scripts, which have no table to look at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from pipeloom.filters import Filter
from pipeloom.status import OPEN, Status
from pipeloom.store.read.history import History
from pipeloom.store.rows import AttemptRow

Counts = dict[Status, int]

_LATEST: Final = "id IN (SELECT max(id) FROM task_runs WHERE run_id = ? GROUP BY task_id)"
_STATUSES: Final = tuple(Status)


def counts_of_runs(history: History, run_ids: Sequence[int], where: Filter | None = None) -> dict[int, Counts]:
    """Return the number of tasks of each run by the status of their latest attempt, of those that pass the filter."""
    condition, values = (where or Filter()).sql()
    sql = f"SELECT status, count(*) FROM task_runs WHERE {_LATEST} AND ({condition}) GROUP BY status"
    return {run_id: _counts(history.rows(sql, [run_id, *values])) for run_id in run_ids}


def tasks_of_run(
    history: History, run_id: int, statuses: Sequence[Status], where: Filter | None = None, limit: int = 100
) -> list[AttemptRow]:
    """Return the latest attempts of a run's tasks that have one of the statuses, whole, oldest first."""
    condition, values = (where or Filter()).sql()
    marks = ", ".join("?" * len(statuses))
    sql = f"SELECT id FROM task_runs WHERE {_LATEST} AND status IN ({marks}) AND ({condition}) ORDER BY id LIMIT ?"
    found = history.rows(sql, [run_id, *statuses, *values, limit])
    rows = (history.attempt(number) for (number,) in found)
    return [row for row in rows if row is not None]


def open_tasks(history: History, run_id: int, where: Filter | None = None) -> list[AttemptRow]:
    """Return the attempts of a run that have not ended, those first that wait least."""
    found = tasks_of_run(history, run_id, tuple(OPEN), where)
    return sorted(found, key=lambda row: (row.started_at is None, row.id))


def runs_with(history: History, where: Filter, *, before: int, limit: int) -> list[int]:
    """Return up to `limit` runs that have attempts that pass, newest first."""
    condition, values = where.sql()
    sql = f"SELECT DISTINCT run_id FROM task_runs WHERE run_id < ? AND ({condition}) ORDER BY run_id DESC LIMIT ?"
    return [run_id for (run_id,) in history.rows(sql, [before, *values, limit]) if isinstance(run_id, int)]


def _counts(rows: Sequence[tuple[Any, ...]]) -> Counts:
    counted: Counter[Status] = Counter()
    for status, number in rows:
        counted[Status(status) if status in set(Status) else Status.INTERRUPTED] += number
    return {status: counted[status] for status in _STATUSES if counted[status]}
