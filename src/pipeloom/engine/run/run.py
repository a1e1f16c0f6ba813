"""The state of a run, and each step by which it changes. One lock guards it: whoever takes a step holds it.

Nothing blocks while it is held: the writer's queue takes the engine's own entries without limit, and executors take
attempts and requests without waiting.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from typing import Final

from pipeloom.engine.clock import Clock
from pipeloom.engine.events import CancelAsked, Ended, Requeued, RunChanged, Submitted
from pipeloom.engine.executors.base import Attempt, Executor, Outcome
from pipeloom.engine.options import EngineOptions
from pipeloom.engine.run.attempts import Attempts, AttemptState, NewAttempt, Stop
from pipeloom.engine.run.outcomes import resolve_outcome
from pipeloom.engine.run.timers import Timers
from pipeloom.engine.worker.validation import KEPT_TEXT, as_json
from pipeloom.engine.writer.inbox import Inbox
from pipeloom.engine.writer.sink import Sink
from pipeloom.errors import WriterFailedError
from pipeloom.pipeline import Pipeline, task_params
from pipeloom.status import ACTIVE, WAITING, RunStatus, Status, run_status
from pipeloom.store.rows import AttemptRow
from pipeloom.text import clean, storable
from pipeloom.times import stamp

KILL_AFTER_S: Final = 5.0
"""What a worker process that was asked to stop gets, before it is killed."""

_SUBMIT_CHUNK: Final = 2_000
_log = logging.getLogger(__name__)


class RunState:
    """A run between its first and its last commit. Methods want the lock held, unless they say otherwise."""

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
        self._sinks: list[Sink] = []
        self._lock = threading.Lock()
        self._ended = threading.Condition(self._lock)
        """Notified when the run has ended: `wait` waits on it."""
        self._worker_back = threading.Condition(self._lock)
        """Notified while closing, when a worker has come back."""
        self._timers = Timers(self._lock, clock, self.broken)
        self._inbox = Inbox()
        self._attempts = Attempts(0)
        self._executor: Executor
        self._started = False
        self._busy = 0
        self._begun = 0
        self._leaked = 0
        self._late = 0
        self._paused = False
        self._end_told = False
        """Whether the writer has been told that all have ended."""
        self._idle = False
        """Whether that end is on disk."""
        self._closing: str | None = None
        self._gone: str | None = None
        """Why nothing can be run any more, if that is so."""
        self._started_s = clock.monotonic()
        self._elapsed_s: float | None = None

    def broken(self, error: BaseException) -> None:
        """Stop the run and tell every sink: a thread of the engine's own has failed, which is a bug. Needs no lock."""
        _log.critical("The engine has failed: %s", clean(error), exc_info=error)
        for sink in self._sinks:
            sink.writer_failed(error)

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
            self._reopen()
            rows = [self._new_row(self._add(one, now), one.due_at, at) for one in chunk]
            self._tell(0, Submitted(tuple(rows)))
            ids += [row.id for row in rows]
        return ids

    def _reopen(self) -> None:
        """Take back that all have ended, if the writer has been told so."""
        if self._end_told:
            self._end_told = self._idle = False
            self._elapsed_s = None
            self._tell(0, RunChanged(RunStatus.RUNNING, None, self._workers))

    def _add(self, new: NewAttempt, now: datetime) -> AttemptState:
        """Enter an attempt in the book; one that waits for its time is woken up then."""
        attempt = self._attempts.add(new)
        if new.due_at is not None:
            delay = (datetime.fromisoformat(new.due_at) - now).total_seconds()
            self._timers.add(self._clock.monotonic() + delay, partial(self._retry_due, attempt))
        return attempt

    def _new_row(self, attempt: AttemptState, due_at: str | None, now: str) -> AttemptRow:
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
            attempt = self._attempts.next_ready()
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

    def _ask_to_stop(self, attempt: AttemptState, why: Stop, note: str = "") -> None:
        """Mark a running attempt as `cancelling`; the caller then tells the executor, without the lock."""
        if attempt.stop is None:
            attempt.stop = why
            attempt.status = Status.CANCELLING
            self._tell(attempt.id, CancelAsked(note))
            if self._executor.caps.hard_kill:
                self._timers.add(self._clock.monotonic() + KILL_AFTER_S, partial(self._kill_stuck, attempt))

    def _kill(self, attempt: AttemptState) -> bool:
        """End an attempt by force, where the executor can."""
        attempt.killed = self._executor.kill(attempt.id)
        return attempt.killed

    def _end(self, attempt: AttemptState, end: Ended) -> None:
        attempt.status = end.status
        self._tell(attempt.id, end)

    def _give_up_on(self, attempt: AttemptState, status: Status, note: str) -> None:
        """End an attempt whose worker has not come back; its slot stays occupied until it does."""
        attempt.abandoned = True
        self._leaked += 1
        duration = None if attempt.started is None else self._clock.monotonic() - attempt.started
        self._end(attempt, Ended(status, self._now(), duration, message=note))

    def _judge(self, attempt: AttemptState, outcome: Outcome) -> Ended:
        end, attempt.retryable = resolve_outcome(attempt, outcome, self._policy.retry_on, self._gone or self._closing)
        duration = None if attempt.started is None else max(0.0, self._clock.monotonic() - attempt.started)
        end.at = attempt.finish.at if attempt.finish is not None and attempt.finish.at else self._now()
        end.duration_s = duration
        return end

    def _maybe_retry(self, attempt: AttemptState) -> None:
        """Follow an error by the next attempt when the task or the policy grants one."""
        own = getattr(attempt.task, "retries", None)
        granted = own if isinstance(own, int) and not isinstance(own, bool) else self._policy.retries
        again = attempt.retryable and not attempt.followed
        if not again or attempt.number > granted or self._closing is not None or self._gone is not None:
            return
        delay = self._policy.delay_s(attempt.number, self._random())
        due_at = stamp(self._clock.now() + timedelta(seconds=delay))
        self._enter([NewAttempt(attempt.task, attempt.number + 1, Status.RETRYING, due_at, attempt)])

    def _requeue(self, attempt: AttemptState) -> None:
        self._attempts.make_ready(attempt)
        self._tell(attempt.id, Requeued())

    # The three things that timers do: called with the lock held, what they return without it.

    def _retry_due(self, attempt: AttemptState) -> None:
        if attempt.status is Status.RETRYING:
            self._requeue(attempt)
            self._fill()

    def _limit_reached(self, attempt: AttemptState, limit: float) -> Callable[[], None] | None:
        if attempt.status is not Status.RUNNING:
            return None
        self._ask_to_stop(attempt, Stop.TIMEOUT, f"time limit of {limit:g} s reached")
        return partial(self._stop_running, [attempt.id])

    def _kill_stuck(self, attempt: AttemptState) -> None:
        if attempt.status is Status.CANCELLING:
            self._kill(attempt)

    def _stop_running(self, attempt_ids: list[int]) -> None:
        """Tell the executor; without the lock."""
        self._executor.cancel(attempt_ids)
        self._inbox.wake()

    def _interrupt(self, reason: str) -> list[int]:
        """End what waits, mark what runs, and return the ids of what runs."""
        for attempt in self._attempts.in_status(*WAITING):
            self._end(attempt, Ended(Status.INTERRUPTED, self._now(), message=reason))
        running = list(self._attempts.in_status(*ACTIVE))
        for attempt in running:
            self._ask_to_stop(attempt, Stop.INTERRUPT, reason)
        return [attempt.id for attempt in running]

    def _await_workers(self, deadline: float) -> None:
        while self._busy > self._leaked and (left := deadline - self._clock.monotonic()) > 0:
            self._clock.wait(self._worker_back, left)

    def _finish_run(self) -> None:
        self._end_told = True
        self._tell(0, RunChanged(run_status(self._attempts.ends()), self._now(), self._workers))
