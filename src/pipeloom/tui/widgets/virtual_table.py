"""A table that draws the lines you see and no others, over any source of rows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic

from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import var
from textual.scroll_view import ScrollView
from textual.strip import Strip

from pipeloom.tui.glyphs import STATUS_CLASSES
from pipeloom.tui.widgets.columns import Column, RenderContext, Row, RowSource, fit
from pipeloom.tui.widgets.table_lines import LinePainter, Look, Paint

__all__ = ["Column", "RenderContext", "RowSource", "VirtualTable"]

HEADER_LINES = 1


class VirtualTable(ScrollView, Generic[Row], can_focus=True):
    """Rows of a `RowSource` under a header that stays; the cost of a paint depends on the height alone.

    The cursor and the marks belong to keys. When rows come, go or move, the cursor stays with its row, and its row
    stays on its line of the screen. Call `refresh_rows` after the source has changed, `tick` when time has passed.
    """

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
    VirtualTable {
        height: 1fr;
        scrollbar-gutter: stable;
        scrollbar-size: 1 1;
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Up", show=False, id="table.up", tooltip="Go to the row above."),
        Binding("down,j", "move(1)", "Down", show=False, id="table.down", tooltip="Go to the row below."),
        Binding("pageup", "page(-1)", "Page up", show=False, id="table.page_up", tooltip="Go one page up."),
        Binding("pagedown", "page(1)", "Page down", show=False, id="table.page_down", tooltip="Go one page down."),
        Binding("home", "first", "First", show=False, id="table.first", tooltip="Go to the first row."),
        Binding("end", "last", "Last", show=False, id="table.last", tooltip="Go to the last row."),
        Binding("left", "scroll_left", "Left", show=False, id="table.left", tooltip="Show columns further left."),
        Binding("right", "scroll_right", "Right", show=False, id="table.right", tooltip="Show columns further right."),
        Binding("enter", "choose", "Open", show=False, id="table.choose", tooltip="Open the row under the cursor."),
    ]

    empty_text: var[str] = var("Nothing here yet.")
    """What stands in the place of the rows when there are none; may have several lines."""
    ascii_only: var[bool] = var(False)  # noqa: FBT003
    """Whether marks, bars and glyphs keep to ASCII."""

    @dataclass
    class Highlighted(Message):
        """The cursor is on another row, or on none; `row` is None as well while it is not loaded."""

        table: VirtualTable[Any]
        key: Hashable | None
        row: Any

        @property
        def control(self) -> VirtualTable[Any]:
            """The table, for `@on` selectors."""
            return self.table

    @dataclass
    class Chosen(Message):
        """The user pressed enter on a row, or clicked it twice."""

        table: VirtualTable[Any]
        key: Hashable
        row: Any

        @property
        def control(self) -> VirtualTable[Any]:
            """The table, for `@on` selectors."""
            return self.table

    @dataclass
    class HeaderClicked(Message):
        """The user clicked the label of a column."""

        table: VirtualTable[Any]
        column_id: str

        @property
        def control(self) -> VirtualTable[Any]:
            """The table, for `@on` selectors."""
            return self.table

    @dataclass
    class MarksChanged(Message):
        """Rows were marked or unmarked."""

        table: VirtualTable[Any]

        @property
        def control(self) -> VirtualTable[Any]:
            """The table, for `@on` selectors."""
            return self.table

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
        self._mark_anchor: Hashable | None = None
        self._fetched: tuple[int, Sequence[Row | None]] | None = None
        self._painted: dict[int, Row | None] = {}
        self._painter: LinePainter[Row] | None = None
        self.set_reactive(VirtualTable.ascii_only, ascii_only)

    # -- what the screens ask ---------------------------------------------------------------------------------------

    @property
    def source(self) -> RowSource[Row]:
        """The rows."""
        return self._source

    @source.setter
    def source(self, source: RowSource[Row]) -> None:
        self._source = source
        self.refresh_rows()

    @property
    def row_count(self) -> int:
        """The number of rows at the last `refresh_rows`."""
        return self._count

    @property
    def cursor_index(self) -> int:
        """Place of the cursor's row, from 0; 0 as well when there are no rows."""
        return self._cursor_index

    @property
    def cursor_key(self) -> Hashable | None:
        """Key of the cursor's row; None without rows, or while the row is not loaded."""
        return self._cursor_key

    @property
    def cursor_row(self) -> Row | None:
        """The row under the cursor; None without rows, or while it is not loaded."""
        return self._row_at(self._cursor_index)

    @property
    def visible_range(self) -> tuple[int, int]:
        """First place on the screen, and the one after the last."""
        first = min(self.scroll_offset.y, self._count)
        return first, min(self._count, first + self._page)

    # -- what the screens do ----------------------------------------------------------------------------------------

    def refresh_rows(self, keys: Collection[Hashable] | None = None) -> None:
        """Take note that the source has changed; draws only lines whose row is another object, or is in `keys`."""
        if not self.is_attached:
            return  # nothing is laid out yet; on_mount comes back
        anchor, place = self._anchor()
        had_rows = self._count > 0
        self._count = self._source.count()
        self._settle_cursor()
        self._resize_virtual()
        found = None if anchor is None else self._source.index(anchor)
        if found is not None and found != place:
            self.scroll_to(y=self.scroll_offset.y + found - place, animate=False, force=True)
        if had_rows != (self._count > 0):
            self.refresh()
        else:
            self._refresh_changed(keys or ())

    def tick(self, now: float) -> None:
        """Set the clock (Unix seconds) and redraw the visible rows that read it."""
        before, self._now = int(self._now), now
        if int(now) == before:
            return
        for index, row in self._painted.items():
            if row is not None and self._is_live(row):
                self.refresh_line(index + HEADER_LINES)

    def set_columns(self, columns: Sequence[Column[Row]]) -> None:
        """Show other columns."""
        self._columns = tuple(columns)
        self._restyle()
        self._resize_virtual()

    def show_sort(self, column_id: str | None, *, descending: bool = False) -> None:
        """Put the arrow on the column that the source sorts by; None takes it away."""
        self._sorted = None if column_id is None else (column_id, descending)
        self.refresh_line(self.scroll_offset.y)

    def move_cursor(self, index: int) -> None:
        """Put the cursor on the row at `index`, or the nearest there is, and scroll it into view."""
        before = self._cursor_index
        self._cursor_index = max(0, min(index, self._count - 1))
        self._take_key()
        if before != self._cursor_index:
            self.refresh_line(before + HEADER_LINES)
            self.refresh_line(self._cursor_index + HEADER_LINES)
        self._reveal_cursor()

    def move_to_key(self, key: Hashable) -> bool:
        """Put the cursor on the row of `key`; False when its place is not known."""
        index = self._source.index(key)
        if index is None:
            return False
        self.move_cursor(index)
        return True

    def toggle_mark(self, key: Hashable | None = None) -> None:
        """Mark the row of `key` (of the cursor, when None), or unmark it."""
        key = self._cursor_key if key is None else key
        if key is not None:
            self._mark_anchor = key
            self._set_marks(self.marked ^ {key})

    def mark(self, keys: Iterable[Hashable]) -> None:
        """Mark these rows too."""
        self._set_marks(self.marked | set(keys))

    def mark_range(self) -> None:
        """Mark every row from the one that was marked last to the cursor."""
        anchor = None if self._mark_anchor is None else self._source.index(self._mark_anchor)
        start, stop = sorted((self._cursor_index if anchor is None else anchor, self._cursor_index))
        self.mark(self._source.key(row) for row in self._source.window(start, stop + 1) if row is not None)
        self._mark_anchor = self._cursor_key

    def clear_marks(self) -> None:
        """Unmark all."""
        self._mark_anchor = None
        self._set_marks(set())

    # -- painting ---------------------------------------------------------------------------------------------------

    def render_lines(self, crop: Region) -> list[Strip]:
        """Draw what is dirty; the source is asked at most once for the rows on the screen."""
        self._fetched = None
        first, last = self.visible_range
        self._painted = {index: row for index, row in self._painted.items() if first <= index < last}
        return super().render_lines(crop)

    def render_line(self, y: int) -> Strip:
        """Draw one line: the header, a row, or nothing."""
        painter = self._lines
        left, top = self.scroll_offset
        width = self.scrollable_content_region.width
        if y < HEADER_LINES:
            style = self.get_component_rich_style("table--header")
            return painter.header(self._sorted).crop_extend(left, left + width, style)
        if not self._count:
            return self._empty_line(y, width)
        index = top + y - HEADER_LINES
        if index >= self._count:
            return Strip.blank(width, self.rich_style)
        cursor = index == self._cursor_index
        style = self.get_component_rich_style("table--cursor") if cursor else self.rich_style
        return self._row_strip(painter, index, cursor=cursor).crop_extend(left, left + width, style)

    def notify_style_update(self) -> None:
        """Forget strips that were drawn in the old styles."""
        super().notify_style_update()
        self._painter = None

    def _row_strip(self, painter: LinePainter[Row], index: int, *, cursor: bool) -> Strip:
        row = self._visible_row(index)
        self._painted[index] = row
        if row is None:
            return painter.placeholder(Look(cursor))
        key = self._source.key(row)
        second = int(self._now) if self._is_live(row) else 0
        return painter.row(key, row, Look(cursor, key in self.marked, second), self._now)

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
                self.get_component_rich_style,
                lambda name: self.get_component_rich_style(name, partial=True),
                self.rich_style,
                self.app.console,
            )
            layout = fit(self._columns, self.scrollable_content_region.width)
            self._painter = LinePainter(layout, paint, ascii_only=self.ascii_only)
        return self._painter

    def _refresh_changed(self, keys: Collection[Hashable]) -> None:
        first, last = self.visible_range
        rows = self._source.window(first, last)
        for place in range(self._page):
            index = first + place
            row = rows[place] if place < len(rows) else None
            if index not in self._painted and index >= last:
                continue
            forced = bool(keys) and row is not None and self._source.key(row) in keys
            if forced and self._painter is not None and row is not None:
                self._painter.forget(self._source.key(row))
            if forced or index >= last or self._painted.get(index, self) is not row:
                self.refresh_line(index + HEADER_LINES)

    def _restyle(self) -> None:
        self._painter = None
        self.refresh()

    # -- keeping place ----------------------------------------------------------------------------------------------

    @property
    def _page(self) -> int:
        """Rows that fit on the screen."""
        return max(1, self.scrollable_content_region.height - HEADER_LINES)

    def _anchor(self) -> tuple[Hashable | None, int]:
        """Return key and place of the row that should stay on its line: the cursor's if it is seen, else the top."""
        first = self.scroll_offset.y
        if first <= self._cursor_index < first + self._page:
            return self._cursor_key, self._cursor_index
        row = self._painted.get(first)
        return (None if row is None else self._source.key(row)), first

    def _settle_cursor(self) -> None:
        """Find the cursor's row again; when it is gone, the cursor goes to the row now in its place."""
        found = None if self._cursor_key is None else self._source.index(self._cursor_key)
        before = self._cursor_index
        self._cursor_index = max(0, min(before if found is None else found, self._count - 1))
        if before != self._cursor_index:
            self.refresh_line(before + HEADER_LINES)
            self.refresh_line(self._cursor_index + HEADER_LINES)
        self._take_key()

    def _take_key(self) -> None:
        """Learn the key of the row under the cursor, and tell when it is another."""
        row = self._row_at(self._cursor_index)
        key = None if row is None else self._source.key(row)
        if key != self._cursor_key:
            self._cursor_key = key
            self.post_message(self.Highlighted(self, key, row))

    def _resize_virtual(self) -> None:
        if not self.is_attached:
            return
        size = Size(self._lines.layout.width, self._count + HEADER_LINES)
        if size != self.virtual_size:
            self.virtual_size = size

    def _reveal_cursor(self) -> None:
        first = self.scroll_offset.y
        if self._cursor_index < first:
            self.scroll_to(y=self._cursor_index, animate=False, force=True)
        elif self._cursor_index >= first + self._page:
            self.scroll_to(y=self._cursor_index - self._page + 1, animate=False, force=True)

    def _set_marks(self, marked: set[Hashable]) -> None:
        if marked != self.marked:
            self.marked = marked
            self.refresh()
            self.post_message(self.MarksChanged(self))

    def _row_at(self, index: int) -> Row | None:
        rows = self._source.window(index, index + 1) if index < self._count else ()
        return rows[0] if rows else None

    def _visible_row(self, index: int) -> Row | None:
        if self._fetched is None:
            first, last = self.visible_range
            self._fetched = (first, self._source.window(first, last))
        first, rows = self._fetched
        return rows[index - first] if 0 <= index - first < len(rows) else None

    # -- keys and mouse ---------------------------------------------------------------------------------------------

    def action_move(self, lines: int) -> None:
        """Move the cursor by `lines`."""
        self.move_cursor(self._cursor_index + lines)

    def action_page(self, pages: int) -> None:
        """Move the cursor by screens full."""
        self.move_cursor(self._cursor_index + pages * max(1, self._page - 1))

    def action_first(self) -> None:
        """Go to the first row."""
        self.move_cursor(0)

    def action_last(self) -> None:
        """Go to the last row."""
        self.move_cursor(self._count - 1)

    def action_choose(self) -> None:
        """Say that the user chose the row under the cursor."""
        row = self.cursor_row
        if row is not None:
            self.post_message(self.Chosen(self, self._source.key(row), row))

    def on_mount(self) -> None:
        """Show what the source holds."""
        self.refresh_rows()

    def on_resize(self) -> None:
        """Lay the columns out anew, and keep the cursor in sight if it was."""
        line = self._cursor_index - self.scroll_offset.y
        self._restyle()
        self._resize_virtual()
        if line >= 0:
            self._reveal_cursor()

    def on_click(self, event: events.Click) -> None:
        """Go to the clicked row; a second click chooses it, one on a label is told as such."""
        place = event.get_content_offset(self)
        if place is None:
            return
        if place.y < HEADER_LINES:
            slot = self._lines.layout.at(place.x + self.scroll_offset.x)
            if slot is not None:
                self.post_message(self.HeaderClicked(self, slot.column.id))
            return
        index = self.scroll_offset.y + place.y - HEADER_LINES
        if index < self._count:
            self.move_cursor(index)
            if event.chain == 2:
                self.action_choose()

    def watch_ascii_only(self) -> None:
        """Draw all anew."""
        self._restyle()

    def watch_empty_text(self) -> None:
        """Draw the new text."""
        self.refresh()


def _never(_row: object) -> bool:
    return False
