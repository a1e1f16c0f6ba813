"""Runs a pipeline: takes the file, starts the threads, and leaves everything in order."""

from __future__ import annotations

import random as _random
import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from pipeloom.code.version import Version, Watch, version_of
from pipeloom.engine.capture import capture
from pipeloom.engine.changes.changes import Changes
from pipeloom.engine.changes.plan import Plan, plan_run
from pipeloom.engine.clock import SYSTEM_CLOCK, Clock
from pipeloom.engine.code.renewal import check_named, check_renewed, renew
from pipeloom.engine.commands import CommandResult, EngineLoad
from pipeloom.engine.executors import make_executor
from pipeloom.engine.hooks.at_end import end_calls
from pipeloom.engine.hooks.calls import EndCall
from pipeloom.engine.interpreter import restore_hooks
from pipeloom.engine.options import EngineOptions
from pipeloom.engine.parts import CLOSE_S, EngineParts, release_after, run_row
from pipeloom.engine.run.commands import RunCommands
from pipeloom.engine.run.commit_events import CommitEvents
from pipeloom.engine.run.executor_events import ExecutorEvents
from pipeloom.engine.run.few import Few
from pipeloom.engine.run.resume import Earlier, Resume, earlier_run, list_today, params_of
from pipeloom.engine.run.run import Run
from pipeloom.engine.run.summary import RunCounts, RunSummary
from pipeloom.engine.writer.opening import Opened, StoppedStartError
from pipeloom.engine.writer.sink import Sink
from pipeloom.engine.writer.writer import Writer
from pipeloom.errors import UsageError
from pipeloom.limits.limit import Limit
from pipeloom.loader import reload_pipeline
from pipeloom.messages import TaskLike
from pipeloom.pipeline import Pipeline, TaskList
from pipeloom.status import ACTIVE, Status
from pipeloom.store.file.owner import OwnerLock
from pipeloom.store.rows import RunRow
from pipeloom.store.write.connect import check_writable, open_writer
from pipeloom.times import monotonic, stamp

_SIGNAL_LATENCY_S: Final = 0.5


class Engine:
    """One run of one pipeline. Commands are thread-safe and idempotent, and answer what happened."""

    def __init__(
        self,
        db_path: Path,
        pipeline: Pipeline,
        options: EngineOptions | None = None,
        *,
        today: TaskList | None = None,
        clock: Clock = SYSTEM_CLOCK,
        random: Callable[[], float] = _random.random,
    ) -> None:
        self.db_path = Path(db_path).absolute()
        self.pipeline = pipeline
        options = options or EngineOptions()
        options.changed_for(pipeline)
        self.version = version_of(pipeline)
        self.today = today or list_today(self.db_path, pipeline, options.resume, options.params)
        self._listed_by = self.version
        self._choice = options.checked_choice(pipeline, self.today.tasks)
        self.options = replace(options, executor=self._choice)
        self._clock = clock
        self._random = random
        self._owner = OwnerLock(self.db_path)
        self._counts = RunCounts()
        self._sinks: list[Sink] = []
        self._started: EngineParts | None = None
        self._closed = threading.Event()
        self._start_lock = threading.Lock()
        self._start_over = threading.Event()
        """Set when `start` has come to its end."""
        self._writer: Writer | None = None
        """The writer of a start that is under way."""
        self._given_up = False
        """Whether `close` was called before the start was over."""

    @property
    def tasks(self) -> Sequence[TaskLike]:
        """All tasks of the list."""
        return self.today.tasks

    def again(self, run_id: int) -> Engine:
        """Return an engine for a new run, not started, whose tasks are listed with the parameters of run `run_id`."""
        params = params_of(self.db_path, self.pipeline, run_id, self.options.params)
        same = self._listed_by is self.version and all(
            self.today.params.get(name) == text for name, text in params.items()
        )
        again = replace(self.options, resume=None, few=Few(), changed=False, params=params)
        return Engine(self.db_path, self.pipeline, again, today=self.today if same else None)

    def another(self) -> Engine:
        """Return an engine for another run with the same options, not started; its tasks are listed again."""
        return Engine(self.db_path, self.pipeline, self.options, clock=self._clock, random=self._random)

    def reload(self) -> None:
        """Give new attempts the pipeline's code as it is on disk now; those that run go on with theirs.

        Raises `UsageError` when it cannot be loaded, or the run cannot go on with it: nothing has changed then.
        """
        reload_pipeline(self.version, self._take)

    def _take(self, pipeline: Pipeline, version: Version) -> None:
        check_renewed(self.pipeline, pipeline, self.options)
        if self._started is not None:
            renew(self._started.run, self._started.writer, pipeline, version)
        else:
            self.today = list_today(self.db_path, pipeline, self.options.resume, self.options.params)
            self._listed_by = version
        self.pipeline, self.version = pipeline, version

    def _reload_for(self, source: str) -> None:
        """Reload what has changed if `source` names this pipeline; raises `UsageError` for another, and as `reload`."""
        check_named(self.version, source, self.run_id)
        if Watch(self.version).look() is not None:
            self.reload()

    def add_sink(self, sink: Sink) -> None:
        """Tell `sink` of every commit; before `start`."""
        self._sinks.append(sink)

    def earlier(self) -> Earlier | None:
        """Return the pipeline's last run in the file, if it has one."""
        return earlier_run(self.db_path, self.pipeline.name)

    def check(self) -> None:
        """Raise what `start` would raise about the file, as far as looking can tell; changes nothing."""
        check_writable(self.db_path, store=self.options.store_task_status)

    def start(self, resume: Resume | None = None) -> RunRow:
        """Take the file, enter the tasks and start working; raises `PipeloomError`, and then nothing was started.

        `resume` says what to run again of an earlier run where the options do not.
        """
        try:
            return self._start(resume)
        finally:
            self._start_over.set()

    def _start(self, resume: Resume | None) -> RunRow:
        self.check()
        restore_hooks()  # or no thread could be started
        self._owner.acquire(stamp(self._clock.now()), self.options.wait_s)
        try:
            resume = resume or self.options.resume
            plan = plan_run(self.db_path, self.pipeline, self.today, self.options, resume, self._clock.now())
            parts, opened = self._start_parts(plan)
        except BaseException:
            release_after(self._writer, self._owner)
            raise
        self._started = parts
        capture.start()  # after the executor: Dask sets its loggers up by what it finds
        parts.run.at_end = self._end_calls
        starts, others = plan.starts(), plan.others
        del plan  # that of a million tasks has 200 MB with their starts, which the run lets go of one by one
        parts.run.begin(opened, starts, others)
        parts.serve()
        return parts.row

    def _start_parts(self, plan: Plan) -> tuple[EngineParts, Opened]:
        """Start the executor, then the writer: a cluster may be out of reach, and then the file stays as it was."""
        options, sinks, clock = self.options, list[Sink](), self._clock
        executor = make_executor(self._choice, options.limit_for(self.pipeline), options.address_for(self.pipeline))
        run = Run(
            self.db_path, self.pipeline, options, executor, clock=clock, random=self._random, sinks=sinks,
            changes=Changes(plan.past, plan.unchanged, plan.known),
        )  # fmt: skip
        commits = CommitEvents(run)
        sinks += [self._counts, commits, *self._sinks]
        executor.start(ExecutorEvents(run))
        try:
            run.timers.start()  # every thread that a run cannot do without is there before its row
            if run.follows_cluster or not isinstance(self._choice, str):
                run.workers = executor.slots or run.workers
            run.time.start()  # however long the cluster took
            writer = self._take_writer(self._make_writer(run, commits, sinks, plan))
            opened = writer.start(run_row(run, plan, options, self.today.params))
        except BaseException:
            with run.lock:
                run.timers.stop()
            executor.shutdown(0.0)
            raise
        run.id = opened.run.id
        return EngineParts(
            self.db_path, opened.run, plan.gone, run, executor, writer, self._owner, clock, self._reload_for
        ), opened

    def _take_writer(self, writer: Writer) -> Writer:
        """Note the writer of the start, unless the start has been given up."""
        with self._start_lock:
            if self._given_up:
                raise StoppedStartError
            self._writer = writer
        return writer

    def _make_writer(self, run: Run, commits: CommitEvents, sinks: Sequence[Sink], plan: Plan) -> Writer:
        wal, durability, store = self.options.wal, self.options.durability, self.options.store_task_status
        return Writer(
            self.db_path,
            lambda: open_writer(self.db_path, wal=wal, durability=durability, store=store),
            run.inbox,
            self._clock,
            code=self.version.hash,
            handlers=self.pipeline.handlers,
            handler_timeouts=self.pipeline.handler_timeouts,
            schemas=self.pipeline.schemas,
            sinks=sinks,
            on_rejected=commits.rejected,
            keep_lock=self._owner.keep,
            known_tasks=plan.known,
            done_tasks=() if plan.unchanged is None else plan.past.tasks,
            keeps_attempts=store,
        )

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until every task has ended and that is on disk (or can never be), and what is called then has returned.

        Returns False when the time is up first.
        """
        run = self._parts.run

        def over() -> bool:
            return ((run.idle or run.failure is not None) and not run.end_calls.going) or self._closed.is_set()

        with run.lock:
            if timeout_s is not None:
                return run.ended.wait_for(over, timeout_s)
            # A signal that arrives just before the thread falls asleep is only seen when it wakes up again.
            while not run.ended.wait_for(over, _SIGNAL_LATENCY_S):
                continue
            return True

    def close(self, grace_s: float | None = None, *, reason: str = "the program was closed") -> None:
        """Stop: attempts that wait, or do not stop within the grace, become `interrupted`; then save and let go.

        The order is: ask to stop, end the executor, call what is called at the end, which gets the grace too, take no
        more requests, last commit, close the file, give up the ownership. A start that is under way is given up where
        that is still possible: nothing was started then.
        """
        parts = self._stop_start()
        if parts is None:
            return
        run, begin = parts.run, monotonic()
        with run.lock:
            first, run.closing = run.closing is None, run.closing or reason
            running = run.interrupt(run.closing) if first else []
        if not first:
            self._closed.wait()
            return
        try:
            self._close(parts, running, self.options.grace_s if grace_s is None else grace_s, begin)
        finally:
            self._closed.set()
        with run.lock:
            run.ended.notify_all()

    def _close(self, parts: EngineParts, running: Sequence[int], grace: float, begin: float) -> None:
        (run := parts.run).stop_running(running)
        with run.lock:
            run.await_workers(grace)
            for attempt in run.attempts.in_status(*ACTIVE):
                run.give_up_on(attempt, Status.INTERRUPTED, f"{run.closing}; it did not stop within {grace:g} s")
            run.timers.stop()
            if not run.end_told:
                run.finish()
        parts.executor.shutdown(0.5 if not run.lost_workers else 0.0)
        if self.pipeline.end_hooks or self.options.on_failure:
            run.finish_calls(CLOSE_S, grace)
        parts.close_file(max(grace + CLOSE_S - (monotonic() - begin), CLOSE_S))
        run.end_calls.finish(CLOSE_S)  # of an end that was late on disk
        run.timers.join(CLOSE_S)
        capture.stop()

    def let_go(self) -> bool:
        """Let other programs have the file once the run has ended; `retry` takes it again. Returns whether they may."""
        return self._parts.let_go()

    @property
    def has_let_go(self) -> bool:
        """Whether `retry` takes the file again, which may block."""
        return self._started is not None and self._started.has_let_go

    def _stop_start(self) -> EngineParts | None:
        """Give up a start that is under way, unless its run has been entered; returns what has been started."""
        if self._started is None:
            with self._start_lock:
                self._given_up = True
                writer = self._writer
            if writer is None or writer.opening.give_up():
                return None
        self._start_over.wait()
        return self._started

    def summary(self) -> RunSummary:
        """Return how the run stands, by what is on disk; what a closed one left open there is interrupted."""
        return self._parts.summary(self._counts, closed=self._closed.is_set())

    def _end_calls(self) -> list[EndCall]:
        return end_calls(self.pipeline, self.options.on_failure, self.summary())

    # -- how it stands -------------------------------------------------------------------------------------------------

    @property
    def _parts(self) -> EngineParts:
        if self._started is None:
            raise UsageError("The engine has not been started.")
        return self._started

    @property
    def is_started(self) -> bool:
        """Whether `start` has succeeded: only then are there commands, a load and a summary."""
        return self._started is not None

    @property
    def is_running(self) -> bool:
        """Whether it was started and not all tasks have ended."""
        return self._started is not None and not self._started.run.idle and not self._closed.is_set()

    @property
    def run_id(self) -> int:
        """The run's id in the file; 0 before `start`."""
        return 0 if self._started is None else self._started.run.id

    @property
    def failure(self) -> BaseException | None:
        """Why nothing can be saved any more, if that is so."""
        return None if self._started is None else self._started.run.failure

    @property
    def executor_lost(self) -> str | None:
        """Why nothing can run any more, if that is so."""
        return None if self._started is None else self._started.run.executor_lost

    @property
    def attempts_granted(self) -> int:
        """Attempts that the retry policy grants a task."""
        return (self.options.retry or self.pipeline.retry).retries + 1

    @property
    def can_kill(self) -> bool:
        """Whether an abandoned attempt is killed."""
        return self._started is not None and self._started.executor.caps.hard_kill

    # -- commands: see `RunCommands` -----------------------------------------------------------------------------------

    @property
    def commands(self) -> RunCommands:
        """All that can be asked of the run; raises `UsageError` before `start`."""
        return self._parts.commands

    def cancel(self, attempt_ids: Iterable[int] | None = None) -> CommandResult:
        """Cancel attempts (None: all open ones): those that wait end at once, those that run are asked to stop."""
        return self._parts.commands.cancel(attempt_ids)

    def retry(self, attempt_ids: Iterable[int], *, from_start: bool = False) -> CommandResult:
        """Follow ended attempts by new ones; one that waits for its due time starts now.

        Takes the file again if it has been let go; raises `PipeloomError` when that cannot be done.
        """
        return self._parts.retry(attempt_ids, from_start=from_start)

    def abandon(self, attempt_ids: Iterable[int]) -> CommandResult:
        """Give up on attempts whose workers do not stop: they end `cancelled`."""
        return self._parts.commands.abandon(attempt_ids)

    def pause(self) -> None:
        """Stop dispatching; running attempts go on."""
        self._parts.commands.pause()

    def resume(self) -> None:
        """Dispatch again."""
        self._parts.commands.resume()

    def set_workers(self, workers: int) -> int:
        """Change the number of workers and return it; when it falls, running attempts are left alone."""
        return self._parts.commands.set_workers(workers)

    def set_limit(self, name: str, limit: Limit) -> Limit:
        """Change a limit, by the name under which it is declared, and return it; attempts that hold it go on."""
        return self._parts.commands.set_limit(name, limit)

    def load(self) -> EngineLoad:
        """Return how busy the engine is."""
        return self._parts.commands.load()

    def why_waiting(self, attempt_ids: Iterable[int]) -> dict[int, str]:
        """Return why attempts have not begun, in words; those are left out that have, or wait for their due time."""
        return self._parts.commands.why_waiting(attempt_ids)

    def waiting_for(self, what: Collection[str]) -> tuple[int, ...]:
        """Return the attempts that wait for one of `what`: see `pipeloom.filters.conditions.WaitsFor`."""
        return self._parts.commands.waiting_for(what)
