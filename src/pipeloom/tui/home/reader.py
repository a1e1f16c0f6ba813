"""Reads files in a few threads, which are not waited for: a file on a server that is gone may keep one for ever."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from pipeloom.home.known import KnownFile
from pipeloom.home.look import FileSummary, look, state_of
from pipeloom.status import Status
from pipeloom.tui.home.columns import READING

_THREADS: Final = 3
_AGAIN_S: Final = 2.0
"""Seconds between two looks at what has changed."""


class SummaryReader:
    """Reads files in their order, and keeps what it finds until it is taken."""

    def __init__(self, wake: Callable[[], object], at: Callable[[KnownFile], FileSummary] = look) -> None:
        """`wake` is called in a thread of ours when there is something to take; `at` looks at one file."""
        self._wake = wake
        self._at = at
        self._lock = threading.Lock()
        self._left: deque[KnownFile] = deque()
        self._found: list[FileSummary] = []
        self._working = 0

    def begin(self, files: Iterable[KnownFile]) -> None:
        """Read files, besides those that are left from before."""
        with self._lock:
            self._left.extend(files)
            wanted = min(_THREADS, len(self._left)) - self._working
            self._working += max(0, wanted)
        for _ in range(wanted):
            threading.Thread(target=self._work, name="pipeloom-home", daemon=True).start()

    def take(self) -> list[FileSummary]:
        """Return what was found since the last time."""
        with self._lock:
            found, self._found = self._found, []
            return found

    def stop(self) -> None:
        """Read no more files."""
        with self._lock:
            self._left.clear()

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._left:
                    self._working -= 1
                    return
                file = self._left.popleft()
            seen = self._at(file)
            with self._lock:
                first = not self._found
                self._found.append(seen)
            if first:
                self._wake()


class ChangeWatch:
    """One thread, which looks again and again which files have changed, or have a run that goes on."""

    def __init__(self, rows: Callable[[], Sequence[FileSummary]], tell: Callable[[list[KnownFile]], object]) -> None:
        """`tell` is called in the thread, with files that are to be read again; `rows` returns what is known of all."""
        self._rows = rows
        self._tell = tell
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._main, name="pipeloom-home-changes", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Let the thread end."""
        self._stopped.set()

    def look(self) -> None:
        """Look now."""
        changed = [
            row.file
            for row in self._rows()
            if row.trouble != READING and (row.status is Status.RUNNING or row.state != state_of(row.file.path))
        ]
        if changed and not self._stopped.is_set():
            self._tell(changed)

    def _main(self) -> None:
        while not self._stopped.wait(_AGAIN_S):
            self.look()
