"""Time, passed in, so that tests decide what time it is."""

from __future__ import annotations

import threading
from datetime import datetime
from typing import Protocol

from pipeloom.times import monotonic, utc_now


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
