"""A virtual table over rows of the file. Queries run off the UI thread; each replaces the one before."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Generic

from pipeloom.errors import StoreError
from pipeloom.store.read.history import History
from pipeloom.tui.reader import read
from pipeloom.tui.table.columns import Column, Row
from pipeloom.tui.table.sources import PagedSource, Query, Snapshot, load_pages, snapshot
from pipeloom.tui.table.virtual_table import TableMessage, VirtualTable
from pipeloom.tui.textual_compat.work import work

_COUNT_BUDGET_S: Final = 0.08
"""Seconds that the first rows wait for their count."""


@dataclass(frozen=True, slots=True)
class Found(Generic[Row]):
    """A query and the place of its cursor, from one look at the file."""

    query: Query[Row]
    place: int | None = None
    """Index of the cursor's row; None: the cursor stays on its row."""


Find = Callable[[History], Found[Row]]


class FileTable(VirtualTable[Row], Generic[Row]):
    """Shows the rows of a query: `look_for` another one, `reload` after the file has changed."""

    @dataclass
    class Loaded(TableMessage):
        """The visible rows were read; there are at least `total` rows."""

        total: int
        exact: bool
        found: Found[Any]

    @dataclass
    class Failed(TableMessage):
        """The file could not be read."""

        error: str

    def __init__(
        self,
        path: Path,
        query: Query[Row],
        columns: Sequence[Column[Row]],
        *,
        beside: Callable[[Row, int], Hashable] | None = None,
        ascii_only: bool = False,
        id: str | None = None,  # noqa: A002 - Textual's own name for it
    ) -> None:
        self.pages: PagedSource[Row] = PagedSource(query, self._load_missing)
        super().__init__(self.pages, columns, beside=beside, ascii_only=ascii_only, id=id)
        self.empty_text = "Reading…"
        self.nothing_text = "Nothing here yet."
        """Text of an empty table."""
        self._path = path
        self._generation = 0
        """Number of the snapshot that is shown or being read: pages of older ones are dropped."""
        self.is_reading = False
        self._load_called = False

    def look_for(self, find: Find[Row]) -> None:
        """Show the rows of the query that `find` returns, from the place that it names on."""
        self.move_cursor(0)
        self._read(find, 0)

    def reload(self, find: Find[Row] | None = None) -> None:
        """Read the visible pages again, of the query that `find` returns, else of the same one."""
        found = Found(self.pages.query)
        self._read(find or (lambda _history: found), self.pages.count())

    def _read(self, find: Find[Row], before: int) -> None:
        self._generation += 1
        self.is_reading = True
        self._reload(find, self._generation, before)

    @work(exclusive=True, group="reload")
    async def _reload(self, find: Find[Row], generation: int, before: int) -> None:
        """Show number and pages at once, so that the cursor finds its row again; count later what takes long.

        All of it is read through one connection.
        """
        loop = asyncio.get_running_loop()
        visible, height = self.visible_range, self.size.height

        def take(found: Found[Row], seen: Snapshot[Row]) -> None:
            if generation == self._generation:
                self._take(found, seen)

        def look(history: History) -> tuple[Found[Row], Snapshot[Row] | int]:
            found = find(history)
            seen = _snapshot(found, history, visible, height, before)
            if seen.exact:
                return found, seen
            loop.call_soon_threadsafe(take, found, seen)
            return found, found.query.total(history)

        try:
            found, seen = await read(self._path, look)
        except (StoreError, InterruptedError) as error:
            self._fail(error)
            return
        if isinstance(seen, Snapshot):
            take(found, seen)
        elif generation == self._generation:
            self.pages.recount(seen)
            self._tell(found, seen, exact=True)

    def _take(self, found: Found[Row], seen: Snapshot[Row]) -> None:
        self.is_reading = False
        self.pages.replace(found.query, seen)
        self._tell(found, seen.total, exact=seen.exact)
        if found.place:
            self.move_cursor(found.place)

    def _tell(self, found: Found[Row], total: int, *, exact: bool) -> None:
        self.empty_text = self.nothing_text if exact else "Searching…"
        self.refresh_rows()
        self.post_message(self.Loaded(self, total, exact, found))

    def _fail(self, error: Exception) -> None:
        self.is_reading = False
        if isinstance(error, StoreError):
            self.empty_text = str(error)
            self.refresh()
            self.post_message(self.Failed(self, str(error)))

    def _load_missing(self) -> None:
        """Load the rows that the table lacks, after this paint."""
        if not self._load_called:
            self._load_called = True
            self.call_later(self._load_unless_reading)

    def _load_unless_reading(self) -> None:
        self._load_called = False
        if not self.is_reading and (missing := self.pages.take_missing()):
            self._load(self._generation, missing)

    @work(exclusive=True, group="missing")
    async def _load(self, generation: int, numbers: list[int]) -> None:
        query, known, total = self.pages.query, self.pages.neighbours(numbers), self.pages.count()
        try:
            pages: dict[int, list[Any]] = await read(
                self._path, lambda file: load_pages(query, file, numbers, known, total)
            )
        except (StoreError, InterruptedError) as error:
            self._fail(error)
            return
        if generation == self._generation:
            self.pages.put(pages)
            self.refresh_rows()


def _snapshot(found: Found[Row], history: History, visible: tuple[int, int], height: int, before: int) -> Snapshot[Row]:
    """Return the visible pages: around the place that was found, else around the `visible` rows."""
    size, place = found.query.size, found.place
    start, stop = visible if place is None else (place, place + height)
    numbers = range(max(0, start // size - 1), stop // size + 2)
    budget_s = None if place else _COUNT_BUDGET_S  # a place is valid only among counted rows
    return snapshot(found.query, history, numbers, before, budget_s)
