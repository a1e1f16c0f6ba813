"""The inside of a Dask worker: runs attempts in its threads, and listens for the request to stop.

A plugin sets up a station on every worker, those that join later included. A station says hello when it is ready; from
then on what its attempts have to say goes to a queue of its own on the scheduler.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
import uuid
from contextlib import suppress
from typing import Any, Final

from distributed import Client, Queue, Worker, WorkerPlugin, get_worker

from pipeloom.engine.attempt import Attempt, Outcome, OutcomeKind
from pipeloom.engine.events import Finish, Logged
from pipeloom.engine.executors.dask.log_routing import LOGGERS, hush
from pipeloom.engine.executors.dask.outbox import Outbox
from pipeloom.engine.executors.dask.serialization import PLAIN, Code, packed, unpacked, unpacked_code
from pipeloom.engine.worker.capture import capture
from pipeloom.engine.worker.channel import WorkerChannel
from pipeloom.engine.worker.runner import describe, run_worker
from pipeloom.engine.worker.validation import weight
from pipeloom.errors import MessageError, TaskCancelled
from pipeloom.loader import Source
from pipeloom.text import first_line

QUEUED_BATCHES: Final = 16
"""Batches that the scheduler keeps for each worker, at most."""

STARTED: Final = "started"
MESSAGE: Final = "message"
PICKLED: Final = "pickled"
ENDED: Final = "ended"

_LOOK_S: Final = 0.5
_ECHO_S: Final = 0.01
_KNOWN: Final = 8
_NICENESS: Final = 10
_CLAIMS: Final = 4
_RECORD_BYTES: Final = 64

_stations: dict[tuple[str, str], Station] = {}
"""By run and by worker's address; a program may have several workers in it."""


def control_topic(run: str) -> str:
    """Return the topic under which the program tells all workers what to stop."""
    return f"{run}-control"


def hello_topic(run: str) -> str:
    """Return the topic under which workers say that they are ready."""
    return f"{run}-hello"


def abolish(queue: Queue) -> None:
    """Have the scheduler forget the queue: it counts who has asked for it, the dead included.

    Both ends have, once or twice; to let go of it too often does no harm.
    """
    for _ in range(_CLAIMS):
        queue.close()


def run_attempt(run: str, key: str, number: tuple[int, int], code: bytes, task: bytes) -> None:
    """Run an attempt: what Dask is asked to do. What comes of it goes through the station, never through Dask."""
    worker = get_worker()
    _stations[run, worker.address].run(key, number, code, task)


class Plugin(WorkerPlugin):  # type: ignore[misc]
    """Sets up the station of a run on a worker, and clears it away."""

    idempotent = True

    def __init__(self, run: str, client_id: str, sources: tuple[Source, ...], *, ours: bool) -> None:
        self.name = run
        self._run = run
        self._client_id = client_id
        self._sources = sources
        self._ours = ours
        """Whether the worker serves this run alone, on its machine."""

    async def setup(self, worker: Worker) -> None:
        """Get ready and say so."""
        if self._ours:
            _behave()
        station = Station(self._run, worker, self._sources, None if self._ours else self._client_id)
        _stations[self._run, worker.address] = station
        capture.start(echo=not self._ours)
        await station.begin()

    async def teardown(self, worker: Worker) -> None:
        """Stop what still runs, and leave the worker as it was."""
        station = _stations.pop((self._run, worker.address), None)
        if station is not None:
            capture.stop()
            await station.close()


def _behave() -> None:
    """Be a quiet child of the program: its signals are not for us, it goes first, and its screen is not ours."""
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
            signal.signal(number, lambda *_: None)
    os.nice(_NICENESS)
    hush(asyncio.get_running_loop())
    for name in LOGGERS:
        logging.getLogger(name).handlers = [logging.NullHandler()]


class Station:
    """Runs the attempts of one run on one worker."""

    def __init__(self, run: str, worker: Worker, sources: tuple[Source, ...], program: str | None) -> None:
        self._run = run
        self._program = program
        """The id of the program's client, if the worker may outlive the program."""
        self._worker = worker
        self._sources = sources
        """Still to be loaded: at the first attempt, which then says what went wrong."""
        self._queue = f"{run}-{uuid.uuid4().hex}"
        self._outbox = Outbox(asyncio.get_running_loop(), self._put)
        self._lock = threading.Lock()
        self._loading = threading.Lock()
        self._code: dict[bytes, Code] = {}
        self._channels: dict[str, WorkerChannel] = {}
        self._stopped: dict[str, None] = {}
        """Keys that were asked to stop before they began; the last of them."""
        self._hears = False
        """Whether what the program asks for gets here."""

    async def begin(self) -> None:
        """Listen, and tell the program that attempts may come."""
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
            self._client.subscribe_topic(
                self._program, self._on_program
            )  # first: it is heard by when we hear ourselves
        self._client.subscribe_topic(control_topic(self._run), self._obey)
        while not self._hears:  # it takes a moment until the scheduler has heard of the subscription
            await worker.scheduler.log_event(topic=control_topic(self._run), msg={"echo": self._queue})
            await asyncio.sleep(_ECHO_S)
        self._watch = asyncio.create_task(self._look_after())
        hello = {
            "address": worker.address,
            "queue": self._queue,
            "pid": os.getpid(),
            "threads": worker.state.nthreads,
            "nanny": worker.nanny is not None,
        }
        await worker.scheduler.log_event(topic=hello_topic(self._run), msg=hello)

    async def close(self) -> None:
        """Ask what runs to stop, and hang up."""
        self._watch.cancel()
        for key in list(self._channels):
            self._cancel(key)
        with suppress(OSError):
            if self._program is not None and self._client.status == "running":
                abolish(await Queue(self._queue, client=self._client))
            await self._client.close()

    def run(self, key: str, number: tuple[int, int], code: bytes, task: bytes) -> None:
        """Run an attempt, in a thread of the worker."""
        outcome = self._outcome(key, number, code, task)
        ended = self._outbox.add((ENDED, number[0], packed(outcome)), _RECORD_BYTES)
        if ended is not None and not outcome.started:  # else the program would not know whose death to notice
            self._outbox.await_sent(ended, _never)

    def _outcome(self, key: str, number: tuple[int, int], code: bytes, task: bytes) -> Outcome:
        try:
            attempt = self._attempt(number, code, task)
        except BaseException as error:  # noqa: BLE001 - loading and unpickling run the user's code
            outcome = describe(error)
            return Outcome(
                OutcomeKind.REJECTED,
                error_type=outcome.error_type,
                error=f"the task cannot be loaded on a Dask worker: {outcome.error}",
                traceback=outcome.traceback,
                started=False,
            )
        sender = _Sender(self._outbox, attempt.id)
        channel = sender.channel = WorkerChannel(attempt, sender)
        with self._lock:
            self._channels[key] = channel
            if key in self._stopped:
                channel.cancel()
        try:
            # The user's code runs only when the scheduler has the word of it: whatever becomes of this worker then, it
            # is known that the code may have run.
            begun = self._outbox.add((STARTED, attempt.id, key), _RECORD_BYTES, lambda: channel.cancelled)
            if begun is None or not self._outbox.await_sent(begun, lambda: channel.cancelled):
                return Outcome(OutcomeKind.CANCELLED, started=False)
            return run_worker(attempt, channel)
        finally:
            with self._lock:
                del self._channels[key]

    def _attempt(self, number: tuple[int, int], code: bytes, task: bytes) -> Attempt:
        with self._loading:
            for source in self._sources:
                source.load()
            self._sources = ()
            known = self._code.get(code)
            if known is None:
                if len(self._code) >= _KNOWN:
                    self._code.clear()
                known = self._code[code] = unpacked_code(code)
        worker_fn, message_types, retry_on = known
        return Attempt(*number, unpacked(task), worker_fn, message_types, retry_on)

    async def _put(self, batch: bytes) -> None:
        await self._worker.scheduler.queue_put(name=self._queue, data=batch, timeout=None)

    def _obey(self, event: tuple[float, dict[str, Any]]) -> None:
        """Do what the program asks for; on the loop of the worker."""
        order = event[1]
        self._hears = self._hears or order.get("echo") == self._queue
        for key in order.get("stop", ()):
            self._cancel(key)
        if order.get("kill") in self._channels:
            os._exit(1)

    def _on_program(self, event: tuple[float, dict[str, Any]]) -> None:
        """Clear the run away when the program has gone without doing so; on the loop of the worker."""
        if event[1].get("action") == "remove-client":
            self._clearing = asyncio.create_task(self._clear())

    async def _clear(self) -> None:
        with suppress(OSError, ValueError):  # another worker was first
            await self._worker.scheduler.unregister_worker_plugin(name=self._run)

    def _cancel(self, key: str) -> None:
        with self._lock:
            channel = self._channels.get(key)
            if channel is None:
                self._stopped[key] = None
                if len(self._stopped) > 10_000:
                    del self._stopped[next(iter(self._stopped))]
        if channel is not None:
            channel.cancel()
            self._outbox.wake()

    async def _look_after(self) -> None:
        """Stop what nobody wants any more: the program may have died, or the scheduler be gone."""
        while True:
            await asyncio.sleep(_LOOK_S)
            for key in list(self._channels):
                task = self._worker.state.tasks.get(key)
                if task is None or task.state == "cancelled" or self._outbox.failed:
                    self._cancel(key)


class _Sender:
    """Takes what one attempt publishes, waiting while the writer is behind."""

    def __init__(self, outbox: Outbox, attempt_id: int) -> None:
        self.channel: WorkerChannel
        self._outbox = outbox
        self._attempt_id = attempt_id
        self._muted = False
        """A message was given up while the task was being stopped: the later ones would leave a gap."""

    def __call__(self, entry: Any) -> None:
        kind = type(entry)
        if kind in PLAIN:
            record, size = (MESSAGE, self._attempt_id, entry), weight(entry)
        else:
            data = self._packed(entry)
            record, size = (PICKLED, self._attempt_id, data), _RECORD_BYTES + len(data)
        if kind is Logged:
            self._outbox.add(record, size, self._is_stopping)
        elif self._muted or self._outbox.add(record, size, _never if kind is Finish else self._is_stopping) is None:
            self._muted = True
            raise TaskCancelled

    def _is_stopping(self) -> bool:
        return self.channel.cancelled

    @staticmethod
    def _packed(entry: Any) -> bytes:
        try:
            return packed(entry)
        except Exception as error:
            raise MessageError(
                f"{type(entry).__name__} cannot leave its Dask worker: {type(error).__name__}: {first_line(error)}"
            ) from error


def _never() -> bool:
    return False
