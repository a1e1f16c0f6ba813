"""What is on the screen, as a command that returns to it, and as the state in which the screens begin."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pipeloom.errors import UsageError
from pipeloom.text import as_text, clean
from pipeloom.tui.services import AppServices
from pipeloom.tui.sharing.clipboard import copy
from pipeloom.user_state import UserState

_REPORT: Final = re.compile(
    r"days|(timeline|log):\d{1,18}|task:.*|(runs|attempts):\d{1,18},\d{1,18}", re.ASCII | re.DOTALL
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What a screen shows of a file."""

    history: bool = False
    """Whether it is the history, also while a run goes on."""
    report: str = ""
    """What is open over the history: `days`, `timeline:RUN`, `log:RUN`, `task:NAME`, `runs:A,B` or `attempts:A,B`."""
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
    task: str = ""
    """The id of the task under the cursor of the run; the history has it by its latest attempt."""
    tab: str = ""
    """The tab of the detail."""

    def options(self) -> list[str]:
        """Return the options of `pipeloom-tui`."""
        given = {
            "report": self.report,
            "view": self.view,
            "filter": self.where,
            "order": self.order,
            "run": "" if self.run is None else str(self.run),
            "attempt": "" if self.attempt is None else str(self.attempt),
            "task": self.task,
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
            "live.task": self.task,
            "live.tab": self.tab,
            "history.filter": self.where,
            "history.view": self.view,
            "history.order": "" if self.task else self.order,
            "history.run": "" if self.run is None else str(self.run),
            "history.attempt": "" if self.attempt is None else str(self.attempt),
            "history.tab": self.tab,
            "history.report": self.report,
        }
        for name, value in notes.items():
            memory.lend(name, value)


def check_report(text: str) -> None:
    """Raise `UsageError` for what is no `Place.report`."""
    if _REPORT.fullmatch(text) is None:
        ways = "days, timeline:RUN, log:RUN, task:NAME, runs:RUN,RUN or attempts:ID,ID"
        raise UsageError(f"--report is {ways}, not {clean(text, 80)!r}.")


def copy_command(services: AppServices, place: Place) -> None:
    """Put the command on the clipboard that returns to a place, and say which it is."""
    flags = {"--read-only": services.read_only, "--ascii": services.ascii_only}
    try:
        command = place.command(services.db_path, *(flag for flag, given in flags.items() if given))
    except ValueError as error:
        services.tell(f"There is no such command: {error}.", problem=True)
        return
    copy(services, command)
    services.tell(f"Copied: {command}")
