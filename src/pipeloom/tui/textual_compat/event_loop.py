"""An event loop that soon gets the interpreter (the GIL), and keeps it while there is work: the screen goes first.

Threads that compute take turns at the interpreter, one switch interval each; a thread that has waited for an interval
asks for it. A short interval gives the screen's thread its turn soon. That thread must not give its turn away for
nothing, and asyncio does so once for each step of its work, when it asks whether there is more.
"""

from __future__ import annotations

import asyncio
import selectors
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from pipeloom.times import monotonic
from pipeloom.tui.textual_compat.contracts import holds

_HOLDS: Final = holds("event loop")
_SWITCH_INTERVAL_S: Final = 0.0001
_POLL_S: Final = 0.004
"""Seconds of its own CPU time that the loop works before it looks whether there is more."""


class PatientSelector(selectors.DefaultSelector):
    """Looks for events when there is nothing else to do, and now and then."""

    _polled_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready, as `selectors` says; a timeout of 0 means that the loop has work."""
        now = time.thread_time()
        if timeout == 0 and now - self._polled_s < _POLL_S:
            return []
        self._polled_s = now
        return super().select(timeout)


class ScreenLoop(asyncio.SelectorEventLoop):
    """A loop whose timers go by the real clock, also when a task has replaced `time.monotonic`."""

    def time(self) -> float:
        """Return monotonic seconds."""
        return monotonic()


def _event_loop() -> asyncio.AbstractEventLoop:
    return ScreenLoop(PatientSelector() if _HOLDS else None)


@contextmanager
def priority_runner() -> Iterator[asyncio.Runner]:
    """Yield a runner of such a loop; the switch interval is restored afterwards."""
    usual_s = sys.getswitchinterval()
    if _HOLDS:
        sys.setswitchinterval(_SWITCH_INTERVAL_S)
    try:
        with asyncio.Runner(loop_factory=_event_loop) as runner:
            yield runner
    finally:
        sys.setswitchinterval(usual_s)
