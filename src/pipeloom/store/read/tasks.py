"""The history by task: the attempts of one name in all runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from pipeloom.filters import Filter
from pipeloom.status import FINAL, Status
from pipeloom.store.read import values
from pipeloom.store.read.history import History

MOST_NAMES: Final = 100_000
"""Names that are listed at most, the first in order."""
WINDOW: Final = 200
"""Newest attempts of a task from which its figures are computed."""
RECENT: Final = 20

_NAME_LIMIT: Final = 500

# Steps from name to name by the index, instead of over every attempt.
_NAMES: Final = """
WITH RECURSIVE walk(name) AS (
    SELECT min(name) FROM task_runs
    UNION ALL
    SELECT (SELECT min(name) FROM task_runs WHERE name > walk.name) FROM walk WHERE walk.name IS NOT NULL
)
SELECT name FROM walk WHERE name IS NOT NULL LIMIT ?
"""
_ATTEMPTS: Final = """
SELECT id, run_id, status, duration_s FROM task_runs WHERE name = ? ORDER BY id DESC LIMIT ?
"""


@dataclass(frozen=True, slots=True)
class TaskStats:
    """Figures of a task, by its newest attempts (at most `WINDOW`)."""

    name: str
    last_id: int
    """Its newest attempt."""
    last_run_id: int
    status: Status
    """Of the newest attempt."""
    attempts: int
    ended: int
    """Attempts that ended as done or as an error."""
    done: int
    median_s: float | None
    """Of the attempts that are done, as all durations here."""
    p95_s: float | None
    recent: tuple[tuple[float, Status], ...]
    """Duration and status of the last `RECENT` that have ended, oldest first."""

    @property
    def success(self) -> float | None:
        """Share of done attempts among those that are done or failed, 0..1."""
        return self.done / self.ended if self.ended else None


def task_names(history: History, where: Filter | None = None) -> list[str]:
    """Return the names of the tasks that have an attempt which passes, in order."""
    if not where:
        return [name for (name,) in history.rows(_NAMES, [MOST_NAMES]) if isinstance(name, str)]
    condition, bound = where.sql()
    sql = f"SELECT DISTINCT name FROM task_runs WHERE {condition} ORDER BY name LIMIT ?"
    return [name for (name,) in history.rows(sql, [*bound, MOST_NAMES]) if isinstance(name, str)]


def task_stats(history: History, names: Sequence[str]) -> list[TaskStats]:
    """Return the figures of each task, in the order of `names`, without tasks that no longer exist."""
    found = ((name, history.rows(_ATTEMPTS, [name, WINDOW])) for name in names)
    return [_stats(name, rows) for name, rows in found if rows]


def attempt_before(history: History, name: str, attempt_id: int) -> int | None:
    """Return the attempt of the task that was entered before this one, in any run."""
    found = history.rows("SELECT max(id) FROM task_runs WHERE name = ? AND id < ?", [name, attempt_id])[0][0]
    return None if found is None else int(found)


def _stats(name: str, rows: list[tuple[Any, ...]]) -> TaskStats:
    attempts = [(attempt_id, run_id, values.status(word), _seconds(took)) for attempt_id, run_id, word, took in rows]
    last_id, last_run_id, status, _ = attempts[0]
    done = sorted(took for _, _, ended, took in attempts if ended is Status.DONE and took is not None)
    recent = [(took or 0.0, ended) for _, _, ended, took in attempts if ended in FINAL][:RECENT]
    return TaskStats(
        name=name[:_NAME_LIMIT],
        last_id=last_id,
        last_run_id=last_run_id if isinstance(last_run_id, int) else 0,
        status=status,
        attempts=len(attempts),
        ended=sum(ended in (Status.DONE, Status.ERROR) for _, _, ended, _ in attempts),
        done=sum(ended is Status.DONE for _, _, ended, _ in attempts),
        median_s=quantile(done, 0.5),
        p95_s=quantile(done, 0.95),
        recent=tuple(reversed(recent)),
    )


def quantile(ordered: Sequence[float], share: float) -> float | None:
    """Return the value below which `share` (0..1) of the values lie, the nearest one."""
    return ordered[round((len(ordered) - 1) * share)] if ordered else None


def _seconds(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) and value >= 0 else None
