"""What the writer reports to a run: on the writer's thread."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter

from pipeloom.engine.code.renewal import leave
from pipeloom.engine.events import Ended
from pipeloom.engine.run.attempts import AttemptState, Stop, TaskStart
from pipeloom.engine.run.held_back import HeldBack
from pipeloom.engine.run.run import Run
from pipeloom.engine.run.tasks import task_of
from pipeloom.engine.schedule.order import ALL
from pipeloom.engine.writer.batch import Rejection
from pipeloom.engine.writer.sink import CommitBatch, FoundTask
from pipeloom.errors import UsageError
from pipeloom.messages import TaskDef
from pipeloom.pipeline import error_matches
from pipeloom.status import ACTIVE, FINAL, Status
from pipeloom.store.rows import AttemptRow


class CommitEvents:
    """The first `Sink` of a run."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def committed(self, batch: CommitBatch) -> None:
        """Note what is on disk; an error that the policy retries is followed by the next attempt."""
        run, over = self._run, list[HeldBack]()
        prepared = self._prepare(batch.found)
        with run.lock:
            run.states.update(batch.states)
            if batch.found:
                self._enter_found(batch.found, prepared)
            free: list[AttemptState] = []
            for row in batch.attempts:
                attempt = run.attempts.get(row.id) if row.status in FINAL else None
                if attempt is not None and run.attempts.settle(attempt, row.status):
                    over += run.attempts.release(attempt)
                    if (version := run.code.end(attempt)) is not None:
                        leave(run, version)
                    free += self._settled(attempt, row)
            if free:
                self._free(free)
            if free or batch.found:
                run.fill()
            if run.attempts.unsettled == 0:
                if batch.run is not None and batch.run.finished_at is not None:
                    run.end_is_on_disk()
                elif not run.end_told and run.closing is None:
                    run.finish()
        for held in over:
            held.discard()

    def _settled(self, attempt: AttemptState, row: AttemptRow) -> Sequence[AttemptState]:
        """Let follow what follows an end by itself; return the attempts whose tasks wait no more for others."""
        run = self._run
        if row.status is Status.DONE:
            return run.dependencies.done(attempt, row.result)
        if row.status is Status.ERROR:
            run.retry_if_granted(attempt)
        for follower, why in run.dependencies.fall(attempt):
            run.skip(follower, why)
        return ()

    def _free(self, attempts: Sequence[AttemptState]) -> None:
        """Let tasks that wait no more run, in the order of their rows; those that were skipped as new attempts."""
        run, again = self._run, list[TaskStart]()
        for attempt in sorted(attempts, key=attrgetter("id")):
            if attempt.waits:
                continue  # what it comes after was entered again in this batch
            if attempt.status is Status.QUEUED:
                run.attempts.make_ready(attempt)
            elif attempt.status is Status.SKIPPED and run.closing is None and run.executor_lost is None:
                again.append(TaskStart(attempt.task, attempt.given, attempt.number + 1, follows=attempt))
        if again:
            run.enter(again)

    def _prepare(self, found: Sequence[FoundTask]) -> list[tuple[TaskDef, UsageError | None]]:
        """Return tasks that workers have put, and why one cannot run; read what results they need. Without the lock."""
        for one in found:
            if one.task.after:
                self._run.dependencies.left_out.load(None if one.task.after == ALL else one.task.after)
        return [task_of(one.task) for one in found]

    def _enter_found(self, found: Sequence[FoundTask], prepared: Sequence[tuple[TaskDef, UsageError | None]]) -> None:
        """Let tasks that workers have put wait for a worker, unless the run or their finders have been stopped."""
        run = self._run
        run.dependencies.expect(task for task, _ in prepared)
        entered = [
            run.attempts.add(TaskStart(task, task), one.row.id) for one, (task, _) in zip(found, prepared, strict=True)
        ]
        for attempt in entered:
            run.wait_for_others(attempt)
        for one, (_, trouble), attempt in zip(found, prepared, entered, strict=True):
            finder = run.attempts.get(one.by)
            if (reason := run.closing or run.executor_lost) is not None:
                run.end(attempt, Ended(Status.INTERRUPTED, run.now(), message=reason))
            elif finder is not None and finder.stop is Stop.CANCEL:
                note = "cancelled with the task that has found it"
                run.end(attempt, Ended(Status.CANCELLED, run.now(), message=note))
            elif trouble is not None:
                error = str(trouble)
                end = Ended(Status.ERROR, run.now(), message=error, error_type=type(trouble).__name__, error=error)
                run.end(attempt, end)
            else:
                run.queue(attempt)

    def writer_waiting(self, reason: str | None) -> None:
        """Do nothing: workers wait by themselves, in `put`."""

    def writer_failed(self, error: BaseException) -> None:
        """Stop all attempts: no result could be kept."""
        run = self._run
        with run.lock:
            first, run.failure = run.failure is None and not run.idle, error
            if first:  # no commit is the last one
                run.end_calls.begin(run.at_end())
            running = [attempt.id for attempt in run.attempts.in_status(*ACTIVE)]
            run.ended.notify_all()
            over = run.attempts.release()
        for held in over:
            held.discard()
        if running:
            run.executor.cancel(running)

    def rejected(self, attempt_id: int, rejection: Rejection) -> None:
        """Stop the worker whose message its handler could not persist."""
        run = self._run
        with run.lock:
            attempt = run.attempts.get(attempt_id)
            if attempt is None:
                return
            attempt.retryable = error_matches(rejection.error_class, run.retry_on)
            if attempt.status is not Status.RUNNING:
                return
            run.ask_to_stop(attempt, Stop.REJECTED, rejection.message)
        run.stop_running([attempt_id])
