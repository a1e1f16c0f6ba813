"""Follows the run that another process has under way on the file: a thread of its own, which only reads."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from textual.message import Message

from pipeloom.engine.writer.sink import CommitBatch
from pipeloom.errors import StoreError
from pipeloom.store.file.owner import other_owner
from pipeloom.store.read.follow import CHUNK, FollowedRun, RunChanges
from pipeloom.store.read.history import History
from pipeloom.store.read.run_queries import newest_run, running_run
from pipeloom.tui.session.bridge import UiSink

POLL_S: Final = 0.25
"""How often SQLite is asked whether anything was committed: it looks into shared memory."""
_AGAIN_S: Final = 1.0


@dataclass
class RunFollowed(Message):
    """A run of another process is followed from now on: what is committed to it arrives in `sink`."""

    sink: UiSink
    run_id: int


class Follower:
    """Puts what others commit to the newest run into the mailbox of a sink, as a writer of this process would."""

    def __init__(self, path: Path, post: Callable[[Message], bool], sink: UiSink) -> None:
        """Follow the first run with `sink`, each later one with a new one."""
        self._path = path
        self._wal_path = f"{os.path.realpath(path)}-wal"
        self._post = post
        self._sink = sink
        self._stopped = threading.Event()
        self._run_id: int | None = None
        self._seq = 0
        self._thread = threading.Thread(target=self._main, name="pipeloom-follower", daemon=True)

    def start(self) -> None:
        """Start following."""
        self._thread.start()

    def stop(self) -> None:
        """Let the thread end."""
        self._stopped.set()

    def _main(self) -> None:
        while not self._stopped.is_set():
            try:
                with History(self._path) as history:
                    self._follow(history)
            except (StoreError, OSError):
                self._stopped.wait(_AGAIN_S)  # it has gone, or cannot be read just now: screens say so themselves
            except RuntimeError:
                return  # the app's event loop is closed

    def _follow(self, history: History) -> None:
        """Follow run after run until stopped, or until the file is another one."""
        file = self._path.stat().st_ino
        run: FollowedRun | None = None
        seen: int | None = None
        while not self._stopped.is_set() and self._path.stat().st_ino == file:
            now = history.data_version()
            if now != seen:
                run_id = self._chosen(history)
                if run_id is not None and (run is None or run_id != run.run_id):
                    run = self._begin(history, run_id)
            if run is None:
                seen = now
            elif now != seen:
                look = run.look()
                self._put(look)
                seen = now if look.is_whole else None
                if look.is_stale:
                    run, seen = self._begin(history, run.run_id), None
                if len(look.attempts) == CHUNK:
                    continue  # there is more
            self._stopped.wait(POLL_S)

    def _chosen(self, history: History) -> int | None:
        """Return the run to follow: that of the living owner, else the one that was followed before."""
        if other_owner(self._path) is None:
            return self._run_id
        return running_run(history) or newest_run(history)

    def _begin(self, history: History, run_id: int) -> FollowedRun:
        if self._run_id is not None:
            self._sink = UiSink(self._post)
        self._run_id = run_id
        self._post(RunFollowed(self._sink, run_id))
        return FollowedRun(history, run_id)

    def _put(self, look: RunChanges) -> None:
        if look.attempts or look.run is not None:
            self._seq += 1
            self._sink.committed(CommitBatch(self._seq, look.attempts, look.run, wal_bytes=self._wal_bytes()))

    def _wal_bytes(self) -> int:
        try:
            return os.stat(self._wal_path).st_size  # noqa: PTH116 - several times a second, and a third cheaper
        except OSError:
            return 0
