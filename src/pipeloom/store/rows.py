"""Attempts, runs and log lines as the file holds them: the records between writer, screens and history."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NamedTuple

from pipeloom.status import RunStatus, Status
from pipeloom.times import moment

DIED: Final = ("ProcessDied", "the program ended before the task did")
"""Error type and error of an attempt whose process has ended without a word."""


class AttemptRow(NamedTuple):
    """A row of `task_runs`. Times are UTC ISO-8601 with microseconds and offset.

    A tuple, because 100,000 of them are in memory at once and each is bound to a statement as it is; a changed copy is
    `row._replace(...)`.
    """

    id: int
    run_id: int
    task_id: int | str
    attempt: int
    name: str
    status: Status
    progress: float | None = None
    """0..1; None when it is not known."""
    step: float | None = None
    total: float | None = None
    message: str = ""
    queued_at: str | None = None
    due_at: str | None = None
    """When a `retrying` attempt may start."""
    started_at: str | None = None
    finished_at: str | None = None
    duration_s: float | None = None
    """Seconds from the start of the worker to its end, by the monotonic clock."""
    result: str | None = None
    """JSON."""
    error_type: str | None = None
    error: str | None = None
    """The traceback, or a text of the worker or the engine."""
    params: str | None = None
    """JSON."""
    worker: str | None = None
    fingerprint: str | None = None
    """Of an error: equal for all occurrences of one failure (see `pipeloom.store.fingerprints`)."""
    rows: int | None = None
    """Rows of the user's tables that it has inserted, updated or deleted; None when they were not counted."""
    rows_low: int | None = None
    """The fewest rows that are usual for the task (see `pipeloom.store.usual_rows`); None when that is not known."""
    rows_high: int | None = None
    """The most rows that are usual."""
    input_key: str | None = None
    """JSON: the task's version, and its input files as they were before it started; None for a task without either."""
    code: str | None = None
    """Hash of the code that it ran (see `pipeloom.code.version`); None before it starts, or where that is not known."""

    @property
    def odd(self) -> int:
        """1 when it has written more rows than are usual, -1 when it is done with fewer, else 0."""
        if self.rows is None or self.rows_low is None or self.rows_high is None:
            return 0
        return (
            1 if self.rows > self.rows_high else -1 if self.status is Status.DONE and self.rows < self.rows_low else 0
        )


@dataclass(frozen=True, slots=True)
class RunRow:
    """A row of `pipeline_runs`."""

    id: int
    pipeline: str
    status: RunStatus
    started_at: str
    source: str | None = None
    workers: int | None = None
    executor: str = "thread"
    parent_run_id: int | None = None
    host: str | None = None
    pid: int | None = None
    process_started_at: str | None = None
    heartbeat_at: str | None = None
    finished_at: str | None = None
    params: str | None = None
    """JSON: the run's parameters as texts, and the options that try a few tasks (see `pipeloom.parameters`)."""
    unchanged: int | None = None
    """Tasks without a row, because nothing has changed since they were done; None: the run was for all tasks."""
    idle_s: float | None = None
    """Seconds in which it had ended, before a retry took it up again."""

    def took_s(self, now_s: float | None = None) -> float | None:
        """Return the seconds that the run took, without `idle_s`; None when the file does not tell.

        One that goes on took until `now_s` (Unix seconds), or else until its last heartbeat. What the file has after
        the start is by the monotonic clock: the wall clock may have jumped since.
        """
        began, ended = moment(self.started_at), moment(self.finished_at or self.heartbeat_at)
        if now_s is not None and self.status is RunStatus.RUNNING:
            ended = datetime.fromtimestamp(now_s, UTC)
        if began is None or ended is None:
            return None
        return max(0.0, (ended - began).total_seconds() - (self.idle_s or 0.0))


@dataclass(frozen=True, slots=True)
class LogRow:
    """A row of `task_logs` or `run_logs`."""

    at: str
    level: str
    text: str
    seq: int = 0
    """Its number in the log, from 1; a gap before it means lines that were left out."""


class DurationBaseline(NamedTuple):
    """How long a task took when it was done in earlier runs, in seconds."""

    median_s: float
    low_s: float
    """A quarter of them took less."""
    high_s: float
    """A quarter of them took more."""


class TaskPast(NamedTuple):
    """A task after all runs of its pipeline."""

    name: str
    """Of its latest attempt."""
    status: Status
    """Of its latest attempt, as it is in the file."""
    run_id: int
    """Of its latest attempt."""
    is_done: bool
    """Whether an attempt of it was done: what follows is of the last one."""
    done_name: str
    params: str | None
    """JSON."""
    input_key: str | None
    """JSON."""
    done_id: int = 0
    """Of `task_runs`."""
    started_at: str | None = None
    finished_at: str | None = None


class TaskStanding(NamedTuple):
    """A task after a run, by its latest attempt. One that had not ended counts as interrupted."""

    task_id: int | str
    name: str
    params: str | None
    """JSON."""
    status: Status
    attempt: int
    due_at: str | None
    """When the attempt was due to start, if it was a retry that still waited."""
    attempt_id: int = 0
    """Of `task_runs`."""
    asked: int = 0
    """Earlier attempts of the task that have asked to come back: they were no retries."""
