"""The runtime of one run on a Dask worker: its connection to the scheduler, and the commands that arrive there."""

from __future__ import annotations

import asyncio
import os
import uuid
from contextlib import suppress
from typing import Any, Final

from distributed import Client, Queue, Worker

from pipeloom.engine.executors.dask.wire import QUEUED_BATCHES, ReadyWorker, control_topic, delete_queue, ready_topic
from pipeloom.engine.executors.dask.worker.outbox import Outbox
from pipeloom.engine.executors.dask.worker.runner import AttemptRunner, SentCode

_CHECK_EVERY_S: Final = 0.5
_ECHO_EVERY_S: Final = 0.01


class WorkerRuntime:
    """Connects the attempts of one run on one worker with the program. All but `run` is called on the worker's loop."""

    def __init__(self, run: str, worker: Worker, program: str | None) -> None:
        self._run = run
        self._program = program
        """Id of the program's client; None on a cluster of the run, which ends with the program."""
        self._worker = worker
        self._queue = f"{run}-{uuid.uuid4().hex}"
        self._outbox = Outbox(asyncio.get_running_loop(), self._put)
        self._runner = AttemptRunner(self._outbox)
        self._subscribed = False
        """Whether the program's commands arrive here."""

    async def start(self) -> None:
        """Subscribe to commands, then publish that the worker is ready."""
        worker = self._worker
        await worker.scheduler.queue_create(name=self._queue, maxsize=QUEUED_BATCHES)
        self._client = await Client(
            worker.scheduler.address,
            security=worker.security,
            asynchronous=True,
            set_as_default=False,
            name="pipeloom-worker",
        )
        if self._program is not None:
            # The first subscription: it holds once the echo of the second one has arrived.
            self._client.subscribe_topic(self._program, self._on_program_event)
        self._client.subscribe_topic(control_topic(self._run), self._on_command)
        while not self._subscribed:  # the scheduler takes a moment to register a subscription
            await worker.scheduler.log_event(topic=control_topic(self._run), msg={"echo": self._queue})
            await asyncio.sleep(_ECHO_EVERY_S)
        self._checks = asyncio.create_task(self._cancel_unwanted())
        ready = ReadyWorker(worker.address, self._queue, os.getpid(), worker.state.nthreads, worker.nanny is not None)
        await worker.scheduler.log_event(topic=ready_topic(self._run), msg=ready._asdict())

    async def close(self) -> None:
        """Ask running attempts to stop, and close the connection."""
        self._checks.cancel()
        for key in self._runner.running():
            self._runner.cancel(key)
        with suppress(OSError):
            if self._program is not None and self._client.status == "running":
                delete_queue(await Queue(self._queue, client=self._client))
            await self._client.close()

    def run(self, key: str, number: tuple[int, int], code: SentCode, task: bytes) -> None:
        """Run an attempt, on the calling thread."""
        self._runner.run(key, number, code, task)

    async def _put(self, batch: bytes) -> None:
        await self._worker.scheduler.queue_put(name=self._queue, data=batch, timeout=None)

    def _on_command(self, event: tuple[float, dict[str, Any]]) -> None:
        command = event[1]
        self._subscribed = self._subscribed or command.get("echo") == self._queue
        for key in command.get("stop", ()):
            self._runner.cancel(key)
        if command.get("kill") in self._runner.running():
            os._exit(1)

    def _on_program_event(self, event: tuple[float, dict[str, Any]]) -> None:
        """Uninstall the plugin from all workers when the program has gone without doing so."""
        if event[1].get("action") == "remove-client":
            self._uninstalling = asyncio.create_task(self._uninstall())

    async def _uninstall(self) -> None:
        with suppress(OSError, ValueError):  # another worker was first
            await self._worker.scheduler.unregister_worker_plugin(name=self._run)

    async def _cancel_unwanted(self) -> None:
        """Cancel attempts that Dask no longer wants: the program has died, or the scheduler has."""
        while True:
            await asyncio.sleep(_CHECK_EVERY_S)
            for key in self._runner.running():
                task = self._worker.state.tasks.get(key)
                if task is None or task.state == "cancelled" or self._outbox.failed:
                    self._runner.cancel(key)
