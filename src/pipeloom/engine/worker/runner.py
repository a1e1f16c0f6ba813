"""Runs one attempt and turns its end into an `Outcome`, for every executor."""

from __future__ import annotations

import traceback
from typing import Final

from pipeloom.engine.attempt import Attempt, Outcome, OutcomeKind
from pipeloom.engine.worker.capture import attempt_log
from pipeloom.engine.worker.channel import WorkerChannel
from pipeloom.errors import TaskCancelled
from pipeloom.pipeline import error_matches
from pipeloom.text import first_line, storable

MAX_TRACEBACK: Final = 16_000
_OK: Final = Outcome(OutcomeKind.OK)
_MAX_CAUSES: Final = 20
_MAX_FRAMES: Final = 60


def run_worker(attempt: Attempt, channel: WorkerChannel) -> Outcome:
    """Call the worker function; no exception of it leaves this function."""
    try:
        with attempt_log(channel.log):
            attempt.worker_fn(attempt.task, channel)
    except TaskCancelled:
        return Outcome(OutcomeKind.CANCELLED)
    except BaseException as error:  # noqa: BLE001 - SystemExit ends the attempt, never the worker thread
        return describe(error, attempt.retry_on)
    return _OK


def describe(error: BaseException, retry_on: tuple[type[BaseException] | str, ...] = ()) -> Outcome:
    """Return `error` as an outcome in text, also when the error cannot be printed."""
    kind = type(error).__name__
    return Outcome(
        OutcomeKind.ERROR,
        error_type=storable(kind, 200),
        error=first_line(error),
        traceback=_format(error),
        retryable=error_matches(error, retry_on),
    )


def _format(error: BaseException) -> str:
    """Return the traceback from the user's first frame on, cut in the middle when it is long."""
    trace = error.__traceback__.tb_next if error.__traceback__ is not None else None
    try:
        lines = traceback.format_exception(
            type(error), error, trace, limit=-_MAX_FRAMES, chain=_causes(error) <= _MAX_CAUSES
        )
        return storable("".join(lines), MAX_TRACEBACK)
    except Exception:  # noqa: BLE001 - printing a user's exception runs the user's code
        return f"{type(error).__name__}: {first_line(error)}\n(its traceback cannot be printed)"


def _causes(error: BaseException) -> int:
    """Return the length of the chain of causes, counted up to `_MAX_CAUSES` + 1."""
    count, link = 0, error.__cause__ or error.__context__
    while link is not None and count <= _MAX_CAUSES:
        count, link = count + 1, link.__cause__ or link.__context__
    return count
