"""The statuses of an attempt and of a run, and the one table of what may follow what."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Status(StrEnum):
    """Where an attempt stands. The last four are final: they never change again."""

    QUEUED = "queued"
    RETRYING = "retrying"
    RUNNING = "running"
    CANCELLING = "cancelling"
    DONE = "done"
    ERROR = "error"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"


class RunStatus(StrEnum):
    """Where a run stands; a finished run reports the worst that happened to one of its tasks."""

    RUNNING = "running"
    DONE = "done"
    ERROR = "error"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"


FINAL: Final = frozenset({Status.DONE, Status.ERROR, Status.CANCELLED, Status.INTERRUPTED})
OPEN: Final = frozenset(Status) - FINAL
WAITING: Final = frozenset({Status.QUEUED, Status.RETRYING})
ACTIVE: Final = frozenset({Status.RUNNING, Status.CANCELLING})

# queued and retrying may end at once: an attempt can be cancelled, interrupted or fail before its worker starts.
TRANSITIONS: Final[dict[Status, frozenset[Status]]] = {
    Status.QUEUED: FINAL - {Status.DONE} | {Status.RUNNING},
    Status.RETRYING: FINAL - {Status.DONE} | {Status.QUEUED, Status.RUNNING},
    Status.RUNNING: FINAL | {Status.CANCELLING},
    Status.CANCELLING: FINAL,
    **{status: frozenset() for status in FINAL},
}


def may_follow(before: Status, after: Status) -> bool:
    """Tell whether an attempt that is `before` may become `after`."""
    return after in TRANSITIONS[before]
