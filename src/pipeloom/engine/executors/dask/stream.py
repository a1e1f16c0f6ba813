"""The program's end of what one Dask worker has to say: a thread that takes batches off the worker's queue."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final, Protocol

from distributed import Client, Queue

from pipeloom.engine.executors.dask.outbox import Record
from pipeloom.engine.executors.dask.serialization import unpacked
from pipeloom.engine.executors.dask.worker import QUEUED_BATCHES, abolish

_FENCE: Final = b""
"""Put into the queue of a worker that is gone: what it had still said comes out before."""


class Taker(Protocol):
    """Who is told, on the stream's thread."""

    def take(self, stream: Stream, record: Record) -> None: ...  # noqa: D102
    def stream_ended(self, stream: Stream, failure: BaseException | None) -> None:
        """Take note that nothing more comes; a failure means that the scheduler cannot be reached."""


class Stream:
    """One worker of the cluster, from its hello to the last that it has said."""

    def __init__(self, client: Client, hello: dict[str, Any], taker: Taker) -> None:
        self.address: str = hello["address"]
        self.slots: int = hello["threads"]
        self.pid: int = hello["pid"]
        self.can_kill: bool = hello["nanny"] and self.slots == 1
        """Whether its process can be ended without harm to other attempts, and is started again then."""
        self.when_ended: list[Callable[[], None]] = []
        """What waits for the last that the worker has said."""
        self._client = client
        self.queue: str = hello["queue"]
        self._taker = taker
        self._thread = threading.Thread(target=self._read, name=f"pipeloom-dask-{self.name}", daemon=True)
        self._thread.start()

    @property
    def name(self) -> str:
        """Host and port of the worker."""
        return self.address.rpartition("://")[2]

    def end(self) -> None:
        """End, once all that the worker has said is taken; does not block."""
        self._client.loop.add_callback(self._put_fence)

    def join(self, timeout_s: float) -> None:
        """Wait for the end."""
        if self._thread is not threading.current_thread():
            self._thread.join(timeout_s)

    async def _put_fence(self) -> None:
        try:
            await self._client.scheduler.queue_put(name=self.queue, data=_FENCE, timeout=None)
        except (OSError, KeyError, RuntimeError):
            return  # the scheduler is gone, and the reader has heard of that by itself

    def _read(self) -> None:
        failure: BaseException | None = None
        try:
            queue = Queue(self.queue, client=self._client, maxsize=QUEUED_BATCHES)
            while batch := queue.get():
                for record in unpacked(batch):
                    self._taker.take(self, record)
            abolish(queue)
        except BaseException as error:  # noqa: BLE001 - told below
            failure = error
        self._taker.stream_ended(self, failure)
