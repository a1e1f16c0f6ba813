"""The live screen: header, filter, table and detail of the run."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import ClassVar, Final

from textual import getters, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.events import Key
from textual.screen import Screen

from pipeloom.status import ACTIVE, OPEN, Status
from pipeloom.store.rows import AttemptRow, RunRow
from pipeloom.text import counted
from pipeloom.tui.attempts.columns import live_columns, second_of, why_waiting
from pipeloom.tui.attempts.questions import CAN_RUN_AGAIN
from pipeloom.tui.attempts.table_screen import TableScreen
from pipeloom.tui.live.baselines import DurationBaselines
from pipeloom.tui.live.commands import LiveCommands
from pipeloom.tui.live.dialogs import sort_dialog, stack_dialog, workers_dialog
from pipeloom.tui.live.header import HeaderSource
from pipeloom.tui.live.keys import LIVE_KEYS
from pipeloom.tui.live.shown_task import ShownTask
from pipeloom.tui.live.sorting import COLUMNS, Sorting
from pipeloom.tui.live.told import WHY_NOT, counts, why_no_commands, why_nothing
from pipeloom.tui.live.waits import Waits, WaitsFilter
from pipeloom.tui.session.bridge import Delivery
from pipeloom.tui.sharing.place import Place
from pipeloom.tui.style.text import content
from pipeloom.tui.table.virtual_table import VirtualTable
from pipeloom.tui.textual_compat.work import work
from pipeloom.tui.widgets.filter_bar import FilterBar
from pipeloom.tui.widgets.header import RunHeader

_KEY_S: Final = 0.2
"""Seconds after a key for which the header and the clock wait."""
_LONGEST_TICK_S: Final = 3.0
"""Seconds after which they wait for keys no longer."""
_GRACE_S: Final = 10.0
"""Assumed seconds that a task has to stop, when another process runs it."""
_CHANGING: Final = frozenset({"cancel", "retry", "retry_failed", "pause", "workers"})
"""Actions that are commands to the engine."""


class LiveScreen(TableScreen):
    """Shows the board, and passes the user's commands on."""

    BINDINGS: ClassVar[list[BindingType]] = LIVE_KEYS

    screen_name = "live"

    _header = getters.query_one(RunHeader)

    def __init__(self) -> None:
        super().__init__()
        services = self.services
        self._commands = LiveCommands(services)
        self._shown_task = ShownTask(services)
        self._baselines = DurationBaselines(services.db_path)
        self._header_source = HeaderSource(services, lambda: self._baselines.task_s)
        self._waits = Waits(services.questions)
        self._filter = WaitsFilter(services.questions)
        self._sorting = Sorting.from_text(services.remembered("live.sort"))
        self._goal = services.remembered("live.task")
        """Id of the task that the cursor goes to, as text; "" for none."""
        self._offered: tuple[Status | None, bool] = None, False
        """What the footer's keys are for: the status of the row, and whether rows are marked."""
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
            self._waits.of,
        )
        yield RunHeader()
        yield from self.compose_panes(services.board, columns, "No tasks yet.")

    def on_mount(self) -> None:
        """Subscribe to the commits, and start the clock."""
        self._header.ascii_only = self.services.ascii_only
        self.services.commits.subscribe(self, self._show_commit)
        self.services.seconds.subscribe(self, self._tick)
        if self._sorting.column is None:
            self._show()
        else:
            self._sort()
        if tab := self.services.remembered("live.tab"):
            self.open_detail(tab)

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

    def _show_rows(self) -> None:
        self.table.empty_text = why_nothing(self.services.board)
        self.table.tick(self.services.clock())
        self.table.refresh_rows()
        if self._goal and (place := self.services.board.index_of(self._goal)) is not None:
            self._goal = ""
            self.table.move_cursor(place)
        if self.detail.display:
            self.share_lines()
            self.follow()
        self._offer_keys()
        self._ask()

    def _ask(self) -> None:
        """Ask the engine again why tasks wait, where that is due and this is the screen that is seen."""
        now_s, is_seen = self.services.monotonic(), self.app.current_mode == self.screen_name
        if is_seen and (self._filter.is_due(now_s) or self._waits.is_due(self._in_view(), now_s)):
            self._ask_now(now_s)

    @work(group="why")
    async def _ask_now(self, now_s: float) -> None:
        where = await self._filter.decide(self.services.monotonic) if self._filter.is_due(now_s) else None
        if where is not None:
            self.services.board.set_filter(where)
            self._show()
        if await self._waits.load(self._in_view(), now_s):
            self.table.refresh_rows()
            self.follow()

    def beside(self, row: AttemptRow, second: int) -> Hashable:
        """Return the second for what moves, and the reason for what waits."""
        return second_of(row, second) or self._waits.of(row)

    def _in_view(self) -> Sequence[AttemptRow]:
        """Return the rows on the screen, and that under the cursor, of which the detail tells."""
        under = self._row()
        return [*self.services.board.window(*self.table.visible_range), *([] if under is None else [under])]

    def _show_header(self) -> None:
        self._header_s = self.services.monotonic()
        self._header.state = self._header_source.state()
        self._show_count()

    def _keys_come_first(self, done_s: float) -> bool:
        """Return whether what was last done at `done_s` can wait, because keys are being pressed."""
        now = self.services.monotonic()
        return now - self.services.key_pressed_s < _KEY_S and now - done_s < _LONGEST_TICK_S

    def _tick(self, _: None = None) -> None:
        """Update what changes with time; less often while keys are pressed."""
        if self._keys_come_first(self._tick_s):
            return
        self._tick_s = self.services.monotonic()
        self.table.tick(self.services.clock())
        if self._sorting.is_due(self.services.monotonic(), self.services.key_pressed_s):
            self._sort()
        self._show_header()
        self._ask()
        run = self.services.board.run
        if self._baselines.are_missing and run is not None:
            self._load_baselines(run)
        if self.detail.display and (row := self._row()) is not None and row.status in ACTIVE:
            self._load_task(row)
        elif self.detail.display:
            self.follow()  # the time that is left until a retry

    @work(group="baselines")
    async def _load_baselines(self, run: RunRow) -> None:
        await self._baselines.load(run)
        if not self._keys_come_first(self._header_s):  # else the next tick does it
            self._show_header()

    def place(self) -> Place:
        """Return what the screen shows; once the run has ended, the command leads to it in the history."""
        run, row = self.services.board.run, self._row()
        return replace(
            super().place(),
            run=None if run is None else run.id,
            order=self._sorting.text,
            task="" if row is None else str(row.task_id),
        )

    @on(VirtualTable.MarksChanged)
    def _show_count(self) -> None:
        in_view, marked = len(self._marks_in_view()), len(self.table.marked)
        self.filter_bar.show_count(content(counts(self.services.board, in_view, marked - in_view), "$muted"))
        self._offer_keys()

    def _offer_keys(self) -> None:
        """Update the footer when other keys work on what is marked, or on the row under the cursor."""
        row = self._row()
        offered = None if row is None else row.status, bool(self._marks_in_view())
        if offered != self._offered:
            self._offered = offered
            self.refresh_bindings()

    @on(VirtualTable.Highlighted)
    def _follow(self) -> None:
        self.follow()
        if self.services.board.held != self.table.cursor_key and self.services.board.hold(None):
            self._show_rows()
        self._offer_keys()
        self._ask()

    def follow(self) -> None:
        """Show the task under the cursor in the detail, if that is open."""
        if not self.detail.display:
            return
        row = self._row()
        waits = "" if row is None else why_waiting(row, self._waits.of(row), self.services.clock())
        self._shown_task.show(self.detail, row, waits)
        if row is not None and self._shown_task.should_load(row):
            self._load_task(row)

    @work(exclusive=True, group="task")
    async def _load_task(self, row: AttemptRow) -> None:
        await self._shown_task.load(row)
        self.follow()

    # -- filter and order --------------------------------------------------------------------------------------------

    @on(FilterBar.Changed)
    def _apply_filter(self, event: FilterBar.Changed) -> None:
        self._filter.choose(event.where)
        self.services.board.hold(None)
        self.services.board.set_filter(event.where)
        self._show()

    def action_only(self, status: str) -> None:
        """Show only the tasks in `status`, or all again; for a click on a count."""
        self.filter_bar.toggle(f"status:{status}")

    @work()
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
            return row is not None and row.status in (OPEN if action == "cancel" else CAN_RUN_AGAIN)
        return super().check_action(action, parameters)

    def on_key(self, event: Key) -> None:
        """Say why a key that commands the engine does nothing here."""
        commands = {one.key: one.action.partition("(")[0] for one in self.BINDINGS if isinstance(one, Binding)}
        action = commands.get(event.key)
        if action in WHY_NOT and self.services.controls is not None and not self.check_action(action, ()):
            self.services.tell(WHY_NOT[action] if self._row() is not None else "There is no task here.", problem=True)
        elif self.services.controls is None and action in _CHANGING:
            self.services.tell(why_no_commands(self.services), problem=True)

    def action_cancel(self) -> None:
        """Cancel the chosen tasks, after a question."""
        self._cancel([row for row in self._chosen_rows() if row.status in OPEN])

    @work()
    async def _cancel(self, rows: list[AttemptRow]) -> None:
        await self._commands.cancel(rows)

    def action_retry(self) -> None:
        """Run the chosen tasks again."""
        self._retry([row for row in self._chosen_rows() if row.status in CAN_RUN_AGAIN])

    @work()
    async def _retry(self, rows: list[AttemptRow]) -> None:
        if await self._commands.retry(rows):
            self.table.unmark(row.task_id for row in rows)

    @work()
    async def action_retry_failed(self) -> None:
        """Run every failed task in view again, after a question."""
        if await self._commands.retry_failed():
            self.table.clear_marks()

    @work()
    async def action_pause(self) -> None:
        """Start no more tasks, or go on."""
        await self._commands.toggle_pause()
        self._header.state = self._header_source.state()

    @work()
    async def action_workers(self, change: int) -> None:
        """Change the number of workers."""
        await self._commands.change_workers(change)
        self._header.state = self._header_source.state()

    def action_stack(self) -> None:
        """Show the stack of the task under the cursor."""
        self._open_or_tell(stack_dialog(self.services, self._row()))

    def action_show_workers(self) -> None:
        """Show the workers and the limits; those of another program where the keys act on it."""
        self._open_or_tell(workers_dialog(self.services))

    def _open_or_tell(self, dialog: Screen[None] | str) -> None:
        if isinstance(dialog, str):
            self.services.tell(dialog, problem=True)
        else:
            self.app.push_screen(dialog)

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
        return None if (key := self.table.cursor_key) is None else self.services.board.row(key)

    def _marks_in_view(self) -> list[Hashable]:
        return [key for key in self.table.marked if self.services.board.index(key) is not None]

    def _chosen_rows(self) -> list[AttemptRow]:
        """Return the latest attempts of the marked tasks in view, or of the task under the cursor, as they are now."""
        marked = self._marks_in_view()
        if hidden := len(self.table.marked) - len(marked):
            told = counted(hidden, "marked task is", "marked tasks are")
            self.services.tell(f"{told} hidden and left alone; u unmarks.")
        self.table.hold_cursor()  # a second key means the same task
        self.services.board.hold(None if marked else self.table.cursor_key)
        return [row for key in marked or [self.table.cursor_key] if (row := self.services.board.row(key)) is not None]
