"""The history by task: the attempts of one name in all runs."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from pipeloom.filters import Filter
from pipeloom.messages import TaskId
from pipeloom.status import FINAL, Status
from pipeloom.store.read import values
from pipeloom.store.read.history import History

_STATES: Final = """
SELECT pipeline, task_state.task_id, state, task_state.attempt, name, coalesce(finished_at, started_at)
FROM task_state LEFT JOIN task_runs ON task_runs.id = task_state.attempt
"""
MOST_NAMES: Final = 100_000
"""Names that are listed at most, the first in order."""
WINDOW: Final = 200
"""Newest attempts of a task from which its figures are computed."""
RECENT: Final = 20

_NAME_LIMIT: Final = 500
_DIGITS: Final = 19
"""Digits from which on a number may be none of SQLite's."""

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


class TaskState(NamedTuple):
    """What a task goes on from."""

    pipeline: str
    task_id: TaskId
    state: str
    """JSON."""
    attempt_id: int
    """The attempt that has left it."""
    name: str | None
    """None when that attempt is no longer in the file, as of the next."""
    at: str | None
    """When that attempt ended, or began."""


def state_filter(where: Filter) -> tuple[str, list[Any]]:
    """Return a condition on `task_state`: what attempts have left that pass the filter; without one, all."""
    if not where:
        return "1", []
    condition, bound = where.sql()
    return f"task_state.attempt IN (SELECT id FROM task_runs WHERE {condition})", list(bound)


def task_states(history: History, where: Filter | None = None) -> list[TaskState]:
    """Return what tasks go on from, by pipeline and task."""
    if not history.has_found:
        return []  # a file of before: both came at the same time
    condition, bound = state_filter(where or Filter())
    rows = history.rows(f"{_STATES} WHERE {condition} ORDER BY pipeline, task_state.task_id", bound)
    return [TaskState(*row) for row in rows]


def state_of(history: History, pipeline: str, task_id: TaskId) -> TaskState | None:
    """Return what a task goes on from, if it has left anything."""
    if not history.has_found:
        return None
    rows = history.rows(f"{_STATES} WHERE pipeline = ? AND task_state.task_id = ?", [pipeline, task_id])
    return TaskState(*rows[0]) if rows else None


def with_state(history: History, attempt_ids: Iterable[int]) -> int:
    """Return how many of these attempts are of tasks that have left a state to go on from."""
    if not history.has_found:
        return 0
    sql = (
        "SELECT count(*) FROM json_each(?) AS asked JOIN task_runs ON task_runs.id = asked.value "
        "JOIN pipeline_runs ON pipeline_runs.id = task_runs.run_id "
        "JOIN task_state ON task_state.pipeline = pipeline_runs.pipeline AND task_state.task_id = task_runs.task_id"
    )
    return int(history.rows(sql, [json.dumps(list(attempt_ids))])[0][0])


def tasks_with_state(history: History, pipeline: str) -> set[TaskId]:
    """Return the tasks of a pipeline that have left a state to go on from."""
    if not history.has_found:
        return set()
    return {task_id for (task_id,) in history.rows("SELECT task_id FROM task_state WHERE pipeline = ?", [pipeline])}


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


def attempt_of(history: History, task: str, run_id: int | None = None) -> int | None:
    """Return the last attempt of the task whose id a user has typed, in a run or in all; None when there is none."""
    ids = typed_ids(task)
    sql = f"SELECT max(id) FROM task_runs WHERE task_id IN ({', '.join('?' * len(ids))})"
    bound: list[object] = [*ids] if run_id is None else [*ids, run_id]
    found: int | None = history.rows(sql if run_id is None else f"{sql} AND run_id = ?", bound)[0][0]
    return found


def typed_ids(text: str) -> list[TaskId]:
    """Return the ids of tasks that a user may mean by a text: the text itself, and a number."""
    is_number = text.isascii() and text.removeprefix("-").isdecimal() and len(text) < _DIGITS
    return [text, int(text)] if is_number else [text]


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
