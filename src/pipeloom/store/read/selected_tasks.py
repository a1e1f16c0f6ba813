"""The tasks that a selection of attempts belongs to, for running them again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from pipeloom.filters import Filter
from pipeloom.messages import TaskId
from pipeloom.store.read import values
from pipeloom.store.read.history import History
from pipeloom.store.read.run_queries import latest

MOST_TASKS: Final = 100_000


@dataclass(frozen=True, slots=True)
class SelectedTask:
    """A task of a pipeline, and the newest run among the attempts that were selected of it."""

    task_id: TaskId
    name: str
    run_id: int
    pipeline: str
    params: str | None
    """JSON."""
    is_done: bool
    """Whether the task's latest attempt, in any run of its pipeline, is done."""


# SQLite takes the other columns from the row of the highest id.
_TASKS: Final = """
SELECT task_id, name, run_id, coalesce((SELECT pipeline FROM pipeline_runs WHERE id = run_id), ''), params, max(id)
FROM task_runs WHERE {condition} GROUP BY task_id, name, (SELECT pipeline FROM pipeline_runs WHERE id = run_id)
ORDER BY max(id) LIMIT ?
"""
_LATEST_OF_NAME: Final = f"SELECT {latest('other.name = ?')}"
# By the name, which has an index; other pipelines and other tasks may have the same one.
_PIPELINE: Final = "coalesce((SELECT pipeline FROM pipeline_runs WHERE pipeline_runs.id = other.run_id), '')"
_LATEST_STATUS: Final = f"""
SELECT status FROM task_runs WHERE id = {latest(f"other.name = ? AND other.task_id = ? AND {_PIPELINE} = ?")}
"""


def selected_tasks(history: History, where: Filter) -> list[SelectedTask]:
    """Return the tasks that have an attempt which passes."""
    condition, bound = where.sql()
    rows = history.rows(_TASKS.format(condition=condition), [*bound, MOST_TASKS])
    return [_selected_task(history, *row) for row in rows]


def tasks_of_attempts(history: History, attempt_ids: Iterable[int]) -> list[SelectedTask]:
    """Return the tasks of some attempts."""
    found: dict[tuple[TaskId, str, str], SelectedTask] = {}
    for attempt_id in attempt_ids:
        for row in history.rows(_TASKS.format(condition="id = ?"), [attempt_id, 1]):
            task = _selected_task(history, *row)
            key = task.task_id, task.name, task.pipeline
            known = found.get(key)
            if known is None or known.run_id < task.run_id:
                found[key] = task
    return list(found.values())


def tasks_named(history: History, names: Iterable[str]) -> list[SelectedTask]:
    """Return the tasks of these names, each by its latest attempt."""
    found = (history.rows(_LATEST_OF_NAME, [name])[0][0] for name in names)
    return tasks_of_attempts(history, [attempt_id for attempt_id in found if attempt_id is not None])


def _selected_task(
    history: History, task_id: Any, name: Any, run_id: Any, pipeline: Any, params: Any, _id: int
) -> SelectedTask:
    status = history.rows(_LATEST_STATUS, [name, task_id, pipeline])
    return SelectedTask(
        task_id=values.task_id(task_id),
        name=str(name),
        run_id=run_id if isinstance(run_id, int) else 0,
        pipeline=str(pipeline),
        params=values.optional_text(params),
        is_done=bool(status) and status[0][0] == "done",
    )
