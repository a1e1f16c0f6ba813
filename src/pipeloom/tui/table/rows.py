"""A source of rows that are all there."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Generic

from pipeloom.tui.table.columns import Row


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
        """Return rows `start` to `stop`."""
        return self.rows[max(start, 0) : stop]

    def key(self, row: Row) -> Hashable:
        """Return the row's key."""
        return self._key(row)

    def index(self, key: Hashable) -> int | None:
        """Return where the key is; all places are learnt when the first is asked for."""
        if self._places is None:
            self._places = {self._key(row): place for place, row in enumerate(self.rows)}
        return self._places.get(key)
