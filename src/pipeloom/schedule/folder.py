"""A run when files have come to a folder, or have changed in it: a file counts when its size rests."""

from __future__ import annotations

import stat
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

from pipeloom.errors import UsageError
from pipeloom.schedule.clock import Clock
from pipeloom.schedule.needed import needed

REST_S: Final = 2.0
"""Seconds for which the size and the time of a file stay the same before it counts."""
_STEP_MS: Final = 200
_READY_S: Final = 10.0

State = tuple[int, int]
"""Size in bytes, and the time of the last change in nanoseconds."""


def state_of(path: Path) -> State | None:
    """Return the state of a regular file; None for anything else."""
    with suppress(OSError, ValueError):
        found = path.stat()
        if stat.S_ISREG(found.st_mode):
            return found.st_size, found.st_mtime_ns
    return None


class Resting:
    """Files that have changed, until they rest."""

    def __init__(self, clock: Clock, look: Callable[[Path], State | None] = state_of) -> None:
        self._clock, self._look = clock, look
        self._seen: dict[Path, tuple[State, float]] = {}
        """The state of each file that does not rest yet, and since when it has been so."""

    def note(self, paths: Iterable[Path]) -> None:
        """Note that files have changed."""
        now_s = self._clock.monotonic()
        for path in paths:
            if (state := self._look(path)) is not None:
                before = self._seen.get(path)
                self._seen[path] = before if before is not None and before[0] == state else (state, now_s)

    def take(self) -> bool:
        """Tell whether a file rests that did not; it is noted again when it changes again."""
        now_s, rests = self._clock.monotonic(), False
        for path, (state, since_s) in list(self._seen.items()):
            now = self._look(path)
            if now is None:
                del self._seen[path]
            elif now != state:
                self._seen[path] = (now, now_s)
            elif now_s - since_s >= REST_S:
                del self._seen[path]
                rests = True
        return rests


class Changes(Protocol):
    """What has changed in a folder."""

    def drain(self) -> set[Path]:
        """Return the paths since the last call; raises `UsageError` when the folder cannot be watched any more."""

    def close(self) -> None:
        """Stop watching."""


class WatchedFolder:
    """Collects what watchfiles tells of a folder, in a thread of its own."""

    def __init__(self, folder: Path) -> None:
        self._watch = needed("watchfiles", "--watch").watch
        if not folder.is_dir():
            raise UsageError(f"--watch needs a folder, and {folder} is none.")
        self._folder = folder
        self._stop, self._lock = threading.Event(), threading.Lock()
        self._changed: set[Path] = set()
        self._error: Exception | None = None
        self._ready = threading.Event()
        threading.Thread(target=self._main, name="pipeloom-folder-watch", daemon=True).start()
        self._ready.wait(_READY_S)  # what comes from now on is seen

    def drain(self) -> set[Path]:
        """Return the paths since the last call."""
        with self._lock:
            changed, self._changed = self._changed, set()
        if self._error is not None or not self._folder.is_dir():
            why = "it is not there any more" if self._error is None else str(self._error)
            raise UsageError(f"{self._folder} cannot be watched: {why}.")
        return changed

    def close(self) -> None:
        """Stop watching."""
        self._stop.set()

    def _main(self) -> None:
        try:
            for changes in self._watch(
                self._folder,
                stop_event=self._stop,
                step=_STEP_MS // 4,
                rust_timeout=_STEP_MS,
                yield_on_timeout=True,
                raise_interrupt=False,
            ):
                self._ready.set()
                with self._lock:
                    self._changed.update(Path(path) for _, path in changes)
        except Exception as error:  # noqa: BLE001 - raised by the next `drain`
            self._error = error
            self._ready.set()


class OnFiles:
    """A run at once, and then one when files rest that have come or changed; all that rest meanwhile share the next."""

    def __init__(self, changes: Changes, resting: Resting, is_ours: Callable[[Path], bool]) -> None:
        """Files that `is_ours` names do not count: the database lies in the folder, too, in many setups."""
        self._changes, self._resting, self._is_ours = changes, resting, is_ours
        self._wanted = True

    def is_due(self) -> bool:
        """Tell whether a file rests that no run has had; raises `UsageError` when the folder is gone."""
        self._resting.note(path for path in self._changes.drain() if not self._is_ours(path))
        self._wanted = self._resting.take() or self._wanted
        return self._wanted

    def begin(self) -> None:
        """Let the next run wait for other files."""
        self._wanted = False

    def end(self) -> None:
        """Do nothing: files that have come meanwhile start the next run."""

    def next_at(self) -> datetime | None:
        """Return None: files come when they come."""
        return None

    def close(self) -> None:
        """Stop watching."""
        self._changes.close()


def of_database(db: Path) -> Callable[[Path], bool]:
    """Return what tells whether a path is the database, or one of the files beside it that SQLite and we make."""
    real = Path(db.absolute().parent.resolve(), db.name)
    folders = {db.absolute().parent, real.parent}
    return lambda path: path.name.startswith(db.name) and path.parent in folders
