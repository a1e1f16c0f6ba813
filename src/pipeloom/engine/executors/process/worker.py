"""The inside of a worker process: runs one attempt at a time and listens for the request to stop."""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any, Final

from pipeloom.engine.attempt import Attempt, Outcome, OutcomeKind
from pipeloom.engine.executors.process.wire import CANCEL, ENDED, MESSAGE, RUN, STARTED, packed, unpacked
from pipeloom.engine.worker.capture import capture
from pipeloom.engine.worker.channel import WorkerChannel
from pipeloom.engine.worker.runner import describe, run_worker
from pipeloom.errors import MessageError
from pipeloom.loader import import_file
from pipeloom.text import first_line

ORPHAN_GRACE_S: Final = 2.0
"""How long a task may take to stop when the program that wanted its result is gone."""

_NICENESS: Final = 10
"""All workers wait for the program that writes what they publish, and its user for its screen: it goes first."""


def serve(connection: Connection, files: Sequence[str]) -> None:
    """Run attempts until told to stop; `files` are the paths of the modules that were loaded by path."""
    # Ctrl+C, a closed terminal and a service manager reach the whole group; what becomes of the tasks is the program's
    # decision. A handler, because SIG_IGN would be inherited by what a task starts: `Popen.terminate` must work there.
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    os.nice(_NICENESS)
    # What is printed is in the log; on a terminal it would only get in the way of the program's own bars.
    capture.start(echo=sys.stdout is not None and not sys.stdout.isatty())
    _Worker(connection, files).run()


class _Worker:
    def __init__(self, connection: Connection, files: Sequence[str]) -> None:
        self._connection = connection
        self._files = files
        """Still to be imported: at the first attempt, which then says what went wrong."""
        self._sending = threading.Lock()
        self._attempts: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._channel: WorkerChannel | None = None
        self._stopping: int | None = None
        """The attempt that was last asked to stop."""

    def run(self) -> None:
        """Run what the listener passes on."""
        threading.Thread(target=self._listen, name="pipeloom-control", daemon=True).start()
        while (frame := self._attempts.get()) is not None:
            self._send(packed(ENDED, self._run(frame)))

    def _run(self, frame: bytes) -> Outcome:
        try:
            for path in self._files:
                import_file(path)
            self._files = ()
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
        """Send, waiting for as long as the writer is behind; a task may publish from several threads."""
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
            self._orphaned()

    def _cancel(self, attempt_id: int) -> None:
        with self._lock:
            self._stopping = attempt_id
            if self._channel is not None and self._channel.attempt_id == attempt_id:
                self._channel.cancel()

    def _orphaned(self) -> None:
        """Ask the task to stop, and leave without waiting for it: there is nobody to report to."""
        with self._lock:
            if self._channel is not None:
                self._channel.cancel()
        self._attempts.put(None)
        threading.Event().wait(ORPHAN_GRACE_S)
        os._exit(1)
