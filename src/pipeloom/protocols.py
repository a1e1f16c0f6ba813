"""What the user's functions are handed, as types: the channel of a worker, and the connection of a handler."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, NamedTuple, Protocol

from pipeloom.messages import TaskId


class HandledAttempt(NamedTuple):
    """The attempt whose message a handler stores."""

    id: int | None
    """Of `task_runs`; None where attempts are not stored (`store_task_status=False`)."""
    run_id: int | None
    task_id: TaskId
    number: int
    """1 for the first attempt of its task in this run."""


class Connection(Protocol):
    """What a handler may do with the writer's connection; valid only until the handler returns."""

    @property
    def attempt(self) -> HandledAttempt: ...  # noqa: D102

    def execute(self, sql: str, parameters: Any = (), /) -> Any: ...  # noqa: D102
    def executemany(self, sql: str, parameters: Iterable[Any], /) -> Any: ...  # noqa: D102
    def commit(self) -> None:
        """Do nothing: the writer commits the whole batch."""


class SchemaConnection(Connection, Protocol):
    """What a schema helper may do: everything that a handler may, and scripts."""

    def executescript(self, sql: str, /) -> Any: ...  # noqa: D102


class BaseChannel(Protocol):
    """What the channels of all workers have."""

    @property
    def cancelled(self) -> bool:
        """Whether the task has been asked to stop."""

    @property
    def attempt(self) -> int:
        """1 for the first attempt of this task in this run, 2 for its first retry, and so on."""

    @property
    def state(self) -> Mapping[str, Any]:
        """What the task goes on from: the state that it has put last, in this run or an earlier one; {} at first."""

    @property
    def results(self) -> Mapping[TaskId, Any]:
        """The results of the tasks that this one comes after, by id; None for one that has left none."""

    def result(self, value: Any) -> None:
        """Set the task's result, as returning it from the worker function does."""

    def raise_if_cancelled(self) -> None:
        """Raise `TaskCancelled` if the task has been asked to stop."""

    def on_cancel(self, callback: Callable[[], object]) -> None:
        """Call `callback` once, from another thread, when the task is asked to stop (at once if it was already)."""


class Channel(BaseChannel, Protocol):
    """The `q` of a worker function."""

    def put(
        self,
        *messages: object,
        state: Mapping[str, Any] | None = None,
        block: bool = True,
        timeout: float | None = None,
    ) -> None:
        """Publish messages, tasks that were found, and the task's state: all of it is stored, or nothing.

        Blocks while the writer is behind; raises `TaskCancelled` once the task is asked to stop. An empty `state` takes
        away what was kept.
        """

    def progress(self, step: float | None, total: float | None = None, message: str | None = "") -> None:
        """Tell that `step` of `total` is reached: a short form of `MsgTaskProgress`."""

    def sleep(self, seconds: float) -> None:
        """Sleep, but wake up and raise `TaskCancelled` when the task is asked to stop."""


class AsyncChannel(BaseChannel, Protocol):
    """The `q` of a worker function that is `async def`."""

    def put(self, *messages: object, state: Mapping[str, Any] | None = None) -> Awaitable[None]:
        """Publish as the `put` of a `Channel`, and raise as that; awaiting waits while the writer is behind."""

    def progress(self, step: float | None, total: float | None = None, message: str | None = "") -> Awaitable[None]:
        """Tell that `step` of `total` is reached: a short form of `MsgTaskProgress`."""

    async def sleep(self, seconds: float) -> None:
        """Sleep, but wake up and raise when the task is asked to stop."""
