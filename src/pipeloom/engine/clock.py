"""Time, passed in, so that tests decide what time it is."""

from __future__ import annotations

import threading
from datetime import datetime
from typing import Final, Protocol

from pipeloom.times import later, monotonic, stamp, utc_now

_STAMP_S: Final = 0.001


class Clock(Protocol):
    """The engine's source of time."""

    def now(self) -> datetime:
        """Return the wall clock's time in UTC: for people, never for durations."""

    def monotonic(self) -> float:
        """Return seconds that never go back: for durations and due times."""

    def wait(self, condition: threading.Condition, timeout_s: float | None) -> None:
        """Wait on `condition`, which the caller holds, until it is notified or `timeout_s` have passed."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the wall clock's time in UTC."""
        return utc_now()

    monotonic = staticmethod(monotonic)

    def wait(self, condition: threading.Condition, timeout_s: float | None) -> None:
        """Wait on `condition`, which the caller holds, until it is notified or `timeout_s` have passed."""
        condition.wait(None if timeout_s is None else min(timeout_s, threading.TIMEOUT_MAX))


SYSTEM_CLOCK = SystemClock()


class RunClock:
    """The time of a run. The gaps do not count in which it had ended, before a retry took it up again."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._stamp, self._stamped_s = "", float("-inf")
        self.start()

    def start(self) -> None:
        """Let the run's time begin now."""
        self.started_at, self._started_s = self.now(), self._clock.monotonic()
        self._ended_s: float | None = None
        self.idle_s: float | None = None
        """Seconds of the gaps; None without one."""

    def now(self, seconds: float | None = None) -> str:
        """Return the wall clock's time as the file keeps it; one text serves for a millisecond.

        `seconds` is the monotonic time, where the caller has asked for it.
        """
        seconds = self._clock.monotonic() if seconds is None else seconds
        if seconds - self._stamped_s >= _STAMP_S:
            self._stamped_s, self._stamp = seconds, stamp(self._clock.now())
        return self._stamp

    @property
    def elapsed_s(self) -> float:
        """Seconds since the run began, or that it took."""
        ended_s = self._clock.monotonic() if self._ended_s is None else self._ended_s
        return ended_s - self._started_s - (self.idle_s or 0.0)

    def end(self) -> str:
        """Let the run's time end now; return that as the file keeps it.

        The wall clock may have jumped: what lies between start and end has passed by the monotonic clock.
        """
        self._ended_s = self._clock.monotonic()
        return later(self.started_at, self._ended_s - self._started_s)

    def go_on(self) -> None:
        """Let the run's time go on after an end."""
        if self._ended_s is not None:
            self.idle_s = (self.idle_s or 0.0) + self._clock.monotonic() - self._ended_s
            self._ended_s = None
