"""Everything that ever ran in the file: runs, and the attempts, tasks and failures of one of them or of all."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from textual import getters, on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, Horizontal
from textual.timer import Timer
from textual.widgets import ContentSwitcher, Footer

from pipeloom.errors import StoreError
from pipeloom.filters import Filter, FilterError, parse, quoted
from pipeloom.status import FINAL
from pipeloom.store.file.owner import owner
from pipeloom.store.read.failures import FailureGroup
from pipeloom.store.read.history import History
from pipeloom.store.read.paging import NEWEST, Sort
from pipeloom.store.read.tasks import TaskStats
from pipeloom.store.rows import AttemptRow
from pipeloom.tui.attempts.columns import chosen, history_columns, is_moving
from pipeloom.tui.attempts.detail import DetailPane
from pipeloom.tui.attempts.table_screen import SHARED_KEYS, too_small
from pipeloom.tui.bindings import key
from pipeloom.tui.history.actions import LOOKING_KEYS, Looking
from pipeloom.tui.history.bar import VIEWS, BarState, HistoryBar
from pipeloom.tui.history.columns import failure_columns, run_columns, task_columns
from pipeloom.tui.history.filters import QuickFilters
from pipeloom.tui.history.queries import AttemptsQuery, FailuresQuery, RunItem, RunsQuery, TasksQuery
from pipeloom.tui.history.retrying import Retrying
from pipeloom.tui.reader import read, read_attempt
from pipeloom.tui.session.bridge import Delivery
from pipeloom.tui.session.file_monitor import FileChanged
from pipeloom.tui.style import format as fmt
from pipeloom.tui.style.text import content
from pipeloom.tui.table.file_table import FileTable
from pipeloom.tui.table.sources import Query
from pipeloom.tui.table.virtual_table import VirtualTable
from pipeloom.tui.widgets.dialogs import Choice, ChoiceDialog
from pipeloom.tui.widgets.filter_bar import FilterBar

_RELOAD_S: Final = 1.0
"""How long new rows may wait to be shown while a run goes on."""

ORDERS: Final = {
    "time": ("Time, newest first", NEWEST),
    "duration": ("Duration, longest first", Sort("duration_s")),
    "name": ("Name", Sort("name", descending=False)),
    "status": ("Status", Sort("status", descending=False)),
    "start": ("Start, latest first", Sort("started_at")),
}
"""Names of orders, with what they are called and how they begin."""
_HEADERS: Final = {
    "run": "time", "id": "time", "started": "start", "task": "name", "status": "status", "elapsed": "duration",
}  # fmt: skip
"""Column ids of the attempts to the order that a click on their label asks for."""
_SORTED_COLUMNS: Final = {
    "id": "id",
    "name": "task",
    "status": "status",
    "started_at": "started",
    "duration_s": "elapsed",
}
_NOUNS: Final = {"attempts": "attempts", "tasks": "tasks", "failures": "kinds of failure"}
_ONE: Final = {"attempts": "attempt", "tasks": "task", "failures": "kind of failure"}
_NOTHING: Final = {
    "attempts": "Nothing has run in this file yet.",
    "tasks": "Nothing has run in this file yet.",
    "failures": "Nothing has failed.",
}


class HistoryScreen(Retrying, Looking, QuickFilters):
    """Runs on the left; on the right the attempts, tasks or failures of the chosen one. Queries run in threads."""

    BINDINGS: ClassVar[list[BindingType]] = [
        key("r", "retry", "Retry", "Run the marked again, else what is under the cursor.", "history.retry"),
        key(
            "R", "retry_failed", "Failed", "Run every failed task in view again.", "history.retry_failed", footer=False
        ),
        key("g", "next_view", "Group", "Show attempts, tasks or failures.", "history.group"),
        key("f", "filters", "Filters", "Choose a filter that is kept ready, or keep this one.", "history.filters"),
        key("left_square_bracket", "step(1)", "Older", "Go to the run before.", "history.older", display="["),
        key("right_square_bracket", "step(-1)", "Newer", "Go to the run after.", "history.newer", display="]"),
        key("b", "runs", "Runs", "Go to the list of runs, or back from it.", "history.runs", footer=False),
        key("s", "sort", "Sort", "Choose the order of the attempts.", "history.sort", footer=False),
        key("S", "reverse", "Reverse", "Turn the order round.", "history.reverse", footer=False),
        key("asterisk", "mark_all", "All", "Mark all that is loaded.", "history.all", display="*", footer=False),
        key("f5", "newest", "Reload", "Read the file again, from the newest on.", "history.reload", footer=False),
        *LOOKING_KEYS,
        *SHARED_KEYS,
    ]

    screen_name = "history"
    HORIZONTAL_BREAKPOINTS = [(0, "-too-narrow"), (40, "-narrow"), (100, "-beside"), (140, "-wide")]  # noqa: RUF012 - not a ClassVar in Textual

    bar = getters.query_one(HistoryBar)
    runs: getters.query_one[FileTable[RunItem]] = getters.query_one("#runs", FileTable)
    attempts: getters.query_one[FileTable[AttemptRow]] = getters.query_one("#attempts", FileTable)
    tasks: getters.query_one[FileTable[TaskStats]] = getters.query_one("#tasks", FileTable)
    failures: getters.query_one[FileTable[FailureGroup]] = getters.query_one("#failures", FileTable)

    def __init__(self) -> None:
        super().__init__()
        self.where = Filter()
        """What the filter line says."""
        self.scope: int | None = None
        """The run whose rows are shown; None for all runs."""
        self._scope_name = ""
        self.sort = NEWEST
        self.view = VIEWS[0]
        self._newest: int | None = None
        """Attempts that came later wait, so that what one reads does not move."""
        self._fresh = 0
        self._goal: int | None = None
        """The attempt that the cursor goes to once the list has been read."""
        self._reload_timer: Timer | None = None
        self._offered: tuple[object, ...] = ()
        """What the keys that are offered depend on."""

    # -- the parts ---------------------------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        """Put bar, filter, lists, detail and keys in their places."""
        path, ascii_only = self.services.db_path, self.services.ascii_only
        yield HistoryBar()
        yield FilterBar(self.services.remembered("history.filter"))
        columns = chosen(history_columns(), self.services.settings.columns.get("history", ()))
        lists: list[FileTable[Any]] = [
            FileTable(path, AttemptsQuery(), columns, is_live=is_moving, ascii_only=ascii_only, id="attempts"),
            FileTable(path, TasksQuery(), task_columns(), ascii_only=ascii_only, id="tasks"),
            FileTable(path, FailuresQuery(), failure_columns(), ascii_only=ascii_only, id="failures"),
        ]
        with Container(classes="panes"):
            with Horizontal(id="browse"):
                yield FileTable(path, RunsQuery(), run_columns(), is_live=_goes_on, ascii_only=ascii_only, id="runs")
                with ContentSwitcher(initial=VIEWS[0]):
                    yield from lists
            detail = DetailPane(ascii_only=ascii_only)
            detail.display = False
            yield detail
        yield Footer()
        yield too_small()

    @property
    def table(self) -> FileTable[Any]:
        """The list that keys act on: the runs while they have the focus, else the one beside them."""
        return self.runs if self.runs.has_focus else self.current

    @property
    def current(self) -> FileTable[Any]:
        """The list on the right."""
        lists: dict[str, FileTable[Any]] = {"tasks": self.tasks, "failures": self.failures}
        return lists.get(self.view, self.attempts)

    def on_mount(self) -> None:
        """Read the newest rows, and follow the commits of a run in this program or in another."""
        self.bar.ascii_only = self.services.ascii_only
        self._take_order(self.services.remembered("history.order"))
        self.services.commits.subscribe(self, self._reload_soon)
        self.services.file_changes.subscribe(self, self._follow_file)
        self.set_interval(1.0, self._tick)
        self._tick()
        self.set_focus(self.attempts)
        self.action_view(self.services.remembered("history.view") or VIEWS[0])

    def _tick(self) -> None:
        for table in (self.runs, self.current):
            table.tick(self.services.clock())

    # -- reading -----------------------------------------------------------------------------------------------------

    @property
    def shown(self) -> Filter:
        """What passes: filter and scope together."""
        terms = self.where.terms if self.scope is None else (*self.where.terms, *parse(f"run:{self.scope}").terms)
        return Filter(terms)

    def _follow_file(self, event: FileChanged) -> None:
        self._show_bar()
        self._reload_soon(event)

    def _reload_soon(self, _event: Delivery | FileChanged) -> None:
        """Reload, at most once a second, and only while somebody looks."""
        if self._reload_timer is None and self.is_current:
            self._reload_timer = self.set_timer(_RELOAD_S, self.reload)

    def on_screen_resume(self) -> None:
        """Show what has come since the last look."""
        if self._newest is not None:
            self.reload()

    def reload(self, *, anew: bool = False) -> None:
        """Read the lists again; `anew` from their first rows on."""
        if self._reload_timer is not None:
            self._reload_timer.stop()
            self._reload_timer = None
        if not self.runs.is_reading:
            self.runs.reload()
        self._reload(anew)

    @work(exclusive=True, group="reload")
    async def _reload(self, anew: bool) -> None:
        """Move on to the newest attempts, or, when somebody reads further down, only count them."""
        where, seen, goal = self.shown, self._newest, self._goal
        moves = anew or seen is None or self.attempts.is_at_top or self.sort != NEWEST

        def look(history: History) -> tuple[int, int, int]:
            fresh = 0 if moves else history.count(where, after=seen)
            return history.newest_id(), fresh, 0 if goal is None else history.count(where, after=goal)

        try:
            newest, fresh, place = await read(self.services.db_path, look)
        except (StoreError, InterruptedError) as error:
            self.current.empty_text = str(error)
            return
        self._newest = newest if moves else seen
        self._fresh = fresh
        self._show_bar()
        if anew or goal is not None:
            self._goal = None
            self.current.look_for(self._query(), place)
        else:
            self.current.reload(self._query())

    def _query(self) -> Query[Any]:
        match self.view:
            case "tasks":
                return TasksQuery(self.shown)
            case "failures":
                return FailuresQuery(self.shown)
            case _:
                return AttemptsQuery(self.shown, self.sort, self._newest)

    @on(FileTable.Loaded)
    def _count(self, event: FileTable.Loaded) -> None:
        """Say how many there are."""
        if event.table is not self.current:
            return
        nothing = f"No {_NOUNS[self.view]} match the filter." if self.shown else _NOTHING[self.view]
        self.current.nothing_text = nothing
        if event.exact and not event.total:
            self.current.empty_text = nothing
        more = "" if event.exact else "+"
        noun = _NOUNS[self.view] if more or event.total != 1 else _ONE[self.view]
        self.filter_bar.show_count(content(f"{fmt.count(event.total)}{more} {noun}", "$muted"))
        self.follow()

    @on(FileTable.Failed)
    def _tell_trouble(self, event: FileTable.Failed) -> None:
        self.services.tell(event.error, problem=True)

    def _show_bar(self) -> None:
        order = next((label for label, sort in ORDERS.values() if sort == self.sort), f"by {self.sort.column}, turned")
        self.bar.state = BarState(
            file=self.services.db_path.name,
            view=self.view,
            scope=self._scope_name,
            order="" if self.sort == NEWEST or self.view != "attempts" else order.lower(),
            active=self.active_filters(),
            saved=tuple(self.services.settings.filters),
            fresh=self._fresh,
            notice=self._notice(),
        )

    def _notice(self) -> str:
        """Name the owner of the file in the words of the live screen."""
        if self.services.owner is None:
            return ""
        return f"VIEWER {'-' if self.services.ascii_only else '·'} pid {owner(self.services.db_path).get('pid', '?')}"

    # -- views and runs ----------------------------------------------------------------------------------------------

    def action_next_view(self) -> None:
        """Show the next of attempts, tasks, failures."""
        self.action_view(VIEWS[(VIEWS.index(self.view) + 1) % len(VIEWS)])

    def action_view(self, name: str) -> None:
        """Show attempts, tasks or failures."""
        moves_focus = self.focused is None or self.focused is self.current
        self.view = name if name in VIEWS else VIEWS[0]
        self.query_one(ContentSwitcher).current = self.view
        self.services.remember("history.view", "" if self.view == VIEWS[0] else self.view)
        self._tick()
        if moves_focus:
            self._focus(self.current)
        self.reload(anew=True)

    def action_runs(self) -> None:
        """Go to the list of runs, or back from it; on a narrow screen it takes the place of the other."""
        goes = not self.runs.has_focus
        self.set_class(goes, "-runs")
        self._focus(self.runs if goes else self.current)

    def _focus(self, table: FileTable[Any]) -> None:
        """Give a list the keys: at once, so that the next key is for it; one that is not seen yet as soon as it is."""
        if table.region:
            self.set_focus(table)
        else:
            self.call_after_refresh(self._focus_unless_typing, table)

    def _focus_unless_typing(self, table: FileTable[Any]) -> None:
        if not self.filter_bar.has_focus_within:
            self.set_focus(table)

    def action_step(self, lines: int) -> None:
        """Go to another run."""
        self.runs.action_move(lines)

    @on(VirtualTable.Highlighted, "#runs")
    def _choose_run(self, event: VirtualTable.Highlighted) -> None:
        """Show the rows of the run under the cursor of the list of runs."""
        event.stop()
        if event.row is None:
            return
        run = event.row.run
        scope = None if run is None else run.id
        if scope != self.scope:
            self.scope = scope
            self._scope_name = "" if run is None else f"run {run.id} {run.pipeline}"
            self.current.clear_marks()
            self.reload(anew=True)

    @on(VirtualTable.Chosen, "#runs")
    def _enter_run(self, event: VirtualTable.Chosen) -> None:
        event.prevent_default()  # the detail stays as it is
        self.action_runs()

    @on(VirtualTable.Chosen, "#tasks")
    def _enter_task(self, event: VirtualTable.Chosen) -> None:
        event.prevent_default()  # the detail stays as it is
        self._list_attempts(f"name:{quoted(event.row.name)}")

    @on(VirtualTable.Chosen, "#failures")
    def _enter_failure(self, event: VirtualTable.Chosen) -> None:
        event.prevent_default()  # the detail stays as it is
        self._list_attempts(f"fail:{event.row.fingerprint}")

    def _list_attempts(self, text: str) -> None:
        """Show the attempts of one task, or of one failure."""
        try:
            parse(text)
        except FilterError as error:
            self.services.tell(f"Its attempts cannot be filtered by its name: {error}", problem=True)
            return
        self.filter_bar.set(text)
        self.action_view("attempts")
        self._focus(self.attempts)

    def action_back(self) -> None:
        """Close the detail, then forget the run, then clear the filter."""
        if self.detail.display:
            self.action_detail()
        elif self.has_class("-runs"):
            self.action_runs()
        elif self.filter_bar.is_filtering:
            self.filter_bar.action_clear()
        else:
            self.runs.move_cursor(0)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer what works here; nothing that needs the lists while they come and go."""
        if not self.query("#failures"):
            return False
        if action == "back":
            return self.detail.display or self.filter_bar.is_filtering or self.scope is not None
        if action in ("sort", "reverse"):
            return self.view == "attempts"
        return super().check_action(action, parameters)

    # -- order and filter --------------------------------------------------------------------------------------------

    @work
    async def action_sort(self) -> None:
        """Ask for the order."""
        choices = [Choice("", "Leave it as it is")]
        choices += [Choice(name, label, "-confirm") for name, (label, _) in ORDERS.items()]
        name = await self.services.push_screen_wait(ChoiceDialog("Sort the attempts by", "", choices))
        if name:
            self.choose_order(ORDERS[name][1])

    def action_reverse(self) -> None:
        """Turn the order round."""
        self.choose_order(Sort(self.sort.column, not self.sort.descending))

    @on(VirtualTable.HeaderClicked, "#attempts")
    def _sort_by_header(self, event: VirtualTable.HeaderClicked) -> None:
        name = _HEADERS.get(event.column_id)
        if name is not None:
            order = ORDERS[name][1]
            self.choose_order(Sort(order.column, not order.descending) if order == self.sort else order)

    def choose_order(self, sort: Sort) -> None:
        """Show the attempts in another order."""
        self._take_order(f"{'-' if sort.descending else ''}{sort.column}")
        self.reload(anew=True)

    def _take_order(self, text: str) -> None:
        column = text.removeprefix("-")
        self.sort = Sort(column, text.startswith("-")) if column in _SORTED_COLUMNS else NEWEST
        self.services.remember("history.order", "" if self.sort == NEWEST else text)
        shown = None if self.sort == NEWEST else _SORTED_COLUMNS[self.sort.column]
        self.attempts.show_sort(shown, descending=self.sort.descending)

    @on(FilterBar.Changed)
    def _apply_filter(self, event: FilterBar.Changed) -> None:
        if str(event.where) != str(self.where):
            self.where = event.where
            self.current.clear_marks()
            self.reload(anew=True)

    def action_newest(self) -> None:
        """Read the file again, and go to the newest attempt."""
        self.reload(anew=True)

    def action_mark_all(self) -> None:
        """Mark all rows that are loaded."""
        self.table.mark_loaded()

    # -- detail ------------------------------------------------------------------------------------------------------

    def attempt_under_cursor(self) -> int | None:
        """Return the attempt that the row on the right is, or stands for."""
        row = self.current.cursor_row
        return None if row is None else row.id if isinstance(row, AttemptRow) else int(row.last_id)

    def go_to_attempt(self, attempt_id: int) -> None:
        """Show the attempts from the newest on, with the cursor on one of them, and its detail."""
        self.filter_bar.set("")
        self.where, self._goal = Filter(), attempt_id
        self._take_order("")
        self.action_view("attempts")
        self.detail.display = True
        self._focus(self.attempts)

    @on(VirtualTable.Highlighted)
    def follow(self) -> None:
        """Show the attempt under the cursor."""
        self._offer()
        if self.detail.display:
            attempt_id = self.attempt_under_cursor()
            if attempt_id is None:
                self.detail.show_attempt(None)
            else:
                self._show_detail(attempt_id)

    def _offer(self) -> None:
        """Offer the keys that work on this row; asks Textual, which is slow, only when they may be others."""
        row, table = self.table.cursor_row, self.table
        status = row.status if isinstance(row, AttemptRow) else None
        offered = (table.id, type(row), status in FINAL, bool(table.marked), self.scope, self.filter_bar.is_filtering)
        if offered != self._offered:
            self._offered = offered
            self.refresh_bindings()

    @work(exclusive=True, group="detail")
    async def _show_detail(self, attempt_id: int) -> None:
        try:
            row, attempts, logs = await read_attempt(self.services.db_path, attempt_id)
        except (StoreError, InterruptedError) as error:
            self.services.tell(str(error), problem=True)
            return
        self.detail.show_attempt(row, attempts, logs)

    def plain_row(self) -> str:
        """Return the row under the cursor as text."""
        row = self.table.cursor_row
        match row:
            case AttemptRow():
                return f"{row.task_id}\t{row.name}\t{row.status}\t{row.message}"
            case TaskStats():
                return f"{row.name}\t{row.status}\t{fmt.percent(row.success)}"
            case FailureGroup():
                return f"{row.error_type}\t{row.place}\t{row.attempts}\t{row.message}"
            case RunItem() if row.run is not None:
                return f"{row.run.id}\t{row.run.pipeline}\t{row.run.status}\t{row.run.started_at}"
            case _:
                return ""


def _goes_on(item: RunItem) -> bool:
    """Tell whether the run's line changes with time alone."""
    return item.counts is not None and any(status not in FINAL for status in item.counts)
