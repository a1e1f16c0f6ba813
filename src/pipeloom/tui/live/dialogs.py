"""The dialogs of the live screen."""

from __future__ import annotations

from textual.content import Content

from pipeloom.status import ACTIVE, OPEN
from pipeloom.store.rows import AttemptRow
from pipeloom.tui.attempts.questions import ReadRows, named_tasks
from pipeloom.tui.live.limits import LiveLimits
from pipeloom.tui.live.sorting import COLUMNS
from pipeloom.tui.services import AppServices
from pipeloom.tui.widgets.dialogs import ConfirmDialog, ListDialog, StackDialog
from pipeloom.tui.widgets.workers import WorkersDialog


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


def stack_dialog(services: AppServices, row: AttemptRow | None) -> StackDialog | str:
    """Show the stack of a task; returns a sentence where there is none."""
    engine = services.engine
    if engine is None or row is None or row.status not in ACTIVE or engine.commands.stack(row.id) is None:
        return "There is a stack to see only while a task runs in a thread of this program."
    return StackDialog(row.name, lambda: engine.commands.stack(row.id))


def workers_dialog(services: AppServices) -> WorkersDialog | str:
    """Show the workers and the limits, which change where there are commands; returns a sentence where none run."""
    engine, controls = services.engine, services.controls
    if (shown := engine or controls) is None or not shown.is_started:
        return "There are no workers: nothing runs."
    limits = LiveLimits(services)
    name_of = str if engine is None else engine.commands.task_name
    return WorkersDialog(limits.seen, name_of, None if controls is None else limits.change)


def _tasks(count: int) -> str:
    return "this task" if count == 1 else f"{count:,} tasks"
