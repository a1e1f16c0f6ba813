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
from typing import Any, Protocol

from pipeloom.engine.attempt import Attempt, Outcome


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """One worker, as far as its executor knows; None is what it does not know."""

    name: str
    slots: int
    attempts: tuple[int, ...] = ()
    """Ids of the attempts that it runs."""
    cpu: float | None = None
    """Per cent of one processor."""
    memory: int | None = None
    """Bytes."""
    memory_limit: int | None = None


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

    def slots_changed(self) -> None:
        """Take note that the executor has other `slots`, or wants another number of attempts, than before."""

    def lost(self, reason: str) -> None:
        """Take note that nothing can be run any more; `ended` follows for every attempt that the executor holds."""


class Executor(Protocol):
    """Runs attempts. Thread-safe. What a subclass leaves out is as poor as it can be."""

    name: str
    """What `pipeline_runs.executor` says."""
    caps: Capabilities = Capabilities()

    @property
    def slots(self) -> int:
        """Attempts that it runs at the same time; may change, and may be 0."""

    @property
    def window(self) -> int:
        """Attempts that it wants to hold: those that it runs, and those that wait there so that no slot has to."""
        return self.slots

    def start(self, reports: Reports) -> None:
        """Get ready; may block, never called on a UI thread."""

    def submit(self, attempt: Attempt) -> None:
        """Take an attempt; what cannot be run comes back through `ended` as REJECTED."""

    def set_slots(self, slots: int) -> None:
        """Change the number of slots; running attempts are left alone."""

    def cancel(self, attempt_ids: Iterable[int]) -> None:
        """Ask attempts to stop; idempotent; unknown ids are ignored."""

    def kill(self, attempt_id: int) -> bool:  # noqa: ARG002 - whichever it is
        """End an attempt by force; False: this backend cannot."""
        return False

    def workers(self) -> list[WorkerInfo]:
        """Return what is known of each worker; may block for a moment."""
        return []

    def stack(self, attempt_id: int) -> str | None:  # noqa: ARG002 - whichever it is
        """Return where the attempt's code is just now, as a traceback; None when it does not run or nobody can tell."""
        return None

    def shutdown(self, timeout_s: float) -> int:
        """Stop and return the number of workers that would not; idempotent."""
