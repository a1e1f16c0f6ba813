"""The counts and the summary of a run, from committed batches alone."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from pipeloom.engine.writer.sink import CommitBatch
from pipeloom.messages import TaskId
from pipeloom.parameters.texts import read_back
from pipeloom.status import SETTLED, Exit, RunStatus, Status, run_status
from pipeloom.store.rows import AttemptRow, RunRow
from pipeloom.text import first_line


@dataclass(frozen=True, slots=True)
class FailedTask:
    """A task whose latest attempt ended in `error`."""

    task_id: TaskId
    name: str
    error: str
    """The first line of its error, safe to print."""


@dataclass(frozen=True, slots=True)
class OddTask:
    """A task whose latest attempt has written more rows than are usual for it, or is done with fewer."""

    task_id: TaskId
    name: str
    rows: int
    usual: tuple[int, int]
    """The fewest and the most that are usual."""


@dataclass(frozen=True, slots=True)
class RunSummary:
    """How a run ended; counts are counts of tasks by the status of their latest attempt."""

    run_id: int
    pipeline: str
    db_path: Path
    counts: dict[Status, int]
    failed: tuple[FailedTask, ...]
    elapsed_s: float
    unsaved: int = 0
    """Queue entries that could not be written."""
    late: int = 0
    """Messages that came after the end of their attempt: ignored."""
    stored: bool = True
    """Whether the file keeps the attempts (`store_task_status`)."""
    parent_run_id: int | None = None
    """The earlier run that this one continued or retried tasks of."""
    params: str | None = None
    """JSON: the run's parameters, and the options that tried a few of its tasks."""
    trouble: str | None = None
    """Why nothing could run any more, if that was so."""
    rows: int = 0
    """Rows of the user's tables that all attempts of the run have inserted, updated or deleted."""
    unchanged: int | None = None
    """Tasks that did not run because nothing has changed since they were done; None: the run was for all tasks."""
    gone: tuple[str, ...] = ()
    """Names of tasks that the list no longer has."""
    odd: tuple[OddTask, ...] = ()
    """The tasks whose rows are far from what is usual for them."""
    hook_errors: tuple[str, ...] = ()
    """What went wrong with what was called at the run's end (`Pipeline.on_end`, `[notify] on_failure`)."""

    @property
    def total(self) -> int:
        """Number of tasks."""
        return sum(self.counts.values())

    @property
    def status(self) -> RunStatus:
        """The status of the run as its row has it: done, error, cancelled or interrupted."""
        return run_status(self.counts)

    @property
    def ok(self) -> bool:
        """Whether every task is done and everything was saved."""
        return not self.unsaved and self.counts.get(Status.DONE, 0) == self.total

    @property
    def exit_code(self) -> Exit:
        """The exit code that tells the shell how the run ended."""
        if self.unsaved:
            return Exit.UNSAVED
        if self.counts.get(Status.ERROR) or self.trouble is not None:
            return Exit.FAILED
        if self.ok:
            return Exit.DONE
        # Of tasks that were skipped alone, what they wait for has failed in an earlier run.
        only_skipped = self.counts.get(Status.DONE, 0) + self.counts.get(Status.SKIPPED, 0) == self.total
        return Exit.FAILED if only_skipped else Exit.CANCELLED

    def as_dict(self) -> dict[str, Any]:
        """Return the summary as JSON has it: what `pipeloom run --json` ends with, and what hooks send on.

        Keys are only ever added. `elapsed_s` is in seconds; `exit_code` is that of `pipeloom run`.
        """
        return {
            "run_id": self.run_id,
            "pipeline": self.pipeline,
            "db": str(self.db_path),
            "status": str(self.status),
            "exit_code": int(self.exit_code),
            "counts": {str(status): count for status, count in self.counts.items()},
            "failed": [asdict(task) for task in self.failed],
            "elapsed_s": round(self.elapsed_s, 3),
            "params": read_back(self.params),
            "parent_run_id": self.parent_run_id,
            "trouble": self.trouble,
            "unsaved": self.unsaved,
            "late": self.late,
            "rows": self.rows,
            "unchanged": self.unchanged,
            "gone": list(self.gone),
            "odd": [{**asdict(task), "usual": list(task.usual)} for task in self.odd],
            "hook_errors": list(self.hook_errors),
        }


class _Counted(NamedTuple):
    """What is kept of the latest attempt of a task."""

    attempt: int
    status: Status
    rows: int


class RunCounts:
    """A sink that counts tasks by the status of their latest attempt. Readable from any thread."""

    def __init__(self) -> None:
        self.run: RunRow | None = None
        self._latest: dict[TaskId, _Counted] = {}
        self._same: dict[_Counted, _Counted] = {}
        """One of each: most tasks are counted alike, and there may be a million."""
        self._told: dict[TaskId, AttemptRow] = {}
        """Latest attempts that are told one by one: failed, or with odd rows."""
        self._counts = dict.fromkeys(Status, 0)
        self.rows = 0
        """Rows that all attempts have written."""

    def committed(self, batch: CommitBatch) -> None:
        """Count each attempt that is the latest of its task."""
        if batch.run is not None:
            self.run = batch.run
        latest, counts = self._latest, self._counts
        for row in batch.attempts:
            before, now = latest.get(row.task_id), _Counted(row.attempt, row.status, row.rows or 0)
            self.rows += now.rows
            if before is not None:
                if before.attempt == now.attempt:
                    self.rows -= before.rows
                elif before.attempt > now.attempt:
                    continue
                counts[before.status] -= 1
            latest[row.task_id] = self._same.setdefault(now, now)
            counts[now.status] += 1
            if now.status is Status.ERROR or (row.rows_low is not None and row.odd):
                self._told[row.task_id] = row
            elif self._told:
                self._told.pop(row.task_id, None)

    def writer_waiting(self, reason: str | None) -> None:
        """Do nothing: no status changes."""

    def writer_failed(self, error: BaseException) -> None:
        """Do nothing: no status changes."""

    def counts(self) -> dict[Status, int]:
        """Return the number of tasks in each status that has any."""
        return {status: count for status in Status if (count := self._counts[status])}

    def total(self) -> int:
        """Return the number of tasks."""
        return len(self._latest)

    def settled(self) -> int:
        """Return the number of tasks that have come to an end; one that was interrupted has not."""
        return sum(self._counts[status] for status in SETTLED)

    def failed(self) -> tuple[FailedTask, ...]:
        """Return the failed tasks in the order of their first row."""
        return tuple(
            FailedTask(row.task_id, row.name, first_line(row.message or row.error or row.error_type or "error"))
            for row in self._in_order()
            if row.status is Status.ERROR
        )

    def odd(self) -> tuple[OddTask, ...]:
        """Return the tasks with odd rows in the order of their first row."""
        return tuple(
            OddTask(row.task_id, row.name, row.rows or 0, (row.rows_low or 0, row.rows_high or 0))
            for row in self._in_order()
            if row.odd
        )

    def _in_order(self) -> list[AttemptRow]:
        """Return what is told one by one, in the order of the tasks' first rows."""
        told = self._told.copy()
        return [told[task_id] for task_id in list(self._latest) if task_id in told] if told else []
