"""The cursor and the marks of a table, over the rows of its source."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic

from pipeloom.tui.table.columns import Row
from pipeloom.tui.table.sources import RowSource


class Selection(Generic[Row]):
    """Cursor and marks belong to keys: when rows come, go or move, both stay with their rows."""

    def __init__(self, source: RowSource[Row]) -> None:
        self.source = source
        self.count = 0
        """Number of rows at the last `recount`."""
        self.cursor = 0
        """Place of the cursor's row; 0 as well without rows."""
        self.cursor_key: Hashable | None = None
        """Key of the cursor's row; None without rows, or while the row is not loaded."""
        self.keeps_top = True
        """Whether the cursor stays on the first row when another row becomes the first: until it is moved down."""
        self.marked: set[Hashable] = set()
        self._mark_anchor: Hashable | None = None
        """Key of the row that was marked last, where the next range begins."""

    def row_at(self, index: int) -> Row | None:
        """Return the row at a place; None when there is none, or it is not loaded."""
        rows = self.source.window(index, index + 1) if index < self.count else ()
        return rows[0] if rows else None

    def recount(self, *, is_at_top: bool) -> None:
        """Count the rows and find the cursor's row again; if that row has left, keep the cursor's place."""
        self.count = self.source.count()
        key = None if is_at_top else self.cursor_key
        found = None if key is None else self.source.index(key)
        self.cursor = self._within(self.cursor if found is None else found)

    def move_to(self, index: int) -> None:
        """Put the cursor on the row at `index`, or on the nearest row."""
        self.cursor = self._within(index)
        self.keeps_top = self.cursor == 0

    def take_key(self) -> tuple[bool, Row | None]:
        """Note the key of the row under the cursor; return whether it is another key, and the row."""
        row = self.row_at(self.cursor)
        before, self.cursor_key = self.cursor_key, None if row is None else self.source.key(row)
        return self.cursor_key != before, row

    def toggled(self, key: Hashable) -> set[Hashable]:
        """Return the marks with `key` added or removed, and begin the next range there."""
        self._mark_anchor = key
        return self.marked ^ {key}

    def up_to_cursor(self) -> set[Hashable]:
        """Return the keys from the row that was marked last to the cursor."""
        anchor = None if self._mark_anchor is None else self.source.index(self._mark_anchor)
        return self.from_to_cursor(self.cursor if anchor is None else anchor)

    def from_to_cursor(self, place: int) -> set[Hashable]:
        """Return the keys from the row at `place` to the cursor, and begin the next range at the cursor."""
        low, high = sorted((place, self.cursor))
        self._mark_anchor = self.cursor_key
        return self.keys(low, high + 1)

    def keys(self, start: int, stop: int) -> set[Hashable]:
        """Return the keys of the loaded rows from `start` to before `stop`."""
        return {self.source.key(row) for row in self.source.window(start, stop) if row is not None}

    def forget_anchor(self) -> None:
        """Begin the next range at the cursor."""
        self._mark_anchor = None

    def _within(self, index: int) -> int:
        return max(0, min(index, self.count - 1))
