"""What a started engine has; between a run's end and a retry it lets go of the file."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from pipeloom.engine.changes.plan import Plan
from pipeloom.engine.clock import SYSTEM_CLOCK, Clock
from pipeloom.engine.commands import CommandResult
from pipeloom.engine.control.server import ControlServer
from pipeloom.engine.events import KEPT_TEXT
from pipeloom.engine.executors.base import Executor
from pipeloom.engine.options import EngineOptions
from pipeloom.engine.run.commands import RunCommands
from pipeloom.engine.run.run import Run
from pipeloom.engine.run.summary import RunCounts, RunSummary
from pipeloom.engine.writer.writer import Writer
from pipeloom.errors import StoreError
from pipeloom.messages import TaskId
from pipeloom.parameters.texts import Texts, kept
from pipeloom.status import RunStatus
from pipeloom.store.file.owner import OwnerLock
from pipeloom.store.read.run_queries import counts_as_left
from pipeloom.store.rows import RunRow
from pipeloom.text import storable
from pipeloom.times import stamp

_PROCESS_STARTED_AT: Final = stamp(SYSTEM_CLOCK.now())
CLOSE_S: Final = 1.0
"""Seconds that the writer has at least to save what is left, when the workers have taken the whole grace."""


class EngineParts:
    """The run, and what works on it. The owner's lock, the writer and the control server come and go together."""

    def __init__(
        self,
        db_path: Path,
        row: RunRow,
        gone: Sequence[tuple[TaskId, str]],
        run: Run,
        executor: Executor,
        writer: Writer,
        owner: OwnerLock,
        clock: Clock,
        renew: Callable[[str], None],
    ) -> None:
        self.row = row
        """The run as it was opened."""
        self.gone = gone
        """Id and name of the tasks that the list no longer has."""
        self.run = run
        self.commands = RunCommands(run)
        self.executor = executor
        self.writer = writer
        self.has_let_go = False
        """Whether the file is anybody's: the run has ended, and is taken up again by a retry."""
        self._db_path = db_path
        self._owner = owner
        self._clock = clock
        self._renew = renew
        self._file_use = threading.RLock()
        """Held while the file is taken or let go."""
        self._control = self._new_control()

    def _new_control(self) -> ControlServer:
        return ControlServer(self._db_path, self.commands, self._clock, partial(self.run.tell, 0), self._renew)

    def serve(self) -> None:
        """Start to take the commands of other programs."""
        self._control.start()

    def let_go(self) -> bool:
        """Let other programs have the file when all attempts have ended and that is on disk; returns whether they may.

        A run whose attempts are kept in memory alone keeps the file. The calls at the run's end are waited for: what
        they raise is to be kept.
        """
        run = self.run
        with run.lock:
            run.ended.wait_for(lambda: not run.end_calls.going)
        with self._file_use:
            if self.has_let_go or not self._may_let_go():
                return self.has_let_go
            self._control.stop()
            self._control = self._new_control()
            if not self._may_let_go():  # its last request was a retry
                self.serve()
                return False
            self.has_let_go = True
            if self.writer.stop(CLOSE_S):
                self._owner.release()
            return True

    def summary(self, counts: RunCounts, *, closed: bool) -> RunSummary:
        """Return how the run stands, by what is on disk; what a closed one left open there is interrupted."""
        run, row = self.run, self.row
        known = counts.counts()
        return RunSummary(
            run_id=run.id,
            pipeline=row.pipeline,
            db_path=self._db_path,
            counts=counts_as_left(known) if closed else known,
            failed=counts.failed(),
            elapsed_s=run.time.elapsed_s,
            unsaved=self.writer.unsaved,
            late=run.late,
            stored=self.writer.keeps_attempts,
            parent_run_id=row.parent_run_id,
            params=row.params,
            trouble=run.executor_lost,
            rows=counts.rows,
            odd=counts.odd(),
            unchanged=run.changes.unchanged,
            gone=tuple(name for _, name in self.gone),
            hook_errors=run.end_calls.errors,
        )

    def retry(self, attempt_ids: Iterable[int], *, from_start: bool) -> CommandResult:
        """Follow ended attempts by new ones; takes the file again if it has been let go.

        Raises `FileBusyError` when another process has it, and `StoreError` when the run is no longer in it.
        """
        with self._file_use:
            taken = self.has_let_go and self.run.closing is None
            if taken:
                self._take_file()
            result = self.commands.retry(attempt_ids, from_start=from_start)
            if taken and not result.accepted:
                self.let_go()
            return result

    def close_file(self, patience_s: float) -> None:
        """Save what is left and let go of the file for good, in about `patience_s` seconds."""
        with self._file_use:
            if not self.has_let_go:
                self._control.stop()
                if self.writer.stop(patience_s):
                    self._owner.release()

    def _may_let_go(self) -> bool:
        run = self.run
        with run.lock:
            free = run.idle and not run.end_calls.going
            return free and run.closing is None and run.failure is None and self.writer.keeps_attempts

    def _take_file(self) -> None:
        if not self._db_path.exists():
            raise StoreError(f"{self._db_path} is not there any more: run the pipeline again.")
        self._owner.acquire(stamp(self._clock.now()))
        try:
            opened = self.writer.go_on()
        except BaseException:
            self._owner.release()
            raise
        with self.run.lock:
            self.run.states = opened.states or {}
        self.has_let_go = False
        self.serve()


def run_row(run: Run, plan: Plan, options: EngineOptions, params: Texts) -> RunRow:
    """Return the row, with the id 0, of a run of this process."""
    return RunRow(
        id=0,
        pipeline=run.code.pipeline.name,
        status=RunStatus.RUNNING,
        started_at=run.time.started_at,
        source=None if options.source is None else storable(options.source, KEPT_TEXT),
        workers=run.workers,
        executor=run.executor.name,
        parent_run_id=None if plan.earlier is None else plan.earlier.run.id,
        host=os.uname().nodename,
        pid=os.getpid(),
        process_started_at=_PROCESS_STARTED_AT,
        heartbeat_at=run.time.started_at,
        params=kept({**options.few.texts, **params}),
        unchanged=run.changes.unchanged,
    )


def release_after(writer: Writer | None, owner: OwnerLock) -> None:
    """Give up the ownership when the writer has let the file go: a schema helper may still be at it."""
    if writer is None or writer.join(CLOSE_S):
        owner.release()
        return

    def release() -> None:
        writer.join()
        owner.release()

    threading.Thread(target=release, name="pipeloom-release", daemon=True).start()
