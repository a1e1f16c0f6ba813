"""Every attempt that the file holds, newest first."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from textual import getters, on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Static

from pipeloom.errors import PipeloomError, StoreError
from pipeloom.messages import TaskId
from pipeloom.status import FINAL
from pipeloom.store.history import History
from pipeloom.store.rows import AttemptRow
from pipeloom.tui import format as fmt
from pipeloom.tui.bridge import Delivery
from pipeloom.tui.keys import key
from pipeloom.tui.screens.history_source import PAGE, HistorySource, Pages, load_pages
from pipeloom.tui.screens.reading import read, read_attempt
from pipeloom.tui.screens.resume import plan_retry
from pipeloom.tui.screens.table_screen import SHARED_KEYS, TableScreen
from pipeloom.tui.task_columns import history_columns
from pipeloom.tui.text import content
from pipeloom.tui.watcher import FileChanged
from pipeloom.tui.widgets.dialogs import ConfirmDialog
from pipeloom.tui.widgets.filter_bar import FilterBar
from pipeloom.tui.widgets.virtual_table import VirtualTable

_RELOAD_S = 1.0
"""How long new rows may wait to be shown while a run goes on."""


class HistoryScreen(TableScreen):
    """Filter, table and detail of the attempts of all runs. Every query runs off the UI thread."""

    BINDINGS: ClassVar[list[BindingType]] = [
        key("r", "retry", "Retry", "Run the marked tasks again, else the one under the cursor.", "history.retry"),
        key("R", "retry_failed", "Failed", "Run all failed tasks of this row's run again.", "history.retry_failed"),
        key("f5", "reload", "Reload", "Read the file again.", "history.reload", footer=False),
        *SHARED_KEYS,
    ]

    screen_name = "history"

    _title = getters.query_one("#history-title", Static)

    def __init__(self) -> None:
        super().__init__()
        self.source = HistorySource(self._load_missing)
        self._reload_timer: Timer | None = None
        self._generation = 0
        """Number of the picture that is shown or being read: pages of an older one are dropped."""
        self._reloading = False
        self._load_called = False

    def compose(self) -> ComposeResult:
        """Put title, filter, table, detail and keys in their places."""
        yield Static(id="history-title")
        yield from self.compose_panes(self.source, history_columns(), "Reading…")

    def on_mount(self) -> None:
        """Read the newest page, and follow the commits of a run in this program."""
        self.app.commits.subscribe(self, self._reload_soon)
        self.app.file_changes.subscribe(self, self._follow_file)
        self.set_interval(1.0, lambda: self.table.tick(self.app.clock()))
        self.table.tick(self.app.clock())
        self._show_title()
        self.reload()

    # -- reading -----------------------------------------------------------------------------------------------------

    def _follow_file(self, event: FileChanged) -> None:
        self._show_title()
        self._reload_soon(event)

    def _show_title(self) -> None:
        """Name the file, and who owns it when that is somebody else."""
        title = content(f"history  {self.app.db_path.name}", "bold")
        if self.app.owner is not None:
            title = Content.assemble(title, "  ", content(f"VIEWER · {self.app.owner}", "$warning"))
        self._title.update(title)

    def _reload_soon(self, _event: Delivery | FileChanged) -> None:
        """Reload, at most once a second, and only while somebody looks."""
        if self._reload_timer is None and self.is_current:
            self._reload_timer = self.set_timer(_RELOAD_S, self.reload)

    def on_screen_resume(self) -> None:
        """Show what has come since the last look."""
        if self._generation and not self._reloading:
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
        self.filter_bar.show_tally(content(f"{fmt.count(total)} attempts", "$muted"))
        self.follow()

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
    def follow(self) -> None:
        """Show the attempt under the cursor."""
        self.refresh_bindings()
        row = self.table.cursor_row
        if self.detail.display:
            if row is None:
                self.detail.show_attempt(None)
            else:
                self._show_detail(row)

    @work(exclusive=True, group="detail")
    async def _show_detail(self, row: AttemptRow) -> None:
        try:
            whole, attempts, logs = await read_attempt(self.app.db_path, row)
        except (StoreError, InterruptedError) as error:
            self.app.tell(str(error), problem=True)
            return
        self.detail.show_attempt(whole or row, attempts, logs)

    # -- filter and retry --------------------------------------------------------------------------------------------

    @on(FilterBar.Changed)
    def _apply_filter(self, event: FilterBar.Changed) -> None:
        if str(event.where) != str(self.source.where):
            self.source.where = event.where
            self.table.move_cursor(0)
            self.reload()

    def action_reload(self) -> None:
        """Read the file again."""
        self.reload()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer a retry only where a pipeline is loaded and the attempt has ended."""
        if action in ("retry", "retry_failed"):
            row = self.table.cursor_row
            return self.app.engine is not None and row is not None and row.status in FINAL
        return super().check_action(action, parameters)

    @work
    async def action_retry(self) -> None:
        """Run the targets again: in the current run where they are of it, else as a new run."""
        row, ids = self.table.cursor_row, [key for key in self.table.marked if isinstance(key, int)]
        try:
            marked = await read(self.app.db_path, lambda history: [history.attempt(attempt_id) for attempt_id in ids])
        except (StoreError, InterruptedError) as error:
            self.app.tell(str(error), problem=True)
            return
        targets = [target for target in (marked or [row]) if target is not None]
        runs = {row.run_id for row in targets}
        if len(runs) > 1:
            self.app.tell("The marked attempts are of several runs: mark those of one.", problem=True)
        elif targets:
            self._retry(targets[0].run_id, targets)

    def action_retry_failed(self) -> None:
        """Run the failed tasks of a run again."""
        row = self.table.cursor_row
        if row is not None:
            self._retry_earlier(row.run_id, None)

    def _retry(self, run_id: int, rows: list[AttemptRow]) -> None:
        engine = self.app.engine
        if engine is not None and engine.is_started and run_id == engine.run_id:
            result = engine.retry([row.id for row in rows])
            self.app.report({"queued again": len(result.accepted)}, result.refused)
            self.table.clear_marks()
        else:
            self._retry_earlier(run_id, {row.task_id: row.name for row in rows})

    @work
    async def _retry_earlier(self, run_id: int, named: dict[TaskId, str] | None) -> None:
        """Ask, then run tasks of an earlier run again, as a new run: `named` ones, or all that failed."""
        engine = self.app.engine
        if engine is None:
            return
        if engine.is_running:
            self.app.tell("A run goes on: tasks of an earlier one can be run again when it has ended.", problem=True)
            return
        try:
            plan = await asyncio.to_thread(plan_retry, engine, run_id, named)
        except PipeloomError as error:
            self.app.tell(str(error), problem=True)
            return
        dialog = ConfirmDialog(plan.title, plan.body, "Run again", cancel_label="Back", destructive=False)
        if await self.app.push_screen_wait(dialog):
            self.table.clear_marks()
            self.app.run_again(plan.resume)
