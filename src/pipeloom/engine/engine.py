"""Runs a pipeline: takes the file, starts the threads, and leaves everything in order."""

from __future__ import annotations

import inspect
import os
import random as _random
import socket
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from pipeloom.engine.clock import SYSTEM_CLOCK, Clock
from pipeloom.engine.control.server import ControlServer
from pipeloom.engine.executors import check_executor, make_executor
from pipeloom.engine.options import EngineOptions
from pipeloom.engine.run.attempts import Attempts
from pipeloom.engine.run.commands import Dispatcher
from pipeloom.engine.run.resume import Earlier, Resume, earlier_run, first_attempts
from pipeloom.engine.run.summary import RunCounts, RunSummary
from pipeloom.engine.worker.capture import capture
from pipeloom.engine.writer.sink import Sink
from pipeloom.engine.writer.writer import Opened, Writer
from pipeloom.errors import UsageError
from pipeloom.messages import TaskLike
from pipeloom.pipeline import Pipeline, checked_tasks
from pipeloom.status import ACTIVE, RunStatus, Status
from pipeloom.store.file.owner import OwnerLock
from pipeloom.store.rows import RunRow
from pipeloom.store.write.connect import check_writable, open_writer
from pipeloom.times import stamp

_SIGNAL_LATENCY_S: Final = 0.5
_PROCESS_STARTED_AT: Final = stamp(SYSTEM_CLOCK.now())


class Engine(Dispatcher):
    """One run of one pipeline. Commands are thread-safe, idempotent, and answer what happened."""

    def __init__(
        self,
        db_path: Path,
        pipeline: Pipeline,
        options: EngineOptions | None = None,
        *,
        clock: Clock = SYSTEM_CLOCK,
        random: Callable[[], float] = _random.random,
    ) -> None:
        super().__init__(pipeline, options or EngineOptions(), clock, random)
        self.db_path = Path(db_path).absolute()
        self._tasks = checked_tasks(pipeline.tasks)
        _check_worker(pipeline)
        self._choice = self.options.executor_for(pipeline)
        check_executor(self._choice, pipeline)
        self._counts = RunCounts()
        self._sinks.append(self._counts)
        self._owner = OwnerLock(self.db_path)
        self._desk = ControlServer(self.db_path, self, clock, partial(self._tell, 0))
        self._closed = threading.Event()
        self._parent_run_id: int | None = None

    def add_sink(self, sink: Sink) -> None:
        """Tell `sink` of every commit; before `start`."""
        self._sinks.append(sink)

    @property
    def tasks(self) -> Sequence[TaskLike]:
        """The pipeline's tasks."""
        return self._tasks

    @property
    def is_started(self) -> bool:
        """Whether `start` has succeeded: only then are there commands, a load and a summary."""
        return self._started

    @property
    def is_running(self) -> bool:
        """Whether it has been started and tasks have not all ended."""
        return self._started and not self._idle and not self._closed.is_set()

    @property
    def tries(self) -> int:
        """Attempts that the policy grants a task."""
        return self._policy.retries + 1

    @property
    def can_kill(self) -> bool:
        """Whether an attempt that is abandoned is ended by force."""
        return self._started and self._executor.caps.hard_kill

    def earlier(self) -> Earlier | None:
        """Return the pipeline's last run in the file, if there is one."""
        return earlier_run(self.db_path, self.pipeline.name)

    def check(self) -> None:
        """Raise what `start` would raise about the file, as far as looking can tell; changes nothing."""
        check_writable(self.db_path, store=self.options.store_task_status)

    def start(self, resume: Resume | None = None) -> RunRow:
        """Take the file, enter the tasks and start working; raises `PipeloomError`, and then nothing was started.

        `resume` says what to run again of an earlier run where the options do not.
        """
        self.check()
        self._owner.acquire(stamp(self._clock.now()))
        try:
            resume = resume or self.options.resume
            earlier = None if resume is None else earlier_run(self.db_path, self.pipeline.name, resume.run_id)
            self._start_executor()
            try:
                opened = self._open(None if earlier is None else earlier.run.id)
            except BaseException:
                self._executor.shutdown(0.0)
                raise
        except BaseException:
            self._owner.release()
            raise
        self.run_id, self._parent_run_id = opened.run.id, opened.run.parent_run_id
        self._attempts = Attempts(opened.next_attempt_id)
        self._started_s = self._clock.monotonic()
        self._started = True
        capture.start()
        new = first_attempts(self._tasks, earlier, resume, self._clock.now())
        with self._lock:
            self._timers.start()
            if not self._enter(new):
                self._finish_run()
            self._fill()
        self._desk.start()
        return opened.run

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until every task has ended and that is on disk (or can never be); False when the time is up first."""

        def over() -> bool:
            return self._idle or self.failure is not None or self._closed.is_set()

        with self._lock:
            if timeout_s is not None:
                return self._ended.wait_for(over, timeout_s)
            # A signal that arrives just before the thread falls asleep is only seen when it wakes up again.
            while not self._ended.wait_for(over, _SIGNAL_LATENCY_S):
                continue
            return True

    def close(self, grace_s: float | None = None, *, reason: str = "the program was closed") -> None:
        """Stop: what waits and what does not stop within the grace becomes `interrupted`; then save and let go.

        The order is: ask to stop, end the executor, take no more requests, last commit, close the file, give up the
        ownership. Does nothing when the engine was never started.
        """
        if not self._started:
            return
        with self._lock:
            first, self._closing = self._closing is None, self._closing or reason
            running = self._interrupt(self._closing) if first else []
        if not first:
            self._closed.wait()
            return
        self._stop_running(running)
        grace = self.options.grace_s if grace_s is None else grace_s
        with self._lock:
            self._await_workers(self._clock.monotonic() + grace)
            for attempt in self._attempts.in_status(*ACTIVE):
                self._give_up_on(attempt, Status.INTERRUPTED, f"{self._closing}; it did not stop within {grace:g} s")
            self._timers.stop()
            if not self._end_told:
                self._finish_run()
        self._executor.shutdown(0.5 if not self._leaked else 0.0)
        self._desk.stop()
        self._writer.stop(patience_s=max(grace, 2.0))
        self._owner.release()
        capture.stop()
        self._closed.set()
        with self._lock:
            self._ended.notify_all()

    def summary(self) -> RunSummary:
        """Return how the run stands, by what is on disk."""
        elapsed = self._elapsed_s if self._elapsed_s is not None else self._clock.monotonic() - self._started_s
        return RunSummary(
            run_id=self.run_id,
            pipeline=self.pipeline.name,
            db_path=self.db_path,
            counts=self._counts.counts(),
            failed=self._counts.failed(),
            elapsed_s=elapsed,
            unsaved=self._writer.unsaved,
            late=self._late,
            stored=self.options.store_task_status,
            parent_run_id=self._parent_run_id,
            trouble=self._gone,
        )

    def _start_executor(self) -> None:
        """Start it before the file is changed: a cluster may be out of reach."""
        options = self.options
        self._executor = make_executor(
            self._choice, options.limit_for(self.pipeline), options.address_for(self.pipeline)
        )
        self._executor.start(self)
        if self._follows or not isinstance(self._choice, str):
            self._workers = self._executor.slots or self._workers

    def _open(self, parent_run_id: int | None) -> Opened:
        options = self.options
        self._writer = Writer(
            self.db_path,
            lambda: open_writer(
                self.db_path, wal=options.wal, durability=options.durability, store=options.store_task_status
            ),
            self._inbox,
            self._clock,
            handlers=self.pipeline.handlers,
            schemas=self.pipeline.schemas,
            sinks=self._sinks,
            on_rejected=self._on_rejected,
            keep_lock=self._owner.keep,
        )
        now = stamp(self._clock.now())
        return self._writer.start(
            RunRow(
                id=0,
                pipeline=self.pipeline.name,
                status=RunStatus.RUNNING,
                started_at=now,
                source=options.source,
                workers=self._workers,
                executor=self._executor.name,
                parent_run_id=parent_run_id,
                host=socket.gethostname(),
                pid=os.getpid(),
                process_started_at=_PROCESS_STARTED_AT,
                heartbeat_at=now,
            )
        )


def _check_worker(pipeline: Pipeline) -> None:
    worker = pipeline.worker_fn
    if not callable(worker):
        raise UsageError(f"worker_fn must be a function of (task, q), not {type(worker).__name__}.")
    if inspect.iscoroutinefunction(worker) or inspect.isgeneratorfunction(worker):
        raise UsageError(
            f"worker_fn {worker.__name__} must be a plain function: calling an async one or a generator runs nothing."
        )
