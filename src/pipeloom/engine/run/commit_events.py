"""What the writer reports to a run: on the writer's thread."""

from __future__ import annotations

from pipeloom.engine.code.renewal import leave
from pipeloom.engine.run.attempts import Stop
from pipeloom.engine.run.held_back import HeldBack
from pipeloom.engine.run.run import Run
from pipeloom.engine.writer.batch import Rejection
from pipeloom.engine.writer.sink import CommitBatch
from pipeloom.pipeline import error_matches
from pipeloom.status import ACTIVE, FINAL, Status


class CommitEvents:
    """The first `Sink` of a run."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def committed(self, batch: CommitBatch) -> None:
        """Note what is on disk; an error that the policy retries is followed by the next attempt."""
        run, over = self._run, list[HeldBack]()
        with run.lock:
            run.states.update(batch.states)
            for found in batch.found:
                run.enter_found(found)
            for row in batch.attempts:
                attempt = run.attempts.get(row.id) if row.status in FINAL else None
                if attempt is not None and run.attempts.settle(attempt, row.status):
                    over += run.attempts.release(attempt)
                    if (version := run.code.end(attempt)) is not None:
                        leave(run, version)
                    if row.status is Status.ERROR:
                        run.retry_if_granted(attempt)
            if batch.found:
                run.fill()
            if run.attempts.unsettled == 0:
                if batch.run is not None and batch.run.finished_at is not None:
                    run.end_is_on_disk()
                elif not run.end_told and run.closing is None:
                    run.finish()
        for held in over:
            held.discard()

    def writer_waiting(self, reason: str | None) -> None:
        """Do nothing: workers wait by themselves, in `put`."""

    def writer_failed(self, error: BaseException) -> None:
        """Stop all attempts: no result could be kept."""
        run = self._run
        with run.lock:
            run.failure = error
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
