"""What the executor reports of a run's attempts: from the executor's threads."""

from __future__ import annotations

import logging
from typing import Any, Final

from pipeloom.engine.attempt import Outcome
from pipeloom.engine.events import Begun, Finish, InputsTaken, Logged, Started, Together
from pipeloom.engine.run.attempts import AttemptState, Stop
from pipeloom.engine.run.held_back import HeldBack
from pipeloom.engine.run.run import Run
from pipeloom.engine.worker.runner import describe
from pipeloom.engine.worker.weight import weight
from pipeloom.errors import TaskCancelled, WriterFailedError
from pipeloom.messages import MsgTaskProgress, MsgTaskStarted
from pipeloom.status import ACTIVE, OPEN, RunStatus
from pipeloom.text import clean

_AT_ONCE: Final = frozenset({MsgTaskStarted, InputsTaken})
"""What is not held back until the end of an atomic attempt."""
_log = logging.getLogger(__name__)


class ExecutorEvents:
    """The `Reports` of a run."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def has_room(self, attempt_id: int) -> bool:
        """Tell whether the writer keeps up; what is held back goes to the disk, which may take its time."""
        attempt = self._run.attempts.get(attempt_id)
        return self._run.inbox.has_room and (attempt is None or attempt.held is None)

    def started(self, attempt_id: int, worker: str) -> None:
        """Note that a worker has taken the attempt."""
        run = self._run
        with run.lock:
            attempt = run.attempts.get(attempt_id)
            if attempt is None or attempt.status not in ACTIVE:
                return
            attempt.started = run.clock.monotonic()
            run.at_work += 1
            code = None if attempt.version is None else attempt.version.hash
            run.tell(attempt_id, Started(run.now(attempt.started), worker, code))
            run.limit_time(attempt)

    def message(self, attempt_id: int, msg: Any) -> None:
        """Pass a worker's message on; one that comes after the end is counted and dropped. All but progress may wait.

        Without the lock, which costs much for each message: only the attempt's own worker changes what is noted here.
        """
        run = self._run
        attempt = run.attempts.get(attempt_id)
        held = None if attempt is None else attempt.held  # before it is asked whether messages still count
        kind = type(msg)
        if kind is Begun:
            with run.lock:
                if attempt is not None:
                    run.note_start(attempt)  # also of one that was given up before
        elif kind is Logged:
            # A worker may log when it has finished or is being stopped; without room its line is dropped.
            if attempt is not None and attempt.status in OPEN:
                run.inbox.put((attempt_id, msg), lambda: attempt.stop is not None, weight(msg))
        elif attempt is None or attempt.ignores_messages or (slot := attempt.progress) is None:
            run.late += 1
        elif kind is MsgTaskProgress:
            slot.newest = msg
            if not slot.is_listed:
                run.inbox.list_progress(slot)
        elif kind is Finish:
            attempt.finish, attempt.ignores_messages = msg, True
        elif kind is Together and msg.found and run.changes.unchanged is not None:
            self._put(attempt, held, self._without_unchanged(msg))
        else:
            self._put(attempt, held, msg)

    def _without_unchanged(self, put: Together) -> Together:
        """Return what a worker has put without the tasks that are unchanged; the file gets their number."""
        run = self._run
        before = run.changes.unchanged
        left = run.changes.without_unchanged(put)
        with run.lock:
            if run.changes.unchanged != before and not run.end_told:
                run.tell(0, run.changed(RunStatus.RUNNING))
        return left

    def _put(self, attempt: AttemptState, held: HeldBack | None, msg: Any) -> None:
        run, attempt_id = self._run, attempt.id
        if held is not None and type(msg) not in _AT_ONCE:
            self._hold_back(attempt, held, msg)
        elif not run.inbox.put((attempt_id, msg), lambda: attempt.stop is not None, weight(msg)):
            attempt.ignores_messages = True  # later ones would leave a gap
            raise TaskCancelled

    def _hold_back(self, attempt: AttemptState, held: HeldBack, msg: Any) -> None:
        """Keep a message of an atomic attempt until its end."""
        self._run.inbox.check()
        try:
            held.put(msg)
        except Exception as error:
            attempt.ignores_messages = True  # later ones would leave a gap
            raise WriterFailedError(f"Nothing of this task can be saved any more: {clean(error)}") from error

    def ended(self, attempt_id: int, outcome: Outcome) -> None:
        """Resolve how the attempt ended and give its slot to the next one."""
        run = self._run
        with run.lock:
            attempt = run.attempts.get(attempt_id)
            if attempt is None:
                return
            run.give_back(attempt, began=outcome.started)
            run.at_work -= attempt.started is not None
            if attempt.abandoned:
                run.lost_workers -= 1
            else:
                if attempt.held is not None and attempt.held.trouble is not None:
                    outcome = describe(attempt.held.trouble, run.retry_on)  # whatever its worker made of it
                run.come_back(attempt, outcome)
            run.fill()
            if run.closing is not None:
                run.worker_back.notify_all()
        run.inbox.await_room()

    def broken(self, error: BaseException) -> None:
        """Stop the run: the executor itself has failed."""
        self._run.broken(error)

    def slots_changed(self) -> None:
        """Give the executor the attempts that it has room for now; an unlimited cluster sets the number of workers."""
        run = self._run
        with run.lock:
            if run.follows_cluster and run.executor.slots:
                run.workers = run.executor.slots
            if run.has_begun:
                run.fill()

    def lost(self, reason: str) -> None:
        """Interrupt all open attempts: nothing can run any more. Those that run end when the executor says so."""
        _log.error("%s.", clean(reason))
        run = self._run
        with run.lock:
            run.executor_lost = reason
            run.interrupt(reason)
            for attempt in run.attempts.in_status(*ACTIVE):
                attempt.stop = Stop.INTERRUPT  # also where it was asked to stop for another reason
        run.inbox.wake()
