"""What the engine itself tells the writer about an attempt or the run."""

from __future__ import annotations

from dataclasses import dataclass

from pipeloom.status import RunStatus, Status
from pipeloom.store.rows import AttemptRow


@dataclass(slots=True)
class Submitted:
    """Attempts that have come to be, as `queued` or `retrying` rows."""

    rows: tuple[AttemptRow, ...]


@dataclass(slots=True)
class Requeued:
    """A `retrying` attempt whose wait is over."""


@dataclass(slots=True)
class Started:
    """A worker has taken the attempt."""

    at: str
    worker: str


@dataclass(slots=True)
class CancelAsked:
    """The attempt has been asked to stop."""

    note: str = ""


@dataclass(slots=True)
class Finish:
    """The worker's own resolve_outcome, checked and in storable form; held back until the worker has really ended."""

    status: Status
    at: str | None
    message: str | None
    result: str | None


@dataclass(slots=True)
class Logged:
    """A line for the attempt's log, in storable form."""

    level: str
    text: str
    at: str | None = None
    """None: when it is written."""


@dataclass(slots=True)
class Ended:
    """The attempt is over."""

    status: Status
    at: str
    duration_s: float | None = None
    message: str | None = None
    result: str | None = None
    error_type: str | None = None
    error: str | None = None


@dataclass(slots=True)
class RunChanged:
    """The run stands differently."""

    status: RunStatus
    finished_at: str | None
    workers: int


@dataclass(slots=True)
class Commanded:
    """Another process has asked for something and was answered, in storable form."""

    id: str
    command: str
    arguments: str
    """JSON."""
    asked_by: str
    asked_at: str
    answer: str
    answered_at: str
