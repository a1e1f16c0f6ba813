"""What an outcome means for the attempt: the one place that decides how an attempt has ended."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from pipeloom.engine.attempt import Outcome, OutcomeKind
from pipeloom.engine.events import Ended, Finish
from pipeloom.engine.run.attempts import AttemptState, Stop, TaskStart
from pipeloom.pipeline import RetryPolicy
from pipeloom.status import Status
from pipeloom.times import stamp

RetryOn = tuple[type[BaseException] | str, ...]

_COVERS_ANY_ERROR: Final[RetryOn] = (Exception, BaseException, "Exception", "BaseException")
_COVERS_TIME_LIMIT: Final[RetryOn] = (TimeoutError, OSError, Exception, "TimeoutError", "Exception")


class Resolution(NamedTuple):
    """How an attempt has ended, and whether that grants a retry."""

    end: Ended
    retryable: bool
    retry_after_s: float | None = None
    """Seconds after which its worker has asked to run the task again, where it may."""


def resolve_outcome(
    attempt: AttemptState,
    outcome: Outcome,
    retry_on: RetryOn,
    *,
    at: str,
    duration_s: float | None,
    interrupted_by: str | None,
    waits: int,
) -> Resolution:
    """Return how the attempt ended; `interrupted_by` says why the run stops, if it does.

    `waits` is how often a task may ask to come back.
    """
    if outcome.kind is OutcomeKind.OK and attempt.finish is None and attempt.stop is not Stop.REJECTED:
        return Resolution(Ended(Status.DONE, at, duration_s), retryable=False)  # most end like this
    case = _Case(attempt, outcome, retry_on, at, duration_s, interrupted_by, waits)
    resolution = case.resolution()
    # The fold turns it into its handler's error, however the worker came back; so that error decides.
    return resolution._replace(retryable=attempt.retryable) if attempt.stop is Stop.REJECTED else resolution


def next_try(
    attempt: AttemptState, policy: RetryPolicy, now: datetime, random: Callable[[], float]
) -> TaskStart | None:
    """Return the attempt that follows an error: asked for by its worker, or granted by the task or the policy."""
    own, delay, errors, waits = attempt.task.retries, attempt.retry_after_s, attempt.errors, attempt.comebacks
    granted = own if isinstance(own, int) and not isinstance(own, bool) else policy.retries
    if delay is not None:
        waits += 1
    elif attempt.retryable and errors < granted:
        errors += 1
        delay = policy.delay_s(errors, random())
    else:
        return None
    due_at = stamp(now + timedelta(seconds=delay))
    return TaskStart(
        attempt.task,
        attempt.given,
        attempt.number + 1,
        Status.RETRYING,
        due_at,
        attempt,
        errors=errors,
        comebacks=waits,
    )


class _Case(NamedTuple):
    """What is known of an attempt that has come back."""

    attempt: AttemptState
    outcome: Outcome
    retry_on: RetryOn
    at: str
    duration_s: float | None
    interrupted_by: str | None
    waits: int

    def resolution(self) -> Resolution:
        attempt = self.attempt
        match self.outcome.kind:
            case OutcomeKind.OK:
                return self._reported(attempt.finish)
            case OutcomeKind.CANCELLED if attempt.finish is not None:
                return self._reported(attempt.finish)
            case OutcomeKind.CANCELLED:
                return self._stopped()
            case OutcomeKind.LOST if attempt.killed:
                end, retryable, _ = self._stopped()
                message = " · ".join(filter(None, (end.message, "its worker did not stop and was killed")))
                return Resolution(end._replace(message=message), retryable)
            case OutcomeKind.LOST if attempt.stop is Stop.INTERRUPT:
                return self._stopped()
            case OutcomeKind.LOST:
                return Resolution(self._failed("WorkerLost"), retryable=True)
            case OutcomeKind.ERROR if self.outcome.retry_after_s is not None:
                return self._stopped() if attempt.stop is not None else self._comes_back(self.outcome.retry_after_s)
            case _:
                return Resolution(self._failed(self.outcome.error_type), self.outcome.retryable)

    def _reported(self, finish: Finish | None) -> Resolution:
        """Believe the worker's report; a worker that came back without one has done its work."""
        if finish is None:
            return Resolution(self._end(Status.DONE), retryable=False)
        end = self._end(finish.status, message=finish.message, result=finish.result)
        if finish.status is not Status.ERROR:
            return Resolution(end, retryable=False)
        error = finish.message or "the worker reported an error without a message"
        # The error's class is not known, so only a policy that retries any exception applies.
        return Resolution(end._replace(error=error), self._retries(_COVERS_ANY_ERROR))

    def _comes_back(self, seconds: float) -> Resolution:
        """Let the task come back after a time, unless it has asked for that too often."""
        end = self._failed(self.outcome.error_type)._replace(message=self.outcome.error)
        if self.attempt.comebacks < self.waits:
            return Resolution(end, retryable=False, retry_after_s=seconds)
        message = f"{self.outcome.error}: asked {self.waits + 1:,} times, and RetryPolicy(waits={self.waits}) ends it"
        return Resolution(end._replace(message=message), retryable=False)

    def _stopped(self) -> Resolution:
        match self.attempt.stop:
            case Stop.TIMEOUT:
                end = self._end(Status.ERROR, error_type="TimeoutError", error="time limit reached")
                return Resolution(end, self._retries(_COVERS_TIME_LIMIT))
            case Stop.INTERRUPT:
                return Resolution(self._end(Status.INTERRUPTED, message=self.interrupted_by), retryable=False)
            case Stop.REJECTED:
                return Resolution(self._end(Status.ERROR), retryable=False)
            case _:
                return Resolution(self._end(Status.CANCELLED), retryable=False)

    def _failed(self, error_type: str) -> Ended:
        outcome = self.outcome
        message = f"{error_type}: {outcome.error}" if outcome.error else error_type
        return self._end(Status.ERROR, message=message, error_type=error_type, error=outcome.traceback or message)

    def _end(
        self,
        status: Status,
        *,
        message: str | None = None,
        result: str | None = None,
        error_type: str | None = None,
        error: str | None = None,
    ) -> Ended:
        return Ended(status, self.at, self.duration_s, message, result, error_type, error)

    def _retries(self, entries: RetryOn) -> bool:
        return any(entry in entries for entry in self.retry_on)
