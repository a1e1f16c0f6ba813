"""The statuses of attempts and runs, the table of allowed transitions, and the exit codes."""

from __future__ import annotations

from collections.abc import Collection
from enum import IntEnum, StrEnum
from typing import Final


class Status(StrEnum):
    """The status of an attempt. The last five are final: they never change again."""

    QUEUED = "queued"
    RETRYING = "retrying"
    RUNNING = "running"
    CANCELLING = "cancelling"
    DONE = "done"
    ERROR = "error"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"
    SKIPPED = "skipped"
    """It never ran: a task that it comes after has failed or was cancelled."""


class RunStatus(StrEnum):
    """The status of a run; of one that has ended, the worst end of its tasks."""

    RUNNING = "running"
    DONE = "done"
    ERROR = "error"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"


FINAL: Final = frozenset({Status.DONE, Status.ERROR, Status.CANCELLED, Status.INTERRUPTED, Status.SKIPPED})
SETTLED: Final = FINAL - {Status.INTERRUPTED}
"""Statuses of tasks of which nothing is left to do; a run that is resumed runs those again that were interrupted."""
OPEN: Final = frozenset(Status) - FINAL
WAITING: Final = frozenset({Status.QUEUED, Status.RETRYING})
ACTIVE: Final = frozenset({Status.RUNNING, Status.CANCELLING})

# A waiting attempt may be asked to stop between its dispatch and its start, and may end without a start.
_LEAVING_WAIT: Final = FINAL - {Status.DONE} | ACTIVE
_LEAVING_WORK: Final = FINAL - {Status.SKIPPED}
TRANSITIONS: Final[dict[Status, frozenset[Status]]] = {
    Status.QUEUED: _LEAVING_WAIT,
    Status.RETRYING: _LEAVING_WAIT | {Status.QUEUED},
    Status.RUNNING: _LEAVING_WORK | {Status.CANCELLING},
    Status.CANCELLING: _LEAVING_WORK,
    **{status: frozenset() for status in FINAL},
}


def run_status(ends: Collection[Status]) -> RunStatus:
    """Return the status of a run whose tasks ended as `ends`: the worst of them."""
    for status in (Status.INTERRUPTED, Status.ERROR, Status.CANCELLED):
        if status in ends:
            return RunStatus(status)
    return RunStatus.ERROR if Status.SKIPPED in ends else RunStatus.DONE


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
