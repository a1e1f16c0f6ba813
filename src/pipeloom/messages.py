"""Tasks, and the lifecycle messages that a worker function publishes about them.

Any other object that a worker publishes is a domain message, which the handler of its type persists.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

TaskId = int | str


class TaskLike(Protocol):
    """What every task has; all other fields of a `TaskDef` are optional."""

    @property
    def task_id(self) -> TaskId: ...  # noqa: D102

    @property
    def name(self) -> str: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class TaskDef:
    """A unit of work. `task_id` is unique in its pipeline; 0 is valid. Without one, the task's name is its id.

    An id that stays the task's own (a file's name, a day) lets `--resume` and `retry` find it again; one from
    `enumerate` is another task's when the list changes.
    """

    task_id: TaskId = None  # type: ignore[assignment] # never None once it is made
    name: str = None  # type: ignore[assignment] # the id as text, when it is not given
    steps: int = 1
    params: Mapping[str, Any] = field(default_factory=dict, kw_only=True, hash=False)
    retries: int | None = field(default=None, kw_only=True)
    """Automatic retries after an error; None for those of the pipeline's `RetryPolicy`."""
    timeout: float | None = field(default=None, kw_only=True)
    """Seconds that one attempt may run; None for the pipeline's `timeout`."""
    atomic: bool | None = field(default=None, kw_only=True)
    """Whether what an attempt puts is stored only when it is done, all at once; None for the pipeline's `atomic`."""
    after: Sequence[TaskId] | str = field(default=(), kw_only=True)
    """Ids of the tasks that must be done before this one starts; "*": all that do not come after all others."""
    worker_fn: Callable[[Any, Any], object] | None = field(default=None, kw_only=True)
    """The task's own worker function; None for the pipeline's."""
    limits: Sequence[str] = field(default=(), kw_only=True)
    """Limits of the pipeline that its attempts count against; "host:a.org" is one of "host:*"."""
    priority: int = field(default=0, kw_only=True)
    """Tasks with a higher one go first; equal ones in the order of the list."""
    inputs: Iterable[str | os.PathLike[str]] = field(default=(), kw_only=True, hash=False)
    """The files that it reads; kept as a tuple. With `changed`, what is done runs again when their content differs."""
    version: str | None = field(default=None, kw_only=True)
    """Of what it does with them: another one makes it run again, with `changed`."""

    def __post_init__(self) -> None:
        """Fill in the id from the name, or the name from the id; make tuples of `after` and `limits` and the inputs."""
        if not isinstance(self.inputs, (tuple, str, os.PathLike)) and isinstance(self.inputs, Iterable):
            object.__setattr__(self, "inputs", tuple(self.inputs))
        task_id: TaskId | None = self.task_id
        name: str | None = self.name
        if name is None:
            object.__setattr__(self, "name", "" if task_id is None else str(task_id))
        elif task_id is None:
            object.__setattr__(self, "task_id", name)
        after: object = self.after
        if after is None:
            object.__setattr__(self, "after", ())
        elif type(after) is not tuple and not isinstance(after, str) and isinstance(after, Iterable):
            object.__setattr__(self, "after", tuple(after))
        if isinstance(self.limits, (list, set, frozenset)):
            object.__setattr__(self, "limits", tuple(self.limits))


@dataclass(frozen=True, slots=True)
class MsgTaskStarted:
    """The worker has begun. Optional: the engine writes it when the worker does not."""

    task_id: TaskId
    name: str
    started_at: str


@dataclass(frozen=True, slots=True)
class MsgTaskProgress:
    """`step` of `total` is reached. A `total` of 0 or None means that the total is not known."""

    task_id: TaskId
    step: float | None
    total: float | None = None
    message: str | None = ""


@dataclass(frozen=True, slots=True)
class MsgTaskFinished:
    """The task has ended: `status` is "done", "error" or "cancelled". Later messages of the worker are ignored."""

    task_id: TaskId
    status: str
    finished_at: str
    message: str | None = None
    result: Any = None
    """A value that JSON can hold."""


@dataclass(frozen=True, slots=True)
class MsgTaskLog:
    """A line for the attempt's log. `level` is a name of the `logging` module."""

    task_id: TaskId
    text: str
    level: str = "INFO"
