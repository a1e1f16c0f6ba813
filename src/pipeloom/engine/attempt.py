"""An attempt as the dispatcher hands it to a worker, and its outcome as the worker hands it back."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from pipeloom.code.version import Version
from pipeloom.messages import TaskId, TaskLike
from pipeloom.pipeline import WorkerFn
from pipeloom.secrets import Secret


class Attempt(NamedTuple):
    """One execution of one task, as an executor takes it. Ids are never reused."""

    id: int
    number: int
    task: TaskLike
    worker_fn: WorkerFn
    message_types: frozenset[type]
    """Types with a handler; `put` refuses any other that is not a lifecycle message."""
    retry_on: tuple[type[BaseException] | str, ...] = ()
    state: str | None = None
    """What an earlier attempt of the task has left to go on from, as JSON; None where the file keeps no state."""
    results: tuple[tuple[TaskId, str | None], ...] = ()
    """Ids of the tasks that it comes after, with their results as JSON; None for none."""
    limits: frozenset[str] = frozenset()
    """Limits that tasks which it puts may name."""
    known_key: str | None = None
    """The input key with which the task was last done, as JSON: files that are as in it are not read."""
    version: Version | None = None
    """The code that the worker function is of; None where that is not known."""
    secrets: tuple[Secret, ...] = ()
    """Those that are known when the run begins: the process that gets them masks them."""


class AttemptIds:
    """Gives the ids of attempts, to the dispatcher and to the writer. Thread-safe."""

    def __init__(self, first: int) -> None:
        self.first = first
        self._next = first
        self._lock = threading.Lock()

    def skip_to(self, unused: int) -> None:
        """Give no id below `unused` any more: other runs have had them."""
        with self._lock:
            self._next = max(self._next, unused)

    def take(self) -> int:
        """Return an id that no attempt has had."""
        with self._lock:
            taken = self._next
            self._next += 1
            return taken


class OutcomeKind(StrEnum):
    """How an attempt left its worker."""

    OK = "ok"
    ERROR = "error"
    CANCELLED = "cancelled"
    LOST = "lost"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of an attempt, in built-in types, so that it crosses any process boundary."""

    kind: OutcomeKind
    error_type: str = ""
    error: str = ""
    """One line."""
    traceback: str = ""
    retryable: bool = False
    """Whether the attempt's `retry_on` names the error; True for a lost worker."""
    retry_after_s: float | None = None
    """Seconds after which the worker has asked to run its task again, with `RetryAfter`."""
    started: bool = True
    """False: the user's code certainly never ran."""
