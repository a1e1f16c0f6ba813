"""The question which code a retry runs, when files of the pipeline have changed since they were loaded."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto

from textual.content import Content

from pipeloom.code.version import Change
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


def code_dialog(
    title: str, change: Change, *, action: str, body: Callable[[], Content] | None = None
) -> ChoiceDialog[Code]:
    """Ask which code to run; the new one unless told otherwise. `body` says what is run."""
    told = content(f"{change.told}, after it was loaded. Tasks that run go on with the code that they have.")
    choices = [
        Choice(Code.NONE, "Back", key="n"),
        Choice(Code.LOADED, "As it was loaded", key="o"),
        Choice(Code.NEW, f"With the code of {change.time}", "-confirm", key="y"),
    ]
    text = told if body is None else lambda: Content("\n").join([body(), Content(""), told])
    return ChoiceDialog(title, text, choices, action=action, default=2)
