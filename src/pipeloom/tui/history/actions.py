"""What can be made of the history's rows: comparisons, pictures, exports, and room."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from textual import work
from textual.binding import BindingType

from pipeloom.errors import PipeloomError
from pipeloom.filters import Filter, attempts_filter, failures_filter, marked_filter
from pipeloom.store.read.failures import FailureGroup
from pipeloom.store.read.history import History
from pipeloom.store.read.paging import NEWEST, Sort
from pipeloom.store.read.tasks import TaskStats
from pipeloom.store.rows import AttemptRow
from pipeloom.tui.attempts.table_screen import TableScreen
from pipeloom.tui.bindings import key
from pipeloom.tui.history.queries import RunItem
from pipeloom.tui.reader import read
from pipeloom.tui.table.file_table import FileTable

LOOKING_KEYS: Final[list[BindingType]] = [
    key("c", "compare", "Compare", "Compare two marked runs or attempts, else with the one before.", "history.compare"),
    key("t", "timeline", "Timeline", "Show the run of this row in time, a lane for each worker.", "history.timeline"),
    key("h", "chart", "Chart", "Show how long this task took over the runs.", "history.chart", footer=False),
    key(
        "D",
        "days",
        "Days",
        "Show the runs of each day, and how they ended.",
        "history.days",
        footer=False,
    ),
    key("E", "export", "Export", "Write what is in view to a file or the clipboard.", "history.export", footer=False),
    key("C", "case", "Case", "Write all that is known of this attempt into one file.", "history.case", footer=False),
    key(
        "P",
        "prune",
        "Prune",
        "Choose what is kept; the rest goes, after a question.",
        "history.prune",
        footer=False,
    ),
]


class Looking(TableScreen):
    """Opens the screens that show rows otherwise, and writes them elsewhere. Each is imported when it is opened."""

    sort: Sort
    runs: FileTable[RunItem]
    attempts: FileTable[AttemptRow]

    @property
    def shown(self) -> Filter:
        """What passes."""
        return Filter()

    def go_to_attempt(self, attempt_id: int) -> None:
        """Put the cursor on an attempt."""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer what this row can be shown as."""
        row: Any = self.table.cursor_row
        match action:
            case "timeline":
                return self._run_of(row) is not None
            case "chart":
                return isinstance(row, AttemptRow | TaskStats)
            case "case":
                return isinstance(row, AttemptRow | FailureGroup | TaskStats)
            case "compare":
                return isinstance(row, AttemptRow) or (isinstance(row, RunItem) and row.run is not None)
            case "prune":
                return not self.services.read_only and self.services.owner is None
        return super().check_action(action, parameters)

    def _run_of(self, row: Any) -> int | None:
        match row:
            case RunItem() if row.run is not None:
                return row.run.id
            case AttemptRow():
                return row.run_id
            case TaskStats() | FailureGroup():
                return row.last_run_id
            case _:
                return None

    # -- comparisons and pictures ------------------------------------------------------------------------------------

    @work
    async def action_compare(self) -> None:
        """Compare two runs, or two attempts."""
        row: Any = self.table.cursor_row
        marked = sorted(key for key in self.table.marked if isinstance(key, int) and key)
        if len(marked) > 2:
            self.services.tell("Mark two of them to compare.", problem=True)
        elif isinstance(row, RunItem) and row.run is not None:
            await self._compare_runs(marked, row.run.id, row.run.pipeline)
        elif isinstance(row, AttemptRow):
            await self._compare_attempts(marked, row)

    async def _compare_runs(self, marked: list[int], run_id: int, pipeline: str) -> None:
        from pipeloom.store.read.run_queries import run_before
        from pipeloom.tui.reports.compare.runs import CompareRunsScreen

        pair = await self._pair(
            marked,
            run_id,
            lambda file: run_before(file, run_id, pipeline),
            f"There is no run of {pipeline} before run {run_id} to compare it with.",
        )
        if pair is not None:
            self.app.push_screen(CompareRunsScreen(self.services.db_path, *pair))

    async def _compare_attempts(self, marked: list[int], row: AttemptRow) -> None:
        from pipeloom.store.read.tasks import attempt_before
        from pipeloom.tui.reports.compare.attempts import CompareAttemptsScreen

        pair = await self._pair(
            marked,
            row.id,
            lambda file: attempt_before(file, row.name, row.id),
            "There is no attempt of this task before this one to compare it with.",
        )
        if pair is not None:
            self.app.push_screen(CompareAttemptsScreen(self.services.db_path, *pair))

    async def _pair(
        self, marked: list[int], this: int, find_before: Callable[[History], int | None], nothing: str
    ) -> tuple[int, int] | None:
        """Return the two that are marked, else this one and the one before; without that it is told, and None."""
        chosen = marked if len(marked) == 2 else sorted({*marked, this})
        if len(chosen) == 2:
            return chosen[0], chosen[1]
        try:
            before = await read(self.services.db_path, find_before)
        except (PipeloomError, InterruptedError) as error:
            self.services.tell(str(error), problem=True)
            return None
        if before is None:
            self.services.tell(nothing, problem=True)
            return None
        return before, this

    @work
    async def action_timeline(self) -> None:
        """Show a run in time; the attempt that is chosen there is gone to here."""
        from pipeloom.tui.reports.timeline.screen import TimelineScreen

        run_id = self._run_of(self.table.cursor_row)
        if run_id is not None and (
            chosen := await self.services.push_screen_wait(TimelineScreen(self.services.db_path, run_id))
        ):
            self.go_to_attempt(chosen)

    def action_chart(self) -> None:
        """Show a task's durations."""
        from pipeloom.tui.reports.charts.screen import TaskChartScreen

        row: Any = self.table.cursor_row
        if isinstance(row, AttemptRow | TaskStats):
            self.app.push_screen(TaskChartScreen(self.services.db_path, row.name))

    def action_days(self) -> None:
        """Show the runs of each day."""
        from pipeloom.tui.reports.charts.screen import FileChartScreen

        self.app.push_screen(FileChartScreen(self.services.db_path))

    # -- files -------------------------------------------------------------------------------------------------------

    def _exported(self) -> Filter:
        """Return what is exported: what is in view, or the attempts of the marked rows."""
        row: Any = self.table.cursor_row
        marked = [*self.table.marked]
        match row:
            case AttemptRow() if marked:
                return attempts_filter(key for key in marked if isinstance(key, int))
            case RunItem() if marked:
                return marked_filter("run", [key for key in marked if isinstance(key, int)])
            case TaskStats() if marked:
                more = marked_filter("name", map(str, marked))
            case FailureGroup():
                more = marked_filter("fail", map(str, marked)) if marked else failures_filter()
            case _:
                more = Filter()
        return Filter((*self.shown.terms, *more.terms))

    @work
    async def action_export(self) -> None:
        """Write attempts elsewhere."""
        from pipeloom.tui.history.export_dialog import export_attempts

        try:
            where = self._exported()
            total = await read(self.services.db_path, lambda file: file.count(where))
            await export_attempts(self.services, where, total, self.sort if self.table is self.attempts else NEWEST)
        except (PipeloomError, InterruptedError) as error:
            self.services.tell(str(error), problem=True)

    @work
    async def action_case(self) -> None:
        """Write the case file of an attempt."""
        from pipeloom.tui.history.export_dialog import export_case

        attempt_id = self.attempt_under_cursor()
        if attempt_id is None:
            return
        try:
            row = await read(self.services.db_path, lambda file: file.attempt(attempt_id))
        except (PipeloomError, InterruptedError) as error:
            self.services.tell(str(error), problem=True)
            return
        if row is not None:
            await export_case(self.services, row)

    def attempt_under_cursor(self) -> int | None:
        """Return the attempt that the row is, or stands for."""
        return None

    @work
    async def action_prune(self) -> None:
        """Ask what is to be kept, and remove the rest."""
        from pipeloom.tui.history.prune_dialog import prune_attempts

        await prune_attempts(self.services)
        self.reload(anew=True)

    def reload(self, *, anew: bool = False) -> None:
        """Read the lists again."""
