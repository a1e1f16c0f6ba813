"""The part of a virtual table that draws: header, visible rows and the text in the place of none."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import cache
from typing import ClassVar, Generic

from textual.geometry import Region, Size
from textual.reactive import var
from textual.scroll_view import ScrollView
from textual.strip import Strip

from pipeloom.tui.style.glyphs import STATUS_CLASSES
from pipeloom.tui.table.columns import Column, Row, RowSource, fit
from pipeloom.tui.table.line_painter import LinePainter, LineState, Paint

HEADER_LINES = 1


class RowView(ScrollView, Generic[Row]):
    """Draws the visible rows of a source; the cost of a paint depends on the height alone."""

    ALLOW_SELECT = False

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "table--header",
        "table--cursor",
        "table--bar",
        "table--mark",
        "table--muted",
        "table--faint",
        "table--strong",
        "table--rail",
        "table--placeholder",
        "table--empty",
        *STATUS_CLASSES,
    }

    DEFAULT_CSS = """
    RowView {
        height: 1fr;
        scrollbar-gutter: stable;
        scrollbar-size: 1 1;
    }
    """

    empty_text: var[str] = var("Nothing here yet.")
    """What stands in the place of the rows when there are none; may have several lines."""
    ascii_only: var[bool] = var(False)  # noqa: FBT003
    """Whether marks, bars and glyphs keep to ASCII."""

    def __init__(
        self,
        source: RowSource[Row],
        columns: Sequence[Column[Row]],
        *,
        is_live: Callable[[Row], bool] | None = None,
        ascii_only: bool = False,
        name: str | None = None,
        id: str | None = None,  # noqa: A002 - Textual's own name for it
        classes: str | None = None,
    ) -> None:
        """Show `source`; rows for which `is_live` holds are redrawn at each `tick`: their cells read the clock."""
        super().__init__(name=name, id=id, classes=classes)
        self.marked: set[Hashable] = set()
        """Keys of the marked rows. Change it with `toggle_mark`, `mark` and `clear_marks`."""
        self._source = source
        self._columns = tuple(columns)
        self._is_live = is_live or _never
        self._sorted: tuple[str, bool] | None = None
        self._now = 0.0
        self._count = 0
        self._cursor_index = 0
        self._cursor_key: Hashable | None = None
        self._fetched: tuple[int, Sequence[Row | None]] = 0, ()
        self._painted: dict[int, tuple[int, Row | None, LineState | None]] = {}
        """What each line of the screen shows: a place, its row (None: not loaded), its look (None: below all)."""
        self._painter: LinePainter[Row] | None = None
        self.set_reactive(RowView.ascii_only, ascii_only)

    @property
    def row_count(self) -> int:
        """The number of rows at the last `refresh_rows`."""
        return self._count

    @property
    def visible_range(self) -> tuple[int, int]:
        """First place on the screen, and the one after the last."""
        first = min(self.scroll_offset.y, self._count)
        return first, min(self._count, first + self._page)

    def tick(self, now: float) -> None:
        """Set the clock (Unix seconds) and redraw the visible rows that read it."""
        before, self._now = int(self._now), now
        if int(now) != before:
            self._refresh_changed()

    def set_columns(self, columns: Sequence[Column[Row]]) -> None:
        """Show other columns."""
        self._columns = tuple(columns)
        self._restyle()
        self._resize_virtual()

    def show_sort(self, column_id: str | None, *, descending: bool = False) -> None:
        """Put the arrow on the column that the source sorts by; None takes it away."""
        self._sorted = None if column_id is None else (column_id, descending)
        self.refresh_line(self.scroll_offset.y)  # where the header is

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Move the bar; lines are drawn anew only where another row stands than before."""
        if self.show_vertical_scrollbar:
            self.vertical_scrollbar.position = new_value
        if round(old_value) != round(new_value):
            self._refresh_changed()

    def render_lines(self, crop: Region) -> list[Strip]:
        """Draw what is dirty; the source is asked at most once for the rows of these lines."""
        first, last = (self.scroll_offset.y + max(y - HEADER_LINES, 0) for y in (crop.y, crop.bottom))
        self._fetched = first, self._source.window(min(first, self._count), min(last, self._count))
        return super().render_lines(crop)

    def render_line(self, y: int) -> Strip:
        """Draw one line: the header, a row, or nothing."""
        painter = self._lines
        left, width = self.scroll_offset.x, painter.width
        if y < HEADER_LINES:
            style = self.get_component_rich_style("table--header")
            return painter.header(self._sorted).crop_extend(left, left + width, style)
        if not self._count:
            return self._empty_line(y, width)
        index = self.scroll_offset.y + y - HEADER_LINES
        row = self._visible_row(index) if index < self._count else None
        look = self._look(index, row)
        self._painted[y] = index, row, look
        return painter.line(row, look, None if row is None else self._source.key(row), self._now, left)

    def _look(self, index: int, row: Row | None) -> LineState | None:
        """Return how the row at `index` looks now; None below the last."""
        if index >= self._count:
            return None
        if row is None:
            return LineState(index == self._cursor_index)
        second = int(self._now) if self._is_live(row) else 0
        return LineState(index == self._cursor_index, self._source.key(row) in self.marked, second)

    def notify_style_update(self) -> None:
        """Forget strips that were drawn in the old styles."""
        super().notify_style_update()
        self._painter = None

    def _empty_line(self, y: int, width: int) -> Strip:
        texts = self.empty_text.split("\n")
        place = y - max(2, (self._page - len(texts)) // 3)
        if 0 <= place < len(texts):
            return self._lines.message(texts[place], width).adjust_cell_length(width, self.rich_style)
        return Strip.blank(width, self.rich_style)

    @property
    def _lines(self) -> LinePainter[Row]:
        if self._painter is None:
            paint = Paint(
                cache(self.get_component_rich_style),
                cache(lambda name: self.get_component_rich_style(name, partial=True)),
                self.rich_style,
                self.app.console,
            )
            width = self.scrollable_content_region.width
            self._painter = LinePainter(fit(self._columns, width), width, paint, ascii_only=self.ascii_only)
        return self._painter

    def _refresh_changed(self) -> None:
        """Draw the lines anew that show another row than they should, or show it otherwise."""
        if not self._count:
            return  # the text in the place of rows changes by itself
        first, last = self.visible_range
        rows = self._source.window(first, last)
        width = self.size.width
        for place in range(self._page):
            y, row = place + HEADER_LINES, rows[place] if place < len(rows) else None
            wanted = first + place, row, self._look(first + place, row)
            shown = self._painted.get(y)
            if shown is not None and shown[1] is row and shown[2] == wanted[2]:
                self._painted[y] = wanted
            else:
                self.refresh(Region(0, y, width, 1))

    def _refresh_place(self, place: int) -> None:
        """Draw the line of one row anew, if it is in sight."""
        line = place - self.scroll_offset.y
        if 0 <= line < self._page:
            self.refresh(Region(0, line + HEADER_LINES, self.size.width, 1))

    def _restyle(self) -> None:
        self._painter = None
        self._painted.clear()
        self.refresh()

    @property
    def _page(self) -> int:
        """Rows that fit on the screen."""
        return max(1, self.scrollable_content_region.height - HEADER_LINES)

    def _resize_virtual(self) -> None:
        if not self.is_attached:
            return
        size = Size(self._lines.layout.width, self._count + HEADER_LINES)
        if size != self.virtual_size:
            # Assigning it lays out the whole screen; only a bar that comes or goes needs that, and asks for it itself.
            self.set_reactive(RowView.virtual_size, size)
            self._scroll_update(size)

    def _row_at(self, index: int) -> Row | None:
        rows = self._source.window(index, index + 1) if index < self._count else ()
        return rows[0] if rows else None

    def _visible_row(self, index: int) -> Row | None:
        first, rows = self._fetched
        return rows[index - first] if 0 <= index - first < len(rows) else None

    def watch_ascii_only(self) -> None:
        """Draw all anew."""
        self._restyle()

    def watch_empty_text(self) -> None:
        """Draw the new text."""
        self.refresh()


def _never(_row: object) -> bool:
    return False
