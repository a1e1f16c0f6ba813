"""What each line of a table shows, and which lines have to be drawn again."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Final, Generic

from textual.strip import Strip

from pipeloom.tui.table.columns import Row
from pipeloom.tui.table.line_painter import LinePainter, LineState
from pipeloom.tui.table.selection import Selection

HEADER_LINES: Final = 1


class RowView(Generic[Row]):
    """The lines of the screen below the header, by their number on the screen."""

    def __init__(self, selection: Selection[Row], is_live: Callable[[Row], bool]) -> None:
        """Show the rows of `selection`; the cells of a row for which `is_live` holds change with the clock."""
        self._selection = selection
        self._is_live = is_live
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

    def changed(self, first: int, lines: int) -> Iterator[int]:
        """Yield the lines that show another row or state than they should, with the row at `first` on the top line."""
        source = self._selection.source
        rows = source.window(first, min(first + lines, self._selection.count))
        for place in range(lines):
            y, row = place + HEADER_LINES, rows[place] if place < len(rows) else None
            state = self._state(first + place, row, None if row is None else source.key(row))
            shown = self._drawn.get(y)
            if shown is not None and shown[1] is row and shown[2] == state:
                self._drawn[y] = first + place, row, state
            else:
                yield y

    def top_row(self, first: int) -> Row | None:
        """Return the row on the top line; None when it is not loaded, or not the row at `first` any more."""
        place, row, _state = self._drawn.get(HEADER_LINES, (first, None, None))
        return row if place == first else None

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
        return LineState(is_cursor, key in selection.marked, int(self.now) if self._is_live(row) else 0)
