"""What each line of a table shows, and which lines have to be drawn again."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Final, Generic

from textual.strip import Strip

from pipeloom.tui.table.columns import Row
from pipeloom.tui.table.line_painter import LinePainter, LineState
from pipeloom.tui.table.selection import Selection

HEADER_LINES: Final = 1
_SAMPLES: Final = 5
"""Number of rows at the top of the screen that tell where the rows have gone."""


class RowView(Generic[Row]):
    """The lines of the screen below the header, by their number on the screen."""

    def __init__(self, selection: Selection[Row], beside: Callable[[Row, int], Hashable]) -> None:
        """Show the rows of `selection`; for `beside` see `VirtualTable`."""
        self._selection = selection
        self._beside = beside
        self.now = 0.0
        """Unix seconds."""
        self._fetched: tuple[int, Sequence[Row | None]] = 0, ()
        """Rows that are about to be drawn, and the place of the first."""
        self._drawn: dict[int, tuple[int, Row | None, LineState | None]] = {}
        """What each line shows: a place, its row (None: not loaded), its state (None: below the last row)."""

    def fetch(self, first: int, stop: int) -> None:
        """Get the rows for the lines that are drawn next, in one call of the source."""
        count = self._selection.count
        self._fetched = first, self._selection.source.window(min(first, count), min(stop, count))

    def draw(self, y: int, index: int, painter: LinePainter[Row], left: int) -> Strip:
        """Draw line `y` with the row at `index`, from cell `left` on."""
        first, rows = self._fetched
        row = rows[index - first] if 0 <= index - first < len(rows) else None
        key = None if row is None else self._selection.source.key(row)
        state = self._state(index, row, key)
        self._drawn[y] = index, row, state
        return painter.line(row, state, key, self.now, left)

    def changed(self, first: int, rows: Sequence[Row | None], lines: int) -> Iterator[int]:
        """Yield the lines that show another row or state than they should, with `rows` from the top line on.

        The place of the first row is `first`; there may be more lines than rows.
        """
        source = self._selection.source
        for place in range(lines):
            y, row = place + HEADER_LINES, rows[place] if place < len(rows) else None
            state = self._state(first + place, row, None if row is None else source.key(row))
            shown = self._drawn.get(y)
            if shown is not None and shown[1] is row and shown[2] == state:
                self._drawn[y] = first + place, row, state
            else:
                yield y

    def shift(self, first: int, lines: int) -> int:
        """Return by how many places most of the top rows, from `first` on, have moved since they were drawn.

        One row alone would not do: when its task ends, it may go far away from the others.
        """
        source = self._selection.source
        drawn = sorted(self._drawn.values(), key=lambda line: line[0])
        shown = [(place, row) for place, row, _ in drawn if first <= place < first + lines and row is not None]
        found = ((place, source.index(source.key(row))) for place, row in shown[:_SAMPLES])
        moved = sorted(index - place for place, index in found if index is not None)
        return moved[len(moved) // 2] if moved else 0

    def forget(self) -> None:
        """Forget what the lines show: all have to be drawn again."""
        self._drawn.clear()

    def _state(self, index: int, row: Row | None, key: Hashable) -> LineState | None:
        """Return how a row looks besides its cells; None below the last row."""
        selection = self._selection
        if index >= selection.count:
            return None
        is_cursor = index == selection.cursor
        if row is None:
            return LineState(is_cursor)
        return LineState(is_cursor, key in selection.marked, self._beside(row, int(self.now)))
