"""What the engine's commands answer."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class CommandResult:
    """What became of a command: the attempts it took hold of, and why it refused the others."""

    accepted: tuple[int, ...] = ()
    """Attempt ids. For a retry these are the ids of the new attempts."""
    refused: dict[int, str] = field(default_factory=dict)
    """Attempt id to the reason, as a sentence for the user."""


@dataclass(frozen=True, slots=True)
class EngineLoad:
    """How busy the engine is, now."""

    workers: int
    """Workers wanted."""
    busy: int
    """Workers that hold a task; above `workers` after the number was lowered."""
    leaked: int
    """Workers lost to tasks that were abandoned."""
    waiting: int
    """Attempts that are ready to be dispatched."""
    backlog: int
    """Entries in the writer's queue."""
    paused: bool
