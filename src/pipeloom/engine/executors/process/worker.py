"""What runs in a worker process: one attempt at a time, and a thread that takes requests to stop."""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import threading
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any, Final

from pipeloom.code.sources import Source, load_sources
from pipeloom.engine.attempt import Attempt, Outcome, OutcomeKind
from pipeloom.engine.capture import capture
from pipeloom.engine.executors.process.wire import CANCEL, ENDED, MESSAGE, RUN, STARTED, packed, unpacked
from pipeloom.engine.signals import give_children
from pipeloom.engine.worker.channel import WorkerChannel
from pipeloom.engine.worker.runner import describe, run_worker
from pipeloom.errors import MessageError
from pipeloom.secrets import Secret
from pipeloom.text import first_line

ORPHAN_GRACE_S: Final = 2.0
"""Seconds that a task has to stop when the program has died."""

_SIGNALS: Final = (signal.SIGINT, signal.SIGHUP, signal.SIGTERM)
_NICENESS: Final = 10
"""The program has priority: all workers wait for it to write their messages, and its user for its screen."""


def serve(connection: Connection, sources: Sequence[Source], _secrets: Sequence[Secret]) -> None:
    """Run attempts until told to stop; `sources` are the modules of the user's code, `_secrets` are masked by now."""
    with suppress(OSError):
        os.setsid()  # its children end with it, and none of them reads from the terminal of the screen
    multiprocessing.current_process().daemon = False  # Python lets a daemon have no children: no pool in a task
    multiprocessing.set_start_method(None, force=True)  # Python's own choice: ours was inherited
    # Ctrl+C, a closed terminal and a service manager signal the whole process group; the program decides what happens
    # to the tasks. A handler, because a task's child processes would inherit SIG_IGN: `Popen.terminate` must end them.
    give_children({number: signal.signal(number, lambda *_: None) for number in _SIGNALS})
    os.nice(_NICENESS)
    capture.start(to_terminal=False)  # it would break the lines of the program's progress display
    worker = _Worker(connection, sources)
    try:
        worker.run()
    except OSError:  # the pipe has no other end
        worker.is_orphaned = True
    if worker.is_orphaned:
        _end_children()


def _end_children() -> None:
    """End the group that this process leads, and so this process."""
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)


class _Worker:
    """Runs attempts on the main thread, and takes frames from the program on a second one."""

    def __init__(self, connection: Connection, sources: Sequence[Source]) -> None:
        self._connection = connection
        self._sources = sources
        """Still to be loaded, at the first attempt: an error then ends that attempt."""
        self._sending = threading.Lock()
        self._attempts: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._channel: WorkerChannel | None = None
        self.is_orphaned = False
        """Whether the program has died."""
        self._stopping: int | None = None
        """Id of the attempt that was last asked to stop."""

    def run(self) -> None:
        """Run the attempts that arrive, until STOP or the end of the pipe."""
        try:
            threading.Thread(target=self._listen, name="pipeloom-control", daemon=True).start()
        except RuntimeError as error:  # the system allows no more threads
            self._refuse(f"its worker process has ended: {error}")
            return
        while (frame := self._attempts.get()) is not None:
            self._send(packed(ENDED, self._run(frame)))

    def _refuse(self, why: str) -> None:
        """End the first attempt, unstarted."""
        self._connection.recv_bytes()
        self._send(packed(ENDED, Outcome(OutcomeKind.LOST, error=why, retryable=True, started=False)))

    def _run(self, frame: bytes) -> Outcome:
        try:
            load_sources(self._sources)
            self._sources = ()
            attempt: Attempt = unpacked(frame)
        except BaseException as error:  # noqa: BLE001 - importing and unpickling run the user's code
            outcome = describe(error)
            return Outcome(
                OutcomeKind.REJECTED,
                error_type=outcome.error_type,
                error=f"the task cannot be loaded in a worker process: {outcome.error}",
                traceback=outcome.traceback,
                started=False,
            )
        channel = WorkerChannel(attempt, self._publish)
        with self._lock:
            self._channel = channel
            cancelled = self._stopping == attempt.id
        if cancelled:
            return Outcome(OutcomeKind.CANCELLED, started=False)
        self._send(packed(STARTED, os.getpid()))
        try:
            return run_worker(attempt, channel)
        finally:
            with self._lock:
                self._channel = None

    def _publish(self, entry: Any) -> None:
        try:
            frame = packed(MESSAGE, entry)
        except Exception as error:
            raise MessageError(
                f"{type(entry).__name__} cannot leave its worker process: {type(error).__name__}: {first_line(error)}"
            ) from error
        self._send(frame)

    def _send(self, frame: bytes) -> None:
        """Send a frame; blocks while the writer is behind. A task may publish from several threads."""
        with self._sending:
            self._connection.send_bytes(frame)

    def _listen(self) -> None:
        try:
            while True:
                frame = self._connection.recv_bytes()
                if frame.startswith(RUN):
                    self._attempts.put(frame)
                elif frame.startswith(CANCEL):
                    self._cancel(unpacked(frame))
                else:
                    self._attempts.put(None)
                    return
        except (EOFError, OSError):
            self._stop_orphaned()

    def _cancel(self, attempt_id: int) -> None:
        with self._lock:
            self._stopping = attempt_id
            if self._channel is not None and self._channel.attempt_id == attempt_id:
                self._channel.cancel()

    def _stop_orphaned(self) -> None:
        """Ask the task to stop, and exit after `ORPHAN_GRACE_S`: the program has died."""
        self.is_orphaned = True
        with self._lock:
            if self._channel is not None:
                self._channel.cancel()
        self._attempts.put(None)
        threading.Event().wait(ORPHAN_GRACE_S)
        _end_children()
        os._exit(1)
