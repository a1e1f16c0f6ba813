"""Decides what runs, when, and how it ended: commands from any thread, reports of the executor, news of the writer."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from pipeloom.engine.clock import Clock
from pipeloom.engine.commands import ENDED_ALREADY, Answer, CommandResult, EngineLoad
from pipeloom.engine.events import Ended, Finish, Logged, Started
from pipeloom.engine.executors.base import Outcome, WorkerInfo
from pipeloom.engine.options import EngineOptions, checked_workers
from pipeloom.engine.run.attempts import NewAttempt, Stop, refusal
from pipeloom.engine.run.run import RunState
from pipeloom.engine.worker.weight import weight
from pipeloom.engine.writer.batch import Rejection
from pipeloom.engine.writer.sink import CommitBatch
from pipeloom.errors import TaskCancelled, WriterFailedError
from pipeloom.pipeline import Pipeline, error_matches, positive_number
from pipeloom.status import ACTIVE, FINAL, OPEN, WAITING, Status
from pipeloom.text import clean

_log = logging.getLogger(__name__)


class Dispatcher(RunState):
    """Takes the lock for whoever asks for something or has something to tell."""

    def __init__(self, pipeline: Pipeline, options: EngineOptions, clock: Clock, random: Callable[[], float]) -> None:
        super().__init__(pipeline, options, clock, random)
        self._sinks.append(self)

    # -- commands --------------------------------------------------------------------------------------------------

    def cancel(self, attempt_ids: Iterable[int] | None = None) -> CommandResult:
        """Cancel attempts (None: all that are open): what waits ends at once, what runs is asked to stop."""
        result, running = Answer(), []
        with self._lock:
            if attempt_ids is None:
                attempt_ids = [attempt.id for attempt in self._attempts.in_status(*OPEN)]
            for attempt_id in attempt_ids:
                attempt = self._attempts.get(attempt_id)
                if attempt is None:
                    result.refuse(attempt_id, "it is not an attempt of this run")
                elif attempt.status in WAITING:
                    waits = attempt.status is Status.RETRYING
                    note = "given up before its retry" if waits else "cancelled before it started"
                    self._end(attempt, Ended(Status.CANCELLED, self._now(), message=note))
                    result.accept(attempt_id)
                elif attempt.status in ACTIVE:
                    self._ask_to_stop(attempt, Stop.CANCEL)
                    running.append(attempt_id)
                    result.accept(attempt_id)
                else:
                    result.refuse(attempt_id, f"{ENDED_ALREADY}{attempt.status}")
        self._executor.cancel(running)
        self._inbox.wake()
        return result.frozen()

    def retry(self, attempt_ids: Iterable[int]) -> CommandResult:
        """Follow ended attempts by new ones; one that waits for its due time starts now."""
        result = Answer()
        with self._lock:
            new: list[NewAttempt] = []
            for attempt_id in dict.fromkeys(attempt_ids):
                attempt = self._attempts.get(attempt_id)
                if attempt is None:
                    result.refuse(attempt_id, "it is not an attempt of this run")
                elif self._closing is not None:
                    result.refuse(attempt_id, "the run is being closed")
                elif self._gone is not None:
                    result.refuse(attempt_id, self._gone)
                elif (why := refusal(attempt)) is not None:
                    result.refuse(attempt_id, why)
                elif attempt.status is Status.RETRYING:
                    self._requeue(attempt)
                    result.accept(attempt_id)
                else:
                    new.append(NewAttempt(attempt.task, attempt.number + 1, after=attempt))
            result.accept(*self._enter(new))
            self._fill()
        return result.frozen()

    def abandon(self, attempt_ids: Iterable[int]) -> CommandResult:
        """Give up on attempts whose workers do not stop: they end `cancelled`.

        A worker process is killed; a worker thread cannot be, and keeps its slot until it comes back.
        """
        result = Answer()
        with self._lock:
            for attempt_id in attempt_ids:
                attempt = self._attempts.get(attempt_id)
                if attempt is None or attempt.status is not Status.CANCELLING:
                    result.refuse(attempt_id, "only an attempt that was asked to stop can be abandoned")
                    continue
                if not self._kill(attempt):
                    self._give_up_on(attempt, Status.CANCELLED, "abandoned: its worker did not stop")
                result.accept(attempt_id)
        return result.frozen()

    def pause(self) -> None:
        """Start nothing more; what runs goes on."""
        with self._lock:
            self._paused = True

    def resume(self) -> None:
        """Go on dispatching."""
        with self._lock:
            self._paused = False
            self._fill()

    def set_workers(self, workers: int) -> int:
        """Change the number of workers and return it; what runs is not interrupted when it falls."""
        checked_workers(workers)
        with self._lock:
            self._workers, self._follows = workers, False
            self._executor.set_slots(workers)
            self._fill()
        return workers

    def stack(self, attempt_id: int) -> str | None:
        """Return where a running attempt's code is just now; None when it does not run, or in another process."""
        return self._executor.stack(attempt_id)

    def load(self) -> EngineLoad:
        """Return how busy the engine is."""
        with self._lock:
            slots = self._executor.slots
            return EngineLoad(
                slots,
                min(self._busy, max(slots, self._begun)),  # what waits at a cluster is not at work
                self._leaked,
                self._attempts.waiting(),
                len(self._inbox),
                self._paused,
                self._inbox.blocked,
                self._workers,
            )

    def workers(self) -> list[WorkerInfo]:
        """Return what is known of each worker; may block for a moment."""
        return self._executor.workers()

    def task_name(self, attempt_id: int) -> str:
        """Return the name of the attempt's task; empty when there is no such attempt."""
        attempt = self._attempts.get(attempt_id)
        return "" if attempt is None else attempt.task.name

    # -- what the executor reports ---------------------------------------------------------------------------------

    def started(self, attempt_id: int, worker: str) -> None:
        """Note that a worker has taken the attempt."""
        with self._lock:
            attempt = self._attempts.get(attempt_id)
            if attempt is None or attempt.status not in ACTIVE:
                return
            attempt.started = self._clock.monotonic()
            self._begun += 1
            self._tell(attempt_id, Started(self._now(), worker))
            limit = getattr(attempt.task, "timeout", None) or self._time_limit
            if (limit := positive_number(limit)) is not None:
                self._timers.add(attempt.started + limit, partial(self._limit_reached, attempt, limit))

    def message(self, attempt_id: int, msg: Any) -> None:
        """Pass a worker's message on, waiting for room; what comes after the end is counted and dropped.

        Without the lock, which is much for each message: what is noted here is for the attempt's own worker to say.
        """
        attempt = self._attempts.get(attempt_id)
        if type(msg) is Logged:
            # A worker may still log when it has finished or is being stopped; without room its line is let go.
            if attempt is not None and attempt.status in OPEN:
                self._inbox.put((attempt_id, msg), lambda: attempt.stop is not None, weight(msg))
        elif attempt is None or attempt.deaf:
            self._late += 1
        elif type(msg) is Finish:
            attempt.finish = msg
        elif not self._inbox.put((attempt_id, msg), lambda: attempt.stop is not None, weight(msg)):
            attempt.muted = True
            raise TaskCancelled

    def ended(self, attempt_id: int, outcome: Outcome) -> None:
        """Settle how the attempt ended and give its slot to the next one."""
        with self._lock:
            attempt = self._attempts.get(attempt_id)
            if attempt is None:
                return
            self._busy -= 1
            self._begun -= attempt.started is not None
            end = None
            if attempt.abandoned:
                self._leaked -= 1
            else:
                end = self._judge(attempt, outcome)
                attempt.status = end.status
            self._fill()
            if self._closing is not None:
                self._worker_back.notify_all()
        if end is not None:
            try:
                self._inbox.put((attempt_id, end))
            except WriterFailedError:
                return  # the sinks have been told; `unsaved` counts what was lost

    def slots_changed(self) -> None:
        """Give the executor what it has room for now; a cluster whose size nobody has asked for sets the number."""
        with self._lock:
            if self._follows and self._executor.slots:
                self._workers = self._executor.slots
            if self._started:
                self._fill()

    def lost(self, reason: str) -> None:
        """Interrupt all that is open: nothing can be run any more. What runs ends when the executor says so."""
        _log.error("%s.", clean(reason))
        with self._lock:
            self._gone = reason
            self._interrupt(reason)
            for attempt in self._attempts.in_status(*ACTIVE):
                attempt.stop = Stop.INTERRUPT  # whatever else it was asked to stop for
        self._inbox.wake()

    # -- what the writer reports -----------------------------------------------------------------------------------

    def committed(self, batch: CommitBatch) -> None:
        """Take note of what is on disk; an error that the policy forgives is followed by the next attempt."""
        with self._lock:
            for row in batch.attempts:
                attempt = self._attempts.get(row.id) if row.status in FINAL else None
                if attempt is not None and self._attempts.settle(attempt, row.status) and row.status is Status.ERROR:
                    self._maybe_retry(attempt)
            if self._attempts.unsettled == 0:
                if batch.run is not None and batch.run.finished_at is not None:
                    self._idle = True
                    self._elapsed_s = self._clock.monotonic() - self._started_s
                    self._ended.notify_all()
                elif not self._end_told and self._closing is None:
                    self._finish_run()

    def writer_waiting(self, reason: str | None) -> None:
        """Nothing to do: workers wait by themselves, in `put`."""

    def writer_failed(self, error: BaseException) -> None:
        """Stop everything: no result could be kept."""
        with self._lock:
            self.failure = error
            running = [attempt.id for attempt in self._attempts.in_status(*ACTIVE)] if self._started else []
            self._ended.notify_all()
        if running:
            self._executor.cancel(running)

    def _on_rejected(self, attempt_id: int, rejection: Rejection) -> None:
        """Stop the worker whose message its handler could not persist (called by the writer)."""
        with self._lock:
            attempt = self._attempts.get(attempt_id)
            if attempt is None:
                return
            attempt.retryable = error_matches(rejection.error, self._policy.retry_on)
            if attempt.status is not Status.RUNNING:
                return
            self._ask_to_stop(attempt, Stop.REJECTED, rejection.message)
        self._stop_running([attempt_id])

    @property
    def gone(self) -> str | None:
        """Why nothing can be run any more, if that is so."""
        return self._gone
