"""The executor protocol. The engine does not know which backend runs an attempt.

Invariants, each tested by the conformance suite:

* exactly one `ended` per accepted attempt, and nothing of that attempt after it;
* messages of one attempt arrive in the order of their `put`, without gaps; `started` precedes the first;
* an exception of any kind in a worker ends its attempt and nothing else;
* `submit`, `cancel` and `kill` never block; `shutdown` returns within about `timeout_s` + 2 seconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from pipeloom.engine.attempt import Attempt, Outcome


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """What an executor knows of one worker; None where it does not know."""

    name: str
    slots: int
    attempts: tuple[int, ...] = ()
    """Ids of the attempts that run on it."""
    cpu: float | None = None
    """Percent of one processor."""
    memory: int | None = None
    """Resident bytes."""
    memory_limit: int | None = None
    """Bytes."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a backend can do."""

    remote: bool = False
    """Workers are in other processes."""
    multi_host: bool = False
    """Workers may be on other machines."""
    hard_kill: bool = False
    """`kill` can end an attempt."""
    isolated_crash: bool = False
    """A worker that crashes ends its own attempt only."""


class Reports(Protocol):
    """What an executor reports to the engine, from threads of its own. Every call may block."""

    def has_room(self, attempt_id: int) -> bool:
        """Tell whether a report about the attempt would not wait for the writer or the disk now."""

    def started(self, attempt_id: int, worker: str) -> None:
        """Report that the attempt runs on `worker`."""

    def message(self, attempt_id: int, msg: Any) -> None:
        """Report a message; raises `WriterFailedError` when nothing more can be saved."""

    def ended(self, attempt_id: int, outcome: Outcome) -> None:
        """Report the end of the attempt."""

    def broken(self, error: BaseException) -> None:
        """Report a bug in the executor: its state can no longer be trusted."""

    def slots_changed(self) -> None:
        """Report that `slots` or `window` changed."""

    def lost(self, reason: str) -> None:
        """Report that no attempt can run any more; `ended` follows for every attempt that the executor holds."""


class Executor(Protocol):
    """Runs attempts. Thread-safe. The methods with a body here are optional: their defaults know and do nothing."""

    name: str
    """Value of the column `pipeline_runs.executor`."""
    caps: Capabilities = Capabilities()

    @property
    def slots(self) -> int:
        """Attempts that run at the same time; may change, and may be 0."""

    @property
    def window(self) -> int:
        """Attempts that the executor wants to hold: those that run, and those that wait so that no slot is idle."""
        return self.slots

    def start(self, reports: Reports) -> None:
        """Get ready; may block, is never called on a UI thread."""

    def submit(self, attempt: Attempt) -> None:
        """Take an attempt; one that cannot run ends as REJECTED."""

    def set_slots(self, slots: int) -> None:
        """Change the number of slots; running attempts go on."""

    def cancel(self, attempt_ids: Iterable[int]) -> None:
        """Ask attempts to stop; idempotent, ignores unknown ids."""

    def kill(self, attempt_id: int) -> bool:  # noqa: ARG002 - for the backends that can
        """End an attempt by force; False when this backend cannot."""
        return False

    def workers(self) -> list[WorkerInfo]:
        """Return what is known of each worker; may block briefly."""
        return []

    def stack(self, attempt_id: int) -> str | None:  # noqa: ARG002 - for the backends that can
        """Return where the attempt's code is now, as a traceback; None when it does not run or cannot be seen."""
        return None

    def children(self, attempt_id: int) -> list[str]:  # noqa: ARG002 - for the backends that can
        """Return the programs that the attempt has started and that still run, as phrases, where nothing ends them."""
        return []

    def shutdown(self, timeout_s: float) -> int:
        """Stop, and return the number of workers that did not stop; idempotent."""
