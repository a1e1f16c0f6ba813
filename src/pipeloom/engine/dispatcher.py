"""Decides what runs, when, and how it ended: commands from any thread, reports of the executor, news of the writer.

One lock guards every decision. Nothing blocks while it is held: the writer's queue takes the engine's own entries
without limit, and executors take attempts and requests without waiting.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from typing import Any, Final

from pipeloom.engine.book import Book, NewAttempt, Stop, Try, refusal
from pipeloom.engine.checks import KEPT_TEXT, as_json
from pipeloom.engine.clock import Clock
from pipeloom.engine.commands import ENDED_ALREADY, Answer, CommandResult, EngineLoad
from pipeloom.engine.executors.base import Attempt, Executor, Outcome, WorkerInfo
from pipeloom.engine.fold import Rejection
from pipeloom.engine.inbox import Inbox
from pipeloom.engine.options import EngineOptions, checked_workers
from pipeloom.engine.records import CancelAsked, Ended, Finish, Logged, Requeued, RunChanged, Started, Submitted
from pipeloom.engine.sink import CommitBatch, Sink
from pipeloom.engine.timers import Timers
from pipeloom.engine.verdict import verdict
from pipeloom.engine.weight import weight
from pipeloom.errors import TaskCancelled, WriterFailedError
from pipeloom.pipeline import Pipeline, error_matches, positive_number, task_params
from pipeloom.status import ACTIVE, FINAL, OPEN, WAITING, RunStatus, Status, run_status
from pipeloom.store.rows import AttemptRow
from pipeloom.text import clean, storable
from pipeloom.times import stamp

KILL_AFTER_S: Final = 5.0
"""What a worker process that was asked to stop gets, before it is killed."""

_SUBMIT_CHUNK: Final = 2_000
_log = logging.getLogger(__name__)


class Dispatcher:
    """The state of a run between its first and its last commit."""

    def __init__(self, pipeline: Pipeline, options: EngineOptions, clock: Clock, random: Callable[[], float]) -> None:
        self.pipeline = pipeline
        self.options = options
        self.failure: BaseException | None = None
        """Why nothing can be saved any more, if that is so."""
        self.run_id = 0
        """The run's id in the file, once it has been started."""
        self._clock = clock
        self._random = random
        self._policy = options.retry or pipeline.retry
        self._time_limit = options.timeout or pipeline.timeout
        self._workers = options.workers_for(pipeline)
        self._follows = options.limit_for(pipeline) is None
        """Whether the number of workers is the cluster's to say."""
        self._message_types = frozenset(pipeline.handlers)
        self._sinks: list[Sink] = [self]
        self._lock = threading.Lock()
        self._ended = threading.Condition(self._lock)
        """Notified when the run has ended: `wait` waits on it."""
        self._worker_back = threading.Condition(self._lock)
        """Notified while closing, when a worker has come back."""
        self._timers = Timers(self._lock, clock, self.broken)
        self._inbox = Inbox()
        self._book = Book(0)
        self._executor: Executor
        self._started = False
        self._busy = 0
        self._begun = 0
        self._leaked = 0
        self._late = 0
        self._paused = False
        self._idle = False
        self._closing: str | None = None
        self._gone: str | None = None
        """Why nothing can be run any more, if that is so."""
        self._started_s = clock.monotonic()
        self._elapsed_s: float | None = None

    # -- commands --------------------------------------------------------------------------------------------------

    def cancel(self, attempt_ids: Iterable[int] | None = None) -> CommandResult:
        """Cancel attempts (None: all that are open): what waits ends at once, what runs is asked to stop."""
        result, running = Answer(), []
        with self._lock:
            if attempt_ids is None:
                attempt_ids = [attempt.id for attempt in self._book.in_status(*OPEN)]
            for attempt_id in attempt_ids:
                attempt = self._book.get(attempt_id)
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
                attempt = self._book.get(attempt_id)
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
                attempt = self._book.get(attempt_id)
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
                self._book.waiting(),
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
        attempt = self._book.get(attempt_id)
        return "" if attempt is None else attempt.task.name

    # -- what the executor reports ---------------------------------------------------------------------------------

    def started(self, attempt_id: int, worker: str) -> None:
        """Note that a worker has taken the attempt."""
        with self._lock:
            attempt = self._book.get(attempt_id)
            if attempt is None or attempt.status not in ACTIVE:
                return
            attempt.started = self._clock.monotonic()
            self._begun += 1
            self._tell(attempt_id, Started(self._now(), worker))
            limit = getattr(attempt.task, "timeout", None) or self._time_limit
            if (limit := positive_number(limit)) is not None:
                self._timers.add(attempt.started + limit, partial(self._limit_reached, attempt, limit))

    def message(self, attempt_id: int, msg: Any) -> None:
        """Pass a worker's message on, waiting for room; what comes after the end is counted and dropped."""
        attempt = self._book.get(attempt_id)
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
            attempt = self._book.get(attempt_id)
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

    def broken(self, error: BaseException) -> None:
        """Stop the run and tell every sink: a thread of the engine's own has failed, which is a bug."""
        _log.critical("The engine has failed: %s", clean(error), exc_info=error)
        for sink in self._sinks:
            sink.writer_failed(error)

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
            for attempt in self._book.in_status(*ACTIVE):
                attempt.stop = Stop.INTERRUPT  # whatever else it was asked to stop for
        self._inbox.wake()

    # -- what the writer reports -----------------------------------------------------------------------------------

    def committed(self, batch: CommitBatch) -> None:
        """Take note of what is on disk; an error that the policy forgives is followed by the next attempt."""
        with self._lock:
            for row in batch.attempts:
                attempt = self._book.get(row.id) if row.status in FINAL else None
                if attempt is not None and self._book.settle(attempt, row.status) and row.status is Status.ERROR:
                    self._maybe_retry(attempt)
            if self._book.unsettled == 0:
                if batch.run is not None and batch.run.finished_at is not None:
                    self._idle = True
                    self._elapsed_s = self._clock.monotonic() - self._started_s
                    self._ended.notify_all()
                elif not self._idle and self._closing is None:
                    self._finish_run()

    def writer_waiting(self, reason: str | None) -> None:
        """Nothing to do: workers wait by themselves, in `put`."""

    def writer_failed(self, error: BaseException) -> None:
        """Stop everything: no result could be kept."""
        with self._lock:
            self.failure = error
            running = [attempt.id for attempt in self._book.in_status(*ACTIVE)] if self._started else []
            self._ended.notify_all()
        if running:
            self._executor.cancel(running)

    @property
    def gone(self) -> str | None:
        """Why nothing can be run any more, if that is so."""
        return self._gone

    # -- inside, with the lock held --------------------------------------------------------------------------------

    def _now(self) -> str:
        return stamp(self._clock.now())

    def _tell(self, attempt_id: int, entry: object) -> None:
        """Put an entry of the engine's own; a writer that has failed has told everybody already."""
        if self.failure is None:
            try:
                self._inbox.put_now((attempt_id, entry))
            except WriterFailedError:
                return

    def _enter(self, new: Iterable[NewAttempt]) -> list[int]:
        """Create attempts and their rows; returns the ids."""
        now, ids = self._clock.now(), []
        at, coming = stamp(now), iter(new)
        while chunk := list(islice(coming, _SUBMIT_CHUNK)):
            if self._idle:
                self._idle = False
                self._elapsed_s = None
                self._tell(0, RunChanged(RunStatus.RUNNING, None, self._workers))
            rows = [self._new_row(self._add(one, now), one.due_at, at) for one in chunk]
            self._tell(0, Submitted(tuple(rows)))
            ids += [row.id for row in rows]
        return ids

    def _add(self, new: NewAttempt, now: datetime) -> Try:
        """Enter an attempt in the book; one that waits for its time is woken up then."""
        attempt = self._book.add(new)
        if new.due_at is not None:
            delay = (datetime.fromisoformat(new.due_at) - now).total_seconds()
            self._timers.add(self._clock.monotonic() + delay, partial(self._retry_due, attempt))
        return attempt

    def _new_row(self, attempt: Try, due_at: str | None, now: str) -> AttemptRow:
        params, _ = as_json(dict(given) if (given := task_params(attempt.task)) else None)
        return AttemptRow(
            attempt.id,
            self.run_id,
            attempt.task.task_id,
            attempt.number,
            storable(attempt.task.name, KEPT_TEXT),
            attempt.status,
            queued_at=now,
            due_at=due_at,
            params=params,
        )

    def _can_run(self) -> bool:
        return not self._paused and self.failure is None and self._closing is None and self._gone is None

    def _fill(self) -> None:
        """Hand attempts to the executor while it has free slots."""
        while self._can_run() and self._busy < self._executor.window:
            attempt = self._book.next_ready()
            if attempt is None:
                return
            attempt.status = Status.RUNNING
            self._busy += 1
            self._executor.submit(
                Attempt(
                    attempt.id,
                    attempt.number,
                    attempt.task,
                    self.pipeline.worker_fn,
                    self._message_types,
                    self._policy.retry_on,
                )
            )

    def _ask_to_stop(self, attempt: Try, why: Stop, note: str = "") -> None:
        """Mark a running attempt as `cancelling`; the caller then tells the executor, without the lock."""
        if attempt.stop is None:
            attempt.stop = why
            attempt.status = Status.CANCELLING
            self._tell(attempt.id, CancelAsked(note))
            if self._executor.caps.hard_kill:
                self._timers.add(self._clock.monotonic() + KILL_AFTER_S, partial(self._kill_stuck, attempt))

    def _kill(self, attempt: Try) -> bool:
        """End an attempt by force, where the executor can."""
        attempt.killed = self._executor.kill(attempt.id)
        return attempt.killed

    def _end(self, attempt: Try, end: Ended) -> None:
        attempt.status = end.status
        self._tell(attempt.id, end)

    def _give_up_on(self, attempt: Try, status: Status, note: str) -> None:
        """End an attempt whose worker has not come back; its slot stays occupied until it does."""
        attempt.abandoned = True
        self._leaked += 1
        duration = None if attempt.started is None else self._clock.monotonic() - attempt.started
        self._end(attempt, Ended(status, self._now(), duration, message=note))

    def _judge(self, attempt: Try, outcome: Outcome) -> Ended:
        end, attempt.retryable = verdict(attempt, outcome, self._policy.retry_on, self._gone or self._closing)
        duration = None if attempt.started is None else max(0.0, self._clock.monotonic() - attempt.started)
        end.at = attempt.finish.at if attempt.finish is not None and attempt.finish.at else self._now()
        end.duration_s = duration
        return end

    def _maybe_retry(self, attempt: Try) -> None:
        """Follow an error by the next attempt when the task or the policy grants one."""
        own = getattr(attempt.task, "retries", None)
        granted = own if isinstance(own, int) and not isinstance(own, bool) else self._policy.retries
        again = attempt.retryable and not attempt.followed
        if not again or attempt.number > granted or self._closing is not None or self._gone is not None:
            return
        delay = self._policy.delay_s(attempt.number, self._random())
        due_at = stamp(self._clock.now() + timedelta(seconds=delay))
        self._enter([NewAttempt(attempt.task, attempt.number + 1, Status.RETRYING, due_at, attempt)])

    def _requeue(self, attempt: Try) -> None:
        self._book.make_ready(attempt)
        self._tell(attempt.id, Requeued())

    # The three things that timers do: called with the lock held, what they return without it.

    def _retry_due(self, attempt: Try) -> None:
        if attempt.status is Status.RETRYING:
            self._requeue(attempt)
            self._fill()

    def _limit_reached(self, attempt: Try, limit: float) -> Callable[[], None] | None:
        if attempt.status is not Status.RUNNING:
            return None
        self._ask_to_stop(attempt, Stop.TIMEOUT, f"time limit of {limit:g} s reached")
        return partial(self._stop_running, [attempt.id])

    def _kill_stuck(self, attempt: Try) -> None:
        if attempt.status is Status.CANCELLING:
            self._kill(attempt)

    def _stop_running(self, attempt_ids: list[int]) -> None:
        self._executor.cancel(attempt_ids)
        self._inbox.wake()

    def _on_rejected(self, attempt_id: int, rejection: Rejection) -> None:
        """Stop the worker whose message its handler could not persist (called by the writer)."""
        with self._lock:
            attempt = self._book.get(attempt_id)
            if attempt is None:
                return
            attempt.retryable = error_matches(rejection.error, self._policy.retry_on)
            if attempt.status is not Status.RUNNING:
                return
            self._ask_to_stop(attempt, Stop.REJECTED, rejection.message)
        self._stop_running([attempt_id])

    def _interrupt(self, reason: str) -> list[int]:
        """End what waits, mark what runs, and return the ids of what runs."""
        for attempt in self._book.in_status(*WAITING):
            self._end(attempt, Ended(Status.INTERRUPTED, self._now(), message=reason))
        running = list(self._book.in_status(*ACTIVE))
        for attempt in running:
            self._ask_to_stop(attempt, Stop.INTERRUPT, reason)
        return [attempt.id for attempt in running]

    def _await_workers(self, deadline: float) -> None:
        while self._busy > self._leaked and (left := deadline - self._clock.monotonic()) > 0:
            self._clock.wait(self._worker_back, left)

    def _finish_run(self) -> None:
        self._tell(0, RunChanged(run_status(self._book.ends()), self._now(), self._workers))
