"""Every attempt that the file holds, newest first."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import getters, on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.screen import Screen
from textual.timer import Timer
from textual.widgets import Footer, Static

from pipeloom.errors import StoreError
from pipeloom.status import FINAL
from pipeloom.store.history import History
from pipeloom.store.rows import AttemptRow
from pipeloom.tui import format as fmt
from pipeloom.tui.bridge import Delivery
from pipeloom.tui.keys import key
from pipeloom.tui.screens.history_source import PAGE, HistorySource, Pages, load_pages
from pipeloom.tui.screens.reading import read, read_attempt
from pipeloom.tui.task_columns import history_columns, is_moving
from pipeloom.tui.text import content
from pipeloom.tui.widgets.detail import DetailPane
from pipeloom.tui.widgets.filter_bar import FilterBar
from pipeloom.tui.widgets.virtual_table import VirtualTable

if TYPE_CHECKING:
    from pipeloom.tui.app import PipeloomApp

_RELOAD_S = 1.0
"""How long new rows may wait to be shown while a run goes on."""


class HistoryScreen(Screen[None]):
    """Filter, table and detail of the attempts of all runs. Every query runs off the UI thread."""

    app: PipeloomApp
    AUTO_FOCUS = "VirtualTable"

    BINDINGS: ClassVar[list[BindingType]] = [
        key("slash", "filter", "Filter", "Show only the attempts that match.", "history.filter", display="/"),
        key("d", "detail", "Detail", "Show or hide what is known about the attempt.", "history.detail"),
        key("l", "log", "Log", "Show the log of the attempt.", "history.log", footer=False),
        key("r", "retry", "Retry", "Run the task again, if it is one of the current run.", "history.retry"),
        key("f5", "reload", "Reload", "Read the file again.", "history.reload", footer=False),
        key("escape", "back", "Back", "Close the detail, then clear the filter.", "history.back", footer=False),
    ]

    _filter = getters.query_one(FilterBar)
    _detail = getters.query_one(DetailPane)
    _title = getters.query_one("#history-title", Static)

    def __init__(self) -> None:
        super().__init__()
        self.source = HistorySource(self._load_missing)
        self._reload_timer: Timer | None = None
        self._generation = 0
        """Number of the picture that is shown or being read: pages of an older one are dropped."""
        self._reloading = False
        self._load_called = False

    @property
    def table(self) -> VirtualTable[AttemptRow]:
        """The table of attempts."""
        return self.query_one(VirtualTable)

    def compose(self) -> ComposeResult:
        """Put title, filter, table, detail and keys in their places."""
        yield Static(content(f"history  {self.app.db_path.name}", "bold"), id="history-title")
        yield FilterBar()
        with Container(classes="panes"):
            table: VirtualTable[AttemptRow] = VirtualTable(
                self.source, history_columns(), is_live=is_moving, ascii_only=self.app.ascii_only
            )
            table.empty_text = "Reading…"
            yield table
            yield DetailPane(ascii_only=self.app.ascii_only)
        yield Footer()

    def on_mount(self) -> None:
        """Read the newest page, and follow the commits of a run in this program."""
        self._detail.display = False
        self.app.commits.subscribe(self, self._reload_soon)
        self.set_interval(1.0, lambda: self.table.tick(self.app.clock()))
        self.table.tick(self.app.clock())
        self.reload()

    # -- reading -----------------------------------------------------------------------------------------------------

    def _reload_soon(self, _delivery: Delivery) -> None:
        """Reload, at most once a second, and only while somebody looks."""
        if self._reload_timer is None and self.is_current:
            self._reload_timer = self.set_timer(_RELOAD_S, self.reload)

    def on_screen_resume(self) -> None:
        """Show what has come since the last look."""
        if self.is_mounted and self._generation:
            self.reload()

    def reload(self) -> None:
        """Read count and visible pages anew; what is being read for an older picture no longer counts."""
        if self._reload_timer is not None:
            self._reload_timer.stop()
            self._reload_timer = None
        self._generation += 1
        self._reloading = True
        self._reload(self._generation)

    @work(exclusive=True, group="reload")
    async def _reload(self, generation: int) -> None:
        """Show count and pages at once, so that the cursor finds its row again."""
        start, stop = self.table.visible_range
        numbers = range(max(0, start // PAGE - 1), stop // PAGE + 2)
        where = self.source.where

        def query(history: History) -> tuple[int, Pages]:
            total = history.count(where)
            return total, load_pages(history, where, [number for number in numbers if number * PAGE <= total], {})

        try:
            total, pages = await read(self.app.db_path, query)
        except (StoreError, InterruptedError) as error:
            self._reloading = False
            self.table.empty_text = str(error)
            self.table.refresh()
            return
        if generation != self._generation:
            return
        self._reloading = False
        self.source.replace(total, pages)
        self.table.empty_text = "No attempt matches the filter." if where else "Nothing has run in this file yet."
        self.table.refresh_rows()
        self._filter.show_tally(content(f"{fmt.count(total)} attempts", "$muted"))
        self._follow()

    def _load_missing(self) -> None:
        """Load what the table has asked for in vain, after this paint."""
        if not self._load_called:
            self._load_called = True
            self.call_later(self._load_unless_reloading)

    def _load_unless_reloading(self) -> None:
        self._load_called = False
        if not self._reloading:
            self._load(self._generation, self.source.take_missing())

    @work(exclusive=True, group="missing")
    async def _load(self, generation: int, numbers: list[int]) -> None:
        known, where = self.source.neighbours(numbers), self.source.where
        try:
            pages = await read(self.app.db_path, lambda history: load_pages(history, where, numbers, known))
        except (StoreError, InterruptedError) as error:
            self.app.tell(str(error), problem=True)
            return
        if generation == self._generation:
            self.source.put(pages)
            self.table.refresh_rows()

    # -- detail ------------------------------------------------------------------------------------------------------

    @on(VirtualTable.Highlighted)
    def _follow(self) -> None:
        self.refresh_bindings()
        row = self.table.cursor_row
        if self._detail.display:
            if row is None:
                self._detail.show_attempt(None)
            else:
                self._show_detail(row)

    @work(exclusive=True, group="detail")
    async def _show_detail(self, row: AttemptRow) -> None:
        try:
            whole, attempts, logs = await read_attempt(self.app.db_path, row)
        except (StoreError, InterruptedError) as error:
            self.app.tell(str(error), problem=True)
            return
        self._detail.show_attempt(whole or row, attempts, logs)

    @on(VirtualTable.Chosen)
    def _open(self) -> None:
        self.action_detail()

    def action_detail(self) -> None:
        """Show the detail, or hide it."""
        self._detail.display = not self._detail.display
        if not self._detail.display:
            self.table.focus()
        self._follow()

    def action_back(self) -> None:
        """Hide the detail, or clear the filter."""
        if self._detail.display:
            self.action_detail()
        else:
            self._filter.action_clear()

    def action_log(self) -> None:
        """Show the log of the attempt."""
        self._detail.display = True
        self._detail.show_tab("log")
        self._follow()

    # -- filter and retry --------------------------------------------------------------------------------------------

    @on(FilterBar.Changed)
    def _apply_filter(self, event: FilterBar.Changed) -> None:
        if str(event.where) != str(self.source.where):
            self.source.where = event.where
            self.table.move_cursor(0)
            self.reload()

    @on(FilterBar.Left)
    def _back_to_table(self) -> None:
        self.table.focus()

    def action_filter(self) -> None:
        """Begin to filter."""
        self._filter.begin()

    def action_reload(self) -> None:
        """Read the file again."""
        self.reload()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        """Offer a retry only where a run is loaded and the attempt has ended."""
        if action == "retry":
            row = self.table.cursor_row
            return self.app.engine is not None and row is not None and row.status in FINAL
        if action == "back":
            return self._detail.display or self._filter.is_filtering
        return True

    def action_retry(self) -> None:
        """Run the task under the cursor again."""
        row, engine = self.table.cursor_row, self.app.engine
        if row is None or engine is None or not engine.is_started:
            return
        if row.run_id != engine.run_id:
            self.app.tell(f"Only tasks of the current run can be run again here, not run {row.run_id}.", problem=True)
            return
        result = engine.retry([row.id])
        self.app.report("queued again", result.accepted, result.refused)
