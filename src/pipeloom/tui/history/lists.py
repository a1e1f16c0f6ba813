"""The four lists of the history: the runs, and beside them the attempts, the tasks or the failures."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.widgets import ContentSwitcher

from pipeloom.errors import StoreError
from pipeloom.filters import Filter
from pipeloom.status import FINAL
from pipeloom.store.read.paging import NEWEST, Sort
from pipeloom.store.read.run_queries import runs_after
from pipeloom.store.rows import AttemptRow
from pipeloom.text import counted
from pipeloom.tui.attempts.columns import second_of
from pipeloom.tui.history.bar import VIEWS
from pipeloom.tui.history.columns import failure_columns, run_columns, task_columns
from pipeloom.tui.history.queries import AttemptsQuery, FailuresQuery, RunItem, RunsQuery, TasksQuery
from pipeloom.tui.history.reading import FoundList, ListRequest
from pipeloom.tui.reader import read
from pipeloom.tui.services import ServicesGetter
from pipeloom.tui.style import format as fmt
from pipeloom.tui.style.text import content
from pipeloom.tui.table.columns import Column
from pipeloom.tui.table.file_table import FileTable, Found
from pipeloom.tui.textual_compat.work import work
from pipeloom.tui.widgets.filter_bar import FilterBar

_NOUNS: Final = {
    "attempts": ("attempt", "attempts"),
    "tasks": ("task", "tasks"),
    "failures": ("kind of failure", "kinds of failure"),
}
_NOTHING: Final = {
    "attempts": "Nothing has run in this file yet.",
    "tasks": "Nothing has run in this file yet.",
    "failures": "Nothing has failed.",
}


class HistoryLists(Horizontal):
    """Shows the runs, and beside them the list that `view` names."""

    services = ServicesGetter()

    @dataclass
    class Read(Message):
        """The list beside the runs was read."""

        lists: HistoryLists
        total: Content
        """The number of its rows, in words."""

        @property
        def control(self) -> HistoryLists:
            """The lists, for `@on` selectors."""
            return self.lists

    def __init__(self, path: Path, columns: Sequence[Column[AttemptRow]], *, ascii_only: bool) -> None:
        super().__init__(id="browse")
        self.view = VIEWS[0]
        self.fresh = 0
        """New attempts that wait to be shown."""
        self.goal: int | None = None
        """The attempt that the cursor goes to once the list is read."""
        self._later_goal: int | None = None
        """The same, once the run is shown that it belongs to."""
        self._newest: int | None = None
        """Id of the newest attempt shown: later ones wait, so that rows do not move."""
        self._is_filtered = False
        self._within: Filter | None = None
        """What would be shown without the filter line; None: that is not used."""
        self._all: tuple[Filter, int] | None = None
        """The number of attempts without the filter line, as counted last."""
        self._failure = ""
        """The failure that was told last; "" after a list was read."""
        self.runs = FileTable(path, RunsQuery(), run_columns(), beside=_second_of, ascii_only=ascii_only, id="runs")
        self._path = path
        self.attempts = FileTable(
            path, AttemptsQuery(), columns, beside=second_of, ascii_only=ascii_only, id="attempts"
        )
        self.tasks = FileTable(path, TasksQuery(), task_columns(), ascii_only=ascii_only, id="tasks")
        self.failures = FileTable(path, FailuresQuery(), failure_columns(), ascii_only=ascii_only, id="failures")

    def compose(self) -> ComposeResult:
        """Yield the runs and the other lists."""
        yield self.runs
        with ContentSwitcher(initial=VIEWS[0]):
            yield self.attempts
            yield self.tasks
            yield self.failures

    @property
    def current(self) -> FileTable[Any]:
        """The list beside the runs."""
        lists: dict[str, FileTable[Any]] = {"tasks": self.tasks, "failures": self.failures}
        return lists.get(self.view, self.attempts)

    @property
    def with_keys(self) -> FileTable[Any]:
        """The list that keys act on: the runs while they have the focus, else the one beside them."""
        return self.runs if self.runs.has_focus else self.current

    def show(self, view: str) -> None:
        """Show attempts, tasks or failures beside the runs."""
        self.view = view if view in VIEWS else VIEWS[0]
        self.query_one(ContentSwitcher).current = self.view
        self._tick()

    def on_mount(self) -> None:
        """Update what changes with time alone."""
        self.services.seconds.subscribe(self, self._tick)
        self._tick()

    def _tick(self, _: None = None) -> None:
        now = self.services.clock()
        for table in (self.runs, self.current):
            table.tick(now)

    def give_focus(self, table: FileTable[Any]) -> None:
        """Focus a list at once, so that the next key reaches it; a hidden one after the next paint."""
        if table.region:
            self.screen.set_focus(table)
        else:
            self.call_after_refresh(self._focus_unless_typing, table)

    def _focus_unless_typing(self, table: FileTable[Any]) -> None:
        if not self.screen.query_one(FilterBar).has_focus_within:
            self.screen.set_focus(table)

    def begin(self, run: str, attempt: str) -> None:
        """Read the runs, with the cursor on a run if one is named; on the attempt, once its list is read."""
        self._later_goal = int(attempt) if attempt.isdigit() else None
        if not run.isdigit():
            self.goal, self._later_goal = self._later_goal, None
            self.runs.reload()
            return
        number, query = int(run), self.runs.pages.query
        self.runs.look_for(
            lambda file: Found(query, 0 if file.run(number) is None else runs_after(file, number) + 1)  # below all runs
        )

    # -- reading -----------------------------------------------------------------------------------------------------

    @property
    def is_read(self) -> bool:
        """Whether the list beside the runs was read once."""
        return self._newest is not None

    def read(
        self, where: Filter, within: Filter, sort: Sort, *, from_top: bool = True, keeps_row: bool = False
    ) -> None:
        """Read the list in one look at the file: its newest rows, or those that are shown when the user is below.

        `within` is the part of `where` that does not come from the filter line. With `keeps_row` the attempt under the
        cursor stays in the list, also when it passes the filter no longer.
        """
        self._is_filtered = bool(where)
        self._within = within if where != within and self.view == VIEWS[0] else None
        moves = from_top or self._newest is None or self.attempts.is_at_top or sort != NEWEST
        newest = None if moves else self._newest
        row = self.current.cursor_row if keeps_row and not from_top else None
        request = ListRequest(
            view=self.view, where=where, sort=sort, newest=newest, from_top=from_top, goal=self.goal,
            kept=row.id if isinstance(row, AttemptRow) else None,
        )  # fmt: skip
        if from_top or self.goal is not None:
            self.current.look_for(request.find)
        else:
            self.current.reload(request.find)

    @on(FileTable.Loaded)
    def _take(self, event: FileTable.Loaded) -> None:
        event.stop()
        self._failure = ""
        if event.table is self.runs and self._later_goal is not None:
            self.goal, self._later_goal = self._later_goal, None
        found = event.found
        if event.table is self.current and isinstance(found, FoundList):
            self._newest, self.fresh = found.newest, found.fresh
            if found.goal == self.goal:
                self.goal = None
            self._tell_read(event.total, exact=event.exact)
            if self._within is not None and event.exact:
                self._count_all(self._within, event.total)

    def _tell_read(self, total: int, *, exact: bool) -> None:
        self.post_message(self.Read(self, self._total(total, exact=exact)))

    @work(exclusive=True, group="all")
    async def _count_all(self, within: Filter, total: int) -> None:
        """Count what the filter line leaves out, after the rows are shown."""
        with suppress(StoreError, InterruptedError):  # who reads the list says so
            count = await read(self._path, lambda file: file.count(within))
            if within == self._within:
                self._all = within, count
                self._tell_read(total, exact=True)

    @on(FileTable.Failed)
    def _tell_failure(self, event: FileTable.Failed) -> None:
        event.stop()
        if event.error != self._failure:  # both lists fail when the file cannot be read
            self._failure = event.error
            self.services.tell(event.error, problem=True)

    def _total(self, total: int, *, exact: bool) -> Content:
        """Return the number of rows in words; an empty list says why it is empty."""
        one, many = _NOUNS[self.view]
        nothing = f"No {many} match the filter." if self._is_filtered else _NOTHING[self.view]
        self.current.nothing_text = nothing
        if exact and not total:
            self.current.empty_text = nothing
        if exact and self._all is not None and self._all[0] == self._within and self._all[1] >= total:
            return content(f"{fmt.count(total)} of {counted(self._all[1], one, many)}", "$muted")
        return content(counted(total, one, many) if exact else f"{fmt.count(total)}+ {many}", "$muted")


def _second_of(item: RunItem, second: int) -> int:
    """Return the second where the run's line changes with time alone, else 0."""
    return second if item.counts is not None and any(status not in FINAL for status in item.counts) else 0
