"""The question which code a retry runs, when files of the pipeline have changed since they were loaded."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from enum import Enum, auto
from pathlib import Path

from textual.content import Content

from pipeloom.code.version import Change
from pipeloom.times import shown, stamp
from pipeloom.tui.style.text import content
from pipeloom.tui.widgets.dialogs import Choice, ChoiceDialog


class Code(Enum):
    """The code that is run."""

    NONE = auto()
    """Nothing is run."""
    LOADED = auto()
    """As it was loaded."""
    NEW = auto()
    """As it is on disk."""


def change_time(change: Change) -> str:
    """Return when the file was saved, as in "12:41"."""
    return shown(stamp(datetime.fromtimestamp(change.at, UTC)), "%H:%M")


def change_text(change: Change | None) -> str:
    """Return what has changed, as in "pipeline.py changed 12:41"; "" for nothing."""
    if change is None:
        return ""
    others = f" and {change.others} more" if change.others else ""
    return f"{Path(change.path).name}{others} changed {change_time(change)}"


def code_dialog(
    title: str, change: Change, *, action: str, body: Callable[[], Content] | None = None
) -> ChoiceDialog[Code]:
    """Ask which code to run; the new one unless told otherwise. `body` says what is run."""
    told = content(f"{change_text(change)}, after it was loaded. Tasks that run go on with the code that they have.")
    choices = [
        Choice(Code.NONE, "Back", key="n"),
        Choice(Code.LOADED, "As it was loaded", key="o"),
        Choice(Code.NEW, f"With the code of {change_time(change)}", "-confirm", key="y"),
    ]
    text = told if body is None else lambda: Content("\n").join([body(), Content(""), told])
    return ChoiceDialog(title, text, choices, action=action, default=2)
