"""How many lines an attempt may log in a second: beyond them the last ones are kept, and the others counted.

A worker that logs in a loop would else take the writer's time from all others, and the screen's.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

from pipeloom.text import counted
from pipeloom.times import monotonic, stamp, unix_time

Write = Callable[[str, str, str | None], None]
"""Takes level, text and time of a line; time None is now."""

MAX_LINE: Final = 4_000
"""Characters of a line."""
_KEPT_LINES: Final = 16
"""Lines of the greatest length that are kept of each end of text without a line end."""
LINES: Final = 500
"""Lines of a second that are passed on at once."""
TAIL: Final = 100
"""Lines that are kept of those beyond."""


class LogBudget:
    """Passes the lines of one attempt on. Thread-safe."""

    def __init__(self, write: Write, clock: Callable[[], float] = monotonic) -> None:
        self._write = write
        self._clock = clock
        self._lock = threading.Lock()
        self._second = float("-inf")
        """When the second that is counted began."""
        self._lines = 0
        self._tail: deque[tuple[str, str, float]] = deque(maxlen=TAIL)
        self._left_out = 0
        self._told = 0

    def line(self, level: str, text: str, at: float | None = None) -> None:
        """Take a line that was logged at `at`, in seconds since 1970; None is now."""
        with self._lock:
            if self._clock() - self._second >= 1.0:
                self._next_second()
            self._lines += 1
            if self._lines <= LINES:
                self._write(level, text, None if at is None else _stamp(at))
                return
            self._left_out += len(self._tail) == TAIL
            self._tail.append((level, text, unix_time() if at is None else at))
            first = self._lines == LINES + 1
        if first:  # the attempt may say nothing more
            with suppress(RuntimeError):  # no thread can be started: the end of the attempt does it
                timer = threading.Timer(1.0, self.flush)
                timer.daemon = True
                timer.start()

    def flush(self) -> None:
        """Pass on what has been kept, with a line that says how many others were left out."""
        if not self._tail:
            return  # called after each message of a handler
        with self._lock:
            self._next_second()

    def _next_second(self) -> None:
        self._second, self._lines = self._clock(), 0
        tail, self._tail = self._tail, deque(maxlen=TAIL)
        if self._left_out > self._told and tail:
            self._told = self._left_out
            note = f"… {counted(self._left_out, 'line')} left out so far: more than {LINES:,} in a second …"
            self._write("WARNING", note, _stamp(tail[0][2]))
        for level, text, at in tail:
            self._write(level, text, _stamp(at))


def _stamp(at: float) -> str:
    return stamp(datetime.fromtimestamp(at, UTC))


def in_lines(text: str) -> Iterator[str]:
    """Yield text without a line end in lines of the greatest length; of very long text its head and its tail."""
    middle = range(_KEPT_LINES * MAX_LINE, max(0, len(text) - _KEPT_LINES * MAX_LINE))
    for start in range(0, len(text), MAX_LINE):
        if start not in middle:
            yield text[start : start + MAX_LINE]
        elif start == middle.start:
            yield f"… {len(middle):,} characters left out …"
