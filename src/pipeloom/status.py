"""The statuses of attempts and runs, the table of allowed transitions, and the exit codes."""

from __future__ import annotations

from collections.abc import Collection
from enum import IntEnum, StrEnum
from typing import Final


class Status(StrEnum):
    """The status of an attempt. The last four are final: they never change again."""

    QUEUED = "queued"
    RETRYING = "retrying"
    RUNNING = "running"
    CANCELLING = "cancelling"
    DONE = "done"
    ERROR = "error"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"


class RunStatus(StrEnum):
    """The status of a run; of one that has ended, the worst end of its tasks."""

    RUNNING = "running"
    DONE = "done"
    ERROR = "error"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"


FINAL: Final = frozenset({Status.DONE, Status.ERROR, Status.CANCELLED, Status.INTERRUPTED})
OPEN: Final = frozenset(Status) - FINAL
WAITING: Final = frozenset({Status.QUEUED, Status.RETRYING})
ACTIVE: Final = frozenset({Status.RUNNING, Status.CANCELLING})

# A waiting attempt may be asked to stop between its dispatch and its start, and may end without a start.
_LEAVING_WAIT: Final = FINAL - {Status.DONE} | ACTIVE
TRANSITIONS: Final[dict[Status, frozenset[Status]]] = {
    Status.QUEUED: _LEAVING_WAIT,
    Status.RETRYING: _LEAVING_WAIT | {Status.QUEUED},
    Status.RUNNING: FINAL | {Status.CANCELLING},
    Status.CANCELLING: FINAL,
    **{status: frozenset() for status in FINAL},
}


def run_status(ends: Collection[Status]) -> RunStatus:
    """Return the status of a run whose tasks ended as `ends`: the worst of them."""
    for status in (Status.INTERRUPTED, Status.ERROR, Status.CANCELLED):
        if status in ends:
            return RunStatus(status)
    return RunStatus.DONE


class Exit(IntEnum):
    """Exit codes; a process that signal n ended exits with 128 + n."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    CANCELLED = 3
    UNSAVED = 4
    INTERNAL = 5
    BUSY = 6
    ODD = 7
