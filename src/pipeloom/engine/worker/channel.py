"""The channel: the `q` of a worker function, in every executor."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Any

from pipeloom.engine.attempt import Attempt
from pipeloom.engine.events import KEPT_TEXT, NO_STATE, Begun, Finish, InputsTaken, Logged, Together
from pipeloom.engine.interpreter import process
from pipeloom.engine.worker.results import Results
from pipeloom.engine.worker.validation import as_json, check_kind, checked, checked_together, parts
from pipeloom.errors import MessageError, TaskCancelled
from pipeloom.messages import MsgTaskProgress
from pipeloom.status import Status
from pipeloom.tables.table import TableRows
from pipeloom.text import storable

Send = Callable[[Any], None]


class WorkerChannel:
    """Publishes the messages of one attempt, and tells its worker to stop. Thread-safe."""

    def __init__(self, attempt: Attempt, send: Send) -> None:
        self.attempt = attempt.number
        self.attempt_id = attempt.id
        self._task_id = attempt.task.task_id
        self._message_types = attempt.message_types
        self._worker_fn = attempt.worker_fn
        self._limits = attempt.limits
        self._process = process.mark
        self._state = attempt.state
        self._task = attempt.task
        self._results = attempt.results
        self._result: Any = None
        self._send = send
        self._lock = threading.Lock()
        self._stop: threading.Event | None = None
        self._cancelled = False
        self._callbacks: list[Callable[[], object]] = []

    @property
    def cancelled(self) -> bool:
        """Whether the task has been asked to stop."""
        return self._cancelled

    @property
    def state(self) -> Mapping[str, Any]:
        """What the task goes on from: the state that this attempt, or one before it, has put last. To be read only."""
        return MappingProxyType(json.loads(self._state or NO_STATE))

    @property
    def results(self) -> Results:
        """The results of the tasks that this one comes after, by id."""
        return Results(self._task, self._results)

    def put(
        self,
        *messages: object,
        state: Mapping[str, Any] | None = None,
        block: bool = True,  # noqa: ARG002 - as `queue.Queue.put` has it
        timeout: float | None = None,  # noqa: ARG002
    ) -> None:
        """Publish messages, tasks and the task's state: all of it is stored, or nothing. A full queue makes it wait.

        Raises `MessageError` when `msg` cannot be stored, `TaskCancelled` once the task is asked to stop (a
        `MsgTaskFinished` still goes through: work that is finished is finished), and `WriterFailedError` when nothing
        can be saved any more.
        """
        if process.mark is not self._process:
            raise MessageError("q belongs to the process that runs the task: a forked child cannot publish through it.")
        if state is None and len(messages) == 1:
            entry = checked(messages[0], self._task_id, self._message_types, self._limits)
        elif state is not None and self._state is None:
            raise MessageError("state= needs pipeloom's own tables, which this run keeps out of the file.")
        else:
            entry = checked_together(messages, state, self._task_id, self._message_types, self._limits)
        if type(entry) is Together and entry.found:
            check_kind(messages, self._worker_fn)
        if self._cancelled and type(entry) is not Finish:
            raise TaskCancelled
        if type(entry) is TableRows:
            for part in parts(entry):
                self.raise_if_cancelled()
                self._send(part)
        else:
            self._send(entry)
        if state is not None:
            self._state = entry.state

    def put_nowait(self, msg: object) -> None:
        """Publish `msg`; as `put`."""
        self.put(msg)

    def progress(self, step: float | None, total: float | None = None, message: str | None = "") -> None:
        """Tell that `step` of `total` is reached: publish a `MsgTaskProgress`."""
        self.put(MsgTaskProgress(self._task_id, step, total, message))

    def result(self, value: Any) -> None:
        """Set the task's result, a value that JSON can hold, where the worker function returns None."""
        self._result = value

    def keep_result(self, returned: Any) -> None:
        """Publish the result of a worker function that has returned; None is none."""
        value = self._result if returned is None else returned
        if value is not None:
            result, complaint = as_json(value)
            self._send(Finish(Status.DONE, None, complaint, result))

    def keep_inputs(self, key: str) -> None:
        """Publish the input key with which the attempt starts."""
        self._send(InputsTaken(key))

    def tell_begin(self) -> None:
        """Publish that the worker function is called now; only where the pipeline has limits, which count it."""
        if self._limits:
            self._send(Begun())

    def log(self, level: str, text: str, at: str | None, message: str = "") -> None:
        """Add a line to the attempt's log, and show `message`; raises nothing, because a worker's `print` must not."""
        if process.mark is self._process:
            with suppress(Exception):
                self._send(Logged(storable(level, 20), storable(text, KEPT_TEXT), at, storable(message, KEPT_TEXT)))

    def raise_if_cancelled(self) -> None:
        """Raise `TaskCancelled` if the task has been asked to stop."""
        if self._cancelled:
            raise TaskCancelled

    def sleep(self, seconds: float) -> None:
        """Sleep for `seconds`, or until the task is asked to stop: then raise `TaskCancelled`."""
        with self._lock:
            if self._stop is None:
                self._stop = threading.Event()
                if self._cancelled:
                    self._stop.set()
        self._stop.wait(seconds)
        self.raise_if_cancelled()

    def on_cancel(self, callback: Callable[[], object]) -> None:
        """Call `callback` once, from another thread, when the task is asked to stop; at once if it was already."""
        with self._lock:
            if not self._cancelled:
                self._callbacks.append(callback)
                return
        callback()

    def cancel(self) -> None:
        """Ask the worker to stop. Does not block: the callbacks run in their own thread."""
        with self._lock:
            if self._cancelled:
                return
            self._cancelled = True
            if self._stop is not None:
                self._stop.set()
            callbacks, self._callbacks = self._callbacks, []
        if callbacks:
            calling = threading.Thread(
                target=_call_all, args=(callbacks,), name=f"pipeloom-cancel-{self.attempt_id}", daemon=True
            )
            try:
                calling.start()
            except RuntimeError as error:  # the system allows no more threads
                self.log("WARNING", f"The callbacks of on_cancel were not called: {error}", None)


def _call_all(callbacks: list[Callable[[], object]]) -> None:
    """Call each; `threading.excepthook` reports the first that raised, after the others were called."""
    failed: Exception | None = None
    for callback in callbacks:
        try:
            callback()
        except Exception as error:  # noqa: BLE001 - a user's callback may raise anything
            failed = failed or error
    if failed is not None:
        raise failed
