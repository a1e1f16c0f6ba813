"""What the engine knows of every attempt of its run. Guarded by the engine's lock; no threads, no I/O."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

from pipeloom.engine.events import Finish
from pipeloom.messages import TaskLike
from pipeloom.status import OPEN, WAITING, Status


class Stop(Enum):
    """Why an attempt was asked to stop."""

    CANCEL = auto()
    TIMEOUT = auto()
    REJECTED = auto()
    INTERRUPT = auto()


@dataclass(frozen=True, slots=True)
class NewAttempt:
    """An attempt that is to be."""

    task: TaskLike
    number: int = 1
    status: Status = Status.QUEUED
    due_at: str | None = None
    """For one that is `retrying`: when it may start."""
    after: AttemptState | None = None
    """The attempt of this run that it follows."""


class AttemptState:
    """One attempt, as the engine sees it: ahead of the file by what is still in the queue."""

    __slots__ = (
        "abandoned",
        "finish",
        "followed",
        "id",
        "killed",
        "muted",
        "number",
        "retryable",
        "settled",
        "started",
        "status",
        "stop",
        "task",
    )

    def __init__(self, attempt_id: int, number: int, task: TaskLike, status: Status) -> None:
        self.id = attempt_id
        self.number = number
        self.task = task
        self.status = status
        self.finish: Finish | None = None
        """The worker's own resolve_outcome: nothing that it publishes afterwards counts."""
        self.stop: Stop | None = None
        self.started: float | None = None
        """Monotonic seconds."""
        self.retryable = False
        self.muted = False
        """A message was given up while the task was being stopped: the later ones would leave a gap."""
        self.killed = False
        """Its worker did not stop and was ended by force."""
        self.abandoned = False
        """Ended in the file although its worker has not come back."""
        self.settled = False
        """Its end is on disk."""
        self.followed = False
        """A later attempt of the same task exists."""

    @property
    def deaf(self) -> bool:
        """Whether nothing that the worker publishes counts any more."""
        return self.finish is not None or self.muted or self.status not in OPEN


class Attempts:
    """Every attempt by id, and those that wait for a worker."""

    def __init__(self, first_id: int) -> None:
        self._first_id = first_id
        self._tries: list[AttemptState] = []
        self._ready: deque[AttemptState] = deque()
        self.unsettled = 0
        """Attempts whose end is not on disk yet."""

    def add(self, new: NewAttempt) -> AttemptState:
        """Enter a new attempt; a queued one waits for a worker from now on."""
        attempt = AttemptState(self._first_id + len(self._tries), new.number, new.task, new.status)
        self._tries.append(attempt)
        if new.after is not None:
            new.after.followed = True
        self.unsettled += 1
        if new.status is Status.QUEUED:
            self._ready.append(attempt)
        return attempt

    def get(self, attempt_id: int) -> AttemptState | None:
        """Return the attempt with this id, if it is one of this run."""
        place = attempt_id - self._first_id
        return self._tries[place] if 0 <= place < len(self._tries) else None

    def make_ready(self, attempt: AttemptState) -> None:
        """Let a `retrying` attempt wait for a worker like any other."""
        attempt.status = Status.QUEUED
        self._ready.append(attempt)

    def next_ready(self) -> AttemptState | None:
        """Take the attempt that has waited longest; what was cancelled meanwhile is passed over."""
        while self._ready:
            attempt = self._ready.popleft()
            if attempt.status is Status.QUEUED:
                return attempt
        return None

    def in_status(self, *statuses: Status) -> Iterator[AttemptState]:
        """Yield the latest attempts that are in one of `statuses`."""
        return (attempt for attempt in self._tries[:] if not attempt.followed and attempt.status in statuses)

    def waiting(self) -> int:
        """Return the number of entries in the queue for workers."""
        return len(self._ready)

    def ends(self) -> set[Status]:
        """Return the statuses that the tasks' latest attempts are in."""
        return {attempt.status for attempt in self._tries if not attempt.followed}

    def settle(self, attempt: AttemptState, status: Status) -> bool:
        """Note that the end of the attempt is on disk; returns False when it already was."""
        if attempt.settled:
            return False
        attempt.settled = True
        attempt.status = status
        self.unsettled -= 1
        return True


def refusal(attempt: AttemptState) -> str | None:
    """Return why the attempt cannot be followed by a retry now, or None when it can."""
    if attempt.followed:
        return "it has been retried already"
    if attempt.status is Status.RETRYING:
        return None
    if attempt.status in WAITING:
        return "it is queued already"
    return None if attempt.settled else "it has not ended yet"
