"""The tasks of a run that a command is meant for: by their latest attempts."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final, NamedTuple

from pipeloom.errors import UsageError
from pipeloom.filters import Filter
from pipeloom.messages import TaskId
from pipeloom.status import Status
from pipeloom.store.read.follow import newest_run
from pipeloom.store.read.history import History


class LatestAttempt(NamedTuple):
    """The latest attempt of a task in its run."""

    id: int
    task_id: TaskId
    name: str
    status: Status


_LATEST: Final = """
NOT EXISTS (
    SELECT 1 FROM task_runs AS later
    WHERE later.run_id = task_runs.run_id AND later.task_id = task_runs.task_id AND later.attempt > task_runs.attempt
)
"""


def run_meant(history: History, where: Filter) -> int | None:
    """Return the one run that the filter names, else the newest; None when there is none.

    Raises `UsageError` when what passes the filter is of several runs.
    """
    if not any(term.field == "run" and not term.negated for term in where.terms):
        return newest_run(history)
    condition, values = where.sql()
    found = history.rows(f"SELECT DISTINCT run_id FROM task_runs WHERE {condition} ORDER BY 1 LIMIT 2", values)
    if len(found) > 1:
        raise UsageError("What passes the filter is of several runs: name one of them, for example run:12.")
    return found[0][0] if found and isinstance(found[0][0], int) else None


def latest_attempts(history: History, run_id: int, where: Filter, statuses: Collection[Status]) -> list[LatestAttempt]:
    """Return the tasks of a run whose latest attempt passes the filter and is in one of `statuses`."""
    condition, values = where.sql()
    wanted: list[Any] = sorted(status.value for status in statuses)
    marks = ", ".join("?" * len(wanted))
    rows = history.rows(
        "SELECT id, task_id, substr(name, 1, 500), status FROM task_runs "
        f"WHERE run_id = ? AND status IN ({marks}) AND ({condition}) AND {_LATEST} ORDER BY id",
        [run_id, *wanted, *values],
    )
    return [
        LatestAttempt(one, task_id if isinstance(task_id, (int, str)) else str(task_id), str(name), Status(status))
        for one, task_id, name, status in rows
    ]
