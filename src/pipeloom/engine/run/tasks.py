"""What the engine keeps of a task, and what it hands to a worker: neither changes when the worker changes its own."""

from __future__ import annotations

from dataclasses import replace

from pipeloom.engine.worker.by_value import by_value
from pipeloom.errors import MessageError
from pipeloom.messages import TaskDef, TaskLike
from pipeloom.pipeline import positive_number, task_inputs, task_params, task_version


def entered(task: TaskLike) -> TaskDef:
    """Return what the engine reads of a task, read once; a `TaskDef` cannot change and stands for itself."""
    if type(task) is TaskDef:
        return task
    retries = getattr(task, "retries", None)
    return TaskDef(
        task.task_id,
        task.name,
        params=dict(task_params(task)),
        retries=retries if isinstance(retries, int) and not isinstance(retries, bool) else None,
        timeout=positive_number(getattr(task, "timeout", None)),
        atomic=atomic if isinstance(atomic := getattr(task, "atomic", None), bool) else None,
        inputs=task_inputs(task),
        version=task_version(task),
    )


def handed_out(task: TaskLike) -> TaskLike:
    """Return the task for one attempt: a copy of what a worker could change, params and what they hold included."""
    try:
        if type(task) is TaskDef:
            return replace(task, params=by_value(dict(task.params))) if task_params(task) else task
        copied: TaskLike = by_value(task)
    except MessageError:
        return task  # it holds an open file, say, which no copy could replace
    return copied
