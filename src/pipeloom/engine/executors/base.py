"""The executor protocol. The engine above it never knows which backend runs an attempt.

Invariants, each a test of the conformance suite:

* exactly one `ended` per accepted attempt, and nothing of that attempt after it;
* messages of one attempt arrive in the order of their `put`, without gaps; `started` precedes the first;
* whatever a worker raises ends its attempt and nothing else;
* `submit`, `cancel` and `kill` never block; `shutdown` returns within about `timeout_s` + 2 seconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

from pipeloom.messages import TaskLike
from pipeloom.pipeline import WorkerFn


class OutcomeKind(StrEnum):
    """How an attempt left its worker."""

    OK = "ok"
    ERROR = "error"
    CANCELLED = "cancelled"
    LOST = "lost"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of an attempt, in builtins only, so that it crosses any process boundary."""

    kind: OutcomeKind
    error_type: str = ""
    error: str = ""
    """One line."""
    traceback: str = ""
    retryable: bool = False
    """Whether the error is one of those that the attempt's `retry_on` names; True for a lost worker."""
    started: bool = True
    """False: the user's code certainly never ran."""


class Attempt(NamedTuple):
    """One try of one task, as an executor is handed it. Ids are never reused."""

    id: int
    number: int
    task: TaskLike
    worker_fn: WorkerFn
    message_types: frozenset[type]
    """Types with a handler; anything else that is not a lifecycle message is refused at `put`."""
    retry_on: tuple[type[BaseException] | str, ...] = ()


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a backend can do."""

    remote: bool = False
    multi_host: bool = False
    hard_kill: bool = False
    isolated_crash: bool = False


class Reports(Protocol):
    """Where an executor reports to: implemented by the engine, called from executor threads. All may block."""

    def started(self, attempt_id: int, worker: str) -> None: ...  # noqa: D102
    def message(self, attempt_id: int, msg: Any) -> None:
        """Hand over a message; raises `WriterFailedError` when nothing more can be saved."""

    def ended(self, attempt_id: int, outcome: Outcome) -> None: ...  # noqa: D102
    def broken(self, error: BaseException) -> None:
        """Take note that the executor itself has failed: a bug, and nothing it holds can be relied on."""


class Executor(Protocol):
    """Runs attempts. Thread-safe."""

    name: str
    caps: Capabilities

    @property
    def slots(self) -> int:
        """Attempts that it runs at the same time; may change, and may be 0."""

    def start(self, reports: Reports) -> None:
        """Get ready; may block, never called on a UI thread."""

    def submit(self, attempt: Attempt) -> None:
        """Take an attempt; what cannot be run comes back through `ended` as REJECTED."""

    def set_slots(self, slots: int) -> None:
        """Change the number of slots; running attempts are left alone."""

    def cancel(self, attempt_ids: Iterable[int]) -> None:
        """Ask attempts to stop; idempotent; unknown ids are ignored."""

    def kill(self, attempt_id: int) -> bool:
        """End an attempt by force; False: this backend cannot."""

    def stack(self, attempt_id: int) -> str | None:
        """Return where the attempt's code is just now, as a traceback; None when it does not run or nobody can tell."""

    def shutdown(self, timeout_s: float) -> int:
        """Stop and return the number of workers that would not; idempotent."""
