"""The questions of the live screen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from textual.content import Content

from pipeloom.status import Status
from pipeloom.store.rows import AttemptRow
from pipeloom.tui.live.sorting import COLUMNS
from pipeloom.tui.style.text import content
from pipeloom.tui.widgets.dialogs import Choice, ChoiceDialog, ConfirmDialog

_NAMED: Final = 5
"""Number of tasks that a dialog names; it counts the rest."""


def sort_dialog(current: str) -> ChoiceDialog[str]:
    """Ask for the column to sort by; `current` is the column now, "" the groups of the board."""
    choices = [Choice(current, "Leave it as it is"), Choice("", "Running first, ended last", "-confirm")]
    choices += [Choice(column, label, "-confirm") for column, (label, _) in COLUMNS.items()]
    return ChoiceDialog("Sort the tasks by", "", choices)


def cancel_dialog(rows: Sequence[AttemptRow]) -> ConfirmDialog:
    """Ask whether to cancel these attempts."""
    title = "Cancel this task?" if len(rows) == 1 else f"Cancel {len(rows):,} tasks?"
    label = "Cancel task" if len(rows) == 1 else "Cancel tasks"
    return ConfirmDialog(title, _names(rows), label, cancel_label="Back")


def abandon_dialog(rows: Sequence[AttemptRow], *, kills: bool) -> ConfirmDialog:
    """Ask whether to abandon attempts that do not stop; `kills`: the executor ends their processes."""
    what = "its process is killed." if kills else "it keeps its slot until it ends."
    body = Content("\n").join([_names(rows), Content(""), Content(f"Its worker does not stop. Abandoned, {what}")])
    return ConfirmDialog("Abandon what does not stop?", body, "Abandon", cancel_label="Wait")


def retry_dialog(rows: Sequence[AttemptRow]) -> ConfirmDialog:
    """Ask whether to run these failed attempts' tasks again."""
    title = "Run the failed task again?" if len(rows) == 1 else f"Run {len(rows):,} failed tasks again?"
    return ConfirmDialog(title, _names(rows), "Run again", cancel_label="Back", destructive=False)


def _names(rows: Sequence[AttemptRow]) -> Content:
    """Return the number of attempts in each status, and the names of the first."""
    shown = [_line(row) for row in rows[:_NAMED]]
    if len(rows) > _NAMED:
        shown.append(content(f"  … and {len(rows) - _NAMED:,} more", "$muted"))
    if len(rows) > 1:
        counts = Counter(row.status for row in rows)
        told = ", ".join(f"{counts[status]:,} {status}" for status in Status if counts[status])
        shown = [content(told, "$muted"), Content(""), *shown]
    return Content("\n").join(shown)


def _line(row: AttemptRow) -> Content:
    return Content.assemble("  ", content(row.name or "(empty)", "bold", limit=48), (f"  {row.status}", "$muted"))
