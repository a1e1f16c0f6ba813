"""The opening of the file, on the writer's thread: the user's schema helpers are called in it."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

from pipeloom.engine.attempt import AttemptIds
from pipeloom.errors import PipeloomError
from pipeloom.messages import TaskId
from pipeloom.store.rows import RunRow

_SIGNAL_LATENCY_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Opened:
    """What the writer found and created when it opened the file."""

    run: RunRow
    attempt_ids: AttemptIds
    states: dict[TaskId, str] | None
    """What earlier runs of the pipeline have left for each task to go on from, as JSON; None: it cannot be kept."""
    last_start: str | None
    """When an attempt of an earlier run may have started last."""


class StoppedStartError(PipeloomError):
    """A start was given up: no run was entered."""

    def __init__(self) -> None:
        super().__init__("The run was stopped before it began.")


class Opening:
    """What has come of the opening. A helper may never return, so it can be given up."""

    def __init__(self) -> None:
        self.connection: sqlite3.Connection | None = None
        """The connection that the helpers use."""
        self._lock = threading.Lock()
        """Held while the run is entered: either that happens, or the opening has been given up."""
        self._over = threading.Event()
        self._opened: Opened | None = None
        self._error: BaseException | None = None

    def wait(self) -> Opened:
        """Wait for the end of the opening; raises what went wrong."""
        # A signal that arrives just before the thread falls asleep is only seen when it wakes up again.
        while not self._over.wait(_SIGNAL_LATENCY_S):
            continue
        if self._error is not None:
            raise self._error
        assert self._opened is not None
        return self._opened

    def fail(self, error: BaseException) -> None:
        """End the opening with an error."""
        self._error = self._error or error
        self._over.set()

    def succeed(self, opened: Opened) -> None:
        """End the opening; within `entering`."""
        self._opened = opened
        self._over.set()

    @contextmanager
    def entering(self) -> Iterator[None]:
        """Enter the run in this block; raises `StoppedStartError` when the opening has been given up."""
        with self._lock:
            if self._error is not None:
                raise self._error
            yield

    def give_up(self) -> bool:
        """Give the opening up, and interrupt a statement of a helper; False when the run has been entered already."""
        with self._lock:
            if self._opened is not None:
                return False
            self.fail(StoppedStartError())
        if self.connection is not None:
            with suppress(sqlite3.Error):
                self.connection.interrupt()
        return True
