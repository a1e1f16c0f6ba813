"""The history screen: the runs of a file, and the attempts, tasks and failures of one run or of all."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar, Final

from textual import getters, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container

from pipeloom.errors import StoreError
from pipeloom.filters import Filter, quoted
from pipeloom.status import FINAL
from pipeloom.store.read.failures import FailureGroup
from pipeloom.store.read.paging import NEWEST, Sort
from pipeloom.store.read.tasks import TaskStats
from pipeloom.store.rows import AttemptRow
from pipeloom.tui.attempts.columns import chosen, history_columns
from pipeloom.tui.attempts.detail import DetailPane
from pipeloom.tui.attempts.table_screen import TableScreen, too_small
from pipeloom.tui.history import actions, orders, rerun
from pipeloom.tui.history.bar import VIEWS, BarState, HistoryBar, owner_notice
from pipeloom.tui.history.filters import SLOWEST_NAME, QuickFilters, choose_filter
from pipeloom.tui.history.keys import HISTORY_KEYS
from pipeloom.tui.history.lists import HistoryLists
from pipeloom.tui.history.place import place_of
from pipeloom.tui.history.queries import RunItem
from pipeloom.tui.history.reading import Scope
from pipeloom.tui.history.selection import Selection, attempt_of, both
from pipeloom.tui.reader import read_attempt
from pipeloom.tui.session.bridge import Delivery
from pipeloom.tui.session.file_monitor import FileChanged
from pipeloom.tui.sharing.place import Place
from pipeloom.tui.table.file_table import FileTable
from pipeloom.tui.table.virtual_table import VirtualTable
from pipeloom.tui.textual_compat.one_shot import call_in
from pipeloom.tui.textual_compat.work import work
from pipeloom.tui.widgets.filter_bar import FilterBar
from pipeloom.tui.widgets.key_footer import KeyFooter

_RELOAD_S: Final = 1.0  # maximum seconds until new rows are shown while a run goes on


class HistoryScreen(TableScreen):
    """Shows runs on the left, and the rows of the chosen one on the right. Queries run in threads."""

    BINDINGS: ClassVar[list[BindingType]] = HISTORY_KEYS

    screen_name = "history"
    HORIZONTAL_BREAKPOINTS = [(0, "-too-narrow"), (40, "-narrow"), (100, "-beside"), (140, "-wide")]  # noqa: RUF012 - not a ClassVar in Textual

    bar = getters.query_one(HistoryBar)
    lists: HistoryLists  # made by `compose`

    def __init__(self) -> None:
        super().__init__()
        self.where = Filter()  # of the filter line
        self.scope = Scope()
        self.sort = NEWEST
        self._reload_due: asyncio.TimerHandle | None = None
        self._offered: tuple[object, ...] = ()  # what the offered keys depend on

    # -- the parts ---------------------------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        """Yield bar, filter, lists, detail and footer."""
        services = self.services
        columns = chosen(history_columns(), services.settings.columns.get("history", ()))
        yield HistoryBar()
        yield FilterBar(services.remembered("history.filter"))
        with Container(classes="panes"):
            self.lists = HistoryLists(services.db_path, columns, ascii_only=services.ascii_only)
            yield self.lists
            detail = DetailPane(ascii_only=services.ascii_only)
            detail.display = False
            yield detail
        yield KeyFooter()
        yield too_small()

    @property
    def table(self) -> FileTable[Any]:
        """The list that keys act on."""
        return self.lists.with_keys

    def on_mount(self) -> None:
        """Read the newest rows, and follow the commits of a run in this program or in another."""
        self.bar.ascii_only = self.services.ascii_only
        self._take_order(orders.from_text(self.services.remembered("history.order")))
        self.services.commits.subscribe(self, self._reload_soon)
        self.services.file_changes.subscribe(self, self._reload_soon)
        self.set_focus(self.lists.attempts)
        self.lists.begin(self.services.remembered("history.run"), self.services.remembered("history.attempt"))
        self.action_view(self.services.remembered("history.view") or VIEWS[0])
        if tab := self.services.remembered("history.tab"):
            self.open_detail(tab)
        self.open_report(self.services.remembered("history.report"))

    # -- reading -----------------------------------------------------------------------------------------------------

    @property
    def shown(self) -> Filter:
        """The filter of the rows that are shown: the filter line and the run together."""
        return both(self.where, self.scope.where)

    def selection(self) -> Selection:
        """Return what the keys act on now."""
        table = self.table
        return Selection(
            row=table.cursor_row,
            marked=tuple(table.marked),
            shown=self.shown,
            sort=self.sort if table is self.lists.attempts else NEWEST,
        )

    def _reload_soon(self, event: Delivery | FileChanged) -> None:
        """Reload, at most once a second, and only while this screen is shown; show another owner at once."""
        if isinstance(event, FileChanged):
            self._show_bar()
        if self._reload_due is None and self.is_current:
            self._reload_due = call_in(self, _RELOAD_S, self.reload)

    def on_screen_resume(self) -> None:
        """Show the changes since this screen was last shown."""
        if self.lists.is_read:
            self.reload()

    def reload(self, *, from_top: bool = False) -> None:
        """Read the runs and the list again; with `from_top` the list from its first row on."""
        if not self.lists.runs.is_reading:
            self.lists.runs.reload()
        self._read_list(from_top=from_top)

    def _read_list(self, *, from_top: bool = True) -> None:
        """Read the list, in one look at the file: the newest rows, or those that are shown when the user is below."""
        if self._reload_due is not None:
            self._reload_due.cancel()
            self._reload_due = None
        self._show_bar()
        keeps_row = self.detail.display  # it would go on to another attempt by itself
        self.lists.read(self.shown, self.scope.where, self.sort, from_top=from_top, keeps_row=keeps_row)

    @on(HistoryLists.Read)
    def _show_read(self, event: HistoryLists.Read) -> None:
        """Show the number of rows, and of those that wait."""
        self._show_bar()
        self.filter_bar.show_count(event.total)
        self.share_lines()
        self.follow()

    def _show_bar(self) -> None:
        self.bar.state = BarState(
            file=self.services.db_path.name,
            view=self.lists.view,
            scope=self.scope.label,
            params=self.scope.params,
            unchanged=self.scope.unchanged,
            order=orders.label(self.sort) if self.lists.view == "attempts" else "",
            active=self.quick_filters().active,
            saved=tuple(self.services.settings.filters),
            fresh=self.lists.fresh,
            notice=owner_notice(self.services),
        )

    # -- views and runs ----------------------------------------------------------------------------------------------

    def action_next_view(self) -> None:
        """Show the next of attempts, tasks, failures."""
        self.action_view(VIEWS[(VIEWS.index(self.lists.view) + 1) % len(VIEWS)])

    def action_view(self, name: str) -> None:
        """Show attempts, tasks or failures."""
        moves_focus = self.focused is None or self.focused is self.lists.current
        self.lists.show(name)
        self.services.remember("history.view", "" if self.lists.view == VIEWS[0] else self.lists.view)
        if moves_focus:
            self.lists.give_focus(self.lists.current)
        self._read_list()

    def action_runs(self) -> None:
        """Go to the list of runs, or back; on a narrow screen it replaces the other list."""
        goes = not self.lists.runs.has_focus
        self.set_class(goes, "-runs")
        self.lists.give_focus(self.lists.runs if goes else self.lists.current)

    def action_step(self, lines: int) -> None:
        """Go to another run."""
        self.lists.runs.action_move(lines)

    @on(VirtualTable.Highlighted, "#runs")
    def _choose_run(self, event: VirtualTable.Highlighted) -> None:
        """Show the rows of the run under the cursor of the list of runs."""
        event.stop()
        scope = self.scope if event.row is None else Scope.of(event.row.run)
        if scope.run_id != self.scope.run_id:
            self.scope = scope
            self.lists.current.clear_marks()
            self._read_list()

    @on(VirtualTable.Chosen, "#runs, #tasks, #failures")
    def _enter(self, event: VirtualTable.Chosen) -> None:
        """Go from a run to its rows, and from a task or a failure to its attempts."""
        event.prevent_default()  # the detail stays as it is
        match event.row:
            case RunItem():
                self.action_runs()
            case TaskStats() as row:
                self._list_attempts(f"name:{quoted(row.name)}")
            case FailureGroup() as row:
                self._list_attempts(f"fail:{row.fingerprint}")

    def _list_attempts(self, text: str) -> None:
        """Show the attempts of one task, or of one failure."""
        if (mistake := self.filter_bar.mistake(text)) is not None:
            self.services.tell(f"Its attempts cannot be filtered by its name: {mistake}", problem=True)
            return
        self.filter_bar.set(text)
        self.action_view("attempts")
        self.lists.give_focus(self.lists.attempts)

    def action_back(self) -> None:
        """Close the detail, else leave the runs, else clear the filter, else show all runs, else as other screens."""
        if not self.detail.display and self.has_class("-runs"):
            self.action_runs()
        elif self.detail.display or self.filter_bar.is_filtering or self.scope.run_id is None:
            super().action_back()
        else:
            self.lists.runs.move_cursor(0)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer the actions that work here; none that needs the lists before they exist."""
        if not self.is_mounted or (action in ("sort", "reverse") and self.lists.view != "attempts"):
            return False
        meant = str(parameters[0]) if action == "report" else action
        return actions.is_offered(meant, self.selection(), self.services) and super().check_action(action, parameters)

    # -- order and filter --------------------------------------------------------------------------------------------

    @work()
    async def action_sort(self) -> None:
        """Ask for the order."""
        if (sort := await orders.ask(self.services, self.sort)) is not None:
            self.choose_order(sort)

    def action_reverse(self) -> None:
        """Reverse the order."""
        self.choose_order(orders.reversed_sort(self.sort))

    @on(VirtualTable.HeaderClicked, "#attempts")
    def _sort_by_header(self, event: VirtualTable.HeaderClicked) -> None:
        if (sort := orders.after_click(event.column_id, self.sort)) is not None:
            self.choose_order(sort)

    def choose_order(self, sort: Sort) -> None:
        """Show the attempts in another order."""
        self._take_order(sort)
        self._read_list()

    def _take_order(self, sort: Sort) -> None:
        self.sort = sort
        self.services.remember("history.order", orders.to_text(sort))
        self.lists.attempts.show_sort(orders.sorted_column(sort), descending=sort.descending)

    @on(FilterBar.Changed)
    def _apply_filter(self, event: FilterBar.Changed) -> None:
        if event.where != self.where:
            self.where = event.where
            self.lists.current.clear_marks()
            self._read_list()

    def quick_filters(self) -> QuickFilters:
        """Return the quick filters, with those that are on."""
        return QuickFilters(self.services.settings.filters, self.filter_bar.text, self.sort == orders.SLOWEST)

    def action_quick(self, place: int) -> None:
        """Add the quick filter at a place of the bar to the filter line, or remove it."""
        for name in self.quick_filters().names[place : place + 1]:
            self._toggle(name)

    @work()
    async def action_filters(self) -> None:
        """Offer the quick filters by name."""
        self._toggle(await choose_filter(self.services, self.quick_filters()))

    def _toggle(self, name: str) -> None:
        if name == SLOWEST_NAME:
            self.choose_order(NEWEST if self.sort == orders.SLOWEST else orders.SLOWEST)
        elif name:
            self.filter_bar.set(self.quick_filters().toggled(name))

    def action_newest(self) -> None:
        """Read the file again, and go to the newest attempt."""
        self.reload(from_top=True)

    def action_mark_all(self) -> None:
        """Mark all rows that are loaded."""
        self.table.mark_loaded()

    # -- what is done with a selection -------------------------------------------------------------------------------

    @work()
    async def action_retry(self) -> None:
        """Run the marked rows again, else the one under the cursor."""
        if await rerun.retry(self.services, self.selection()):
            self.table.clear_marks()

    @work()
    async def action_retry_failed(self) -> None:
        """Run the tasks again that are shown as failed."""
        if await rerun.retry_failed(self.services, self.selection()):
            self.table.clear_marks()

    @work()
    async def action_compare(self) -> None:
        """Compare two runs, or two attempts."""
        self.open_report(await actions.comparison(self.services, self.selection()))

    def action_report(self, kind: str) -> None:
        """Show the run of the row in time, its log, the durations of its task, or the runs of each day."""
        self.open_report(actions.report_on(kind, self.selection()))

    @work()
    async def open_report(self, report: str) -> None:
        """Show a report, named as `Place.report`, and go to the attempt that is chosen there; "": none."""
        if report and (chosen := await actions.show_report(self.services, report)):
            self.go_to_attempt(chosen)

    @work()
    async def action_export(self) -> None:
        """Write attempts to a file or to the clipboard."""
        await actions.export(self.services, self.selection())

    @work()
    async def action_case(self) -> None:
        """Write the case file of an attempt."""
        await actions.export_case_file(self.services, self.selection())

    @work()
    async def action_prune(self) -> None:
        """Ask for a retention policy, and remove old attempts."""
        await actions.prune(self.services)
        self.reload(from_top=True)

    # -- detail ------------------------------------------------------------------------------------------------------

    def go_to_attempt(self, attempt_id: int) -> None:
        """Show the attempts from the newest on, with the cursor on one of them, and its detail."""
        self.filter_bar.set("")
        self.where, self.lists.goal = Filter(), attempt_id
        self._take_order(NEWEST)
        self.action_view("attempts")
        self.open_detail()
        self.lists.give_focus(self.lists.attempts)

    @on(VirtualTable.Highlighted)
    def follow(self) -> None:
        """Show the attempt under the cursor."""
        self._offer()
        if self.detail.display:
            if (attempt_id := attempt_of(self.lists.current.cursor_row)) is None:
                self.detail.show_attempt(None)
            else:
                self._show_detail(attempt_id)

    def _offer(self) -> None:
        """Update the offered keys when they may have changed: asking Textual for them is slow."""
        row, table = self.table.cursor_row, self.table
        ended = isinstance(row, AttemptRow) and row.status in FINAL
        shown = bool(table.marked), self.scope.run_id, self.filter_bar.is_filtering
        offered = (table.id, type(row), ended, *shown)
        if offered != self._offered:
            self._offered = offered
            self.refresh_bindings()

    @work(exclusive=True, group="detail")
    async def _show_detail(self, attempt_id: int) -> None:
        try:
            shown = await read_attempt(self.services.db_path, attempt_id)
            self.detail.show_attempt(*shown)
        except (StoreError, InterruptedError) as error:
            self.services.tell(str(error), problem=True)

    def place(self) -> Place:
        """Return what the screen shows."""
        return place_of(super().place(), self.lists, self.scope.run_id, self.sort)

    def plain_row(self) -> str:
        """Return the row under the cursor as text."""
        return self.selection().plain()
