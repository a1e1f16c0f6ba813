"""Watches the file for what other processes do: changes, another owner, and the run that they write."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from textual.message import Message

from pipeloom.engine.writer.sink import CommitBatch
from pipeloom.errors import StoreError
from pipeloom.store.file.owner import other_owner, why_unknown
from pipeloom.store.maintenance.recovery import recover
from pipeloom.store.read.follow import CHUNK, FollowedRun, RunChanges
from pipeloom.store.read.history import History
from pipeloom.store.read.run_queries import as_left, attempt_as_left, has_died, newest_run, running_run
from pipeloom.times import monotonic
from pipeloom.tui.session.bridge import UiSink

FOLLOW_S: Final = 0.25
"""Seconds between looks while another process owns the file: SQLite answers from shared memory."""
WATCH_S: Final = 1.0
"""Seconds between looks at the file and its owner."""


@dataclass
class FileChanged(Message):
    """Another process has committed to the file, or the file has another owner."""

    owner: str | None
    """The owner by name, if it is another process."""
    doubt: str = ""
    """Why it cannot be told whether a process owns the file; "" when it can."""


@dataclass
class RunFollowed(Message):
    """A run of another process is followed: its commits arrive in `sink`."""

    sink: UiSink
    run_id: int


@dataclass
class MonitorFailed(Message):
    """The file is watched no more, because of an error of this program."""

    error: Exception


class FileMonitor:
    """One thread, which reads the file and posts messages; it only writes to close what a dead owner left open."""

    def __init__(self, path: Path, post: Callable[[Message], bool], sink: UiSink, *, recovers: bool = True) -> None:
        """Follow the first run with `sink`, each later one with a new sink.

        With `recovers`, what a dead owner left open is closed.
        """
        self._path = path
        self._post = post
        self._stopped = threading.Event()
        self._changes = _ChangeWatch(path, self._send, recovers=recovers)
        self._runs = _RunFollower(path, self._send, sink)
        self._thread = threading.Thread(target=self._main, name="pipeloom-file-monitor", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Let the thread end."""
        self._stopped.set()

    def _main(self) -> None:
        while not self._stopped.is_set():
            try:
                with History(self._path) as history:
                    self._poll(history)
            except (StoreError, OSError):
                self._stopped.wait(WATCH_S)  # the file cannot be read now: screens say so themselves
            except Exception as error:
                self._send(MonitorFailed(error))
                raise

    def _poll(self, history: History) -> None:
        """Look again and again, until stopped or until another file is in its place."""
        file = self._path.stat().st_ino
        self._runs.read_from(history)
        watch_due = monotonic() + WATCH_S
        while not self._stopped.is_set() and self._path.stat().st_ino == file:
            if monotonic() >= watch_due:
                with suppress(StoreError, OSError):  # the run is followed all the same; the next look tells
                    self._changes.look(history)
                watch_due = monotonic() + WATCH_S
            if not self._runs.look():
                self._stopped.wait(WATCH_S if self._runs.is_settled else FOLLOW_S)

    def _send(self, message: Message) -> bool:
        try:
            return self._post(message)
        except RuntimeError:  # the app's event loop is closed
            self._stopped.set()
            return False


class _ChangeWatch:
    """Notices commits by other connections and another owner; closes what a dead owner left open."""

    def __init__(self, path: Path, send: Callable[[Message], bool], *, recovers: bool) -> None:
        self._path = path
        self._send = send
        self._recovers = recovers
        self._seen: tuple[str | None, str, int] | None = None
        """Owner, doubt and data version at the last look."""

    def look(self, history: History) -> None:
        """Post `FileChanged` if anything has changed since the last look."""
        owner, doubt = other_owner(self._path), why_unknown(self._path)
        now = (owner, doubt, history.data_version())
        if self._recovers and owner is None and (self._seen is None or self._seen[0] is not None):
            recover(self._path)
        if now != self._seen:
            self._seen = now
            self._send(FileChanged(owner, doubt))


class _RunFollower:
    """Puts what others commit to the newest run into the mailbox of a sink, as a writer of this process would."""

    def __init__(self, path: Path, send: Callable[[Message], bool], sink: UiSink) -> None:
        self._path = path
        self._wal_path = f"{os.path.realpath(path)}-wal"
        self._send = send
        self._sink = sink
        self._run_id: int | None = None
        self._seq = 0
        self._newest = 0
        """The newest run when the file was opened."""
        self._history: History | None = None
        self._run: FollowedRun | None = None
        self._seen: tuple[int, str | None] | None = None
        """Data version and owner at the last look; None: look again, although nothing has changed."""
        self._is_left = False
        """Whether the process of the run has died, and its rows are shown as those of one that was interrupted."""

    @property
    def is_settled(self) -> bool:
        """Whether all is shown, and no other process owns the file: what comes next is a process that does."""
        return self._seen is not None and self._seen[1] is None

    def read_from(self, history: History) -> None:
        """Read the file through `history` from now on."""
        self._history, self._run, self._seen = history, None, None
        self._newest = newest_run(history) or 0

    def look(self) -> bool:
        """Take what has changed since the last look; returns whether there is more."""
        assert self._history is not None
        now = self._history.data_version(), other_owner(self._path)
        if now == self._seen:
            return False
        run_id = self._chosen(self._history)
        if run_id is not None and (self._run is None or run_id != self._run.run_id):
            self._run = self._begin(self._history, run_id)
        if self._run is None:
            self._seen = now
            return False
        found = self._run.look()
        self._put(self._as_left(self._run, found))
        self._seen = now if found.is_whole else None
        if found.is_stale:
            self._run, self._seen = self._begin(self._history, self._run.run_id), None
        return len(found.attempts) == CHUNK

    def _chosen(self, history: History) -> int | None:
        """Return the run to follow: that of the living owner, else one that has come and gone, else that of before."""
        if other_owner(self._path) is not None:
            return running_run(history) or newest_run(history)
        newest = newest_run(history) or 0
        run = history.run(newest) if newest > max(self._newest, self._run_id or 0) else None
        return self._run_id if run is None or run.pid == os.getpid() else newest

    def _begin(self, history: History, run_id: int) -> FollowedRun:
        if self._run_id is not None:
            self._sink = UiSink(self._send)
        self._run_id, self._is_left = run_id, False
        self._send(RunFollowed(self._sink, run_id))
        return FollowedRun(history, run_id)

    def _as_left(self, followed: FollowedRun, found: RunChanges) -> RunChanges:
        """Return the changes as they will be once the file is settled, if the process of the run has died."""
        run = followed.run
        if run is None or not has_died(self._path, run):
            return found
        attempts = found.attempts if self._is_left else (*found.attempts, *followed.open_attempts())
        self._is_left = True
        return replace(found, attempts=tuple(attempt_as_left(row, run) for row in attempts), run=as_left(run))

    def _put(self, found: RunChanges) -> None:
        if found.attempts or found.run is not None:
            self._seq += 1
            self._sink.committed(CommitBatch(self._seq, found.attempts, found.run, wal_bytes=self._wal_bytes()))

    def _wal_bytes(self) -> int:
        try:
            return os.stat(self._wal_path).st_size  # noqa: PTH116 - several times a second, and a third cheaper
        except OSError:
            return 0
