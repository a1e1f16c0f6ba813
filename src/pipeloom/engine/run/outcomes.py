"""What an outcome means for the attempt: the one place that decides how an attempt has ended."""

from __future__ import annotations

from pipeloom.engine.events import Ended, Finish
from pipeloom.engine.executors.base import Outcome, OutcomeKind
from pipeloom.engine.run.attempts import AttemptState, Stop
from pipeloom.status import Status


def resolve_outcome(
    attempt: AttemptState, outcome: Outcome, retry_on: tuple[type[BaseException] | str, ...], closing: str | None
) -> tuple[Ended, bool]:
    """Return how the attempt ended (the caller adds the times) and whether that is worth another attempt."""
    end, worth = _judged(attempt, outcome, retry_on, closing)
    # The fold makes an error of it, its handler's, however the worker came back; so that error decides.
    return end, attempt.retryable if attempt.stop is Stop.REJECTED else worth


def _judged(
    attempt: AttemptState, outcome: Outcome, retry_on: tuple[type[BaseException] | str, ...], closing: str | None
) -> tuple[Ended, bool]:
    match outcome.kind:
        case OutcomeKind.OK:
            return _as_reported(attempt.finish, retry_on)
        case OutcomeKind.CANCELLED if attempt.finish is not None:
            return _as_reported(attempt.finish, retry_on)
        case OutcomeKind.CANCELLED:
            return _stopped(attempt, retry_on, closing)
        case OutcomeKind.LOST if attempt.killed:
            end, worth = _stopped(attempt, retry_on, closing)
            end.message = " · ".join(filter(None, (end.message, "its worker did not stop and was killed")))
            return end, worth
        case OutcomeKind.LOST if attempt.stop is Stop.INTERRUPT:
            return _stopped(attempt, retry_on, closing)
        case OutcomeKind.LOST:
            return _failed(outcome, "WorkerLost"), True
        case _:
            return _failed(outcome, outcome.error_type), outcome.retryable


def _as_reported(finish: Finish | None, retry_on: tuple[type[BaseException] | str, ...]) -> tuple[Ended, bool]:
    """Believe the worker; one that came back without a word has done its work."""
    if finish is None:
        return Ended(Status.DONE, ""), False
    end = Ended(finish.status, "", message=finish.message, result=finish.result)
    if finish.status is Status.ERROR:
        end.error = finish.message or "the worker reported an error without a message"
        # The class of what went wrong is not known, so only a policy that forgives any exception applies.
        return end, any(entry in (Exception, BaseException, "Exception", "BaseException") for entry in retry_on)
    return end, False


def _stopped(
    attempt: AttemptState, retry_on: tuple[type[BaseException] | str, ...], closing: str | None
) -> tuple[Ended, bool]:
    match attempt.stop:
        case Stop.TIMEOUT:
            worth = any(entry in (TimeoutError, OSError, Exception, "TimeoutError", "Exception") for entry in retry_on)
            return Ended(Status.ERROR, "", error_type="TimeoutError", error="time limit reached"), worth
        case Stop.INTERRUPT:
            return Ended(Status.INTERRUPTED, "", message=closing), False
        case Stop.REJECTED:
            return Ended(Status.ERROR, ""), False
        case _:
            return Ended(Status.CANCELLED, ""), False


def _failed(outcome: Outcome, error_type: str) -> Ended:
    message = f"{error_type}: {outcome.error}" if outcome.error else error_type
    return Ended(Status.ERROR, "", message=message, error_type=error_type, error=outcome.traceback or message)
