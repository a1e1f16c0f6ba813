"""The questions of the live screen."""

from __future__ import annotations

from textual.content import Content

from pipeloom.status import OPEN
from pipeloom.tui.attempts.questions import ReadRows, named_tasks
from pipeloom.tui.live.sorting import COLUMNS
from pipeloom.tui.widgets.dialogs import ConfirmDialog, ListDialog


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
    return ConfirmDialog(title, lambda: named_tasks(read()), label, cancel_label="Back", action="cancel")


def abandon_dialog(read: ReadRows, *, kills: bool) -> ConfirmDialog:
    """Ask whether to abandon attempts that do not stop; `kills`: the executor ends their processes."""
    what = "its process is killed." if kills else "it keeps its slot until it ends."

    def body() -> Content:
        left = any(row.status in OPEN for row in read())
        told = f"Its worker does not stop. Abandoned, {what}" if left else "It has stopped."
        return Content("\n").join([named_tasks(read()), Content(""), Content(told)])

    title = "Abandon what does not stop?"
    return ConfirmDialog(title, body, "Abandon", cancel_label="Wait", action="cancel")


def _tasks(count: int) -> str:
    return "this task" if count == 1 else f"{count:,} tasks"
