"""Attempts of a file, page by page: what the table asks for is loaded, and little else is kept."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Final

from pipeloom.filters import Filter
from pipeloom.store.history import NEWEST, History, key_of
from pipeloom.store.rows import AttemptRow

PAGE: Final = 100
KEPT_PAGES: Final = 12

Pages = dict[int, list[AttemptRow]]


class HistorySource:
    """A `RowSource` over `History`, newest first. Rows that are not there yet are None, and are asked for."""

    def __init__(self, on_missing: Callable[[], None]) -> None:
        self.where = Filter()
        self._on_missing = on_missing
        self._total = 0
        self._pages: OrderedDict[int, list[AttemptRow]] = OrderedDict()
        self._missing: set[int] = set()

    def count(self) -> int:
        """Return the number of attempts that pass the filter."""
        return self._total

    def window(self, start: int, stop: int) -> Sequence[AttemptRow | None]:
        """Return rows `start` to `stop`, as far as they are loaded."""
        rows = [self._row(place) for place in range(max(start, 0), min(stop, self._total))]
        if self._missing:
            self._on_missing()
        return rows

    def key(self, row: AttemptRow) -> int:
        """Return the attempt's id."""
        return row.id

    def index(self, key: Hashable) -> int | None:
        """Return where a loaded attempt is."""
        for number, page in self._pages.items():
            for place, row in enumerate(page):
                if row.id == key:
                    return number * PAGE + place
        return None

    def loaded(self) -> int:
        """Return the number of rows that are kept."""
        return sum(map(len, self._pages.values()))

    def take_missing(self) -> list[int]:
        """Return the pages that were asked for and are not there; they count as asked for from now on."""
        missing, self._missing = sorted(self._missing), set()
        return missing

    def put(self, pages: Pages) -> None:
        """Keep pages, and of the others those that were used last."""
        for number, page in pages.items():
            self._pages[number] = page
            self._pages.move_to_end(number)
        while len(self._pages) > KEPT_PAGES:
            self._pages.popitem(last=False)

    def replace(self, total: int, pages: Pages) -> None:
        """Take over a new picture of the file at once, so that the table can find its row again in it."""
        self._total = total
        self._pages.clear()
        self._missing.clear()
        self.put(pages)

    def neighbours(self, numbers: Iterable[int]) -> Pages:
        """Return the loaded pages beside those: where a page by key can start from."""
        beside = {number + step for number in numbers for step in (-1, 1)}
        return {number: self._pages[number] for number in beside if number in self._pages}

    def _row(self, place: int) -> AttemptRow | None:
        number, offset = divmod(place, PAGE)
        page = self._pages.get(number)
        if page is None:
            self._missing.add(number)
            return None
        self._pages.move_to_end(number)
        return page[offset] if offset < len(page) else None


def load_pages(history: History, where: Filter, numbers: Iterable[int], known: Pages) -> Pages:
    """Return pages of the newest attempts: by key beside one that is known, by counting rows only after a jump."""
    pages: Pages = {}
    for number in sorted(set(numbers)):
        before, after = (pages | known).get(number - 1), known.get(number + 1)
        if number == 0:
            pages[number] = history.page(where, limit=PAGE)
        elif before:
            pages[number] = history.page(where, after=key_of(before[-1], NEWEST), limit=PAGE)
        elif after and len(after) == PAGE:
            pages[number] = history.page(where, before=key_of(after[0], NEWEST), limit=PAGE)
        else:
            pages[number] = history.page(where, offset=number * PAGE, limit=PAGE)
    return pages
