"""A virtual table over rows of the file. Every query runs off the UI thread, and gives way to the next one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Generic

from textual import work

from pipeloom.errors import StoreError
from pipeloom.tui.reader import read
from pipeloom.tui.table.columns import Column, Row
from pipeloom.tui.table.sources import PagedSource, Query, Snapshot, load_pages, snapshot
from pipeloom.tui.table.virtual_table import TableMessage, VirtualTable

_COUNT_BUDGET_S: Final = 0.08
"""The first rows are not kept waiting for longer until it is known how many there are."""


class FileTable(VirtualTable[Row], Generic[Row]):
    """Shows the rows of a query. `look_for` another one, `reload` after the file has changed."""

    @dataclass
    class Loaded(TableMessage):
        """The rows that are seen were read anew; `total` is how many there are in all, at least."""

        total: int
        exact: bool

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
        is_live: Callable[[Row], bool] | None = None,
        ascii_only: bool = False,
        id: str | None = None,  # noqa: A002 - Textual's own name for it
    ) -> None:
        self.pages: PagedSource[Row] = PagedSource(query, self._load_missing)
        super().__init__(self.pages, columns, is_live=is_live, ascii_only=ascii_only, id=id)
        self.empty_text = "Reading…"
        self.nothing_text = "Nothing here yet."
        """What stands in the place of the rows once it is known that there are none."""
        self._path = path
        self._generation = 0
        """Number of the snapshot that is shown or being read: pages of an older one are dropped."""
        self.is_reading = False
        self._load_called = False

    def look_for(self, query: Query[Row], place: int = 0) -> None:
        """Show the rows of another query, with the cursor on the row at `place`."""
        self.move_cursor(0)
        self._read_anew(query, 0, place)

    def reload(self, query: Query[Row] | None = None) -> None:
        """Read the visible pages again; what is being read for an older snapshot no longer counts."""
        self._read_anew(query or self.pages.query, self.pages.count(), None)

    def _read_anew(self, query: Query[Row], before: int, place: int | None) -> None:
        self._generation += 1
        self.is_reading = True
        self._reload(query, self._generation, before, place)

    @work(exclusive=True, group="reload")
    async def _reload(self, query: Query[Row], generation: int, before: int, place: int | None) -> None:
        """Show number and pages at once, so that the cursor finds its row again; count later what takes long."""
        start, stop = self.visible_range if place is None else (place, place + self.size.height)
        numbers = range(max(0, start // query.size - 1), stop // query.size + 2)
        budget_s = None if place else _COUNT_BUDGET_S  # a place is found only among rows that are counted
        try:
            seen: Snapshot[Row] = await read(self._path, lambda file: snapshot(query, file, numbers, before, budget_s))
            if generation != self._generation:
                return
            self._take(query, seen)
            if place:
                self.move_cursor(place)
            if not seen.exact:
                total = await read(self._path, query.total)
                if generation == self._generation:
                    self.pages.recount(total)
                    self._tell(total, exact=True)
        except (StoreError, InterruptedError) as error:
            self._fail(error)

    def _take(self, query: Query[Row], seen: Snapshot[Row]) -> None:
        self.is_reading = False
        self.pages.replace(query, seen)
        self._tell(seen.total, exact=seen.exact)

    def _tell(self, total: int, *, exact: bool) -> None:
        self.empty_text = self.nothing_text if exact else "Searching…"
        self.refresh_rows()
        self.post_message(self.Loaded(self, total, exact))

    def _fail(self, error: Exception) -> None:
        self.is_reading = False
        if isinstance(error, StoreError):
            self.empty_text = str(error)
            self.refresh()
            self.post_message(self.Failed(self, str(error)))

    def _load_missing(self) -> None:
        """Load what the table has asked for in vain, after this paint."""
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
