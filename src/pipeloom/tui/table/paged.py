"""Rows of a file, page by page: what a table asks for is loaded, and little else is kept."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, Literal, Protocol, TypeVar

from pipeloom.store.read.history import History
from pipeloom.tui.table.columns import Row

KEPT_PAGES: Final = 12

Pages = dict[int, list[Row]]

R = TypeVar("R")


class Query(Protocol[R]):
    """A list of rows of a file. Frozen when it is made, and asked in the thread that reads."""

    @property
    def size(self) -> int:
        """Rows to a page."""

    def key(self, row: R) -> Hashable:
        """Return what identifies a row."""

    def total(self, history: History, budget_s: float | None = None) -> int:
        """Return the number of rows; raises `TimeoutError` when counting takes longer than `budget_s`."""

    def page(
        self,
        history: History,
        limit: int,
        *,
        after: R | None = None,
        before: R | Literal["end"] | None = None,
        offset: int = 0,
    ) -> list[R]:
        """Return up to `limit` rows that follow `after` or end just before `before`, `offset` rows further on."""


@dataclass(frozen=True, slots=True)
class Snapshot(Generic[R]):
    """What was read of a file at one moment."""

    total: int
    pages: dict[int, list[R]] = field(default_factory=dict)
    exact: bool = True
    """False: the rows are not counted yet, there may be more than `total`."""


class PagedSource(Generic[Row]):
    """A `RowSource` over a `Query`. Rows that are not there yet are None, and are asked for."""

    def __init__(self, query: Query[Row], on_missing: Callable[[], None]) -> None:
        self.query = query
        self._on_missing = on_missing
        self._total = 0
        self._pages: OrderedDict[int, list[Row]] = OrderedDict()
        self._missing: set[int] = set()

    def count(self) -> int:
        """Return the number of rows."""
        return self._total

    def window(self, start: int, stop: int) -> Sequence[Row | None]:
        """Return rows `start` to `stop`, as far as they are loaded."""
        rows = [self._row(place) for place in range(max(start, 0), min(stop, self._total))]
        if self._missing:
            self._on_missing()
        return rows

    def key(self, row: Row) -> Hashable:
        """Return what identifies the row."""
        return self.query.key(row)

    def index(self, key: Hashable) -> int | None:
        """Return where a loaded row is."""
        for number, page in self._pages.items():
            for place, row in enumerate(page):
                if self.query.key(row) == key:
                    return number * self.query.size + place
        return None

    def loaded(self) -> int:
        """Return the number of rows that are kept."""
        return sum(map(len, self._pages.values()))

    def take_missing(self) -> list[int]:
        """Return the pages that were asked for and are not there; they count as asked for from now on."""
        missing, self._missing = sorted(self._missing), set()
        return missing

    def put(self, pages: dict[int, list[Row]]) -> None:
        """Keep pages, and of the others those that were used last."""
        for number, page in pages.items():
            self._pages[number] = page
            self._pages.move_to_end(number)
        while len(self._pages) > KEPT_PAGES:
            self._pages.popitem(last=False)

    def replace(self, query: Query[Row], snapshot: Snapshot[Row]) -> None:
        """Take over a new snapshot of the file at once, so that the table can find its row again in it."""
        self.query = query
        self._total = snapshot.total
        self._pages.clear()
        self._missing.clear()
        self.put(snapshot.pages)

    def recount(self, total: int) -> None:
        """Take over the number of rows, once it is known."""
        self._total = total

    def neighbours(self, numbers: Iterable[int]) -> dict[int, list[Row]]:
        """Return the loaded pages beside those: where a page by key can start from."""
        beside = {number + step for number in numbers for step in (-1, 1)}
        return {number: self._pages[number] for number in beside if number in self._pages}

    def _row(self, place: int) -> Row | None:
        number, offset = divmod(place, self.query.size)
        page = self._pages.get(number)
        if page is None:
            self._missing.add(number)
            return None
        self._pages.move_to_end(number)
        return page[offset] if offset < len(page) else None


def load_pages(
    query: Query[R], history: History, numbers: Iterable[int], known: dict[int, list[R]], total: int
) -> dict[int, list[R]]:
    """Return pages: by key beside one that is known, else by counting rows from the nearer end."""
    size = query.size
    pages: dict[int, list[R]] = {}
    for number in sorted(set(numbers)):
        before, after = (pages | known).get(number - 1), known.get(number + 1)
        first, last = number * size, min((number + 1) * size, total)
        if number == 0:
            pages[number] = query.page(history, size)
        elif before:
            pages[number] = query.page(history, size, after=before[-1])
        elif after and len(after) == size:
            pages[number] = query.page(history, size, before=after[0])
        elif first * 2 < total or last <= first:
            pages[number] = query.page(history, size, offset=first)
        else:
            pages[number] = query.page(history, last - first, before="end", offset=total - last)
    return pages


def snapshot(
    query: Query[R], history: History, numbers: Iterable[int], before: int, budget_s: float | None
) -> Snapshot[R]:
    """Return the pages `numbers` of a list that had `before` rows; one that takes long to count is left uncounted."""
    try:
        total, exact = query.total(history, budget_s), True
    except TimeoutError:
        total, exact = before, False
    wanted = sorted({0, *numbers}) if total else [0]
    pages: dict[int, list[Any]] = load_pages(query, history, [n for n in wanted if n * query.size <= total], {}, total)
    if not exact:
        total = max(total, max((number * query.size + len(page) for number, page in pages.items()), default=0))
    return Snapshot(total, pages, exact)
