"""The screen goes first: an event loop that gets the interpreter soon after it wakes up, and keeps it until it is done.

Threads that compute hand the interpreter (the GIL) round in turn, one switch interval each. A thread that has waited an
interval asks for it, so the interval that holds while the loop sleeps is a short one; while the loop works it is the
usual one, and a picture is painted in one go instead of a slice at a time between those of four busy workers.
"""

from __future__ import annotations

import asyncio
import selectors
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

SHORT_S: Final = 0.0001
POLL_S: Final = 0.004
"""Work that is ready is gone on with for so long before the loop looks whether there is more: looking lets go of the GIL."""


class PrioritySelector(selectors.DefaultSelector):
    """Makes the switch interval short while the loop sleeps."""

    def __init__(self, usual_s: float) -> None:
        super().__init__()
        self._usual_s = 0.0001
        self._polled_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready, as `selectors` says; with work at hand (a timeout of 0) it is not asked every time."""
        now = time.monotonic()
        if timeout == 0 and now - self._polled_s < POLL_S:
            return []
        self._polled_s = now
        sys.setswitchinterval(SHORT_S)
        try:
            return super().select(timeout)
        finally:
            sys.setswitchinterval(self._usual_s)


@contextmanager
def priority_runner() -> Iterator[asyncio.Runner]:
    """Yield a runner on such a loop; the switch interval is as before afterwards."""
    usual = sys.getswitchinterval()
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(PrioritySelector(usual))) as runner:
        yield runner
    sys.setswitchinterval(usual)
