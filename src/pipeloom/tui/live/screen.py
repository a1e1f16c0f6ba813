"""The run as it goes."""

from __future__ import annotations

from collections import Counter
from typing import ClassVar

from textual import getters, on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content

from pipeloom.engine.control.client import ControlClient
from pipeloom.engine.engine import Engine
from pipeloom.status import ACTIVE, FINAL, OPEN, WAITING, Status
from pipeloom.store.rows import AttemptRow, LogRow, RunRow
from pipeloom.tui.attempts.columns import live_columns
from pipeloom.tui.attempts.table_screen import SHARED_KEYS, TableScreen
from pipeloom.tui.bindings import key
from pipeloom.tui.live.baselines import DurationBaselines
from pipeloom.tui.live.header import HeaderSource
from pipeloom.tui.live.sorting import COLUMNS, Sorting
from pipeloom.tui.reader import read_logs, read_whole
from pipeloom.tui.session.bridge import Delivery
from pipeloom.tui.style import format as fmt
from pipeloom.tui.style.text import content
from pipeloom.tui.table.virtual_table import VirtualTable
from pipeloom.tui.widgets.dialogs import Choice, ChoiceDialog, ConfirmDialog, StackDialog
from pipeloom.tui.widgets.filter_bar import FilterBar
from pipeloom.tui.widgets.header import RunHeader
from pipeloom.tui.widgets.workers import WorkersDialog

_KEY_S = 0.2
_GRACE_S = 10.0
"""What a task that is asked to stop gets, where only another process knows better."""
_LONGEST_TICK_S = 3.0
_CHANGING = frozenset({"cancel", "retry", "retry_failed", "pause", "workers"})
"""Actions that ask something of a run."""
_NAMED = 5
"""Tasks that a dialog names before it only counts."""


class LiveScreen(TableScreen):
    """Header, filter, table and detail of the run; asks the app's engine to cancel, retry, pause."""

    BINDINGS: ClassVar[list[BindingType]] = [
        key("x", "cancel", "Cancel", "Cancel the marked tasks, else the one under the cursor.", "live.cancel"),
        key("r", "retry", "Retry", "Run the marked tasks again, else the one under the cursor.", "live.retry"),
        key("R", "retry_failed", "Failed", "Run every failed task in view again.", "live.retry_failed", footer=False),
        key("asterisk", "mark_all", "All", "Mark every task in view.", "live.all", display="*", footer=False),
        key("p", "pause", "Pause", "Start no more tasks, or go on.", "live.pause"),
        key("s", "sort", "Sort", "Choose the order of the tasks.", "live.sort", footer=False),
        key("S", "reverse", "Reverse", "Turn the order round.", "live.reverse", footer=False),
        key("T", "stack", "Stack", "Show where the running task's code is just now.", "live.stack", footer=False),
        key("W", "crew", "Workers", "Show the workers and what they do.", "live.workers", footer=False),
        key("plus", "workers(1)", "More", "Add a worker.", "live.more", display="+", footer=False),
        key("minus", "workers(-1)", "Fewer", "Take a worker away.", "live.fewer", display="-", footer=False),
        *SHARED_KEYS,
    ]

    screen_name = "live"

    _header = getters.query_one(RunHeader)

    def compose(self) -> ComposeResult:
        """Put header, filter, table, detail and keys in their places."""
        engine = self.services.engine
        tries, grace = (1, _GRACE_S) if engine is None else (engine.attempts_granted, engine.options.grace_s)
        yield RunHeader()
        self._pasts = DurationBaselines(self.services.db_path)
        columns = live_columns(
            tries, lambda row: self.services.board.silent_s(row, self.services.monotonic()), grace, self._pasts.of
        )
        yield from self.compose_panes(self.services.board, columns, "No tasks yet.")

    def on_mount(self) -> None:
        """Follow the commits and the clock."""
        self._source = HeaderSource(self.services)
        self._header.ascii_only = self.services.ascii_only
        self._sorting = Sorting.from_text(self.services.remembered("live.sort"))
        self._offered: Status | None = None
        self._headed_s = self._ticked_s = float("-inf")
        self._log: list[LogRow] = []
        self._whole: list[AttemptRow] = []
        """The attempts of the task that is shown, as the file has them: another process's come without errors."""
        self._log_of: tuple[int, Status] | None = None
        """The attempt whose log is shown, and how it stood when the log was read."""
        self.services.commits.subscribe(self, self._show_commit)
        self.set_interval(1.0, self._tick)
        if self._sorting.column is None:
            self._show()
        else:
            self._sort()

    # -- showing -----------------------------------------------------------------------------------------------------

    def _show_commit(self, delivery: Delivery) -> None:
        self._source.count(delivery)
        self._show_rows()
        if not self._keys_come_first(self._headed_s):
            self._show_head()

    def _show(self) -> None:
        """Bring everything up to date; what has not changed is not drawn."""
        self._show_rows()
        self._show_head()

    def _show_rows(self) -> None:
        self.table.tick(self.services.clock())
        self.table.refresh_rows()
        self.follow()
        self._offer()

    def _show_head(self) -> None:
        self._headed_s = self.services.monotonic()
        self._header.state = self._source.state()
        self._show_count()

    def _keys_come_first(self, done_s: float) -> bool:
        """Return whether keys are being pressed, so that what was last done at `done_s` can wait a little longer."""
        now = self.services.monotonic()
        return now - self.services.key_pressed_s < _KEY_S and now - done_s < _LONGEST_TICK_S

    def _tick(self) -> None:
        """Show that time has passed; while keys are pressed, less often."""
        if self._keys_come_first(self._ticked_s):
            return
        self._ticked_s = self.services.monotonic()
        self.table.tick(self.services.clock())
        if self._sorting.is_due(self.services.monotonic(), self.services.key_pressed_s):
            self._sort()
        self._show_head()
        run = self.services.board.run
        if self._pasts.has_wishes and run is not None:
            self._learn(run)
        row = self._row()
        if self.detail.display and row is not None and row.status in ACTIVE:
            self._load_log(row)

    @work(exclusive=True, group="pasts")
    async def _learn(self, run: RunRow) -> None:
        await self._pasts.learn(run)

    def _show_count(self) -> None:
        board, marked = self.services.board, len(self.table.marked)
        shown = f"{fmt.count(board.count())} of {fmt.count(board.total())}"
        self.filter_bar.show_count(content(shown + (f" · {fmt.count(marked)} marked" if marked else ""), "$muted"))

    def _offer(self) -> None:
        """Offer the keys that work on this row; asks Textual only when they are others."""
        row = self._row()
        status = None if row is None else row.status
        if status is not self._offered:
            self._offered = status
            self.refresh_bindings()

    @on(VirtualTable.Highlighted)
    def _follow(self) -> None:
        self.follow()
        self._offer()

    @on(VirtualTable.MarksChanged)
    def _count_marks(self) -> None:
        self._show_count()

    def follow(self) -> None:
        """Show the task under the cursor."""
        if not self.detail.display:
            return
        row = self._row()
        attempts = [] if row is None else self.services.board.attempts_of(row.task_id)
        known = row is not None and self._log_of is not None and self._log_of[0] == row.id
        if known and self._whole:
            whole = {attempt.id: attempt for attempt in self._whole}
            attempts = [_filled(attempt, whole.get(attempt.id)) for attempt in attempts]
            row = attempts[-1]
        self.detail.show_attempt(row, attempts, self._log if known else [])
        if row is not None and row.status not in WAITING and self._log_of != (row.id, row.status):
            self._load_log(row)

    @work(exclusive=True, group="log")
    async def _load_log(self, row: AttemptRow) -> None:
        self._log = await read_logs(self.services.db_path, row.id)
        self._whole = await read_whole(self.services.db_path, row) if self.services.is_viewer else []
        self._log_of = (row.id, row.status)
        self.follow()

    # -- filtering ---------------------------------------------------------------------------------------------------

    @on(FilterBar.Changed)
    def _apply_filter(self, event: FilterBar.Changed) -> None:
        self.services.board.set_filter(event.where)
        self.table.empty_text = "No task matches the filter." if event.where else "No tasks yet."
        self._show()

    def action_only(self, status: str) -> None:
        """Show only the tasks in `status`, or all again: what a click on a count does."""
        self.filter_bar.toggle(f"status:{status}")

    # -- sorting -----------------------------------------------------------------------------------------------------

    @work
    async def action_sort(self) -> None:
        """Ask for the column."""
        current = self._sorting.column or ""
        choices = [Choice(current, "Leave it as it is"), Choice("", "Running first, ended last", "-confirm")]
        choices += [Choice(column, label, "-confirm") for column, (label, _) in COLUMNS.items()]
        chosen = await self.services.push_screen_wait(ChoiceDialog("Sort the tasks by", "", choices))
        if chosen != current:
            self._choose_order(chosen or None)

    def action_reverse(self) -> None:
        """Turn the order round."""
        if self._sorting.column is None:
            self.services.tell("The default order cannot be reversed: choose a column with s.", problem=True)
            return
        self._sorting.descending = not self._sorting.descending
        self.services.remember("live.sort", self._sorting.text)
        self._sort()

    @on(VirtualTable.HeaderClicked)
    def _sort_by_header(self, event: VirtualTable.HeaderClicked) -> None:
        if event.column_id in COLUMNS:
            self._choose_order(event.column_id)

    def _choose_order(self, column: str | None) -> None:
        self._sorting.choose(column)
        self.services.remember("live.sort", self._sorting.text)
        self._sort()

    def _sort(self) -> None:
        self._sorting.apply(self.services.board, self.services.clock(), self.services.monotonic())
        self.table.show_sort(self._sorting.column, descending=self._sorting.descending)
        self._show()

    # -- acting ------------------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer what works on the marks or the row under the cursor."""
        if action in _CHANGING and self.services.controls is None:
            return False
        if action == "stack":
            return self.services.engine is not None
        if action in ("cancel", "retry") and not self.table.marked:
            row = self._row()
            allowed = OPEN if action == "cancel" else FINAL | {Status.RETRYING}
            return row is not None and row.status in allowed
        return super().check_action(action, parameters)

    def action_cancel(self) -> None:
        """Ask, then cancel."""
        self._cancel([row for row in self._targets() if row.status in OPEN])

    @work
    async def _cancel(self, rows: list[AttemptRow]) -> None:
        controls = self.services.controls
        if controls is None or not rows:
            self.services.tell("Nothing to cancel here: it has ended already.", problem=True)
            return
        stuck = [row.id for row in rows if row.status is Status.CANCELLING]
        if len(stuck) == len(rows):
            await self._abandon(stuck, rows)
            return
        title = "Cancel this task?" if len(rows) == 1 else f"Cancel {len(rows):,} tasks?"
        label = "Cancel task" if len(rows) == 1 else "Cancel tasks"
        if await self.services.push_screen_wait(ConfirmDialog(title, _named(rows), label, cancel_label="Back")):
            result = await self.services.ask(lambda: controls.cancel([row.id for row in rows]))
            if result is None:
                return
            waiting = {row.id for row in rows if row.status in WAITING}
            cancelled = len(waiting.intersection(result.accepted))
            self.services.report(
                {"cancelled": cancelled, "asked to stop": len(result.accepted) - cancelled}, result.refused
            )

    async def _abandon(self, ids: list[int], rows: list[AttemptRow]) -> None:
        """Offer to give up on workers that do not stop: a thread, unlike a process, cannot be killed."""
        engine, controls, run = self.services.engine, self.services.controls, self.services.board.run
        kills = engine.can_kill if engine is not None else run is not None and run.executor == "process"
        what = "its process is killed." if kills else "it keeps its slot until it ends."
        body = Content("\n").join([_named(rows), Content(""), Content(f"Its worker does not stop. Abandoned, {what}")])
        dialog = ConfirmDialog("Abandon what does not stop?", body, "Abandon", cancel_label="Wait")
        if controls is not None and await self.services.push_screen_wait(dialog):
            result = await self.services.ask(lambda: controls.abandon(ids))
            if result is not None:
                self.services.report({"abandoned": len(result.accepted)}, result.refused)

    def action_retry(self) -> None:
        """Run the targets again."""
        self._retry([row.id for row in self._targets()])

    @work
    async def _retry(self, ids: list[int]) -> None:
        controls = self.services.controls
        if controls is not None and ids:
            result = await self.services.ask(lambda: controls.retry(ids))
            if result is not None:
                self.services.report({"queued again": len(result.accepted)}, result.refused)
                self.table.clear_marks()

    @work
    async def action_retry_failed(self) -> None:
        """Ask, then run every failed task in view again."""
        rows = [row for row in self.services.board.shown() if row.status in (Status.ERROR, Status.INTERRUPTED)]
        if not rows:
            self.services.tell("No failed task in view.")
            return
        title = "Run the failed task again?" if len(rows) == 1 else f"Run {len(rows):,} failed tasks again?"
        dialog = ConfirmDialog(title, _named(rows), "Run again", cancel_label="Back", destructive=False)
        if await self.services.push_screen_wait(dialog):
            self._retry([row.id for row in rows])

    def action_stack(self) -> None:
        """Show where the task under the cursor is."""
        engine, row = self.services.engine, self._row()
        if engine is None or row is None or row.status not in ACTIVE or engine.stack(row.id) is None:
            self.services.tell(
                "There is a stack to see only while a task runs in a thread of this program.", problem=True
            )
            return
        self.app.push_screen(StackDialog(row.name, lambda: engine.stack(row.id)))

    @work
    async def action_pause(self) -> None:
        """Start nothing more, or go on."""
        controls = self.services.controls
        if controls is None or not controls.is_started:
            return
        paused = await self.services.ask(lambda: _toggle(controls))
        if paused is not None:
            self.services.tell("Paused: what runs goes on, nothing more is started." if paused else "Going on.")
            self._header.state = self._source.state()

    @work
    async def action_workers(self, change: int) -> None:
        """Change the number of workers."""
        controls = self.services.controls
        if controls is not None and controls.is_started:
            await self.services.ask(lambda: controls.set_workers(max(1, controls.load().wanted + change)))
            self._header.state = self._source.state()

    def action_crew(self) -> None:
        """Show the workers."""
        engine = self.services.engine
        if engine is None or not engine.is_started:
            self.services.tell("There are no workers: nothing runs.", problem=True)
            return
        self.app.push_screen(WorkersDialog(engine.workers, engine.task_name))

    def action_mark_all(self) -> None:
        """Mark all that is in view."""
        self.table.mark(row.task_id for row in self.services.board.shown())

    def _row(self) -> AttemptRow | None:
        key = self.table.cursor_key
        return None if key is None else self.services.board.row(key)

    def _targets(self) -> list[AttemptRow]:
        """Return the marked tasks' latest attempts, else the one under the cursor: frozen from here on."""
        keys = [*self.table.marked] or [self.table.cursor_key]
        return [row for key in keys if (row := self.services.board.row(key)) is not None]


def _toggle(controls: Engine | ControlClient) -> bool:
    """Pause, or go on; returns whether it is paused now."""
    paused = controls.load().paused
    if paused:
        controls.resume()
    else:
        controls.pause()
    return not paused


def _filled(row: AttemptRow, whole: AttemptRow | None) -> AttemptRow:
    """Return the row with what may be long, as it was when the file was last asked."""
    return row if whole is None else row._replace(result=whole.result, error=whole.error, params=whole.params)


def _named(rows: list[AttemptRow]) -> Content:
    """Return how many there are in each status, and the names of the first."""
    shown = [_line(row) for row in rows[:_NAMED]]
    if len(rows) > _NAMED:
        shown.append(content(f"  … and {len(rows) - _NAMED:,} more", "$muted"))
    if len(rows) > 1:
        counts = Counter(row.status for row in rows)
        told = ", ".join(f"{counts[status]:,} {status}" for status in Status if counts[status])
        shown = [content(told, "$muted"), Content(""), *shown]
    return Content("\n").join(shown)


def _line(row: AttemptRow) -> Content:
    return Content.assemble("  ", content(row.name or "(empty)", "bold", limit=48), (f"  {row.status}", "$muted"))
