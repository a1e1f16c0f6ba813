"""Two runs side by side: the tasks that fail now, that got slower, and the noise."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Final

from textual import getters, on
from textual.binding import BindingType
from textual.content import Content
from textual.widget import Widget

from pipeloom.status import RunStatus
from pipeloom.store.read.compare import Change, RunComparison, TaskChange, compare_runs
from pipeloom.store.read.history import History
from pipeloom.text import clean
from pipeloom.tui.bindings import key
from pipeloom.tui.reports.base import REPORT_KEYS, ReportScreen
from pipeloom.tui.reports.compare.attempts import CompareAttemptsScreen
from pipeloom.tui.reports.compare.columns import (
    SHORT,
    change_glyph,
    change_variable,
    compare_columns,
    noise_label,
    signed,
)
from pipeloom.tui.reports.compare.run_sides import RunSides
from pipeloom.tui.sharing.place import Place
from pipeloom.tui.style import format as fmt
from pipeloom.tui.style.text import content
from pipeloom.tui.table.sources import ListSource
from pipeloom.tui.table.virtual_table import VirtualTable
from pipeloom.tui.widgets.chips import Chip, Chips

COPIED_TASKS: Final = 500


class CompareRunsScreen(ReportScreen[None, RunComparison]):
    """Header, chips that filter by kind of change, and the tasks, largest change first."""

    BINDINGS: ClassVar[list[BindingType]] = [
        key("d", "open", "Detail", "Compare the attempts of this task in both runs.", "compare.open"),
        key("f", "kind(1)", "Kind", "Show only the next kind of change.", "compare.kind"),
        key("F", "kind(-1)", "Before", "Show only the kind of change before.", "compare.kind_back", footer=False),
        *REPORT_KEYS,
    ]

    AUTO_FOCUS = "VirtualTable"
    TITLE = "Compare"
    EMPTY = "The two runs are not both in this file any more."
    NEED_REPORT = frozenset({"copy", "kind"})

    _sides = getters.query_one(RunSides)
    _chips = getters.query_one(Chips)

    def __init__(self, db_path: Path, left_id: int, right_id: int) -> None:
        """Compare two runs of the file; the earlier one comes first, in either order of the arguments."""
        super().__init__(db_path)
        self._ids = (left_id, right_id)
        self._source: ListSource[TaskChange] = ListSource(lambda task: task.key)

    def compose_body(self) -> list[Widget]:
        """Yield header, chips and table."""
        self._table: VirtualTable[TaskChange] = VirtualTable(
            self._source, compare_columns(), ascii_only=self.services.ascii_only
        )
        return [RunSides(), Chips(), self._table]

    def place(self) -> Place:
        """Return the report of what is shown."""
        return Place(history=True, report="runs:{},{}".format(*self._ids))

    def look_up(self, history: History) -> RunComparison | None:
        """Read and compare both runs."""
        return compare_runs(history, *self._ids)

    def goes_on(self, found: RunComparison) -> bool:
        """Tell whether the later run goes on."""
        return found.now.run.status is RunStatus.RUNNING

    def title_line(self) -> Content:
        """Return file and pipelines."""
        names = [] if self.found is None else [self.found.was.run.pipeline, self.found.now.run.pipeline]
        told = " / ".join(clean(name, 40) for name in dict.fromkeys(names))
        return Content.assemble(super().title_line(), "  ", content(told, "$muted"))

    def show_found(self, found: RunComparison) -> None:
        """Show both runs and their differences."""
        self._sides.ascii_only = self.services.ascii_only
        self._sides.now = self.services.clock()
        self._sides.comparison = found
        self._show_tasks(self._chips.chosen)

    def _show_tasks(self, kind: str) -> None:
        """Show the tasks with one kind of change; "" for all."""
        found = self.found
        if found is None:
            return
        whole = [Chip("", "all", len(found.tasks))]
        self._chips.chosen = kind
        self._chips.chips = (*whole, *(self._chip(change, found.counts.get(change, 0)) for change in Change))
        self._source.replace([task for task in found.tasks if kind in ("", task.change)])
        self._table.empty_text = "Neither run has any task." if not found.tasks else "No task has changed like this."
        self._table.refresh_rows()
        self.refresh_bindings()

    def _chip(self, change: Change, count: int) -> Chip:
        glyph = change_glyph(change, ascii_only=self.services.ascii_only)
        return Chip(change, SHORT[change], count, glyph, change_variable(change))

    @on(Chips.Chosen)
    def _filter(self, event: Chips.Chosen) -> None:
        self._show_tasks(event.value)
        self._table.move_cursor(0)

    def action_kind(self, step: int) -> None:
        """Show the next kind of change."""
        self._chips.choose_next(step)

    @on(VirtualTable.Highlighted)
    def _offer(self) -> None:
        self.refresh_bindings()

    @on(VirtualTable.Chosen)
    def action_open(self) -> None:
        """Compare the two attempts of the task."""
        task = self._table.cursor_row
        if task is not None and task.was is not None and task.now is not None:
            self.app.push_screen(CompareAttemptsScreen(self.db_path, task.was.id, task.now.id))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer the comparison of attempts only where there are two."""
        if action == "open":
            task = self._table.cursor_row if self.found else None
            return task is not None and task.was is not None and task.now is not None
        return super().check_action(action, parameters)

    def plain(self, found: RunComparison) -> str:
        """Return both runs, the counts, and the changed tasks."""
        lines = []
        for word, side in (("was", found.was), ("now", found.now)):
            counts = ", ".join(f"{count:,} {status}" for status, count in side.statuses.items())
            took = fmt.duration(side.run.took_s(self.services.clock()))
            lines.append(f"{word}\trun {side.run.id}\t{side.run.started_at}\t{side.run.status}\t{took}\t{counts}")
        lines.append(", ".join(f"{count:,} {change}" for change, count in found.counts.items()))
        shown = self._source.rows[:COPIED_TASKS]
        lines += [_plain_task(task) for task in shown]
        if len(shown) < self._source.count():
            lines.append(f"… and {self._source.count() - len(shown):,} more")
        return "\n".join(lines)


def _plain_task(task: TaskChange) -> str:
    was, now = ("-" if side is None else str(side.status) for side in (task.was, task.now))
    difference = "" if task.difference_s is None else signed(task.difference_s)
    return "\t".join((clean(task.name), was, now, difference, noise_label(task, ascii_only=False), task.change))
