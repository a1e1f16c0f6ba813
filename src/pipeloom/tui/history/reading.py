"""One reading of a list of the history: its query, the cursor's place, and the number of new attempts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pipeloom.filters import Filter, parse, with_attempt
from pipeloom.parameters.texts import read_back, words_of
from pipeloom.store.read.history import History
from pipeloom.store.read.paging import Sort
from pipeloom.store.rows import RunRow
from pipeloom.tui.history.queries import AttemptsQuery, FailuresQuery, TasksQuery
from pipeloom.tui.table.file_table import Found
from pipeloom.tui.table.sources import Query


@dataclass(frozen=True, slots=True)
class Scope:
    """The run whose rows are shown; without one, all runs."""

    run_id: int | None = None
    label: str = ""
    where: Filter = field(default_factory=Filter)
    params: str = ""
    """The run's parameters, as they are typed."""
    unchanged: int = 0
    """Tasks that the run left out, because nothing had changed."""

    @classmethod
    def of(cls, run: RunRow | None) -> Scope:
        """Return the scope of a run."""
        if run is None:
            return cls()
        words = words_of(read_back(run.params))
        return cls(run.id, f"run {run.id} {run.pipeline}", parse(f"run:{run.id}"), words, run.unchanged or 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundList(Found[Any]):
    """The query of a list, with figures from the same look at the file."""

    newest: int
    """Id of the newest attempt shown."""
    fresh: int
    """Number of newer attempts that pass the filter."""
    goal: int | None
    """Id of the attempt that the cursor goes to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListRequest:
    """A request to read one list."""

    view: str
    where: Filter
    sort: Sort
    newest: int | None
    """Id up to which attempts are read, so that rows do not move; None: the file's newest."""
    from_top: bool
    """Whether the list begins at its first row again; else the cursor stays on its row."""
    goal: int | None
    """Id of the attempt that the cursor goes to."""
    kept: int | None = None
    """Id of an attempt that stays in the list when it passes the filter no longer."""

    def find(self, history: History) -> FoundList:
        """Read the file; off the UI thread."""
        newest = history.newest_id() if self.newest is None else self.newest
        where = self.where
        if self.kept is not None and not history.count(where, after=self.kept - 1, newest=self.kept):
            where = with_attempt(where, self.kept)
        fresh = 0 if self.newest is None else history.count(self.where, after=self.newest)
        place = 0 if self.from_top else None
        if self.goal is not None:
            place = history.count(self.where, after=self.goal)
        return FoundList(self._query(where, newest), place, newest=newest, fresh=fresh, goal=self.goal)

    def _query(self, where: Filter, newest: int) -> Query[Any]:
        match self.view:
            case "tasks":
                return TasksQuery(where)
            case "failures":
                return FailuresQuery(where)
            case _:
                return AttemptsQuery(where, self.sort, newest)
