"""The questions of the live screen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from textual.content import Content

from pipeloom.status import OPEN, Status
from pipeloom.store.rows import AttemptRow
from pipeloom.tui.live.sorting import COLUMNS
from pipeloom.tui.style.text import content
from pipeloom.tui.widgets.dialogs import ConfirmDialog, ListDialog

_NAMED: Final = 5
"""Number of tasks that a dialog names; it counts the rest."""


ReadRows = Callable[[], Sequence[AttemptRow]]
"""Returns the attempts of a question as they are now."""


def sort_dialog(current: str) -> ListDialog[str]:
    """Ask for the column to sort by; `current` is the column now, "" the groups of the board."""
    rows = [("", "Running first, ended last"), *((column, label) for column, (label, _) in COLUMNS.items())]
    return ListDialog("Sort the tasks by", rows, [current], current)


def cancel_dialog(read: ReadRows) -> ConfirmDialog:
    """Ask whether to cancel these attempts."""

    def title() -> str:
        left = sum(row.status in OPEN for row in read())
        return "It has ended: nothing to cancel." if not left else f"Cancel {_tasks(left)}?"

    label = "Cancel task" if len(read()) == 1 else "Cancel tasks"
    return ConfirmDialog(title, lambda: _names(read()), label, cancel_label="Back", action="cancel")


def abandon_dialog(read: ReadRows, *, kills: bool) -> ConfirmDialog:
    """Ask whether to abandon attempts that do not stop; `kills`: the executor ends their processes."""
    what = "its process is killed." if kills else "it keeps its slot until it ends."

    def body() -> Content:
        left = any(row.status in OPEN for row in read())
        told = f"Its worker does not stop. Abandoned, {what}" if left else "It has stopped."
        return Content("\n").join([_names(read()), Content(""), Content(told)])

    title = "Abandon what does not stop?"
    return ConfirmDialog(title, body, "Abandon", cancel_label="Wait", action="cancel")


def retry_dialog(read: ReadRows, *, action: str) -> ConfirmDialog:
    """Ask whether to run these attempts' tasks again; `action` is the action that asks."""
    count = len(read())
    failed = "failed " if all(row.status in (Status.ERROR, Status.INTERRUPTED) for row in read()) else ""
    title = f"Run the {failed}task again?" if count == 1 else f"Run {count:,} {failed}tasks again?"
    return ConfirmDialog(
        title, lambda: _names(read()), "Run again", cancel_label="Back", destructive=False, action=action
    )


def _tasks(count: int) -> str:
    return "this task" if count == 1 else f"{count:,} tasks"


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
