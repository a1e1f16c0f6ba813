"""What the dispatcher knows of every attempt of its run. Guarded by the run's lock; no threads, no I/O."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

from pipeloom.code.version import Version
from pipeloom.engine.attempt import AttemptIds
from pipeloom.engine.commands import Refusal, RefusalReason
from pipeloom.engine.events import Finish
from pipeloom.engine.run.held_back import HeldBack
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
    from_start: bool = False
    """Whether what earlier attempts have left to go on from is dropped."""


class AttemptState:
    """One attempt as the dispatcher sees it: ahead of the file by what is still in the queue."""

    __slots__ = (
        "abandoned",
        "finish",
        "followed",
        "given",
        "held",
        "id",
        "ignores_messages",
        "killed",
        "number",
        "progress",
        "retryable",
        "settled",
        "started",
        "status",
        "stop",
        "task",
        "version",
    )

    def __init__(self, attempt_id: int, start: TaskStart) -> None:
        self.id = attempt_id
        self.number = start.number
        self.task = start.task
        self.given = start.given
        self.status = start.status
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
        self.ignores_messages = False
        """Whether it has reported its end, has ended, or lacks a message that was given up."""
        self.killed = False
        """Its worker did not stop and was killed."""
        self.abandoned = False
        """Ended in the file although its worker has not come back."""
        self.settled = False
        """Its end is on disk."""
        self.version: Version | None = None
        """The code that it runs, while that may matter."""
        self.followed = False
        """A later attempt of the same task exists."""


class Attempts:
    """Every attempt of a run by id, and those that wait for a worker."""

    def __init__(self, ids: AttemptIds) -> None:
        self._ids = ids
        self._states: list[AttemptState | None] = []
        """By id, from the first; None for an id that was given to no attempt."""
        self._ready: deque[AttemptState] = deque()
        self.unsettled = 0
        """Attempts whose end is not on disk yet."""

    def add(self, start: TaskStart, attempt_id: int | None = None) -> AttemptState:
        """Add an attempt, with a new id if it has none; a queued one waits for a worker from now on."""
        attempt = AttemptState(self._ids.take() if attempt_id is None else attempt_id, start)
        place = attempt.id - self._ids.first
        if place >= len(self._states):
            self._states.extend([None] * (place + 1 - len(self._states)))
        self._states[place] = attempt
        if start.follows is not None:
            start.follows.followed = True
        self.unsettled += 1
        if start.status is Status.QUEUED:
            self._ready.append(attempt)
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
        """Let a `retrying` attempt wait for a worker like any other."""
        attempt.status = Status.QUEUED
        self._ready.append(attempt)

    def next_ready(self) -> AttemptState | None:
        """Take the attempt that has waited longest; those cancelled meanwhile are passed over."""
        while self._ready:
            attempt = self._ready.popleft()
            if attempt.status is Status.QUEUED:
                return attempt
        return None

    def in_status(self, *statuses: Status) -> Iterator[AttemptState]:
        """Yield the latest attempt of each task that is in one of `statuses`."""
        return (
            attempt
            for attempt in self._states[:]
            if attempt is not None and not attempt.followed and attempt.status in statuses
        )

    def waiting(self) -> int:
        """Return the number of entries in the queue for workers."""
        return len(self._ready)

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
