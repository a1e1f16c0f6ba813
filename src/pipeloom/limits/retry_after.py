"""The wait that a worker asks for: a server has told it when to come back."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Final

from pipeloom.errors import UsageError
from pipeloom.times import utc_now

MAX_WAIT_S: Final = 366 * 86_400.0


class RetryAfter(Exception):  # noqa: N818 - it is a request, and no error
    """Raised by a worker function: end this attempt, and run the task again after a time.

    The attempt ends as an error that says so, gives back its worker and its limits, and is followed by another one
    whatever the retry policy says; it uses up none of the task's retries. `RetryPolicy.waits` bounds how often a task
    may ask. What the attempt has put stays, as after any error.

    The time is `RetryAfter(3.0)` in seconds, or `RetryAfter(at=datetime(...))`, which is local time where it has no
    zone; one in the past means at once. Raises `UsageError` for anything else, and for more than a year.
    """

    def __init__(self, seconds: float | None = None, *, at: datetime | None = None) -> None:
        if (seconds is None) == (at is None):
            raise UsageError("RetryAfter needs seconds or a time: RetryAfter(3.0), or RetryAfter(at=...).")
        if at is not None:
            if not isinstance(at, datetime):
                raise UsageError(f"RetryAfter: at must be a datetime, not {at!r:.80}.")
            seconds = _seconds_until(at)
        if (wait := _wait_s(seconds)) is None:
            raise UsageError(
                f"RetryAfter needs a number of seconds from 0 to {MAX_WAIT_S:,.0f} (a year), not {seconds!r:.80}."
            )
        self.seconds = wait
        """How long the task waits at least."""
        super().__init__(wait)

    def __str__(self) -> str:
        return f"retry after {self.seconds:,.0f} s" if self.seconds >= 100 else f"retry after {self.seconds:.3g} s"

    @classmethod
    def from_header(cls, value: str | None, default: float | None = None) -> RetryAfter:
        """Return what the HTTP header Retry-After says: seconds, or a date.

        Where it says nothing of the kind, or is missing (None), the wait is `default` seconds; without one,
        `UsageError` is raised.
        """
        from email.utils import parsedate_to_datetime

        text = "" if value is None else str(value).strip()
        if text.isascii() and text.isdecimal():
            return cls(min(float(text), MAX_WAIT_S))
        try:
            at = parsedate_to_datetime(text)
            return cls(min(_seconds_until(at if at.tzinfo else at.replace(tzinfo=UTC)), MAX_WAIT_S))
        except (ValueError, TypeError, IndexError):
            if default is not None:
                return cls(default)
        said = "is missing" if value is None else f"says {text!r:.80}, which is neither seconds nor an HTTP date"
        raise UsageError(f"The header Retry-After {said}: give from_header(..., default=60) what holds then.")


def wait_asked(error: BaseException) -> float | None:
    """Return the seconds that an error of a worker asks to wait; None for an error that does not."""
    return _wait_s(getattr(error, "seconds", None)) if issubclass(type(error), RetryAfter) else None


def _seconds_until(at: datetime) -> float:
    try:
        return max(0.0, (at.astimezone(UTC) - utc_now()).total_seconds())
    except OverflowError:
        return math.inf


def _wait_s(seconds: object) -> float | None:
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        return None
    return float(seconds) if 0 <= seconds <= MAX_WAIT_S else None
