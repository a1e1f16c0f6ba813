"""The commands on a run: from any thread, each takes the lock, and answers what happened."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from pipeloom.engine.commands import CommandResult, EngineLoad, Refusal, RefusalReason
from pipeloom.engine.events import Ended
from pipeloom.engine.executors.base import WorkerInfo
from pipeloom.engine.options import checked_workers
from pipeloom.engine.run.attempts import AttemptState, Stop, TaskStart, retry_refusal
from pipeloom.engine.run.run import Run
from pipeloom.engine.schedule.waiting import Waiting
from pipeloom.limits.limit import Limit
from pipeloom.status import ACTIVE, OPEN, WAITING, Status


class RunCommands:
    """What can be asked of a run: see `pipeloom.engine.commands.Commands`. Idempotent."""

    def __init__(self, run: Run) -> None:
        self._run = run

    @property
    def run_id(self) -> int:
        """Id of the run in the file."""
        return self._run.id

    def cancel(self, attempt_ids: Iterable[int] | None = None) -> CommandResult:
        """Cancel attempts (None: all open ones): those that wait end at once, those that run are asked to stop."""
        run, result, running = self._run, _Result(), []
        with run.lock:
            now = run.now()
            never_ran = Ended(Status.CANCELLED, now, message="cancelled before it started")
            given_up = Ended(Status.CANCELLED, now, message="given up before its retry")
            if attempt_ids is None:
                attempt_ids = [attempt.id for attempt in run.attempts.in_status(*OPEN)]
            for attempt_id in attempt_ids:
                attempt = run.attempts.get(attempt_id)
                if attempt is None:
                    result.refuse(attempt_id, Refusal(RefusalReason.NOT_FOUND))
                elif attempt.status in WAITING:
                    run.end(attempt, given_up if attempt.status is Status.RETRYING else never_ran)
                    result.accept(attempt_id)
                elif attempt.status in ACTIVE:
                    run.ask_to_stop(attempt, Stop.CANCEL)
                    running.append(attempt_id)
                    result.accept(attempt_id)
                else:
                    result.refuse(attempt_id, Refusal(RefusalReason.ENDED, attempt.status))
        run.stop_running(running)
        return result.frozen()

    def retry(self, attempt_ids: Iterable[int], *, from_start: bool = False) -> CommandResult:
        """Follow ended attempts by new ones; one that waits for its due time starts now.

        With `from_start` the state that the tasks have left is dropped; one that waits for its due time keeps it.
        """
        run, result, waiting = self._run, _Result(), list[AttemptState]()
        with run.lock:
            for attempt_id in dict.fromkeys(attempt_ids):
                attempt = run.attempts.get(attempt_id)
                if attempt is None:
                    result.refuse(attempt_id, Refusal(RefusalReason.NOT_FOUND))
                elif (refusal := self._retry_refusal(attempt)) is not None:
                    result.refuse(attempt_id, refusal)
                elif attempt.status is Status.RETRYING:
                    run.requeue(attempt)
                    result.accept(attempt_id)
                else:
                    waiting.append(attempt)
            # One that comes after another of them can run again once that does.
            while ready := [attempt for attempt in waiting if run.dependencies.why_never(attempt) is None]:
                result.accept(*run.enter(_next_of(attempt, from_start=from_start) for attempt in ready))
                waiting = [attempt for attempt in waiting if not attempt.followed]
            for attempt in waiting:
                detail = run.dependencies.why_never(attempt) or ""
                result.refuse(attempt.id, Refusal(RefusalReason.WAITS, detail=detail))
            run.fill()
        return result.frozen()

    def _retry_refusal(self, attempt: AttemptState) -> Refusal | None:
        run = self._run
        if run.closing is not None:
            return Refusal(RefusalReason.CLOSING)
        if run.executor_lost is not None:
            return Refusal(RefusalReason.EXECUTOR_LOST, detail=run.executor_lost)
        return retry_refusal(attempt)

    def abandon(self, attempt_ids: Iterable[int]) -> CommandResult:
        """Give up on attempts whose workers do not stop: they end `cancelled`.

        A worker process is killed; a worker thread cannot be, and keeps its slot until it comes back.
        """
        run, result = self._run, _Result()
        with run.lock:
            for attempt_id in attempt_ids:
                attempt = run.attempts.get(attempt_id)
                if attempt is None or attempt.status is not Status.CANCELLING:
                    result.refuse(attempt_id, Refusal(RefusalReason.NOT_CANCELLING))
                    continue
                if not run.kill(attempt):
                    run.give_up_on(attempt, Status.CANCELLED, "abandoned: its worker did not stop")
                result.accept(attempt_id)
        return result.frozen()

    def pause(self) -> None:
        """Stop dispatching; running attempts go on."""
        with self._run.lock:
            self._run.paused = True

    def resume(self) -> None:
        """Dispatch again."""
        with self._run.lock:
            self._run.paused = False
            self._run.fill()

    def set_workers(self, workers: int) -> int:
        """Change the number of workers and return it; when it falls, running attempts are left alone."""
        checked_workers(workers, self._run.executor.name)
        run = self._run
        with run.lock:
            run.workers, run.follows_cluster = workers, False
            run.executor.set_slots(workers)
            run.fill()
        return workers

    def set_limit(self, name: str, limit: Limit) -> Limit:
        """Change a limit, by the name under which it is declared, and return it; attempts that hold it are left alone.

        Raises `UsageError` when the pipeline has no such limit.
        """
        run = self._run
        with run.lock:
            for budget in run.limits.change(name, limit):
                run.ready.wake(budget)
            run.fill()
        return limit

    def load(self) -> EngineLoad:
        """Return how busy the engine is."""
        run = self._run
        with run.lock:
            slots = run.executor.slots
            return EngineLoad(
                workers=slots,
                busy=min(run.busy, max(slots, run.at_work)),  # what waits at a cluster is not at work
                lost=run.lost_workers,
                waiting=run.ready.waiting,
                backlog=len(run.inbox),
                paused=run.paused,
                blocked=run.inbox.blocked,
                wanted=run.workers,
                limits=tuple(run.limits.uses()),
            )

    def why_waiting(self, attempt_ids: Iterable[int]) -> dict[int, str]:
        """Return why attempts have not begun, in words; those are left out that have, or wait for their due time."""
        run, found = self._run, {}
        with run.lock:
            waiting = self._waiting()
            for attempt_id in attempt_ids:
                attempt = run.attempts.get(attempt_id)
                if attempt is not None and (why := waiting.why(attempt)):
                    found[attempt_id] = why
        return found

    def waiting_for(self, what: Collection[str]) -> tuple[int, ...]:
        """Return the attempts that wait for a limit, a task, or another of the things that `waits:` takes."""
        with self._run.lock:
            return tuple(self._waiting().waiting_for(what))

    def _waiting(self) -> Waiting:
        run = self._run
        slots = run.executor.slots
        return Waiting(run.attempts, run.ready, run.dependencies, slots, min(run.busy, slots), run.paused)

    def stack(self, attempt_id: int) -> str | None:
        """Return the stack of a running attempt's code; None when it does not run, or runs in another process."""
        return self._run.executor.stack(attempt_id)

    def workers(self) -> list[WorkerInfo]:
        """Return what is known of each worker; may block for a moment."""
        return self._run.executor.workers()

    def task_name(self, attempt_id: int) -> str:
        """Return the name of the attempt's task; empty when the run has no such attempt."""
        attempt = self._run.attempts.get(attempt_id)
        return "" if attempt is None else attempt.task.name


def _next_of(attempt: AttemptState, *, from_start: bool) -> TaskStart:
    return TaskStart(
        attempt.task,
        attempt.given,
        attempt.number + 1,
        follows=attempt,
        errors=attempt.errors + 1,
        from_start=from_start,
    )


class _Result:
    """Collects a `CommandResult`."""

    def __init__(self) -> None:
        self.accepted: list[int] = []
        self.refused: dict[int, Refusal] = {}

    def accept(self, *attempt_ids: int) -> None:
        self.accepted.extend(attempt_ids)

    def refuse(self, attempt_id: int, refusal: Refusal) -> None:
        self.refused[attempt_id] = refusal

    def frozen(self) -> CommandResult:
        return CommandResult(tuple(self.accepted), self.refused)
