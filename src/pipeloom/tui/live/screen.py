"""The live screen: header, filter, table and detail of the run."""

from __future__ import annotations

from collections.abc import Hashable
from contextlib import suppress
from dataclasses import replace
from typing import ClassVar, Final

from textual import getters, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.css.query import NoMatches
from textual.events import Key

from pipeloom.status import ACTIVE, FINAL, OPEN, Status
from pipeloom.store.rows import AttemptRow, RunRow
from pipeloom.text import counted
from pipeloom.tui.attempts.columns import live_columns
from pipeloom.tui.attempts.table_screen import SHARED_KEYS, TableScreen
from pipeloom.tui.bindings import key
from pipeloom.tui.live.baselines import DurationBaselines
from pipeloom.tui.live.commands import LiveCommands
from pipeloom.tui.live.dialogs import sort_dialog
from pipeloom.tui.live.header import HeaderSource
from pipeloom.tui.live.limits import LiveLimits
from pipeloom.tui.live.shown_task import ShownTask
from pipeloom.tui.live.sorting import COLUMNS, Sorting
from pipeloom.tui.session.bridge import Delivery
from pipeloom.tui.sharing.place import Place
from pipeloom.tui.style import format as fmt
from pipeloom.tui.style.text import content
from pipeloom.tui.table.virtual_table import VirtualTable
from pipeloom.tui.widgets.dialogs import StackDialog
from pipeloom.tui.widgets.filter_bar import FilterBar
from pipeloom.tui.widgets.header import RunHeader
from pipeloom.tui.widgets.workers import WorkersDialog

_TICK_S: Final = 1.0
_KEY_S: Final = 0.2
"""Seconds after a key for which the header and the clock wait."""
_LONGEST_TICK_S: Final = 3.0
"""Seconds after which they wait for keys no longer."""
_GRACE_S: Final = 10.0
"""Assumed seconds that a task has to stop, when another process runs it."""
_WHY_NOT: Final = {
    "cancel": "Nothing to cancel here: it has ended already.",
    "retry": "Nothing to run again here: it has not ended yet.",
}
"""Action to what is told where the row under the cursor does not take it."""
_CHANGING: Final = frozenset({"cancel", "retry", "retry_failed", "pause", "workers"})
"""Actions that are commands to the engine."""


class LiveScreen(TableScreen):
    """Shows the board, and passes the user's commands on."""

    BINDINGS: ClassVar[list[BindingType]] = [
        key("x", "cancel", "Cancel", "Cancel the marked tasks, else the one under the cursor.", "live.cancel"),
        key("r", "retry", "Retry", "Run the marked tasks again, else the one under the cursor.", "live.retry"),
        key("R", "retry_failed", "Failed", "Run every failed task in view again.", "live.retry_failed", footer=False),
        key("asterisk", "mark_all", "All", "Mark every task in view.", "live.all", display="*", footer=False),
        key("p", "pause", "Pause", "Start no more tasks, or go on.", "live.pause"),
        key("s", "sort", "Sort", "Choose the order of the tasks.", "live.sort", footer=False),
        key("S", "reverse", "Reverse", "Turn the order round.", "live.reverse", footer=False),
        key("T", "stack", "Stack", "Show where the running task's code is just now.", "live.stack", footer=False),
        key(
            "W",
            "show_workers",
            "Workers",
            "Show the workers, what they do, and the limits.",
            "live.workers",
            footer=False,
        ),
        key(
            "full_stop", "next_running", "Next", "Go to the next running task.", "live.next", display=".", footer=False
        ),
        key("plus", "workers(1)", "More", "Add a worker.", "live.more", display="+", footer=False),
        key("minus", "workers(-1)", "Fewer", "Take a worker away.", "live.fewer", display="-", footer=False),
        *SHARED_KEYS,
    ]

    screen_name = "live"

    _header = getters.query_one(RunHeader)

    def __init__(self) -> None:
        super().__init__()
        services = self.services
        self._commands = LiveCommands(services)
        self._shown_task = ShownTask(services)
        self._baselines = DurationBaselines(services.db_path)
        self._header_source = HeaderSource(services, lambda: self._baselines.task_s)
        self._sorting = Sorting.from_text(services.remembered("live.sort"))
        self._offered: Status | None = None
        """Status of the row that the footer's keys are for."""
        self._header_s = float("-inf")
        """When the header was last updated, in monotonic seconds."""
        self._tick_s = float("-inf")
        """When the last tick was, in monotonic seconds."""

    def compose(self) -> ComposeResult:
        """Yield header, filter, table, detail and footer."""
        services, engine = self.services, self.services.engine
        tries, grace = (0, _GRACE_S) if engine is None else (engine.attempts_granted, engine.options.grace_s)
        columns = live_columns(
            tries,
            lambda row: services.board.silent_s(row, services.monotonic()),
            grace,
            self._baselines.of,
            services.board.last_error,
        )
        yield RunHeader()
        yield from self.compose_panes(services.board, columns, "No tasks yet.")

    def on_mount(self) -> None:
        """Subscribe to the commits, and start the clock."""
        self._header.ascii_only = self.services.ascii_only
        self.services.commits.subscribe(self, self._show_commit)
        self.set_interval(_TICK_S, self._tick)
        if self._sorting.column is None:
            self._show()
        else:
            self._sort()

    # -- showing -----------------------------------------------------------------------------------------------------

    def _show_commit(self, delivery: Delivery) -> None:
        self._header_source.count(delivery)
        self._show_rows()
        if not self._keys_come_first(self._header_s):
            self._show_header()
        run = self.services.board.run
        if run is not None and run.id != self._baselines.run_id:
            self._load_baselines(run)

    def _show(self) -> None:
        """Update rows and header; what has not changed is not drawn."""
        self._show_rows()
        self._show_header()

    def _nothing(self) -> str:
        """Return why no task is shown, where that is so."""
        run = self.services.board.run
        if self.services.board.total():
            return "No task matches the filter."
        return "Nothing has changed since it was done." if run is not None and run.unchanged else "No tasks yet."

    def _show_rows(self) -> None:
        self.table.empty_text = self._nothing()
        self.table.tick(self.services.clock())
        self.table.refresh_rows()
        if self.detail.display:
            self.share_lines()
            self.follow()
        self._offer_keys()

    def _show_header(self) -> None:
        self._header_s = self.services.monotonic()
        self._header.state = self._header_source.state()
        self._show_count()

    def _keys_come_first(self, done_s: float) -> bool:
        """Return whether what was last done at `done_s` can wait, because keys are being pressed."""
        now = self.services.monotonic()
        return now - self.services.key_pressed_s < _KEY_S and now - done_s < _LONGEST_TICK_S

    def _tick(self) -> None:
        """Update what changes with time; less often while keys are pressed."""
        if self._keys_come_first(self._tick_s):
            return
        self._tick_s = self.services.monotonic()
        self.table.tick(self.services.clock())
        if self._sorting.is_due(self.services.monotonic(), self.services.key_pressed_s):
            self._sort()
        self._show_header()
        run = self.services.board.run
        if self._baselines.are_missing and run is not None:
            self._load_baselines(run)
        row = self._row()
        if self.detail.display and row is not None and row.status in ACTIVE:
            self._load_task(row)

    @work(group="baselines")
    async def _load_baselines(self, run: RunRow) -> None:
        await self._baselines.load(run)
        if not self._keys_come_first(self._header_s):  # else the next tick does it
            with suppress(NoMatches):  # the screen is being closed
                self._show_header()

    def place(self) -> Place:
        """Return what the screen shows; once the run has ended, the command leads to it in the history."""
        run = self.services.board.run
        return replace(super().place(), run=None if run is None else run.id, order=self._sorting.text, tab="")

    def _show_count(self) -> None:
        board, marked = self.services.board, len(self._marks_in_view())
        told = [f"{fmt.count(board.count())} of {fmt.count(board.total())}"]
        if hidden := len(self.table.marked) - marked:
            told.append(f"{fmt.count(marked)} marked in view, {fmt.count(hidden)} hidden")
        elif marked:
            told.append(f"{fmt.count(marked)} marked")
        self.filter_bar.show_count(content(" · ".join(told), "$muted"))

    def _offer_keys(self) -> None:
        """Update the footer when the row under the cursor has another status: other keys work on it."""
        row = self._row()
        status = None if row is None else row.status
        if status is not self._offered:
            self._offered = status
            self.refresh_bindings()

    @on(VirtualTable.Highlighted)
    def _follow(self) -> None:
        self.follow()
        self._offer_keys()

    @on(VirtualTable.MarksChanged)
    def _count_marks(self) -> None:
        self._show_count()

    def follow(self) -> None:
        """Show the task under the cursor in the detail, if that is open."""
        if not self.detail.display:
            return
        row = self._row()
        self._shown_task.show(self.detail, row)
        if row is not None and self._shown_task.should_load(row):
            self._load_task(row)

    @work(exclusive=True, group="task")
    async def _load_task(self, row: AttemptRow) -> None:
        await self._shown_task.load(row)
        self.follow()

    # -- filter and order --------------------------------------------------------------------------------------------

    @on(FilterBar.Changed)
    def _apply_filter(self, event: FilterBar.Changed) -> None:
        self.services.board.set_filter(event.where)
        self._show()

    def action_only(self, status: str) -> None:
        """Show only the tasks in `status`, or all again; for a click on a count."""
        self.filter_bar.toggle(f"status:{status}")

    @work
    async def action_sort(self) -> None:
        """Ask for the column to sort by."""
        current = self._sorting.column or ""
        chosen = await self.services.push_screen_wait(sort_dialog(current))
        if chosen != current:
            self._choose_order(chosen or None)

    def action_reverse(self) -> None:
        """Reverse the order."""
        if self._sorting.column is None:
            self.services.tell("The default order cannot be reversed: choose a column with s.", problem=True)
            return
        self._sorting.descending = not self._sorting.descending
        self._keep_order()

    @on(VirtualTable.HeaderClicked)
    def _sort_by_header(self, event: VirtualTable.HeaderClicked) -> None:
        if event.column_id in COLUMNS:
            self._choose_order(event.column_id)

    def _choose_order(self, column: str | None) -> None:
        self._sorting.choose(column)
        self._keep_order()

    def _keep_order(self) -> None:
        self.services.remember("live.sort", self._sorting.text)
        self._sort()

    def _sort(self) -> None:
        self._sorting.apply(self.services.board, self.services.clock(), self.services.monotonic())
        self.table.show_sort(self._sorting.column, descending=self._sorting.descending)
        self._show()

    # -- commands ----------------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer only what works on the marked rows, or on the row under the cursor."""
        if action in _CHANGING and self.services.controls is None:
            return False
        if action == "stack":
            return self.services.engine is not None and not self.services.is_viewer
        if action in ("cancel", "retry") and not self._marks_in_view():
            row = self._row()
            allowed = OPEN if action == "cancel" else FINAL | {Status.RETRYING}
            return row is not None and row.status in allowed
        return super().check_action(action, parameters)

    def on_key(self, event: Key) -> None:
        """Say why a key that commands the engine does nothing here."""
        commands = {one.key: one.action.partition("(")[0] for one in self.BINDINGS if isinstance(one, Binding)}
        action = commands.get(event.key)
        if action in _WHY_NOT and self.services.controls is not None and not self.check_action(action, ()):
            self.services.tell(_WHY_NOT[action] if self._row() is not None else "There is no task here.", problem=True)
        elif self.services.controls is None and action in _CHANGING:
            self.services.tell(self._why_no_commands(), problem=True)

    def _why_no_commands(self) -> str:
        if self.services.read_only:
            return "Nothing is changed here: the file is only read."
        if self.services.owner is None:
            return "The run of the other program is over: press 2, and r in the history runs its tasks again."
        return "Another program runs this: open it with --control to act on it."

    def action_cancel(self) -> None:
        """Cancel the chosen tasks, after a question."""
        self._cancel([row for row in self._chosen_rows() if row.status in OPEN])

    @work
    async def _cancel(self, rows: list[AttemptRow]) -> None:
        await self._commands.cancel(rows)

    def action_retry(self) -> None:
        """Run the chosen tasks again."""
        self._retry(self._chosen_rows())

    @work
    async def _retry(self, rows: list[AttemptRow]) -> None:
        if await self._commands.retry(rows):
            self.table.unmark(row.task_id for row in rows)

    @work
    async def action_retry_failed(self) -> None:
        """Run every failed task in view again, after a question."""
        if await self._commands.retry_failed():
            self.table.clear_marks()

    @work
    async def action_pause(self) -> None:
        """Start no more tasks, or go on."""
        await self._commands.toggle_pause()
        with suppress(NoMatches):  # the screen is being closed
            self._header.state = self._header_source.state()

    @work
    async def action_workers(self, change: int) -> None:
        """Change the number of workers."""
        await self._commands.change_workers(change)
        with suppress(NoMatches):  # the screen is being closed
            self._header.state = self._header_source.state()

    def action_stack(self) -> None:
        """Show the stack of the task under the cursor."""
        engine, row = self.services.engine, self._row()
        if engine is None or row is None or row.status not in ACTIVE or engine.stack(row.id) is None:
            self.services.tell(
                "There is a stack to see only while a task runs in a thread of this program.", problem=True
            )
            return
        self.app.push_screen(StackDialog(row.name, lambda: engine.stack(row.id)))

    def action_show_workers(self) -> None:
        """Show the workers and the limits; those of another program where the keys act on it."""
        engine, controls = self.services.engine, self.services.controls
        if (shown := engine or controls) is None or not shown.is_started:
            self.services.tell("There are no workers: nothing runs.", problem=True)
            return
        limits = LiveLimits(self.services)
        name_of = str if engine is None else engine.task_name
        self.app.push_screen(WorkersDialog(limits.seen, name_of, None if controls is None else limits.change))

    def action_next_running(self) -> None:
        """Go to the next running task, after the last to the first."""
        place = self.services.board.next_running(self.table.cursor_index)
        if place is None:
            self.services.tell("No task in view runs.", problem=True)
        else:
            self.table.move_cursor(place)

    def action_mark_all(self) -> None:
        """Mark every task in view."""
        self.table.mark(row.task_id for row in self.services.board.shown())

    def _row(self) -> AttemptRow | None:
        key = self.table.cursor_key
        return None if key is None else self.services.board.row(key)

    def _marks_in_view(self) -> list[Hashable]:
        return [key for key in self.table.marked if self.services.board.index(key) is not None]

    def _chosen_rows(self) -> list[AttemptRow]:
        """Return the latest attempts of the marked tasks in view, or of the task under the cursor, as they are now."""
        marked = self._marks_in_view()
        if hidden := len(self.table.marked) - len(marked):
            told = counted(hidden, "marked task is", "marked tasks are")
            self.services.tell(f"{told} hidden by the filter, and left alone; u unmarks.")
        self.table.hold_cursor()  # a second key means the same task
        keys = marked or [self.table.cursor_key]
        return [row for key in keys if (row := self.services.board.row(key)) is not None]
