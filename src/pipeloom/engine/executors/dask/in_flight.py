"""An attempt on its way through a Dask cluster, and how long attempts take there."""

from __future__ import annotations

from typing import Final

from distributed import Future

from pipeloom.engine.attempt import Attempt, Outcome
from pipeloom.engine.executors.dask.stream import Stream

_SHORT_S: Final = 0.2
_AHEAD: Final = 8
_SHARE: Final = 0.2


class Job:
    """What is known of an attempt. Guarded by the executor's lock."""

    def __init__(self, attempt: Attempt, run: str) -> None:
        self.attempt = attempt
        self.tries = 1
        self.cancelled = False
        self.killed = False
        self.over = False
        """Its end has been reported: nothing that is still said of it counts."""
        self.future: Future | None = None
        """Dask's own, kept for as long as Dask shall run it."""
        self.stream: Stream | None = None
        """The worker that has begun it."""
        self.started_s: float | None = None
        """Monotonic seconds."""
        self.trouble: Outcome | None = None
        """Why the attempt fails whatever its worker says."""
        self._name = f"{run}-{attempt.id}"

    @property
    def key(self) -> str:
        """What Dask calls it: never the same twice, because Dask would take it for done."""
        return f"{self._name}-{self.tries}"

    @property
    def where(self) -> str:
        """Name the worker."""
        return "the attempt" if self.stream is None else f"worker {self.stream.address}"

    def next_key(self) -> None:
        """Be another task for Dask."""
        self.tries += 1
        self.future = None


class Pace:
    """How many attempts should wait at the cluster for each slot: its worker would wait for the next if it is short."""

    def __init__(self) -> None:
        self._mean_s: float | None = None

    @property
    def ahead(self) -> int:
        """Attempts for each slot, beyond the one that runs. None while work is long: it could not be paused."""
        return 0 if self._mean_s is None or self._mean_s > _SHORT_S else _AHEAD

    def note(self, took_s: float) -> None:
        """Take note of how long an attempt ran."""
        self._mean_s = took_s if self._mean_s is None else self._mean_s + _SHARE * (took_s - self._mean_s)
