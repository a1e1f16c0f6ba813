"""The writer's bounded queue: many threads put, one drains."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import Any, Final

from pipeloom.engine.events import Submitted
from pipeloom.errors import WriterFailedError

Entry = tuple[int, Any]
"""An attempt id (0: no attempt) and what to write about it."""

CAPACITY: Final = 10_000
CAPACITY_BYTES: Final = 64 << 20
_FOREVER: Final = float("inf")


class Inbox:
    """Entries on their way to the writer, in order. Workers block while it is full; the dispatcher never does.

    `queue.Queue` cannot wake a blocked `put` when the task is cancelled or the writer has failed, nor hand over all its
    entries in one step; both matter here.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._entries: deque[Entry] = deque()
        self.blocked = 0
        """Workers that wait for room now."""
        self._submissions = 0
        self._bytes = 0
        """Approximate bytes put since the inbox was last empty."""
        self._lock = threading.Lock()
        self._filled = threading.Condition(self._lock)
        self._drained = threading.Condition(self._lock)
        self._wanted: float = _FOREVER
        self._closed = False
        self._failure: BaseException | None = None

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def failure(self) -> BaseException | None:
        """Why the writer has stopped, if it has."""
        return self._failure

    def put(self, entry: Entry, given_up: Callable[[], bool] | None = None, weight: int = 0) -> bool:
        """Append `entry` of about `weight` bytes, waiting for room; returns False when `given_up()` while waiting.

        Raises `WriterFailedError` once nothing can be saved any more.
        """
        with self._lock:
            while self._is_full() and self._failure is None:
                if given_up is not None and given_up():
                    return False
                self.blocked += 1
                self._drained.wait()
                self.blocked -= 1
            self._append(entry)
            self._bytes += weight
        return True

    def put_now(self, *entries: Entry) -> None:
        """Append entries without waiting: for the dispatcher, whose entries are bounded by the number of tasks."""
        with self._lock:
            for entry in entries:
                self._append(entry)
                self._submissions += type(entry[1]) is Submitted

    def drain(self, most: int, window_s: float, idle_s: float) -> tuple[list[Entry], bool]:
        """Return up to `most` entries in order, and whether the inbox is closed and empty after them.

        Submitted attempts end their batch: thousands may follow, and the screen should show the first ones soon.

        Waits up to `idle_s` for the first entry, then up to `window_s` for company: a commit costs about the same
        for one entry as for thousands.
        """
        with self._lock:
            if not self._entries and not self._closed:
                self._wait_for(1, idle_s)
            if self._entries and len(self._entries) < most and not self._closed:
                self._wait_for(most, window_s)
            entries = [self._entries.popleft() for _ in range(self._next_batch(most))]
            if not self._entries:
                self._bytes = 0
            self._drained.notify_all()
            return entries, self._closed and not self._entries

    def close(self) -> None:
        """Accept the end of the run: the entries that are here are still drained."""
        with self._lock:
            self._closed = True
            self._filled.notify()

    def fail(self, error: BaseException) -> int:
        """Make every `put` raise, those that wait included; returns the number of entries lost."""
        with self._lock:
            self._failure = error
            lost = len(self._entries)
            self._entries.clear()
            self._drained.notify_all()
            return lost

    def wake(self) -> None:
        """Make each waiting `put` call its `given_up` again."""
        with self._lock:
            self._drained.notify_all()

    def _next_batch(self, most: int) -> int:
        """Return how many entries the next batch has."""
        if self._submissions:
            for count, (_, entry) in enumerate(islice(self._entries, most), 1):
                if type(entry) is Submitted:
                    self._submissions -= 1
                    return count
        return min(most, len(self._entries))

    def _is_full(self) -> bool:
        return len(self._entries) >= self._capacity or self._bytes >= CAPACITY_BYTES

    def _append(self, entry: Entry) -> None:
        if self._failure is not None:
            raise WriterFailedError(f"Nothing can be saved any more: {self._failure}") from self._failure
        self._entries.append(entry)
        if len(self._entries) >= self._wanted:
            self._wanted = _FOREVER
            self._filled.notify()

    def _wait_for(self, wanted: int, timeout_s: float) -> None:
        self._wanted = wanted
        self._filled.wait(timeout_s)
        self._wanted = _FOREVER
