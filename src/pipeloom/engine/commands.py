"""What the engine's commands answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

ENDED_ALREADY: Final = "it has ended already: "
"""What the refusal of an attempt that has ended begins with; its status follows."""


@dataclass(frozen=True, slots=True)
class CommandResult:
    """What became of a command: the attempts it took hold of, and why it refused the others."""

    accepted: tuple[int, ...] = ()
    """Attempt ids. For a retry these are the ids of the new attempts."""
    refused: dict[int, str] = field(default_factory=dict)
    """Attempt id to the reason, as a sentence for the user."""


class Answer:
    """A `CommandResult` in the making."""

    def __init__(self) -> None:
        self._accepted: list[int] = []
        self._refused: dict[int, str] = {}

    def accept(self, *attempt_ids: int) -> None:
        """Note attempts that the command took hold of."""
        self._accepted.extend(attempt_ids)

    def refuse(self, attempt_id: int, why: str) -> None:
        """Note an attempt that it did not."""
        self._refused[attempt_id] = why

    def frozen(self) -> CommandResult:
        """Return the answer."""
        return CommandResult(tuple(self._accepted), self._refused)


@dataclass(frozen=True, slots=True)
class EngineLoad:
    """How busy the engine is, now."""

    workers: int
    """Workers that there are."""
    busy: int
    """Workers that hold a task; above `workers` after the number was lowered."""
    leaked: int
    """Workers lost to tasks that were abandoned."""
    waiting: int
    """Attempts that are ready to be dispatched."""
    backlog: int
    """Entries in the writer's queue."""
    paused: bool
    blocked: int = 0
    """Workers that wait for the writer."""
    wanted: int = 0
    """Workers asked for; a cluster may have more of them soon."""
