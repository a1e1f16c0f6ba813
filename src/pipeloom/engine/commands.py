"""Commands: who can be asked, and what they answer. An answer is a value; its English is in `refusal_text`."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from pipeloom.limits.limit import Limit
from pipeloom.status import Status


class RefusalReason(StrEnum):
    """Why a command left an attempt alone."""

    NOT_FOUND = "not_found"
    """The run has no such attempt."""
    ENDED = "ended"
    """It has ended; `Refusal.status` says how."""
    NOT_ENDED = "not_ended"
    """It runs, or its end is not on disk yet."""
    QUEUED = "queued"
    """It waits for a worker already."""
    RETRIED = "retried"
    """A later attempt of its task exists."""
    NOT_CANCELLING = "not_cancelling"
    """It was not asked to stop, so it cannot be abandoned."""
    CLOSING = "closing"
    """The run is being closed."""
    WAITS = "waits"
    """It comes after a task that has not been done; `Refusal.detail` says which."""
    EXECUTOR_LOST = "executor_lost"
    """Nothing can run any more; `Refusal.detail` says why."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a command left one attempt alone."""

    reason: RefusalReason
    status: Status | None = None
    """How the attempt has ended, for `ENDED`."""
    detail: str = ""
    """A sentence of the executor, for `EXECUTOR_LOST`; what has ended how, for `WAITS`."""


@dataclass(frozen=True, slots=True)
class CommandResult:
    """What became of a command: the attempts that it changed, and why it refused the others."""

    accepted: tuple[int, ...] = ()
    """Attempt ids. For a retry these are the ids of the new attempts."""
    refused: dict[int, Refusal] = field(default_factory=dict)
    """By attempt id."""


@dataclass(frozen=True, slots=True)
class LimitUse:
    """How much of a limit is used, now."""

    name: str
    """As it is declared: "host:*" stands for all its values."""
    at_once: int | None
    """Attempts that may hold it; of "host:*", each value."""
    per_second: float | None
    held: int
    """Attempts that hold it, of all values."""
    waiting: int
    """Attempts that are ready and name it."""


@dataclass(frozen=True, slots=True)
class EngineLoad:
    """How busy the engine is, now."""

    workers: int
    """Workers that exist."""
    busy: int
    """Workers that hold a task; above `workers` after the number was lowered."""
    lost: int
    """Workers lost to tasks that were abandoned."""
    waiting: int
    """Attempts that are ready to be dispatched."""
    backlog: int
    """Entries in the writer's queue."""
    paused: bool
    blocked: int = 0
    """Workers that wait for the writer."""
    wanted: int = 0
    """Workers asked for; a cluster may have that many soon."""
    limits: tuple[LimitUse, ...] = ()
    """In the order in which the pipeline declares them."""


class Commands(Protocol):
    """What can be asked of a run: of the engine in this process, or of one in another process."""

    @property
    def run_id(self) -> int:
        """Id of the run in the file."""

    def cancel(self, attempt_ids: Iterable[int]) -> CommandResult:
        """Cancel attempts: those that wait end at once, those that run are asked to stop."""

    def retry(self, attempt_ids: Iterable[int], *, from_start: bool = False) -> CommandResult:
        """Follow ended attempts by new ones; one that waits for its due time starts now.

        With `from_start` they do not go on from the state that their tasks have left.
        """

    def abandon(self, attempt_ids: Iterable[int]) -> CommandResult:
        """Give up on attempts whose workers do not stop."""

    def pause(self) -> None:
        """Stop dispatching; running attempts go on."""

    def resume(self) -> None:
        """Dispatch again."""

    def set_workers(self, workers: int) -> int:
        """Change the number of workers and return it."""

    def set_limit(self, name: str, limit: Limit) -> Limit:
        """Change a limit, by the name under which it is declared, and return it; attempts that hold it are left alone.

        Raises `PipeloomError` when the pipeline has no such limit.
        """

    def load(self) -> EngineLoad:
        """Return how busy the engine is."""

    def why_waiting(self, attempt_ids: Iterable[int]) -> dict[int, str]:
        """Return why attempts have not begun, in words; those are left out that have, or wait for their due time."""

    def waiting_for(self, what: Collection[str]) -> tuple[int, ...]:
        """Return the attempts that wait for one of `what`: see `pipeloom.filters.conditions.WaitsFor`."""
