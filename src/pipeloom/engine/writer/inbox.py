"""What is on its way to the writer: a bounded queue, and the newest progress of each attempt."""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import islice
from typing import Any, Final

from pipeloom.engine.events import Submitted
from pipeloom.errors import WriterFailedError
from pipeloom.messages import MsgTaskProgress

Entry = tuple[int, Any]
"""An attempt id (0: no attempt) and what to write about it."""

CAPACITY: Final = 10_000
CAPACITY_BYTES: Final = 16 << 20
"""More would be out of the processor's caches by the time it is written."""


class ProgressSlot:
    """The newest progress of an attempt: what it replaces is never written, so it needs no place in the queue.

    Its worker stores first, and then has a slot listed that is not: that takes a lock once in a batch. The writer takes
    the mark off first, and then reads. So each progress is in that batch, or has the slot listed again.
    """

    __slots__ = ("attempt_id", "is_listed", "newest")

    def __init__(self, attempt_id: int) -> None:
        self.attempt_id = attempt_id
        self.newest: MsgTaskProgress | None = None
        self.is_listed = False
        """Whether the writer will look here: the newest progress is in no batch yet."""


class Inbox:
    """Entries on their way to the writer, in order. Workers block while it is full; the dispatcher never does.

    Progress never waits: it is kept in the attempt's slot, and the writer takes the slots with the last entry of the
    queue. So what was put before a progress is never behind it on disk.

    `queue.Queue` cannot wake a blocked `put` when the task is cancelled or the writer has failed, nor hand over all its
    entries in one step; both matter here.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._entries: list[Entry] = []
        self._listed: list[ProgressSlot] = []
        self.blocked = 0
        """Workers that wait for room now."""
        self._submissions = 0
        self._bytes = 0
        """Approximate bytes put since the inbox was last empty."""
        self._lock = threading.Lock()
        self._filled = threading.Condition(self._lock)
        self._drained = threading.Condition(self._lock)
        self._wanted: int | None = None
        """Entries for which the writer waits."""
        self._closed = False
        self._failure: BaseException | None = None

    def __len__(self) -> int:
        return len(self._entries) + len(self._listed)

    @property
    def has_room(self) -> bool:
        """Whether it is so far from full that no `put` is about to wait."""
        return 2 * len(self._entries) < self._capacity and 2 * self._bytes < CAPACITY_BYTES

    @property
    def failure(self) -> BaseException | None:
        """Why the writer has stopped, if it has."""
        return self._failure

    def put(self, entry: Entry, given_up: Callable[[], bool] | None = None, weight: int = 0) -> bool:
        """Append `entry` of about `weight` bytes, waiting for room; returns False when `given_up()` while waiting.

        Raises `WriterFailedError` once nothing can be saved any more.
        """
        with self._lock:
            if self._is_full() and not self._wait_for_room(given_up):
                return False
            self._append(entry)
            self._bytes += weight
        return True

    def await_room(self) -> None:
        """Wait until there is room, or nothing can be saved any more: a worker goes on no faster than the writer."""
        if self._is_full():
            with self._lock:
                self._wait_for_room()

    def put_now(self, *entries: Entry) -> None:
        """Append entries without waiting: for the dispatcher, whose entries are bounded by the number of tasks."""
        with self._lock:
            for entry in entries:
                self._append(entry)
                self._submissions += type(entry[1]) is Submitted

    def list_progress(self, slot: ProgressSlot) -> None:
        """Have the writer look into a slot, without waiting; raises `WriterFailedError` as `put`."""
        with self._lock:
            self.check()
            slot.is_listed = True
            self._listed.append(slot)
            self._notify()

    def put_end(self, slot: ProgressSlot | None, entry: Entry, weight: int = 0) -> None:
        """Append the end of an attempt without waiting, and before it the progress that no batch has yet.

        `weight` is the number of bytes that are stored with the end.
        """
        with self._lock:
            if slot is not None and slot.is_listed:
                slot.is_listed = False
                self._append((slot.attempt_id, slot.newest))
            self._append(entry)
            self._bytes += weight

    def drain(self, most: int, window_s: float, idle_s: float) -> tuple[list[Entry], bool]:
        """Return up to `most` entries in order, after the last one progress, and whether it is all that ever comes.

        Submitted attempts end their batch: thousands may follow, and the screen should show the first ones soon.

        Waits up to `idle_s` for the first entry, then up to `window_s` for company: a commit costs about the same
        for one entry as for thousands.
        """
        with self._lock:
            if not len(self) and not self._closed:
                self._wait_for(1, idle_s)
            if len(self) and len(self) < most and not self._closed:
                self._wait_for(most, window_s)
            batch = self._next_batch(most)
            entries, self._entries = self._entries[:batch], self._entries[batch:]
            if not self._entries:
                self._bytes = 0
                entries += self._progress()
            self._drained.notify_all()
            return entries, self._closed and not self._entries

    def close(self) -> None:
        """Accept the end of the run: the entries that are here are still drained."""
        with self._lock:
            self._closed = True
            self._filled.notify()

    def reopen(self) -> None:
        """Take back that no more entries come: another writer drains them from now on."""
        with self._lock:
            self._closed = False

    def fail(self, error: BaseException) -> int:
        """Make every `put` raise, those that wait included; returns the number of entries lost."""
        with self._lock:
            self._failure = error
            lost = len(self)
            self._entries.clear()
            self._progress()  # the next one of each attempt finds that out
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

    def _wait_for_room(self, given_up: Callable[[], bool] | None = None) -> bool:
        """Wait for room; returns False when `given_up()` while waiting."""
        while self._is_full() and self._failure is None:
            if given_up is not None and given_up():
                return False
            self.blocked += 1
            self._drained.wait()
            self.blocked -= 1
        return True

    def _is_full(self) -> bool:
        return len(self._entries) >= self._capacity or self._bytes >= CAPACITY_BYTES

    def _progress(self) -> list[Entry]:
        """Take the newest progress of each attempt that has any; each is listed again by what follows."""
        listed, self._listed = self._listed, []
        progress: list[Entry] = []
        for slot in listed:
            if slot.is_listed:
                slot.is_listed = False
                progress.append((slot.attempt_id, slot.newest))
        return progress

    def check(self) -> None:
        """Raise `WriterFailedError` once nothing can be saved any more."""
        if self._failure is not None:
            raise WriterFailedError(f"Nothing can be saved any more: {self._failure}") from self._failure

    def _append(self, entry: Entry) -> None:
        if self._failure is not None:
            self.check()
        self._entries.append(entry)
        if self._wanted is not None:
            self._notify()

    def _notify(self) -> None:
        if self._wanted is not None and len(self) >= self._wanted:
            self._wanted = None
            self._filled.notify()

    def _wait_for(self, wanted: int, timeout_s: float) -> None:
        self._wanted = wanted
        self._filled.wait(timeout_s)
        self._wanted = None
