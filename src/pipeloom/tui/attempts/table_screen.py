"""What the two screens with a table share: the filter line above, the detail below or beside."""

from __future__ import annotations

from collections.abc import Hashable
from typing import ClassVar, Final

from textual import getters, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.events import Key
from textual.layouts.vertical import VerticalLayout
from textual.screen import Screen
from textual.widgets import Input, Static

from pipeloom.store.rows import AttemptRow
from pipeloom.tui.attempts.columns import chosen, second_of
from pipeloom.tui.attempts.detail import DetailPane
from pipeloom.tui.bindings import key
from pipeloom.tui.services import ServicesGetter
from pipeloom.tui.sharing.clipboard import copy
from pipeloom.tui.sharing.place import Place, copy_command
from pipeloom.tui.table.columns import Column
from pipeloom.tui.table.row_view import HEADER_LINES
from pipeloom.tui.table.sources import RowSource
from pipeloom.tui.table.virtual_table import VirtualTable
from pipeloom.tui.widgets.filter_bar import FilterBar
from pipeloom.tui.widgets.key_footer import KeyFooter

SHARED_KEYS: Final[list[BindingType]] = [
    key("slash", "filter", "Filter", "Show only the rows that match.", "table.filter", display="/"),
    key("d", "detail", "Detail", "Show or hide what is known about the row.", "table.detail"),
    key("l", "log", "Log", "Show the log of the row.", "table.log", footer=False),
    key("e", "error", "Error", "Show why the row failed.", "table.error", footer=False),
    key("z", "zoom", "Zoom", "Give the detail the whole screen, or take it back.", "table.zoom", footer=False),
    Binding("right", "tab(1)", "Next-tab", tooltip="Show the next tab.", id="detail.next", show=False, priority=True),
    Binding(
        "left",
        "tab(-1)",
        "Previous-tab",
        tooltip="Show the tab before.",
        id="detail.previous",
        show=False,
        priority=True,
    ),
    key("y", "copy", "Copy", "Copy what the detail shows, else the row.", "table.copy", footer=False),
    key("Y", "copy_command", "Command", "Copy the command that returns to this.", "table.copy_command", footer=False),
    key("space", "mark", "Mark", "Mark the row, or unmark it.", "table.mark", footer=False),
    key("v", "mark_range", "Range", "Mark from the last mark to the cursor.", "table.range", footer=False),
    key("u", "unmark", "Unmark", "Unmark all rows.", "table.unmark", footer=False),
    key(
        "escape", "back", "Back", "Close the detail, then clear the filter, then the marks.", "table.back", footer=False
    ),
]
"""Listed by each screen after its own keys, which come first in the footer."""
_WHOLE: Final = "-whole-detail"
"""Class of a screen on which the detail takes the place of all else."""
_LEAST_LINES: Final = 4
"""Minimum lines of a table above the detail."""


def too_small() -> Static:
    """Return the text of a screen that is too small; see `PipeloomApp.HORIZONTAL_BREAKPOINTS`."""
    return Static("Enlarge the terminal to 40 × 12. q quits", classes="too-small")


class TableScreen(Screen[None]):
    """A table of attempts with its filter and its detail."""

    services = ServicesGetter()
    AUTO_FOCUS = "VirtualTable"

    screen_name: ClassVar[str]
    """The name of this screen in settings and user state."""

    filter_bar = getters.query_one(FilterBar)
    detail = getters.query_one(DetailPane)

    @property
    def table(self) -> VirtualTable[AttemptRow]:
        """The table."""
        return self.query_one(VirtualTable)

    def compose_panes(
        self, source: RowSource[AttemptRow], columns: list[Column[AttemptRow]], empty: str
    ) -> ComposeResult:
        """Yield filter, table, detail and footer."""
        ascii_only = self.services.ascii_only
        columns = chosen(columns, self.services.settings.columns.get(self.screen_name, ()))
        yield FilterBar(self.services.remembered(f"{self.screen_name}.filter"), live=self.screen_name == "live")
        with Container(classes="panes"):
            table: VirtualTable[AttemptRow] = VirtualTable(source, columns, beside=self.beside, ascii_only=ascii_only)
            table.empty_text = empty
            yield table
            detail = DetailPane(ascii_only=ascii_only)
            detail.display = False
            yield detail
        yield KeyFooter()
        yield too_small()

    def on_mount(self) -> None:
        """Name the filter that was remembered."""
        # Textual sets the class of a width after the first layout, which would be painted.
        points = self.HORIZONTAL_BREAKPOINTS or self.app.HORIZONTAL_BREAKPOINTS or ()
        self.add_class(max(point for point in points if point[0] <= self.app.size.width)[1])
        if self.filter_bar.is_filtering:
            self.services.tell(f"Only {self.filter_bar.text} is shown, as last time: esc shows all.")

    def beside(self, row: AttemptRow, second: int) -> Hashable:
        """Return what the cells of a row show besides it."""
        return second_of(row, second)

    def follow(self) -> None:
        """Show the row under the cursor in the detail, if that is open; each screen reads it in its own way."""

    def share_lines(self) -> None:
        """Give the detail the lines that the tables above it do not need; they get no more than it."""
        panes = next(iter(self.query(".panes")), None)
        if panes is None:
            return  # the screen is about to go
        rows = max((table.row_count for table in panes.query(VirtualTable) if table.display), default=0)
        lines = max(_LEAST_LINES, min(rows, self.size.height) + HEADER_LINES)
        is_below = self.detail.display and isinstance(panes.styles.layout, VerticalLayout)
        panes.children[0].styles.max_height = lines if is_below else None

    def on_resize(self) -> None:
        """Share the lines again: a wide screen has table and detail beside each other."""
        self.call_after_refresh(self.share_lines)

    def on_key(self, event: Key) -> None:
        """Say why the key of the live screen does nothing here."""
        if event.key == "1" and self.services.engine is None and not self.services.is_viewer:
            self.services.tell("No run goes on in this file: pipeloom-tui DB PIPELINE starts one.", problem=True)

    @on(FilterBar.Changed)
    def _remember_filter(self, event: FilterBar.Changed) -> None:
        self.services.remember(f"{self.screen_name}.filter", str(event.where))

    @on(VirtualTable.Chosen)
    def _open(self) -> None:
        """Open the detail; a second time, make it the whole screen."""
        if self.detail.display:
            self.action_zoom()
        else:
            self.action_detail()

    @on(FilterBar.Left)
    def _back_to_table(self) -> None:
        self.set_focus(self.table)

    @on(DetailPane.Told)
    def _tell(self, event: DetailPane.Told) -> None:
        self.services.tell(event.sentence, problem=event.problem)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer what changes the tab only where there is one."""
        if action == "tab":
            takes = isinstance(self.focused, Input) or self.detail.takes_sideways
            return self.detail.display and not takes
        return super().check_action(action, parameters)

    def action_filter(self) -> None:
        """Focus the filter line, which is no longer hidden then by a detail that is the whole screen."""
        if self.has_class(_WHOLE):
            self.remove_class(_WHOLE)
            self.app.stylesheet.apply(self.filter_bar)  # at once: what is hidden takes no focus
        self.filter_bar.begin()

    def action_detail(self) -> None:
        """Show the detail of the row under the cursor, or hide it."""
        if self.detail.display:
            self._zoom(whole=False)
            self.detail.display = False
            self.share_lines()
            self.table.focus()
        else:
            self.open_detail()

    def open_detail(self, tab: str | None = None) -> None:
        """Open the detail, on a tab or on the one that fits the row."""
        self.table.hold_cursor()
        self.detail.open_on(tab)
        self.detail.display = True
        self.share_lines()
        self.follow()

    def action_log(self) -> None:
        """Show the log of the row under the cursor."""
        self.open_detail("log")
        self.detail.begin()

    def action_error(self) -> None:
        """Show the error of the row under the cursor."""
        self.open_detail("error")

    def action_tab(self, step: int) -> None:
        """Show the next tab of the detail, or the one before."""
        self.detail.step_tab(step)

    def action_zoom(self) -> None:
        """Make the detail the whole screen, or give the table its place back."""
        if not self.detail.display:
            self.open_detail()
        self._zoom(whole=not self.has_class(_WHOLE))

    def _zoom(self, *, whole: bool) -> None:
        if whole is self.has_class(_WHOLE):
            return
        self.set_class(whole, _WHOLE)
        if whole:
            self.detail.begin()
        else:
            self.table.focus()

    def action_copy(self) -> None:
        """Put text on the clipboard of the terminal (OSC 52), and on that of the system."""
        row = self.table.cursor_row
        if row is None:
            return
        text = self.detail.plain if self.detail.display else self.plain_row()
        copy(self.services, text)
        self.services.tell("Copied.")

    def action_copy_command(self) -> None:
        """Put the command on the clipboard that returns to what is on the screen."""
        copy_command(self.services, self.place())

    def place(self) -> Place:
        """Return what the screen shows."""
        return Place(where=self.filter_bar.text, tab=self.detail.tab if self.detail.display else "")

    def plain_row(self) -> str:
        """Return the row under the cursor as text."""
        row = self.table.cursor_row
        return "" if row is None else f"{row.task_id}\t{row.name}\t{row.status}\t{row.message}"

    def action_back(self) -> None:
        """Make the detail small, hide it, clear the filter, or unmark all; say so when there is nothing to leave."""
        if self.has_class(_WHOLE):
            self.action_zoom()
        elif self.detail.display:
            self.action_detail()
        elif self.filter_bar.is_filtering:
            self.filter_bar.action_clear()
        elif self.table.marked:
            self.action_unmark()
        else:
            self.services.tell("Nothing is open, filtered or marked here; q quits.")

    # -- marks -------------------------------------------------------------------------------------------------------

    def action_mark(self) -> None:
        """Mark the row, and move to the next."""
        self.table.toggle_mark()
        self.table.action_move(1)

    def action_mark_range(self) -> None:
        """Mark from the last mark to the cursor."""
        self.table.mark_range()

    def action_unmark(self) -> None:
        """Unmark all."""
        self.table.clear_marks()
