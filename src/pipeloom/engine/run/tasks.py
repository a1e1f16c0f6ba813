"""What the engine keeps of a task, and what it hands to a worker: neither changes when the worker changes its own."""

from __future__ import annotations

import json
from dataclasses import replace

from pipeloom.engine.changes.input_key import version_key
from pipeloom.engine.events import KEPT_TEXT, Found
from pipeloom.engine.run.attempts import AttemptState
from pipeloom.engine.schedule.order import after_of
from pipeloom.engine.worker.by_value import by_value
from pipeloom.engine.worker.validation import as_json
from pipeloom.errors import MessageError, UsageError
from pipeloom.limits.limit import names_of, priority_of
from pipeloom.messages import TaskDef, TaskLike
from pipeloom.pipeline import positive_number, task_inputs, task_params, task_version
from pipeloom.store.rows import AttemptRow
from pipeloom.text import storable
from pipeloom.users_code import function_named


def entered(task: TaskLike) -> TaskDef:
    """Return what the engine reads of a task, read once; a `TaskDef` cannot change and stands for itself."""
    if type(task) is TaskDef:
        return task
    retries, worker = getattr(task, "retries", None), getattr(task, "worker_fn", None)
    return TaskDef(
        task.task_id,
        task.name,
        params=dict(task_params(task)),
        retries=retries if isinstance(retries, int) and not isinstance(retries, bool) else None,
        timeout=positive_number(getattr(task, "timeout", None)),
        atomic=atomic if isinstance(atomic := getattr(task, "atomic", None), bool) else None,
        after=after_of(task),
        worker_fn=worker if callable(worker) else None,
        limits=names_of(task),
        priority=priority_of(task),
        inputs=task_inputs(task),
        version=task_version(task),
    )


def task_of(found: Found) -> tuple[TaskDef, UsageError | None]:
    """Return a task that a worker has put, and why its own worker function cannot be called, if that is so."""
    task = as_put(found)
    if found.worker_fn is None:
        return task, None
    try:
        return replace(task, worker_fn=function_named(found.worker_fn)), None
    except UsageError as error:
        return task, error


def as_put(found: Found) -> TaskDef:
    """Return a task that a worker has put, without its own worker function."""
    return TaskDef(
        found.task_id,
        found.name,
        found.steps,
        params=json.loads(found.params),
        retries=found.retries,
        timeout=found.timeout,
        atomic=found.atomic,
        after=found.after,
        limits=found.limits,
        priority=found.priority,
        inputs=json.loads(found.inputs or "[]"),
        version=found.version,
    )


def handed_out(task: TaskLike) -> TaskLike:
    """Return the task for one attempt: a copy of what a worker could change, params and what they hold included."""
    try:
        if type(task) is TaskDef:
            if not task_params(task) and task.worker_fn is None:
                return task
            return replace(task, params=by_value(dict(task.params)), worker_fn=None)  # which the attempt has
        copied: TaskLike = by_value(task)
    except MessageError:
        return task  # it holds an open file, say, which no copy could replace
    return copied


def new_row(run_id: int, attempt: AttemptState, due_at: str | None, now: str) -> AttemptRow:
    """Return the row of an attempt that has just been made."""
    params, _ = as_json(dict(given) if (given := task_params(attempt.task)) else None)
    return AttemptRow(
        attempt.id,
        run_id,
        attempt.task.task_id,
        attempt.number,
        storable(attempt.task.name, KEPT_TEXT),
        attempt.status,
        queued_at=now,
        due_at=due_at,
        params=params,
        rows=0,
        input_key=version_key(attempt.task),
    )
