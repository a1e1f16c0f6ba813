"""Where a table gets its rows: a list, or the pages of a file, of which only those in use are kept."""

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


class RowSource(Protocol[Row]):
    """Rows by place and by key. Every method is called on the UI thread and returns at once."""

    def count(self) -> int:
        """Return the number of rows."""

    def window(self, start: int, stop: int) -> Sequence[Row | None]:
        """Return the rows from `start` to before `stop`; None for a row that is not loaded (it may load now)."""

    def key(self, row: Row) -> Hashable:
        """Return what identifies the row wherever it stands."""

    def index(self, key: Hashable) -> int | None:
        """Return the place of a key; None when there is no such row or its place is not known."""


class ListSource(Generic[Row]):
    """A `RowSource` over a list."""

    def __init__(self, key: Callable[[Row], Hashable], rows: Sequence[Row] = ()) -> None:
        self._key = key
        self.replace(rows)

    def replace(self, rows: Sequence[Row]) -> None:
        """Hold other rows."""
        self.rows = rows
        self._places: dict[Hashable, int] | None = None

    def count(self) -> int:
        """Return the number of rows."""
        return len(self.rows)

    def window(self, start: int, stop: int) -> Sequence[Row]:
        """Return the rows from `start` to before `stop`."""
        return self.rows[max(start, 0) : stop]

    def key(self, row: Row) -> Hashable:
        """Return the row's key."""
        return self._key(row)

    def index(self, key: Hashable) -> int | None:
        """Return the place of a key; the first call notes the places of all rows."""
        if self._places is None:
            self._places = {self._key(row): place for place, row in enumerate(self.rows)}
        return self._places.get(key)


class Query(Protocol[R]):
    """A list of rows of a file. Immutable; its methods are called on the thread that reads the file."""

    @property
    def size(self) -> int:
        """Number of rows in a page."""

    def key(self, row: R) -> Hashable:
        """Return what identifies the row."""

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
        """Return up to `limit` rows after `after` or just before `before`, having skipped `offset` rows from there."""


@dataclass(frozen=True, slots=True)
class Snapshot(Generic[R]):
    """What was read of a file in one go: its number of rows, and pages by number."""

    total: int
    pages: dict[int, list[R]] = field(default_factory=dict)
    exact: bool = True
    """Whether all rows are counted; if not, there may be more than `total`."""


class PagedSource(Generic[Row]):
    """A `RowSource` over a `Query`. A row that is not loaded is None; its page is noted as missing."""

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
        """Return the rows from `start` to before `stop`; None for those that are not loaded."""
        rows = [self._row(place) for place in range(max(start, 0), min(stop, self._total))]
        if self._missing:
            self._on_missing()
        return rows

    def key(self, row: Row) -> Hashable:
        """Return what identifies the row."""
        return self.query.key(row)

    def index(self, key: Hashable) -> int | None:
        """Return the place of a loaded row."""
        for number, page in self._pages.items():
            for place, row in enumerate(page):
                if self.query.key(row) == key:
                    return number * self.query.size + place
        return None

    def loaded(self) -> int:
        """Return the number of rows in memory."""
        return sum(map(len, self._pages.values()))

    def take_missing(self) -> list[int]:
        """Return the numbers of the missing pages, and note them as missing no longer."""
        missing, self._missing = sorted(self._missing), set()
        return missing

    def put(self, pages: dict[int, list[Row]]) -> None:
        """Keep these pages, and of the others those that were used last."""
        for number, page in pages.items():
            self._pages[number] = page
            self._pages.move_to_end(number)
        while len(self._pages) > KEPT_PAGES:
            self._pages.popitem(last=False)

    def replace(self, query: Query[Row], snapshot: Snapshot[Row]) -> None:
        """Hold a new snapshot of the file, with its pages: the table looks for its cursor's row in them."""
        self.query = query
        self._total = snapshot.total
        self._pages.clear()
        self._missing.clear()
        self.put(snapshot.pages)

    def recount(self, total: int) -> None:
        """Set the number of rows."""
        self._total = total

    def neighbours(self, numbers: Iterable[int]) -> dict[int, list[Row]]:
        """Return the loaded pages next to the pages `numbers`, which are read fastest from a key of those."""
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
    """Return the pages `numbers`: by key next to a known page, else by an offset from the nearer end."""
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
    """Return the pages `numbers` of a list that had `before` rows; without its count if that takes over `budget_s`."""
    try:
        total, exact = query.total(history, budget_s), True
    except TimeoutError:
        total, exact = before, False
    wanted = sorted({0, *numbers}) if total else [0]
    pages: dict[int, list[Any]] = load_pages(query, history, [n for n in wanted if n * query.size <= total], {}, total)
    if not exact:
        total = max(total, max((number * query.size + len(page) for number, page in pages.items()), default=0))
    return Snapshot(total, pages, exact)
