"""Runs the attempts of one task in the thread that waits for them, as an executor of the engine."""

from __future__ import annotations

import asyncio
import bdb
import queue
from collections.abc import Iterable
from functools import partial
from typing import Any, Final, NamedTuple

from pipeloom.engine.attempt import Attempt, Outcome, OutcomeKind
from pipeloom.engine.events import Begun, Finish, Found, InputsTaken, Logged, Together
from pipeloom.engine.executors.base import Executor, Reports
from pipeloom.engine.executors.coroutine.channel import CoroutineChannel
from pipeloom.engine.executors.coroutine.outbox import Outbox
from pipeloom.engine.run.tasks import handed_out
from pipeloom.engine.worker.channel import WorkerChannel
from pipeloom.engine.worker.runner import run_coroutine, run_worker
from pipeloom.engine.writer.sink import CommitBatch
from pipeloom.errors import TaskCancelled
from pipeloom.messages import MsgTaskProgress, MsgTaskStarted, TaskId, TaskLike
from pipeloom.users_code import is_async

_WORKER: Final = "test"
"""Name of the one worker, and of the executor."""
_END_S: Final = 1.0
_OURS: Final = frozenset({Begun, Finish, InputsTaken, Logged, MsgTaskStarted})
"""What a worker reports besides messages of its own."""


class Given(NamedTuple):
    """The task, and what the test gives it in place of what a file would have."""

    task: TaskLike
    state: str | None
    """JSON."""
    results: tuple[tuple[TaskId, str | None], ...] | None


class CallingThread(Executor):
    """Runs each attempt of the task in the thread that calls `serve`; tasks that it finds are ended, unstarted."""

    name = _WORKER

    def __init__(self, given: Given) -> None:
        self._given = given
        self._submitted: queue.SimpleQueue[Attempt | None] = queue.SimpleQueue()
        self._reports: Reports
        self._running: tuple[int, WorkerChannel, asyncio.Task[Outcome] | None] | None = None
        self.attempts: list[int] = []
        """Ids of the task's attempts."""
        self.exception: BaseException | None = None
        """What its worker function has raised last."""
        self.messages: list[Any] = []
        """Messages that its worker has put, in order, as they were passed on."""
        self.progress: list[MsgTaskProgress] = []
        self.found: list[Found] = []
        self.state = given.state
        """What the worker has put last, or was given, as JSON."""

    @property
    def slots(self) -> int:
        """One: the calling thread."""
        return 1

    def set_slots(self, slots: int) -> None:
        """Do nothing: a test has one thread."""

    def start(self, reports: Reports) -> None:
        """Keep where to report."""
        self._reports = reports

    def submit(self, attempt: Attempt) -> None:
        """Hand the attempt to `serve`."""
        self._submitted.put(attempt)

    def cancel(self, attempt_ids: Iterable[int]) -> None:
        """Ask attempts to stop: the time limit of the task."""
        running = self._running
        if running is not None and running[0] in attempt_ids:
            running[1].cancel()
            if (task := running[2]) is not None:
                task.get_loop().call_soon_threadsafe(task.cancel)

    def shutdown(self, timeout_s: float) -> int:  # noqa: ARG002 - nothing runs beside `serve`
        """Do nothing: `serve` has returned."""
        return 0

    def serve(self) -> None:
        """Run what is submitted until the run has ended on disk; raises what ends the test."""
        while (attempt := self._submitted.get()) is not None:
            is_found = attempt.task.task_id != self._given.task.task_id
            outcome = Outcome(OutcomeKind.CANCELLED, started=False) if is_found else self._run(attempt)
            self._reports.ended(attempt.id, outcome)
            if self.exception is not None and _ends_test(self.exception):
                raise self.exception

    # -- as the sink that is told last ---------------------------------------------------------------------------------

    def committed(self, batch: CommitBatch) -> None:
        """Let `serve` return when the end of the run is on disk."""
        if batch.run is not None and batch.run.finished_at is not None:
            self._submitted.put(None)

    def writer_waiting(self, reason: str | None) -> None:
        """Do nothing: the run waits."""

    def writer_failed(self, error: BaseException) -> None:  # noqa: ARG002 - the engine keeps it
        """Let `serve` return."""
        self._submitted.put(None)

    # -- one attempt ---------------------------------------------------------------------------------------------------

    def _run(self, attempt: Attempt) -> Outcome:
        given = self._given
        attempt = attempt._replace(task=handed_out(given.task))
        if self.attempts:
            attempt = attempt._replace(state=self.state or attempt.state)
        elif given.state is not None:
            attempt = attempt._replace(state=given.state)
        if given.results is not None:
            attempt = attempt._replace(results=given.results)
        self.attempts.append(attempt.id)
        self.exception = None
        if is_async(attempt.worker_fn):
            return self._run_coroutine(attempt)
        channel = WorkerChannel(attempt, partial(self.message, attempt.id))
        self._running = attempt.id, channel, None
        self._reports.started(attempt.id, _WORKER)
        try:
            return run_worker(attempt, channel, self._raised)
        finally:
            self._running = None

    def _run_coroutine(self, attempt: Attempt) -> Outcome:
        with asyncio.Runner() as runner:
            outbox = Outbox(self, runner.get_loop())
            outbox.start()
            try:
                # Not `runner.run`, which would make an error of the task of a ctrl+c.
                return runner.get_loop().run_until_complete(self._coroutine(attempt, outbox))
            finally:
                outbox.close(_END_S)
                self._running = None

    async def _coroutine(self, attempt: Attempt, outbox: Outbox) -> Outcome:
        channel = CoroutineChannel(attempt, outbox)
        outbox.started(channel.mailbox, _WORKER)
        self._running = attempt.id, channel.channel, asyncio.current_task()
        return await run_coroutine(attempt, channel, channel.channel, channel.check_awaited, self._raised)

    def _raised(self, error: BaseException) -> None:
        if not isinstance(error, TaskCancelled):
            self.exception = error

    # -- what the attempt reports, on its way to the engine ------------------------------------------------------------

    def message(self, attempt_id: int, msg: Any) -> None:
        """Pass a message on, and note it."""
        self._reports.message(attempt_id, msg)
        self._note(msg)

    def has_room(self, attempt_id: int) -> bool:
        """Tell what the engine tells."""
        return self._reports.has_room(attempt_id)

    def started(self, attempt_id: int, worker: str) -> None:
        """Pass the start on."""
        self._reports.started(attempt_id, worker)

    def ended(self, attempt_id: int, outcome: Outcome) -> None:
        """Pass the end on."""
        self._reports.ended(attempt_id, outcome)

    def broken(self, error: BaseException) -> None:
        """Pass on that a part of the engine has failed."""
        self._reports.broken(error)

    def slots_changed(self) -> None:
        """Pass on that there are other slots."""
        self._reports.slots_changed()

    def lost(self, reason: str) -> None:
        """Pass on that nothing can run any more."""
        self._reports.lost(reason)

    def _note(self, msg: Any) -> None:
        kind = type(msg)
        if kind is Together:
            self.messages += msg.messages
            self.found += msg.found
            self.state = self.state if msg.state is None else msg.state
        elif kind is MsgTaskProgress:
            self.progress.append(msg)
        elif kind not in _OURS:
            self.messages.append(msg)


def _ends_test(error: BaseException) -> bool:
    """Tell whether an error ends the test: ctrl+c, the end of a debugger, a test that skips itself."""
    ends_task = isinstance(error, (Exception, SystemExit, GeneratorExit, asyncio.CancelledError))
    return not ends_task or isinstance(error, bdb.BdbQuit)
