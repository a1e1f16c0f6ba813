"""Sentences of the live screen: what is shown, and why a key does nothing."""

from __future__ import annotations

from typing import Final

from pipeloom.tui.live.board import Board
from pipeloom.tui.services import AppServices
from pipeloom.tui.style import format as fmt

WHY_NOT: Final = {
    "cancel": "Nothing to cancel here: it has ended already.",
    "retry": "Nothing to run again here: it has not ended yet.",
}
"""Action to what is told where the row under the cursor does not take it."""


def why_nothing(board: Board) -> str:
    """Return why no task is shown, where that is so."""
    if board.total():
        return "No task matches the filter."
    return (
        "Nothing has changed since it was done." if board.run is not None and board.run.unchanged else "No tasks yet."
    )


def counts(board: Board, in_view: int, hidden: int) -> str:
    """Return the number of rows that are shown, and that of the marked ones `in_view` and `hidden` by the filter."""
    told = [f"{fmt.count(board.count())} of {fmt.count(board.total())}"]
    if hidden:
        told.append(f"{fmt.count(in_view)} marked in view, {fmt.count(hidden)} hidden")
    elif in_view:
        told.append(f"{fmt.count(in_view)} marked")
    return " · ".join(told)


def why_no_commands(services: AppServices) -> str:
    """Return why no command is taken here."""
    if services.read_only:
        return "Nothing is changed here: the file is only read."
    if services.owner is None:
        return "The run of the other program is over: press 2, and r in the history runs its tasks again."
    return "Another program runs this: open it with --control to act on it."
