"""The attempts of a run that are at a Dask cluster, and how many of them should wait there."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Iterable
from typing import Final

from distributed import Future

from pipeloom.engine.attempt import Attempt, Outcome, OutcomeKind
from pipeloom.engine.executors.base import Reports
from pipeloom.engine.executors.dask.stream import WorkerStream
from pipeloom.text import clean, first_line, storable
from pipeloom.times import monotonic

_SHORT_S: Final = 0.2
_WAITING_PER_SLOT: Final = 8
_LATEST_WEIGHT: Final = 0.2


class SubmittedAttempt:
    """The state of an attempt at the cluster. Guarded by the lock of `SubmittedAttempts`."""

    def __init__(self, attempt: Attempt, run: str) -> None:
        self.attempt = attempt
        self.submissions = 1
        self.cancelled = False
        self.killed = False
        self.ended = False
        """Whether its end has been reported: later records of it are dropped."""
        self.future: Future | None = None
        """Dask's future, kept while Dask should run the attempt."""
        self.stream: WorkerStream | None = None
        """The worker that has started it."""
        self.started_s: float | None = None
        """Monotonic seconds."""
        self.failure: Outcome | None = None
        """Ends the attempt in place of its worker's outcome."""
        self._name = f"{run}-{attempt.id}"

    @property
    def key(self) -> str:
        """Dask's key for it. Each submission has another one: Dask would take a known key for a finished task."""
        return f"{self._name}-{self.submissions}"

    @property
    def place(self) -> str:
        """Name of the worker, for an error text."""
        return "the attempt" if self.stream is None else f"worker {self.stream.address}"

    def next_submission(self) -> None:
        """Take another key."""
        self.submissions += 1
        self.future = None


class Lookahead:
    """How many attempts should wait at the cluster for each slot, so that a worker with short ones is not idle."""

    def __init__(self) -> None:
        self._mean_s: float | None = None

    @property
    def per_slot(self) -> int:
        """Attempts besides the running one. 0 while attempts are long: a pause cannot hold those that wait there."""
        return 0 if self._mean_s is None or self._mean_s > _SHORT_S else _WAITING_PER_SLOT

    def add(self, duration_s: float) -> None:
        """Take the duration of an attempt into the mean."""
        self._mean_s = (
            duration_s if self._mean_s is None else self._mean_s + _LATEST_WEIGHT * (duration_s - self._mean_s)
        )


class SubmittedAttempts:
    """The attempts that the executor holds, by id. Reports the end of each exactly once. Thread-safe."""

    def __init__(self, run: str, reports: Reports, lookahead: Lookahead) -> None:
        self.lock = threading.Lock()
        """Guards the state of each attempt."""
        self.scheduler_loss: str | None = None
        """Why no attempt can run any more."""
        self.closed = False
        """Whether the executor has shut down: nothing more is reported to the engine but the ends."""
        self._run = run
        self._reports = reports
        self._lookahead = lookahead
        self._by_id: dict[int, SubmittedAttempt] = {}
        self._one_ended = threading.Condition(self.lock)

    def add(self, attempt: Attempt) -> SubmittedAttempt:
        """Take an attempt."""
        submitted = self._by_id[attempt.id] = SubmittedAttempt(attempt, self._run)
        return submitted

    def get(self, attempt_id: int) -> SubmittedAttempt | None:
        """Return the attempt; None when it has ended."""
        return self._by_id.get(attempt_id)

    def not_started(self) -> list[SubmittedAttempt]:
        """Return the attempts that no worker has started."""
        with self.lock:
            return [submitted for submitted in self._by_id.values() if submitted.stream is None]

    def started(self) -> list[tuple[WorkerStream, SubmittedAttempt]]:
        """Return the attempts that a worker has started, each with its worker."""
        with self.lock:
            return [(one.stream, one) for one in self._by_id.values() if one.stream is not None]

    def cancel(self, attempt_ids: Iterable[int]) -> list[SubmittedAttempt]:
        """Mark attempts as cancelled and return those that were not."""
        with self.lock:
            found = [one for one in map(self._by_id.get, attempt_ids) if one is not None and not one.cancelled]
            for submitted in found:
                submitted.cancelled = True
            return found

    def is_over(self, submitted: SubmittedAttempt) -> bool:
        """Return whether the attempt has ended, or the executor has."""
        return submitted.ended or self.closed

    def end(self, submitted: SubmittedAttempt, outcome: Outcome, *, unless_started: bool = False) -> None:
        """Report the end of an attempt, once, and drop its future: Dask then forgets it."""
        with self._one_ended:
            if submitted.ended or (unless_started and submitted.stream is not None):
                return
            submitted.ended, submitted.future = True, None
            del self._by_id[submitted.attempt.id]
            if submitted.started_s is not None:
                self._lookahead.add(monotonic() - submitted.started_s)
            self._one_ended.notify_all()
        self._reports.ended(submitted.attempt.id, outcome)

    def wait_until_empty(self, timeout_s: float) -> list[SubmittedAttempt]:
        """Wait until all attempts have ended, and return those that have not."""
        with self._one_ended:
            self._one_ended.wait_for(lambda: not self._by_id, timeout_s)
            return list(self._by_id.values())

    def close(self, timeout_s: float) -> list[SubmittedAttempt]:
        """Wait as `wait_until_empty` does, then be closed."""
        with self._one_ended:
            self._one_ended.wait_for(lambda: not self._by_id, timeout_s)
            self.closed = True
            return list(self._by_id.values())

    def lose_scheduler(self, address: str) -> None:
        """Report once that the scheduler is gone, and end what no worker has started; the streams end the rest."""
        if self.closed:
            return
        reason = f"the Dask scheduler {address} is gone"
        with self.lock:
            first, self.scheduler_loss = self.scheduler_loss is None, reason
        if first:
            self._reports.lost(reason)
        for submitted in self.not_started():
            self.end(submitted, Outcome(OutcomeKind.LOST, error=reason, started=False))


def failed_outcome(kind: OutcomeKind, what: str, error: BaseException) -> Outcome:
    """Return the outcome of an attempt that the program could not send, or receive from."""
    return Outcome(
        kind,
        error_type=clean(type(error).__name__, 200),
        error=f"{what}: {first_line(error)}",
        traceback=storable("".join(traceback.format_exception(error)), 16_000) if error.__traceback__ else "",
        started=kind is not OutcomeKind.REJECTED,
    )
