"""What is on the screen, as a command that returns to it, and as the state in which the screens begin."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from pipeloom.text import as_text, clean
from pipeloom.user_state import UserState


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What a screen shows of a file."""

    history: bool = False
    """Whether it is the history, also while a run goes on."""
    view: str = ""
    """Attempts, tasks or failures of the history."""
    where: str = ""
    """The text of the filter line."""
    order: str = ""
    """The order of the rows, as the user's state has it."""
    run: int | None = None
    """The run whose rows are shown; None: all."""
    attempt: int | None = None
    """The attempt whose detail is open."""
    tab: str = ""
    """The tab of the detail."""

    def options(self) -> list[str]:
        """Return the options of `pipeloom-tui`."""
        given = {
            "view": self.view,
            "filter": self.where,
            "order": self.order,
            "run": "" if self.run is None else str(self.run),
            "attempt": "" if self.attempt is None else str(self.attempt),
            "tab": self.tab,
        }
        return ["--history"] * self.history + [f"--{name}={value}" for name, value in given.items() if value]

    def command(self, db: Path, *more: str) -> str:
        """Return the command, as any shell takes it; `more` are other options.

        Raises `ValueError` for a path or filter with characters that a terminal would obey when it is pasted.
        """
        words = ["pipeloom-tui", as_text(db), *more, *self.options()]
        if any(clean(word, len(word) + 1) != word for word in words):
            raise ValueError("it holds control characters")
        return shlex.join(words)

    def lend_to(self, memory: UserState) -> None:
        """Let the screens begin here, whatever was remembered for the file."""
        notes = {
            "app.screen": "history" if self.history else "",
            "live.filter": self.where,
            "live.sort": self.order,
            "history.filter": self.where,
            "history.view": self.view,
            "history.order": self.order,
            "history.run": "" if self.run is None else str(self.run),
            "history.attempt": "" if self.attempt is None else str(self.attempt),
            "history.tab": self.tab,
        }
        for name, value in notes.items():
            memory.lend(name, value)
