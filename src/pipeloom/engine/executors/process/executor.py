"""Attempts in worker processes: for work that computes, and for work that may crash its process.

One pipe per worker: a process that is killed while it holds the lock of a shared queue stalls all the others
(python/cpython#88304), and `ProcessPoolExecutor` fails every task when one worker dies.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from typing import Any, Final

from pipeloom.code.pickles import dumps, loads
from pipeloom.code.sources import loaded_sources
from pipeloom.code.version import Version
from pipeloom.engine.attempt import Attempt, Outcome, OutcomeKind
from pipeloom.engine.executors.base import Capabilities, Executor, Reports, WorkerInfo
from pipeloom.engine.executors.process.surroundings import prepare_processes
from pipeloom.engine.executors.process.wire import CANCEL, ENDED, RUN, STARTED, STOP, packed, unpacked
from pipeloom.engine.executors.process.worker import serve
from pipeloom.engine.executors.slots import SlotPool
from pipeloom.errors import TaskCancelled, UsageError, WriterFailedError
from pipeloom.pipeline import Pipeline, WorkerFn
from pipeloom.secrets import Secret
from pipeloom.text import clean, first_line

_MAX_STARTS: Final = 3
"""Worker processes that may die before they start an attempt; after that the attempt ends."""
_JOIN_S: Final = 1.0
_METHODS: Final = multiprocessing.get_all_start_methods()
_CONTEXT: ForkServerContext | SpawnContext = (
    multiprocessing.get_context("forkserver") if "forkserver" in _METHODS else multiprocessing.get_context("spawn")
)


def check_sendable(pipeline: Pipeline, functions: Sequence[WorkerFn]) -> None:
    """Raise `UsageError` when a worker function or a message type cannot be pickled."""
    for what, value in (*(("worker_fn", one) for one in functions), ("a message type", frozenset(pipeline.handlers))):
        try:
            packed(RUN, value)
        except Exception as error:
            raise UsageError(
                f'With executor="process", {what} must be defined at the top level of a module: {first_line(error)}.'
            ) from error


class _WorkerProcess:
    """A worker process and the program's end of its pipe. It has one version of the user's code, to its end."""

    def __init__(self, name: str, version: Version | None, secrets: tuple[Secret, ...]) -> None:
        self.version = version
        sources = loaded_sources() if version is None else version.sources
        self.connection: Connection
        self.connection, theirs = _CONTEXT.Pipe()
        self.process: BaseProcess = _CONTEXT.Process(
            target=serve, args=(theirs, sources, secrets), name=f"pipeloom-{name}", daemon=True
        )
        try:
            self.process.start()
        finally:
            theirs.close()

    def kill(self) -> None:
        """End the process by force, with its children; the reader of the pipe then gets an `EOFError`."""
        self.process.kill()
        self._end_group()

    def reap(self) -> str:
        """Wait for the end of the process, and return how it ended."""
        self.connection.close()
        self.process.join(_JOIN_S)
        if self.process.is_alive():  # it has closed its end of the pipe: nothing more can come from it
            self.process.kill()
            self.process.join()
        self._end_group()
        code = self.process.exitcode or 0
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"has ended with exit code {code}"
        return f"worker process {self.process.pid} {how}"

    def _end_group(self) -> None:
        """End what the worker's code has started and left: the process leads a group of its own."""
        if self.process.pid is not None:
            with suppress(OSError):  # nothing is left, or the process was killed before it led one
                os.killpg(self.process.pid, signal.SIGKILL)

    def memory(self) -> int | None:
        """Return the resident memory in bytes; None once the process has ended."""
        import psutil

        try:
            return int(psutil.Process(self.process.pid).memory_info().rss)
        except psutil.Error:
            return None


class _SubmittedAttempt:
    """The state of an attempt that a worker process runs or will run. Guarded by the executor's lock."""

    def __init__(self, attempt: Attempt) -> None:
        self.attempt = attempt
        self.cancelled = False
        self.killed = False
        self.worker: _WorkerProcess | None = None
        """The process that the attempt has been sent to: a request to stop goes there too."""
        self.failure: Outcome | None = None
        """Ends the attempt in place of its worker's outcome."""


class ProcessExecutor(Executor):
    """Runs each attempt in a worker process. A process is started when it is needed, and again when it has died."""

    name = "process"
    caps = Capabilities(remote=True, hard_kill=True, isolated_crash=True)

    def __init__(self, slots: int) -> None:
        self._pool = SlotPool(slots, self._run, self._stop_worker)
        self._reports: Reports
        self._lock = threading.Lock()
        self._submitted: dict[int, _SubmittedAttempt] = {}
        self._workers: dict[str, _WorkerProcess] = {}
        _CONTEXT.set_forkserver_preload([serve.__module__])

    @property
    def slots(self) -> int:
        """Attempts that may run at the same time."""
        return self._pool.slots

    @property
    def window(self) -> int:
        """The slots: a process gets its next attempt as soon as one has ended."""
        return self._pool.slots

    def start(self, reports: Reports) -> None:
        """Keep where to report, and check that processes can start, which they do with the attempts."""
        prepare_processes(self._pool.slots)
        self._reports = reports
        self._pool.start(reports)

    def set_slots(self, slots: int) -> None:
        """Change the number of slots."""
        self._pool.slots = slots

    def submit(self, attempt: Attempt) -> None:
        """Hand the attempt to the thread of a worker process."""
        self._submitted[attempt.id] = _SubmittedAttempt(attempt)
        self._pool.submit(attempt)

    def cancel(self, attempt_ids: Iterable[int]) -> None:
        """Ask attempts to stop."""
        for attempt_id in attempt_ids:
            submitted = self._submitted.get(attempt_id)
            if submitted is not None:
                self._cancel(submitted)

    def kill(self, attempt_id: int) -> bool:
        """End the attempt by ending its process; False when it has ended already."""
        submitted = self._submitted.get(attempt_id)
        if submitted is None:
            return False
        with self._lock:
            submitted.cancelled = submitted.killed = True
            if submitted.worker is not None:
                submitted.worker.kill()
        return True

    def workers(self) -> list[WorkerInfo]:
        """Return each worker process, with its memory."""
        return [self._info(worker, attempts) for worker, attempts in self._pool.running().items()]

    def shutdown(self, timeout_s: float) -> int:
        """End idle processes, wait for the others, then kill them."""
        busy = self._pool.shutdown(timeout_s)
        if busy:
            with self._lock:
                for worker in list(self._workers.values()):
                    worker.kill()
            busy = self._pool.shutdown(_JOIN_S)
        return busy

    def _info(self, name: str, attempts: tuple[int, ...]) -> WorkerInfo:
        worker = self._workers.get(name)
        if worker is None:
            return WorkerInfo(name, 1, attempts)
        return WorkerInfo(f"{name}/{worker.process.pid}", 1, attempts, memory=worker.memory())

    def _run(self, attempt: Attempt, name: str) -> Outcome:
        submitted = self._submitted[attempt.id]
        try:
            frame = RUN + dumps(attempt._replace(version=None, secrets=()), attempt.version or Version())
        except Exception as error:  # noqa: BLE001 - pickling runs the user's code
            return _failed(OutcomeKind.REJECTED, "the task cannot be sent to a worker process", error)
        else:
            for _ in range(_MAX_STARTS):
                if submitted.cancelled:
                    return Outcome(OutcomeKind.CANCELLED, started=False)
                try:
                    outcome = self._run_in_process(submitted, frame, name)
                except (OSError, EOFError) as error:  # EOFError: the server that forks them has ended
                    how = f"no worker process could be started: {first_line(error) or type(error).__name__}"
                    return Outcome(OutcomeKind.LOST, error=how, retryable=True, started=False)
                if outcome is not None:
                    return outcome
            how = "its worker processes end before they take it up; a script needs `if __name__ == '__main__':`"
            return Outcome(OutcomeKind.LOST, error=how, started=False)
        finally:
            del self._submitted[attempt.id]

    def _run_in_process(self, submitted: _SubmittedAttempt, frame: bytes, name: str) -> Outcome | None:
        """Send the attempt to the process `name` and report what comes back, up to its outcome.

        Returns None when the process ended before it called the user's code. Raises `OSError` when there is no process
        and none can be started.
        """
        worker, version = self._workers.get(name), submitted.attempt.version
        if worker is not None and worker.version is not version:
            self._stop_worker(name)
            worker = None
        if worker is None:
            worker = self._workers[name] = _WorkerProcess(name, version, submitted.attempt.secrets)
        started = False
        try:
            worker.connection.send_bytes(frame)
            with self._lock:
                submitted.worker = worker
                if submitted.killed:
                    worker.kill()
                elif submitted.cancelled:
                    worker.connection.send_bytes(packed(CANCEL, submitted.attempt.id))
            while True:
                frame = worker.connection.recv_bytes()
                if frame.startswith(STARTED):
                    started = True
                    self._reports.started(submitted.attempt.id, f"{name}/{unpacked(frame)}")
                elif frame.startswith(ENDED):
                    return submitted.failure or unpacked(frame)
                else:
                    self._deliver(submitted, frame)
        except (EOFError, OSError):
            how = worker.reap()
            del self._workers[name]
            return Outcome(OutcomeKind.LOST, error=how, retryable=True) if started else None
        finally:
            with self._lock:
                submitted.worker = None

    def _deliver(self, submitted: _SubmittedAttempt, frame: bytes) -> None:
        """Report a message. One that cannot be unpickled fails the attempt, and its later messages are dropped."""
        if submitted.failure is not None:
            return
        try:
            entry: Any = loads(memoryview(frame)[1:], submitted.attempt.version)
        except Exception as error:  # noqa: BLE001 - unpickling runs the user's code
            submitted.failure = _failed(OutcomeKind.ERROR, "a message cannot be taken from its worker process", error)
            self._cancel(submitted)
            return
        with suppress(TaskCancelled):  # the engine has dropped the message, and is stopping the worker
            try:
                self._reports.message(submitted.attempt.id, entry)
            except WriterFailedError:
                self._cancel(submitted)

    def _cancel(self, submitted: _SubmittedAttempt) -> None:
        with self._lock:
            if not submitted.cancelled:
                submitted.cancelled = True
                if submitted.worker is not None:
                    with suppress(OSError):  # the process has died: the reader of its pipe ends the attempt
                        submitted.worker.connection.send_bytes(packed(CANCEL, submitted.attempt.id))

    def _stop_worker(self, name: str) -> None:
        """End the process `name`, which is idle."""
        worker = self._workers.pop(name, None)
        if worker is not None:
            with suppress(OSError):
                worker.connection.send_bytes(STOP)
            worker.process.join(_JOIN_S)
            worker.reap()


def _failed(kind: OutcomeKind, what: str, error: BaseException) -> Outcome:
    name = clean(type(error).__name__, 200)
    return Outcome(
        kind, error_type=name, error=f"{what}: {first_line(error)}", started=kind is not OutcomeKind.REJECTED
    )
