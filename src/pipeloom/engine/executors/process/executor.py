"""Attempts in worker processes: for work that computes, and for work that may take its process down.

One pipe per worker, because a process that is killed while it holds a shared queue's lock stalls all the others
(python/cpython#88304), and `ProcessPoolExecutor` fails every task when one worker dies.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Iterable
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from typing import Any, Final

from pipeloom.engine.attempt import Attempt, Outcome, OutcomeKind
from pipeloom.engine.executors.base import Capabilities, WorkerInfo
from pipeloom.engine.executors.memory import memory_of
from pipeloom.engine.executors.process.wire import CANCEL, ENDED, RUN, STARTED, STOP, packed, unpacked
from pipeloom.engine.executors.process.worker import serve
from pipeloom.engine.executors.slots import SlotExecutor
from pipeloom.errors import TaskCancelled, UsageError, WriterFailedError
from pipeloom.loader import loaded_files
from pipeloom.pipeline import Pipeline
from pipeloom.text import clean, first_line

_STARTS: Final = 3
"""Worker processes that may die before they take up an attempt, until it is given back."""
_JOIN_S: Final = 1.0
_METHODS: Final = multiprocessing.get_all_start_methods()
_CONTEXT: ForkServerContext | SpawnContext = (
    multiprocessing.get_context("forkserver") if "forkserver" in _METHODS else multiprocessing.get_context("spawn")
)


def check_sendable(pipeline: Pipeline) -> None:
    """Raise `UsageError` when the worker function or a message type cannot get into another process at all."""
    for what, value in (("worker_fn", pipeline.worker_fn), ("a message type", frozenset(pipeline.handlers))):
        try:
            packed(RUN, value)
        except Exception as error:
            raise UsageError(
                f'With executor="process", {what} must be defined at the top level of a module: {first_line(error)}.'
            ) from error


class _Worker:
    """A worker process and our end of its pipe."""

    def __init__(self, name: str) -> None:
        self.connection: Connection
        self.connection, theirs = _CONTEXT.Pipe()
        self.process: BaseProcess = _CONTEXT.Process(
            target=serve, args=(theirs, loaded_files()), name=f"pipeloom-{name}", daemon=True
        )
        try:
            self.process.start()
        finally:
            theirs.close()

    def kill(self) -> None:
        """End the process by force; our end of the pipe then reads its end."""
        self.process.kill()

    def bury(self) -> str:
        """Clear the process away and return how it ended."""
        self.connection.close()
        self.process.join(_JOIN_S)
        if self.process.is_alive():  # it has closed its end of the pipe, so nobody will ever hear of it again
            self.process.kill()
            self.process.join()
        code = self.process.exitcode or 0
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"has ended with exit code {code}"
        return f"worker process {self.process.pid} {how}"


class _Job:
    """An attempt on its way through a worker process. Guarded by the executor's lock."""

    def __init__(self, attempt: Attempt) -> None:
        self.attempt = attempt
        self.cancelled = False
        self.killed = False
        self.worker: _Worker | None = None
        """Set once the attempt has been sent: from then on a request to stop goes the same way."""
        self.trouble: Outcome | None = None
        """Why the attempt fails whatever its worker says."""


class ProcessExecutor(SlotExecutor):
    """Runs each attempt in a worker process. A process is started when it is needed, and again when it has died."""

    name = "process"
    caps = Capabilities(remote=True, hard_kill=True, isolated_crash=True)

    def __init__(self, slots: int) -> None:
        super().__init__(slots)
        _CONTEXT.set_forkserver_preload([serve.__module__])
        self._jobs: dict[int, _Job] = {}
        self._workers: dict[str, _Worker] = {}

    def submit(self, attempt: Attempt) -> None:
        """Hand the attempt to the thread of a worker process."""
        self._jobs[attempt.id] = _Job(attempt)
        super().submit(attempt)

    def cancel(self, attempt_ids: Iterable[int]) -> None:
        """Ask attempts to stop."""
        for attempt_id in attempt_ids:
            job = self._jobs.get(attempt_id)
            if job is not None:
                self._cancel(job)

    def kill(self, attempt_id: int) -> bool:
        """End the attempt by ending its process; True, unless it has ended already."""
        job = self._jobs.get(attempt_id)
        if job is None:
            return False
        with self._lock:
            job.cancelled = job.killed = True
            if job.worker is not None:
                job.worker.kill()
        return True

    def shutdown(self, timeout_s: float) -> int:
        """Let idle processes end, wait for the others, then kill them."""
        busy = super().shutdown(timeout_s)
        if busy:
            with self._lock:
                for worker in list(self._workers.values()):
                    worker.kill()
            busy = super().shutdown(_JOIN_S)
        return busy

    def _info(self, worker: str, attempts: tuple[int, ...]) -> WorkerInfo:
        process = self._workers.get(worker)
        if process is None:
            return WorkerInfo(worker, 1, attempts)
        return WorkerInfo(f"{worker}/{process.process.pid}", 1, attempts, memory=memory_of(process.process.pid))

    def _run(self, attempt: Attempt, worker: str) -> Outcome:
        job = self._jobs[attempt.id]
        try:
            frame = packed(RUN, attempt)
        except Exception as error:  # noqa: BLE001 - pickling runs the user's code
            return _failed(OutcomeKind.REJECTED, "the task cannot be sent to a worker process", error)
        else:
            for _ in range(_STARTS):
                if job.cancelled:
                    return Outcome(OutcomeKind.CANCELLED, started=False)
                try:
                    outcome = self._converse(job, frame, worker)
                except OSError as error:
                    how = f"no worker process could be started: {first_line(error)}"
                    return Outcome(OutcomeKind.LOST, error=how, retryable=True, started=False)
                if outcome is not None:
                    return outcome
            how = "its worker processes end before they take it up; a script needs `if __name__ == '__main__':`"
            return Outcome(OutcomeKind.LOST, error=how, started=False)
        finally:
            del self._jobs[attempt.id]

    def _converse(self, job: _Job, frame: bytes, name: str) -> Outcome | None:
        """Have the attempt run; None when its process has ended before the user's code was called.

        Raises `OSError` when there is no process and none can be started.
        """
        worker = self._workers.get(name)
        if worker is None:
            worker = self._workers[name] = _Worker(name)
        started = False
        try:
            worker.connection.send_bytes(frame)
            with self._lock:
                job.worker = worker
                if job.killed:
                    worker.kill()
                elif job.cancelled:
                    worker.connection.send_bytes(packed(CANCEL, job.attempt.id))
            while True:
                frame = worker.connection.recv_bytes()
                if frame.startswith(STARTED):
                    started = True
                    self._reports.started(job.attempt.id, f"{name}/{unpacked(frame)}")
                elif frame.startswith(ENDED):
                    return job.trouble or unpacked(frame)
                else:
                    self._deliver(job, frame)
        except (EOFError, OSError):
            how = worker.bury()
            del self._workers[name]
            return Outcome(OutcomeKind.LOST, error=how, retryable=True) if started else None
        finally:
            with self._lock:
                job.worker = None

    def _deliver(self, job: _Job, frame: bytes) -> None:
        """Pass a message on; what cannot be passed on stops the worker, and what it still says is drained."""
        if job.trouble is not None:
            return
        try:
            entry: Any = unpacked(frame)
        except Exception as error:  # noqa: BLE001 - unpickling runs the user's code
            job.trouble = _failed(OutcomeKind.ERROR, "a message cannot be taken from its worker process", error)
            self._cancel(job)
            return
        with suppress(TaskCancelled):  # the engine has given the message up: the worker is being stopped
            try:
                self._reports.message(job.attempt.id, entry)
            except WriterFailedError:
                self._cancel(job)

    def _cancel(self, job: _Job) -> None:
        with self._lock:
            if not job.cancelled:
                job.cancelled = True
                if job.worker is not None:
                    with suppress(OSError):  # it has died: its end is on the way
                        job.worker.connection.send_bytes(packed(CANCEL, job.attempt.id))

    def _retire(self, worker: str) -> None:
        mine = self._workers.pop(worker, None)
        if mine is not None:
            with suppress(OSError):
                mine.connection.send_bytes(STOP)
            mine.process.join(_JOIN_S)
            mine.bury()


def _failed(kind: OutcomeKind, what: str, error: BaseException) -> Outcome:
    name = clean(type(error).__name__, 200)
    return Outcome(
        kind, error_type=name, error=f"{what}: {first_line(error)}", started=kind is not OutcomeKind.REJECTED
    )
