"""What the dispatcher knows of every attempt of its run. Guarded by the run's lock; no threads, no I/O."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

from pipeloom.code.version import Version
from pipeloom.engine.attempt import AttemptIds
from pipeloom.engine.commands import Refusal, RefusalReason
from pipeloom.engine.events import Finish
from pipeloom.engine.run.held_back import HeldBack
from pipeloom.engine.schedule.ready import NOT_READY, Ready
from pipeloom.engine.writer.inbox import ProgressSlot
from pipeloom.messages import TaskDef, TaskLike
from pipeloom.status import WAITING, Status


class Stop(Enum):
    """Why an attempt was asked to stop."""

    CANCEL = auto()
    TIMEOUT = auto()
    REJECTED = auto()
    INTERRUPT = auto()


@dataclass(frozen=True, slots=True)
class TaskStart:
    """How a task starts: as which attempt, and when."""

    task: TaskDef
    """As the engine has read it."""
    given: TaskLike
    """As the user gave it: workers get copies."""
    number: int = 1
    status: Status = Status.QUEUED
    due_at: str | None = None
    """For `retrying`: when it may start."""
    follows: AttemptState | None = None
    """The attempt of this run that it retries."""
    errors: int | None = None
    """Earlier attempts that count as retries; None: all of them."""
    comebacks: int = 0
    """Earlier attempts that have asked with `RetryAfter` to come back, since the task was started by hand."""
    from_start: bool = False
    """Whether what earlier attempts have left to go on from is dropped."""


class AttemptState:
    """One attempt as the dispatcher sees it: ahead of the file by what is still in the queue."""

    __slots__ = (
        "abandoned",
        "comebacks",
        "errors",
        "finish",
        "followed",
        "given",
        "held",
        "id",
        "ignores_messages",
        "killed",
        "number",
        "progress",
        "retry_after_s",
        "retryable",
        "settled",
        "started",
        "status",
        "stop",
        "task",
        "turn",
        "version",
        "waits",
    )

    def __init__(self, attempt_id: int, start: TaskStart) -> None:
        self.id = attempt_id
        self.number = start.number
        self.task = start.task
        self.given = start.given
        self.status = start.status
        self.errors = start.number - 1 if start.errors is None else start.errors
        self.comebacks = start.comebacks
        """Earlier attempts that have asked with `RetryAfter` to come back."""
        self.turn = NOT_READY
        """Its place among the attempts that were ever ready."""
        self.progress: ProgressSlot | None = None
        """Where its worker's progress goes, while it has a worker."""
        self.held: HeldBack | None = None
        """Where what it puts waits for its end, when it is atomic."""
        self.finish: Finish | None = None
        """The end that the worker reported."""
        self.stop: Stop | None = None
        self.started: float | None = None
        """Monotonic seconds."""
        self.retryable = False
        self.retry_after_s: float | None = None
        """Seconds after which its worker has asked to run the task again."""
        self.ignores_messages = False
        """Whether it has reported its end, has ended, or lacks a message that was given up."""
        self.killed = False
        """Its worker did not stop and was killed."""
        self.abandoned = False
        """Ended in the file although its worker has not come back."""
        self.settled = False
        """Its end is on disk."""
        self.waits = False
        """Its task waits for others; see `Dependencies`, which says so."""
        self.version: Version | None = None
        """The code that it runs, while that may matter."""
        self.followed = False
        """A later attempt of the same task exists."""


class Attempts:
    """Every attempt of a run by id; those that are queued go to `ready`."""

    def __init__(self, ids: AttemptIds, ready: Ready[AttemptState]) -> None:
        self._ids = ids
        self._states: list[AttemptState | None] = []
        """By id, from the first; None for an id that was given to no attempt."""
        self.ready = ready
        self.unsettled = 0
        """Attempts whose end is not on disk yet."""

    def add(self, start: TaskStart, attempt_id: int | None = None) -> AttemptState:
        """Add an attempt, with a new id if it has none; `make_ready` lets it wait for a worker."""
        attempt = AttemptState(self._ids.take() if attempt_id is None else attempt_id, start)
        place = attempt.id - self._ids.first
        if place >= len(self._states):
            self._states.extend([None] * (place + 1 - len(self._states)))
        self._states[place] = attempt
        if start.follows is not None:
            start.follows.followed = True
        self.unsettled += 1
        return attempt

    def get(self, attempt_id: int) -> AttemptState | None:
        """Return the attempt with this id, if it is one of this run."""
        place = attempt_id - self._ids.first
        return self._states[place] if 0 <= place < len(self._states) else None

    def release(self, *attempts: AttemptState) -> list[HeldBack]:
        """Take what has been held back of attempts (none: of all); the caller discards it, without the lock."""
        taken = []
        for attempt in attempts or self._states:
            if attempt is not None and attempt.held is not None:
                taken.append(attempt.held)
                attempt.held = None
        return taken

    def make_ready(self, attempt: AttemptState) -> None:
        """Let an attempt that waits for nothing else wait for a worker."""
        attempt.status = Status.QUEUED
        self.ready.add(attempt)

    def in_status(self, *statuses: Status) -> Iterator[AttemptState]:
        """Yield the latest attempt of each task that is in one of `statuses`."""
        return (
            attempt
            for attempt in self._states[:]
            if attempt is not None and not attempt.followed and attempt.status in statuses
        )

    def ends(self) -> set[Status]:
        """Return the statuses of the tasks' latest attempts."""
        return {attempt.status for attempt in self._states if attempt is not None and not attempt.followed}

    def settle(self, attempt: AttemptState, status: Status) -> bool:
        """Note that the attempt's end is on disk; returns False when it already was."""
        if attempt.settled:
            return False
        attempt.settled = True
        attempt.status = status
        self.unsettled -= 1
        return True


def retry_refusal(attempt: AttemptState) -> Refusal | None:
    """Return why no retry can follow the attempt now, or None when one can."""
    if attempt.followed:
        return Refusal(RefusalReason.RETRIED)
    if attempt.status is Status.RETRYING:
        return None
    if attempt.status in WAITING:
        return Refusal(RefusalReason.QUEUED)
    return None if attempt.settled else Refusal(RefusalReason.NOT_ENDED)
