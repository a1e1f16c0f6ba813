"""What the dispatcher and the workers tell the writer about an attempt or the run, in storable form.

The events of every task are named tuples: they cost a third of a frozen dataclass to make.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from pipeloom.messages import TaskId
from pipeloom.status import RunStatus, Status
from pipeloom.store.rows import AttemptRow

KEPT_TEXT: Final = 1 << 16
"""Characters of a message or an error that the file keeps."""

NO_STATE: Final = "{}"
"""The state of a task that begins from the start, as JSON."""


@dataclass(frozen=True, slots=True)
class Submitted:
    """New attempts, as `queued` or `retrying` rows."""

    rows: tuple[AttemptRow, ...]


@dataclass(frozen=True, slots=True)
class Requeued:
    """The wait of a `retrying` attempt is over."""


class Started(NamedTuple):
    """A worker has taken the attempt."""

    at: str
    worker: str
    code: str | None = None
    """Hash of the code that it runs."""


@dataclass(frozen=True, slots=True)
class CodeChanged:
    """Other code is about to be used, or a code has been left: no attempt runs it any more, and none will."""

    left: str | None = ""
    """Hash of the code whose handlers are let go; "" for none."""


@dataclass(frozen=True, slots=True)
class CancelAsked:
    """The attempt was asked to stop."""

    note: str = ""


class InputsTaken(NamedTuple):
    """The worker has looked at the attempt's input files, and is about to start."""

    key: str
    """JSON: see `AttemptRow.input_key`."""


class Begun(NamedTuple):
    """The worker is about to call the worker function, where a limit counts that."""


class Finish(NamedTuple):
    """The end that the worker reported itself; held back until the worker has really ended."""

    status: Status
    at: str | None
    message: str | None
    result: str | None


class Found(NamedTuple):
    """A task that a worker has put: it is one of the run's, unless the run has one of its id."""

    task_id: TaskId
    name: str
    params: str
    """JSON."""
    steps: int
    retries: int | None
    timeout: float | None
    """Seconds."""
    atomic: bool | None = None
    after: Sequence[TaskId] | str = ()
    worker_fn: str | None = None
    """Name of its own worker function (see `pipeloom.users_code.name_of`)."""
    limits: tuple[str, ...] = ()
    priority: int = 0
    inputs: str | None = None
    """JSON: a list of paths."""
    version: str | None = None


class Together(NamedTuple):
    """What one `put` has taken: all of it is stored, or nothing."""

    messages: tuple[Any, ...] = ()
    found: tuple[Found, ...] = ()
    state: str | None = None
    """JSON of the task's new state; None leaves it as it is."""
    weight: int = 0
    """Approximate bytes of it all."""


class Logged(NamedTuple):
    """A line for the attempt's log."""

    level: str
    text: str
    at: str | None = None
    """None: the time at which it is written."""
    message: str = ""
    """What the row says from then on; "" leaves it."""


class Ended(NamedTuple):
    """The attempt has ended."""

    status: Status
    at: str
    duration_s: float | None = None
    message: str | None = None
    result: str | None = None
    error_type: str | None = None
    error: str | None = None


class Whole(NamedTuple):
    """All that an attempt has put, and its end: both are stored together, or the end is an error."""

    puts: Iterable[Any]
    """Can be gone through again."""
    end: Ended


@dataclass(frozen=True, slots=True)
class RunChanged:
    """The run has another status, end, idle time, or number of workers or of unchanged tasks."""

    status: RunStatus
    finished_at: str | None
    workers: int
    unchanged: int | None = None
    """Tasks that were left out because nothing has changed; None where all tasks were to run."""
    idle_s: float | None = None
    """Seconds in which it had ended, before a retry."""


class RunLogged(NamedTuple):
    """A line for the log of the run itself."""

    level: str
    text: str
    at: str | None = None
    """None: the time at which it is written."""


@dataclass(frozen=True, slots=True)
class Commanded:
    """A command of another process, and its answer."""

    id: str
    command: str
    arguments: str
    """JSON."""
    asked_by: str
    asked_at: str
    answer: str
    answered_at: str
