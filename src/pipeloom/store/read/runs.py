"""How the tasks of runs stand, read run by run."""

from __future__ import annotations

from typing import Final

from pipeloom.status import FINAL, Status
from pipeloom.store.read.history import History

Counts = dict[Status, int]
"""Tasks by the status of their latest attempt in a run."""

_WORST: Final = (Status.INTERRUPTED, Status.ERROR, Status.CANCELLED)

# SQLite takes the status from the row of the highest attempt.
_COUNTS: Final = """
SELECT status, count(*) FROM (SELECT status, max(attempt) FROM task_runs WHERE run_id = ? GROUP BY task_id)
GROUP BY status
"""


def task_counts(history: History, run_id: int, budget_s: float | None = None) -> Counts:
    """Return how many tasks of a run stand how; a status that does not exist counts as interrupted.

    Raises `TimeoutError` when it takes longer than `budget_s`.
    """
    counts: Counts = {}
    for word, count in history.rows(_COUNTS, [run_id], budget_s=budget_s):
        status = Status(word) if word in set(Status) else Status.INTERRUPTED
        counts[status] = counts.get(status, 0) + count
    return {status: counts[status] for status in Status if status in counts}


def worst(counts: Counts) -> Status | None:
    """Return the worst that happened to a task: None without tasks, or while any of them has not ended."""
    if not counts or any(status not in FINAL for status in counts):
        return None
    return next((status for status in _WORST if status in counts), Status.DONE)


def run_before(history: History, run_id: int, pipeline: str) -> int | None:
    """Return the run of the pipeline that came before `run_id`."""
    sql = "SELECT max(id) FROM pipeline_runs WHERE pipeline = ? AND id < ?"
    found = history.rows(sql, [pipeline, run_id])[0][0]
    return None if found is None else int(found)


def runs_after(history: History, run_id: int) -> int:
    """Return the number of runs newer than `run_id`."""
    return int(history.rows("SELECT count(*) FROM pipeline_runs WHERE id > ?", [run_id])[0][0])


def run_count(history: History) -> int:
    """Return the number of runs in the file."""
    return int(history.rows("SELECT count(*) FROM pipeline_runs")[0][0])
