"""A run, and each step by which it changes. One lock guards it: the caller of a step holds it.

Nothing blocks while the lock is held: the writer's queue takes the dispatcher's own entries without limit, and
executors take attempts and requests without waiting.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final

from pipeloom.code.version import version_of
from pipeloom.engine.attempt import AttemptIds, Outcome
from pipeloom.engine.changes.changes import Changes
from pipeloom.engine.clock import Clock, RunClock
from pipeloom.engine.code.current import CurrentCode
from pipeloom.engine.events import (
    NO_STATE,
    CancelAsked,
    Ended,
    Requeued,
    RunChanged,
    Submitted,
    Together,
    Whole,
)
from pipeloom.engine.executors.base import Executor
from pipeloom.engine.hooks.calls import EndCall, EndCalls
from pipeloom.engine.options import EngineOptions
from pipeloom.engine.run.attempts import Attempts, AttemptState, Stop, TaskStart
from pipeloom.engine.run.held_back import Holds
from pipeloom.engine.run.outcomes import next_try, resolve_outcome
from pipeloom.engine.run.tasks import new_row
from pipeloom.engine.run.timers import Timers
from pipeloom.engine.schedule.dependencies import Dependencies
from pipeloom.engine.schedule.left_out import LeftOut
from pipeloom.engine.schedule.limits import Budget, Limits
from pipeloom.engine.schedule.ready import Ready
from pipeloom.engine.writer.inbox import Inbox, ProgressSlot
from pipeloom.engine.writer.opening import Opened
from pipeloom.engine.writer.sink import Sink
from pipeloom.errors import WriterFailedError
from pipeloom.messages import TaskId
from pipeloom.pipeline import Pipeline, positive_number
from pipeloom.status import ACTIVE, WAITING, RunStatus, Status, run_status
from pipeloom.text import clean
from pipeloom.times import stamp

KILL_AFTER_S: Final = 5.0
"""Seconds that a worker process gets after it was asked to stop, before it is killed."""

_SUBMIT_CHUNK: Final = 2_000
_LATE_S: Final = 0.02
"""Seconds by which a worker function may begin after that was noted: other threads may take their turns in between."""
_log = logging.getLogger(__name__)


class Run:
    """A run between its first and its last commit. Every method wants the lock held, unless it says otherwise."""

    def __init__(
        self,
        db_path: Path,
        pipeline: Pipeline,
        options: EngineOptions,
        executor: Executor,
        *,
        clock: Clock,
        random: Callable[[], float],
        sinks: Sequence[Sink],
        changes: Changes | None = None,
    ) -> None:
        self.code = CurrentCode(pipeline, version_of(pipeline), options)
        self.executor, self.clock = executor, clock
        self.time = RunClock(clock)
        self.now = self.time.now
        self.lock = threading.Lock()
        self.ended = threading.Condition(self.lock)
        """Notified when the run has ended: `Engine.wait` waits on it."""
        self.worker_back = threading.Condition(self.lock)
        """Notified while closing, when a worker has come back."""
        self.inbox = Inbox()
        self.limits = Limits(pipeline.limits)
        self.ready = Ready[AttemptState](self.limits, clock.monotonic, self._wake_at)
        self.attempts = Attempts(AttemptIds(0), self.ready)
        self.states: dict[TaskId, str] = {}
        """What earlier attempts have left for each task to go on from, as JSON."""
        self.dependencies = Dependencies()
        self.changes = changes or Changes()
        self._holds = Holds(db_path)
        self.timers = Timers(self.lock, clock, self.broken)
        self.id = 0
        """The run's id in the file, once that is open."""
        self.has_begun = self._keeps_state = False
        self.workers = options.workers_for(pipeline)
        self.follows_cluster = options.limit_for(pipeline) is None
        """Whether the cluster decides the number of workers."""
        self.busy = 0
        """Attempts that the executor holds."""
        self.at_work = 0
        """Those of them that a worker has taken."""
        self.lost_workers = 0
        """Workers that hold an abandoned attempt."""
        self.late = 0
        """Messages that came after the end of their attempt."""
        self.paused = False
        self.end_told = False
        """Whether the writer has been told that all attempts have ended."""
        self.idle = False
        """Whether that end is on disk."""
        self.closing: str | None = None
        """Why the run is being closed, if it is."""
        self.executor_lost: str | None = None
        """Why nothing can run any more, if that is so."""
        self.failure: BaseException | None = None
        """Why nothing can be saved any more, if that is so."""
        self.end_calls = EndCalls(clock, self.lock, self.ended, partial(self.tell, 0))
        self.at_end: Callable[[], Iterable[EndCall]] = tuple
        """Returns what is called after an end; called with the lock held."""
        self._random, self._sinks = random, sinks

    def begin(self, opened: Opened, starts: deque[TaskStart], left_out: LeftOut | None = None) -> None:
        """Enter the first attempts, which leaves `starts` empty, and dispatch them. Takes the lock itself."""
        self._holds.clear()
        with self.lock:
            self.dependencies = Dependencies(left_out)
            self.dependencies.expect(start.task for start in starts)
            self.attempts = Attempts(opened.attempt_ids, self.ready)
            self._keeps_state = opened.states is not None
            self.states = opened.states or {}
            if opened.last_start is not None:
                ago = (self.clock.now() - datetime.fromisoformat(opened.last_start)).total_seconds()
                self.limits.continue_after(self.clock.monotonic() - ago)
            self.has_begun = True
            if not self.enter(starts.popleft() for _ in range(len(starts))):
                self.finish()
            self.fill()

    def broken(self, error: BaseException) -> None:
        """Stop the run and tell every sink: a thread of the engine has failed, which is a bug. Needs no lock."""
        _log.critical("The engine has failed: %s", clean(error), exc_info=error)
        for sink in self._sinks:
            sink.writer_failed(error)

    @property
    def retry_on(self) -> tuple[type[BaseException] | str, ...]:
        """Errors that are worth another attempt."""
        return self.code.policy.retry_on

    def tell(self, attempt_id: int, entry: object) -> None:
        """Put an entry of the dispatcher's own into the writer's queue; a failed writer has told every sink already."""
        if self.failure is None:
            try:
                self.inbox.put_now((attempt_id, entry))
            except WriterFailedError:
                return

    # -- attempts ----------------------------------------------------------------------------------------------------

    def enter(self, starts: Iterable[TaskStart]) -> list[int]:
        """Create attempts and their rows; returns the ids."""
        now, ids = self.clock.now(), []
        at, coming = stamp(now), iter(starts)
        while chunk := list(islice(coming, _SUBMIT_CHUNK)):
            self._reopen()
            added = [self._add(one, now) for one in chunk]
            rows = [new_row(self.id, attempt, one.due_at, at) for attempt, one in zip(added, chunk, strict=True)]
            self.tell(0, Submitted(tuple(rows)))
            for attempt in added:
                self.queue(attempt)
            for row, start in zip(rows, chunk, strict=True):
                if start.from_start:
                    self.states[row.task_id] = NO_STATE
                    self.tell(row.id, Together(state=NO_STATE))
            ids += [row.id for row in rows]
        return ids

    def wait_for_others(self, attempt: AttemptState) -> None:
        """Note what a new attempt waits for; what comes after its task, and has not begun, waits for it again."""
        for follower in self.dependencies.enter(attempt):
            self.ready.leave(follower)

    def queue(self, attempt: AttemptState) -> None:
        """Let a queued attempt wait for a worker when all that its task comes after is done; skip it if it never is."""
        if not attempt.waits:
            if attempt.status is Status.QUEUED:
                self.attempts.make_ready(attempt)
        elif (why := self.dependencies.why_never(attempt)) is not None:
            self.skip(attempt, why)

    def skip(self, attempt: AttemptState, why: str) -> None:
        """End an attempt that waits for a task that has ended badly."""
        self.end(attempt, Ended(Status.SKIPPED, self.now(), message=why))

    def _reopen(self) -> None:
        """Take back that all attempts have ended, if the writer has been told so."""
        if self.end_told:
            self.end_told = self.idle = False
            self.time.go_on()
            self.tell(0, self.changed(RunStatus.RUNNING))

    def _add(self, start: TaskStart, now: datetime) -> AttemptState:
        attempt = self.attempts.add(start)
        self.wait_for_others(attempt)
        if start.due_at is not None:
            delay = (datetime.fromisoformat(start.due_at) - now).total_seconds()
            self.timers.add(self.clock.monotonic() + delay, partial(self._retry_due, attempt))
        return attempt

    def fill(self) -> None:
        """Hand attempts to the executor while it has free slots."""
        while self._can_dispatch() and self.busy < self.executor.window:
            attempt = self.ready.take()
            if attempt is None:
                return
            attempt.status = Status.RUNNING
            attempt.progress = ProgressSlot(attempt.id)
            own = attempt.task.atomic
            if self.code.pipeline.atomic if own is None else own:
                attempt.held = self._holds.make(attempt.id)
            self.busy += 1
            task = attempt.task
            earlier = self.states.get(task.task_id, NO_STATE) if self._keeps_state else None
            results, known_key = self.dependencies.results(task), self.changes.known_key(task.task_id)
            self.executor.submit(self.code.begin(attempt, earlier, results, known_key))

    def _can_dispatch(self) -> bool:
        return not self.paused and self.failure is None and self.closing is None and self.executor_lost is None

    def give_back(self, attempt: AttemptState, *, began: bool) -> None:
        """Free the slot and the limits of an attempt whose worker has come back; `began`: its code may have run."""
        self.busy -= 1
        if attempt.task.limits:
            if began:
                self.note_start(attempt)
            self.ready.give_back(attempt)

    def note_start(self, attempt: AttemptState) -> None:
        """Let the limits of an attempt count its start, once: its code begins now, or has begun."""
        if attempt.task.limits:
            self.ready.note_start(attempt, self.clock.monotonic() + _LATE_S)

    def limit_time(self, attempt: AttemptState) -> None:
        """Stop a started attempt when its time limit is reached, if it has one."""
        given = attempt.task.timeout or self.code.time_limit
        limit = given and positive_number(given)
        if limit is not None and attempt.started is not None:
            self.timers.add(attempt.started + limit, partial(self._limit_reached, attempt, limit))

    def ask_to_stop(self, attempt: AttemptState, why: Stop, note: str = "") -> None:
        """Mark a running attempt as `cancelling`; the caller then calls `stop_running`, without the lock."""
        if attempt.stop is None:
            attempt.stop = why
            attempt.status = Status.CANCELLING
            self.tell(attempt.id, CancelAsked(note))
            if self.executor.caps.hard_kill:
                self.timers.add(self.clock.monotonic() + KILL_AFTER_S, partial(self._kill_stuck, attempt))

    def stop_running(self, attempt_ids: Sequence[int]) -> None:
        """Ask the executor to stop attempts, and wake workers that wait for the writer. Called without the lock."""
        self.executor.cancel(attempt_ids)
        self.inbox.wake()

    def kill(self, attempt: AttemptState) -> bool:
        """Kill the attempt's worker; returns False where the executor cannot."""
        attempt.killed = self.executor.kill(attempt.id)
        return attempt.killed

    def end(self, attempt: AttemptState, end: Ended) -> None:
        """End an attempt: what its worker publishes from now on does not count."""
        self.ready.leave(attempt)
        attempt.status, attempt.ignores_messages = end.status, True
        slot, attempt.progress = attempt.progress, None
        held = attempt.held if end.status is Status.DONE else None
        try:
            if held is None:
                self.inbox.put_end(slot, (attempt.id, end))
            else:
                self.inbox.put_end(slot, (attempt.id, Whole(held, end)), held.size)
        except WriterFailedError:
            return  # the sinks have been told; `unsaved` counts what was lost

    def give_up_on(self, attempt: AttemptState, status: Status, note: str) -> None:
        """End an attempt whose worker has not come back; its slot stays occupied until it does."""
        attempt.abandoned = True
        self.lost_workers += 1
        seconds = self.clock.monotonic()
        self.end(attempt, Ended(status, self.now(seconds), self._duration_s(attempt, seconds), message=note))

    def come_back(self, attempt: AttemptState, outcome: Outcome) -> None:
        """End an attempt whose worker came back with `outcome`."""
        finish, seconds = attempt.finish, self.clock.monotonic()
        end, attempt.retryable, attempt.retry_after_s = resolve_outcome(
            attempt,
            outcome,
            self.retry_on,
            at=finish.at if finish is not None and finish.at else self.now(seconds),
            duration_s=self._duration_s(attempt, seconds),
            interrupted_by=self.executor_lost or self.closing,
            waits=self.code.policy.waits,
        )
        self.end(attempt, end)

    def _duration_s(self, attempt: AttemptState, seconds: float) -> float | None:
        return None if attempt.started is None else max(0.0, seconds - attempt.started)

    def retry_if_granted(self, attempt: AttemptState) -> None:
        """Follow an error by the next attempt where its worker has asked for one, or one is granted."""
        if attempt.followed or self.closing is not None or self.executor_lost is not None:
            return
        start = next_try(attempt, self.code.policy, self.clock.now(), self._random)
        if start is not None:
            self.enter([start])

    def requeue(self, attempt: AttemptState) -> None:
        """End the wait of a `retrying` attempt."""
        attempt.status = Status.QUEUED
        self.tell(attempt.id, Requeued())
        self.queue(attempt)

    # -- timers: called with the lock held; what they return is called without it --------------------------------------

    def _wake_at(self, due: float, budget: Budget) -> None:
        self.timers.add(due, partial(self._limit_due, budget))

    def _limit_due(self, budget: Budget) -> None:
        self.ready.ring(budget)
        self.fill()

    def _retry_due(self, attempt: AttemptState) -> None:
        if attempt.status is Status.RETRYING:
            self.requeue(attempt)
            self.fill()

    def _limit_reached(self, attempt: AttemptState, limit_s: float) -> Callable[[], None] | None:
        if attempt.status is not Status.RUNNING:
            return None
        left = "".join(f"; waits for {child}" for child in self.executor.children(attempt.id))
        self.ask_to_stop(attempt, Stop.TIMEOUT, f"time limit of {limit_s:g} s reached{left}")
        return partial(self.stop_running, [attempt.id])

    def _kill_stuck(self, attempt: AttemptState) -> None:
        if attempt.status is Status.CANCELLING:
            self.kill(attempt)

    # -- the end -----------------------------------------------------------------------------------------------------

    def interrupt(self, reason: str) -> list[int]:
        """End the attempts that wait, ask those that run to stop, and return the ids of those that run."""
        end = Ended(Status.INTERRUPTED, self.now(), message=reason)
        for attempt in self.attempts.in_status(*WAITING):
            self.end(attempt, end)
        running = list(self.attempts.in_status(*ACTIVE))
        for attempt in running:
            self.ask_to_stop(attempt, Stop.INTERRUPT, reason)
        return [attempt.id for attempt in running]

    def await_workers(self, grace_s: float) -> None:
        """Wait up to `grace_s` seconds until every worker that can still come back has done so."""
        deadline = self.clock.monotonic() + grace_s
        while self.busy > self.lost_workers and (left := deadline - self.clock.monotonic()) > 0:
            self.clock.wait(self.worker_back, left)

    def finish(self) -> None:
        """Tell the writer that all attempts have ended."""
        self.end_told = True
        self.tell(0, self.changed(run_status(self.attempts.ends()), self.time.end()))

    def changed(self, status: RunStatus, ended_at: str | None = None) -> RunChanged:
        """Return what the writer is told of a change of the run."""
        return RunChanged(status, ended_at, self.workers, self.changes.unchanged, self.time.idle_s)

    def finish_calls(self, patience_s: float, grace_s: float) -> None:
        """Wait `patience_s` seconds until the end is on disk, then `grace_s` for the calls. Takes the lock itself."""
        with self.lock:
            self.ended.wait_for(lambda: self.idle or self.failure is not None, patience_s)
        self.end_calls.finish(grace_s)

    def end_is_on_disk(self) -> None:
        """Note that the run's end is on disk."""
        self.idle = True
        self.end_calls.begin(self.at_end())
        self.ended.notify_all()
