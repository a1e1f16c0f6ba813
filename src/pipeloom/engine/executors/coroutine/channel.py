"""The `q` of a worker that is a coroutine."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine, Mapping
from inspect import CORO_CREATED, getcoroutinestate
from pathlib import Path
from typing import Any

from pipeloom.engine.attempt import Attempt
from pipeloom.engine.executors.coroutine.outbox import Mailbox, Outbox, Room
from pipeloom.engine.worker.channel import WorkerChannel
from pipeloom.errors import MessageError
from pipeloom.messages import TaskId


class CoroutineChannel:
    """Publishes the messages of one attempt. `put` takes a message at once; awaiting it waits for room."""

    def __init__(self, attempt: Attempt, outbox: Outbox) -> None:
        self._outbox = outbox
        self.mailbox = Mailbox(attempt.id)
        self.channel = WorkerChannel(attempt, self._take)
        """Checks the messages, and is asked to stop."""
        self.attempt = attempt.number
        self._not_begun: dict[object, tuple[Coroutine[Any, Any, None], str]] = {}
        """Sleeps that have not begun, and where they were made."""

    @property
    def cancelled(self) -> bool:
        """Whether the task has been asked to stop."""
        return self.channel.cancelled

    @property
    def state(self) -> Mapping[str, Any]:
        """What the task goes on from: the state that this attempt, or one before it, has put last."""
        return self.channel.state

    @property
    def results(self) -> Mapping[TaskId, Any]:
        """The results of the tasks that this one comes after, by id."""
        return self.channel.results

    def put(self, *messages: object, state: Mapping[str, Any] | None = None) -> Room:
        """Publish messages, tasks and the task's state as the `put` of a plain worker does, and raise as that.

        What was put is on its way when this returns, also where the caller forgets to await: that waits for the writer,
        without keeping other coroutines from their work.
        """
        self.channel.put(*messages, state=state)
        return Room(self._outbox, self.mailbox)

    put_nowait = put

    def progress(self, step: float | None, total: float | None = None, message: str | None = "") -> Room:
        """Tell that `step` of `total` is reached."""
        self.channel.progress(step, total, message)
        return Room(self._outbox, self.mailbox)

    def result(self, value: Any) -> None:
        """Set the task's result, where the worker function returns None."""
        self.channel.result(value)

    def sleep(self, seconds: float) -> Coroutine[Any, Any, None]:
        """Sleep for `seconds`, or until the task is asked to stop: `asyncio.CancelledError` is raised then."""
        key, caller = object(), sys._getframe(1)
        sleeping = self._sleep(key, seconds)
        self._not_begun[key] = sleeping, f"{Path(caller.f_code.co_filename).name}, line {caller.f_lineno}"
        return sleeping

    def check_awaited(self) -> None:
        """Raise `MessageError` when a `sleep` was not awaited."""
        left = [place for sleeping, place in self._not_begun.values() if getcoroutinestate(sleeping) == CORO_CREATED]
        for sleeping, _ in self._not_begun.values():
            sleeping.close()
        if left:
            raise MessageError(f"{left[0]}: q.sleep(...) was not awaited, so nothing slept. Write: await q.sleep(...)")

    async def _sleep(self, key: object, seconds: float) -> None:
        del self._not_begun[key]
        self.channel.raise_if_cancelled()
        await asyncio.sleep(seconds)
        self.channel.raise_if_cancelled()

    def raise_if_cancelled(self) -> None:
        """Raise `TaskCancelled` if the task has been asked to stop."""
        self.channel.raise_if_cancelled()

    def on_cancel(self, callback: Callable[[], object]) -> None:
        """Call `callback` once, from another thread, when the task is asked to stop; at once if it was already."""
        self.channel.on_cancel(callback)

    def _take(self, entry: object) -> None:
        self._outbox.message(self.mailbox, entry)
