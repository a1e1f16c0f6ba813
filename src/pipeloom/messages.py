"""Tasks, and the lifecycle messages that a worker function publishes about them.

Any other object that a worker publishes is a domain message, which the handler of its type persists.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

TaskId = int | str


class TaskLike(Protocol):
    """What every task has; `steps`, `params`, `retries` and `timeout` are optional."""

    @property
    def task_id(self) -> TaskId: ...  # noqa: D102

    @property
    def name(self) -> str: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class TaskDef:
    """A unit of work. `task_id` is unique in its pipeline; 0 is valid."""

    task_id: TaskId
    name: str
    steps: int = 1
    params: Mapping[str, Any] = field(default_factory=dict, kw_only=True, hash=False)
    retries: int | None = field(default=None, kw_only=True)
    """Automatic retries after an error; None for those of the pipeline's `RetryPolicy`."""
    timeout: float | None = field(default=None, kw_only=True)
    """Seconds that one attempt may run; None for the pipeline's `timeout`."""


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
