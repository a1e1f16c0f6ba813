"""Records of the attempts on a Dask worker, on their way to the scheduler: in order, in batches, within bounds."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Final

from pipeloom.engine.executors.dask.serialization import plainly_packed
from pipeloom.engine.executors.dask.wire import Record

BATCH_BYTES: Final = 1 << 16
_MAX_BYTES: Final = 2 * BATCH_BYTES


class Outbox:
    """Takes records from the threads of a worker and passes batches to the coroutine `put`, on the worker's loop.

    `put` returns when the scheduler has taken the batch: a slow reader holds it up, and so each thread that adds.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, put: Callable[[bytes], Awaitable[object]]) -> None:
        self._loop = loop
        self._put = put
        self._changed = threading.Condition()
        self._records: list[Record] = []
        self._sizes: list[int] = []
        self._bytes = 0
        self._added = 0
        self._sent = 0
        self._sending = False
        self.failed = False
        """Whether the scheduler is gone: no record can be sent any more."""

    def add(self, record: Record, size: int, given_up: Callable[[], bool] | None = None) -> int | None:
        """Take a record of about `size` bytes and return its number; waits for room, unless `given_up` is None.

        Returns None when `given_up()` became true before there was room, and when the scheduler is gone.
        """
        with self._changed:
            while given_up is not None and self._bytes >= _MAX_BYTES and not self.failed:
                if given_up():
                    return None
                self._changed.wait()
            if self.failed:
                return None
            self._records.append(record)
            self._sizes.append(size)
            self._bytes += size
            self._added += 1
            if not self._sending:
                self._sending = True
                self._loop.call_soon_threadsafe(self._start)
            return self._added

    def await_sent(self, number: int, given_up: Callable[[], bool]) -> bool:
        """Wait until the scheduler has the record with this number.

        Returns False when `given_up()` became true before, and when the scheduler is gone.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._sent >= number or self.failed or given_up())
            return self._sent >= number

    def wake(self) -> None:
        """Have waiting threads call `given_up` again."""
        with self._changed:
            self._changed.notify_all()

    def _start(self) -> None:
        self._task = self._loop.create_task(self._send())

    async def _send(self) -> None:
        while batch := self._next_batch():
            try:
                await self._put(plainly_packed(batch))
            except Exception:  # noqa: BLE001 - after any error the scheduler cannot be reached any more
                with self._changed:
                    self.failed = True
                    self._changed.notify_all()
                return
            with self._changed:
                self._sent += len(batch)
                self._changed.notify_all()

    def _next_batch(self) -> list[Record]:
        """Take the next batch out; an empty one ends the sending."""
        with self._changed:
            count = size = 0
            while count < len(self._sizes) and (not count or size + self._sizes[count] <= BATCH_BYTES):
                size += self._sizes[count]
                count += 1
            batch = self._records[:count]
            del self._records[:count], self._sizes[:count]
            self._bytes -= size
            self._sending = bool(batch)
            self._changed.notify_all()
            return batch
