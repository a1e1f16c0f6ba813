"""Which tasks a selection of attempts is about, for running them again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from pipeloom.filters import Filter
from pipeloom.messages import TaskId
from pipeloom.store.read.history import History

MOST_TARGETS: Final = 100_000


@dataclass(frozen=True, slots=True)
class Target:
    """A task of a pipeline, and the newest run among the attempts that were selected of it."""

    task_id: TaskId
    name: str
    run_id: int
    pipeline: str
    is_done: bool
    """Whether the task's newest attempt of all, in any run of its pipeline, is done."""


# SQLite takes the other columns from the row of the highest id.
_TARGETS: Final = """
SELECT task_id, name, run_id, coalesce((SELECT pipeline FROM pipeline_runs WHERE id = run_id), ''), max(id)
FROM task_runs WHERE {condition} GROUP BY task_id, (SELECT pipeline FROM pipeline_runs WHERE id = run_id)
ORDER BY max(id) LIMIT ?
"""
_NEWEST: Final = "SELECT max(id) FROM task_runs WHERE name = ?"
# By the name, which has an index; other pipelines and other tasks may have the same one.
_LATEST: Final = """
SELECT status FROM task_runs WHERE name = ? AND task_id = ?
AND coalesce((SELECT pipeline FROM pipeline_runs WHERE id = run_id), '') = ? ORDER BY id DESC LIMIT 1
"""


def targets(history: History, where: Filter) -> list[Target]:
    """Return the tasks that have an attempt which passes."""
    condition, values = where.sql()
    return [
        _target(history, *row) for row in history.rows(_TARGETS.format(condition=condition), [*values, MOST_TARGETS])
    ]


def targets_of(history: History, attempt_ids: Iterable[int]) -> list[Target]:
    """Return the tasks of some attempts."""
    found: dict[tuple[TaskId, str], Target] = {}
    for attempt_id in attempt_ids:
        for row in history.rows(_TARGETS.format(condition="id = ?"), [attempt_id, 1]):
            target = _target(history, *row)
            known = found.get((target.task_id, target.pipeline))
            if known is None or known.run_id < target.run_id:
                found[target.task_id, target.pipeline] = target
    return list(found.values())


def targets_named(history: History, names: Iterable[str]) -> list[Target]:
    """Return the tasks of these names, each by its newest attempt."""
    newest = (history.rows(_NEWEST, [name])[0][0] for name in names)
    return targets_of(history, [attempt_id for attempt_id in newest if attempt_id is not None])


def _target(history: History, task_id: Any, name: Any, run_id: Any, pipeline: Any, _newest: int) -> Target:
    latest = history.rows(_LATEST, [name, task_id, pipeline])
    return Target(
        task_id=task_id if isinstance(task_id, (int, str)) else str(task_id),
        name=str(name),
        run_id=run_id if isinstance(run_id, int) else 0,
        pipeline=str(pipeline),
        is_done=bool(latest) and latest[0][0] == "done",
    )
