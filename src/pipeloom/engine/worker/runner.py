"""Runs one attempt and turns its end into an `Outcome`, for every executor."""

from __future__ import annotations

import os
import sys
import types
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from pipeloom.engine.attempt import Attempt, Outcome, OutcomeKind
from pipeloom.engine.capture import AttemptLog, capture
from pipeloom.engine.changes.input_key import InputError, taken
from pipeloom.engine.error_text import error_text
from pipeloom.engine.interpreter import TracesKept, process
from pipeloom.engine.worker.channel import WorkerChannel
from pipeloom.errors import TaskCancelled, UsageError
from pipeloom.limits.retry_after import wait_asked
from pipeloom.pipeline import error_matches, task_inputs

_OK: Final = Outcome(OutcomeKind.OK)
_RAN_NOTHING: Final = {
    types.CoroutineType: "a coroutine: run it there with asyncio.run(...)",
    types.GeneratorType: "a generator: go through it there with a loop",
    types.AsyncGeneratorType: "an async generator: go through it there with asyncio.run(...)",
}
"""What calling an `async def` or a function with `yield` returns, and what to do."""


def run_worker(
    attempt: Attempt, channel: WorkerChannel, on_error: Callable[[BaseException], object] = lambda _: None
) -> Outcome:
    """Call the worker function; no exception of it leaves this function, and `on_error` gets it."""
    here = process.mark
    try:
        with AttemptLog(channel.log), capture.attempt(), TracesKept():
            _look_at_inputs(attempt, channel)
            channel.tell_begin()
            returned = attempt.worker_fn(attempt.task, channel)
    except BaseException as error:  # noqa: BLE001 - SystemExit ends the attempt, never the worker thread
        _end_if_forked(here, error)
        on_error(error)
        return _raised(error, attempt, channel)
    _end_if_forked(here, None)
    return _outcome_of(returned, attempt, channel)


async def run_coroutine(
    attempt: Attempt,
    q: object,
    channel: WorkerChannel,
    check: Callable[[], object] = lambda: None,
    on_error: Callable[[BaseException], object] = lambda _: None,
) -> Outcome:
    """Run the worker function on `q` as `run_worker` does, where it is a coroutine function, and then `check`."""
    here = process.mark
    try:
        with AttemptLog(channel.log), capture.attempt():
            if task_inputs(attempt.task):
                from asyncio import to_thread

                await to_thread(_look_at_inputs, attempt, channel)
            channel.tell_begin()
            returned: Any = attempt.worker_fn(attempt.task, q)
            if hasattr(type(returned), "__await__"):
                returned = await returned
            check()
    except BaseException as error:  # noqa: BLE001 - as in `run_worker`
        _end_if_forked(here, error)
        on_error(error)
        return _raised(error, attempt, channel)
    _end_if_forked(here, None)
    return _outcome_of(returned, attempt, channel)


def _look_at_inputs(attempt: Attempt, channel: WorkerChannel) -> None:
    """Publish the input key of a task that reads files, before it may read them; raises `InputError`."""
    key = taken(attempt.task, attempt.known_key, channel.raise_if_cancelled)
    if key is not None:
        channel.keep_inputs(key)


def _raised(error: BaseException, attempt: Attempt, channel: WorkerChannel) -> Outcome:
    """Return the outcome of a worker that raised `error`."""
    if issubclass(type(error), TaskCancelled) or (channel.cancelled and type(error) in _cancellations()):
        return Outcome(OutcomeKind.CANCELLED)
    outcome = describe(error, attempt.retry_on)
    return replace(outcome, traceback="") if issubclass(type(error), InputError) else outcome


def _cancellations() -> tuple[type[BaseException], ...]:
    """Return what asyncio raises in a coroutine that is asked to stop."""
    asyncio = sys.modules.get("asyncio")
    return () if asyncio is None else (asyncio.CancelledError,)


def _end_if_forked(here: object, error: BaseException | None) -> None:
    """End a child that the worker function has forked, as Python does: it would be a second worker."""
    if process.mark is here:
        return
    code = int(error is not None)
    with suppress(BaseException):  # printing an error runs the user's code
        if error is not None and issubclass(type(error), SystemExit):
            asked = vars(SystemExit)["code"].__get__(error)
            code = asked if type(asked) is int else int(asked is not None)
        elif error is not None:
            sys.stderr.write(error_text(error).traceback)
    for stream in (sys.stdout, sys.stderr):
        with suppress(BaseException):
            stream.flush()
    os._exit(code & 0xFF)


def describe(error: BaseException, retry_on: tuple[type[BaseException] | str, ...] = ()) -> Outcome:
    """Return `error` as an outcome in text, also when the error cannot be printed."""
    text = error_text(error)
    return Outcome(
        OutcomeKind.ERROR,
        error_type=text.type,
        error=text.line,
        traceback=text.traceback,
        retryable=error_matches(type(error), retry_on),
        retry_after_s=wait_asked(error),
    )


def _outcome_of(returned: object, attempt: Attempt, channel: WorkerChannel) -> Outcome:
    """Return the outcome of a worker that has returned its result: an error where that is work that nothing has run."""
    what = _RAN_NOTHING.get(type(returned))
    if what is None and hasattr(type(returned), "__await__"):
        what = f"an awaitable ({type(returned).__name__}): await it there"
    if what is None:
        try:
            channel.keep_result(returned)
        except BaseException as raised:  # noqa: BLE001 - a result is the user's object, too
            return _raised(raised, attempt, channel)
        return _OK
    if isinstance(returned, types.CoroutineType):
        returned.close()  # Python would warn that it was never awaited
    error = UsageError(f"The worker function ran nothing: it returned {what}, in a plain function.")
    return replace(describe(error), traceback="")
