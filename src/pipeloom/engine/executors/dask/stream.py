"""The program's end of one Dask worker's records: a thread that takes batches off the worker's queue."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from distributed import Client, Queue

from pipeloom.engine.executors.dask.serialization import unpacked
from pipeloom.engine.executors.dask.wire import QUEUED_BATCHES, ReadyWorker, Record, delete_queue

_END: Final = b""
"""Put into the queue of a worker that is gone: its last batches come out before."""


class WorkerStream:
    """One worker of the cluster, from its announcement to its last record."""

    def __init__(
        self,
        client: Client,
        ready: ReadyWorker,
        take: Callable[[WorkerStream, Record], object],
        ended: Callable[[WorkerStream, BaseException | None], object],
    ) -> None:
        """Start the thread, which calls `take` with each record, then `ended` with the error that it ended with."""
        self.address = ready.address
        self.slots = ready.threads
        self.pid = ready.pid
        self.queue = ready.queue
        self.can_kill = ready.nanny and ready.threads == 1
        """Whether its process can be killed without harm to other attempts, and is started again then."""
        self.when_ended: list[Callable[[], object]] = []
        """Calls that wait for the last record of the worker."""
        self._client = client
        self._take = take
        self._ended = ended
        self._thread = threading.Thread(target=self._read, name=f"pipeloom-dask-{self.name}", daemon=True)
        self._thread.start()

    @property
    def name(self) -> str:
        """Host and port of the worker."""
        return self.address.rpartition("://")[2]

    def end(self) -> None:
        """End the thread once it has taken all batches; does not block."""
        self._client.loop.add_callback(self._put_end)

    def join(self, timeout_s: float) -> None:
        """Wait for the end of the thread."""
        if self._thread is not threading.current_thread():
            self._thread.join(timeout_s)

    async def _put_end(self) -> None:
        try:
            await self._client.scheduler.queue_put(name=self.queue, data=_END, timeout=None)
        except (OSError, KeyError, RuntimeError):
            return  # the scheduler is gone, which also ends the thread

    def _read(self) -> None:
        failure: BaseException | None = None
        try:
            queue = Queue(self.queue, client=self._client, maxsize=QUEUED_BATCHES)
            while batch := queue.get():
                for record in unpacked(batch):
                    self._take(self, record)
            delete_queue(queue)
        except BaseException as error:  # noqa: BLE001 - passed on below
            failure = error
        self._ended(self, failure)
