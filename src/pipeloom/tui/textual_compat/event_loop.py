"""The screen goes first: an event loop that soon gets the interpreter (the GIL), and keeps it while there is work.

Threads that compute hand the interpreter round in turn, one switch interval each; whoever has waited for an interval
asks for it. A short interval lets the screen's thread have its turn soon. That thread in turn must not give it away
for nothing, and asyncio does so once for each step of its work, by asking whether there is more.
"""

from __future__ import annotations

import asyncio
import selectors
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_SWITCH_INTERVAL_S: Final = 0.0001
_POLL_S: Final = 0.004
"""The loop does what is at hand for so long, of its own CPU time, before it looks whether there is more."""


class PatientSelector(selectors.DefaultSelector):
    """Looks for events when there is nothing else to do, and now and then."""

    _polled_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready, as `selectors` says; with a timeout of 0, work is at hand."""
        now = time.thread_time()
        if timeout == 0 and now - self._polled_s < _POLL_S:
            return []
        self._polled_s = now
        return super().select(timeout)


@contextmanager
def priority_runner() -> Iterator[asyncio.Runner]:
    """Yield a runner of such a loop; the switch interval is as before afterwards."""
    usual_s = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    try:
        with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(PatientSelector())) as runner:
            yield runner
    finally:
        sys.setswitchinterval(usual_s)
