"""A table that draws only the visible lines, over any source of rows."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Generic

from textual import events
from textual.binding import BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive, var
from textual.scroll_view import ScrollView
from textual.strip import Strip

from pipeloom.tui.style.glyphs import STATUS_CLASSES
from pipeloom.tui.table.columns import Column, Row, SeenTexts, fit
from pipeloom.tui.table.keys import TABLE_KEYS
from pipeloom.tui.table.line_painter import LINE_CLASSES, LinePainter
from pipeloom.tui.table.row_view import HEADER_LINES, RowView
from pipeloom.tui.table.selection import Selection
from pipeloom.tui.table.sources import RowSource
from pipeloom.tui.textual_compat.table_size import set_virtual_size

_LEADS_S: Final = 3.0
"""Seconds after a key for which the view goes with the cursor's row."""


@dataclass
class TableMessage(Message):
    """A message of a table."""

    table: VirtualTable[Any]

    @property
    def control(self) -> VirtualTable[Any]:
        """The table, for `@on` selectors."""
        return self.table


class VirtualTable(ScrollView, Generic[Row], can_focus=True):
    """Shows the rows of a `RowSource` below a fixed header, with a cursor and marks.

    The cursor stays with its row when rows come, go or move. Its row stays on its line of the screen for some seconds
    after the user moved the cursor; later the other rows stay on theirs. Call `refresh_rows` after the source has
    changed, and `tick` when time has passed. A paint costs as much as the visible lines, for any number of rows.
    """

    ALLOW_SELECT = False

    COMPONENT_CLASSES: ClassVar[set[str]] = {*LINE_CLASSES, *STATUS_CLASSES}

    DEFAULT_CSS = """
    VirtualTable {
        height: 1fr;
        scrollbar-gutter: stable;
        scrollbar-size: 1 1;
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = TABLE_KEYS

    @dataclass
    class Highlighted(TableMessage):
        """The cursor moved to another row; both are None when it is on none, or on one that is not loaded."""

        key: Hashable | None
        row: Any

    @dataclass
    class Chosen(TableMessage):
        """The user pressed enter on a row, or clicked it twice."""

        key: Hashable
        row: Any

    @dataclass
    class HeaderClicked(TableMessage):
        """The user clicked the label of a column."""

        column_id: str

    @dataclass
    class MarksChanged(TableMessage):
        """Rows were marked or unmarked."""

    empty_text: reactive[str] = reactive("Nothing here yet.")
    """Shown when there are no rows; may have several lines."""
    ascii_only: var[bool] = var(False)  # noqa: FBT003
    """Whether marks, bars and glyphs are ASCII."""

    def __init__(
        self,
        source: RowSource[Row],
        columns: Sequence[Column[Row]],
        *,
        beside: Callable[[Row, int], Hashable] | None = None,
        ascii_only: bool = False,
        name: str | None = None,
        id: str | None = None,  # noqa: A002 - Textual's own name for it
        classes: str | None = None,
    ) -> None:
        """Show `source`. `beside(row, second)` is what a row's cells show besides it; another one is drawn."""
        super().__init__(name=name, id=id, classes=classes)
        self._selection: Selection[Row] = Selection(source)
        self._view: RowView[Row] = RowView(self._selection, beside or _nothing)
        self._columns = tuple(columns)
        self._seen: SeenTexts[Row] = SeenTexts()
        self._moved_s = 0.0
        """When the user last moved the cursor or acted on its row, in Unix seconds."""
        self._sorted: tuple[str, bool] | None = None
        self._painter: LinePainter[Row] | None = None
        self.set_reactive(VirtualTable.ascii_only, ascii_only)

    # -- what the screens ask ---------------------------------------------------------------------------------------

    @property
    def row_count(self) -> int:
        """Number of rows at the last `refresh_rows`."""
        return self._selection.count

    @property
    def marked(self) -> set[Hashable]:
        """Keys of the marked rows; changed by `toggle_mark`, `mark` and `clear_marks`."""
        return self._selection.marked

    @property
    def cursor_index(self) -> int:
        """Place of the cursor's row; 0 as well without rows."""
        return self._selection.cursor

    @property
    def is_at_top(self) -> bool:
        """Whether the first row is visible and has the cursor, because the user has not moved it."""
        return self._selection.keeps_top and self.scroll_offset.y == 0

    @property
    def cursor_key(self) -> Hashable | None:
        """Key of the cursor's row; None without rows, or while the row is not loaded."""
        return self._selection.cursor_key

    @property
    def cursor_row(self) -> Row | None:
        """The row under the cursor; None without rows, or while it is not loaded."""
        return self._selection.row_at(self._selection.cursor)

    @property
    def visible_range(self) -> tuple[int, int]:
        """Place of the first visible row, and the place after the last."""
        count = self._selection.count
        first = min(self.scroll_offset.y, count)
        return first, min(count, first + self._page)

    # -- what the screens do ----------------------------------------------------------------------------------------

    def refresh_rows(self) -> None:
        """Take over the changes of the source; draws only lines whose row is another object than before."""
        if not self.is_attached:
            return  # there is no layout yet; on_mount calls this again
        at_top, leads, place = self.is_at_top, self._leads, self.cursor_index
        had_rows = self._selection.count > 0
        self._selection.recount(is_at_top=at_top)
        first = self.scroll_offset.y
        shift = self.cursor_index - place if leads else self._view.shift(first, self._page) if first else 0
        self._tell_cursor()
        self._resize_virtual()
        if shift and not at_top:
            self.scroll_to(y=first + shift, animate=False, force=True)
        if had_rows != (self._selection.count > 0):
            self.refresh()
        self._refresh_changed()

    def tick(self, now: float) -> None:
        """Set the clock (Unix seconds) and draw the visible rows again that read it."""
        before, self._view.now = int(self._view.now), now
        if int(now) != before:
            self._refresh_changed()

    def set_columns(self, columns: Sequence[Column[Row]]) -> None:
        """Show other columns."""
        self._columns = tuple(columns)
        self._restyle()
        self._resize_virtual()

    def show_sort(self, column_id: str | None, *, descending: bool = False) -> None:
        """Show the arrow on the column that the source is sorted by; None removes it."""
        self._sorted = None if column_id is None else (column_id, descending)
        self.refresh_line(self.scroll_offset.y)  # where the header is

    def move_cursor(self, index: int) -> None:
        """Put the cursor on the row at `index`, or on the nearest row, and scroll it into view."""
        before, self._moved_s = self._selection.cursor, self._view.now
        self._selection.move_to(index)
        self._tell_cursor()
        self._reveal_cursor()
        for place in {before, self._selection.cursor}:
            self._refresh_place(place)

    def hold_cursor(self) -> None:
        """Keep the cursor on its row from now on, also where it stands at the top and was never moved."""
        self._selection.keeps_top = False

    def move_to_key(self, key: Hashable) -> bool:
        """Put the cursor on the row of `key`; False when its place is not known."""
        if (index := self._selection.source.index(key)) is not None:
            self.move_cursor(index)
        return index is not None

    def toggle_mark(self, key: Hashable | None = None) -> None:
        """Mark the row of `key` (of the cursor, when None), or unmark it."""
        key = self.cursor_key if key is None else key
        if key is not None:
            self._set_marks(self._selection.toggled(key))

    def mark(self, keys: Iterable[Hashable]) -> None:
        """Mark these rows too."""
        self._set_marks(self.marked | set(keys))

    def mark_loaded(self) -> None:
        """Mark every loaded row."""
        self.mark(self._selection.keys(0, self._selection.count))

    def mark_range(self) -> None:
        """Mark every row from the one that was marked last to the cursor."""
        self.mark(self._selection.up_to_cursor())

    def unmark(self, keys: Iterable[Hashable]) -> None:
        """Unmark these rows."""
        self._set_marks(self.marked - set(keys))

    def clear_marks(self) -> None:
        """Unmark all rows."""
        self._selection.forget_anchor()
        self._set_marks(set())

    # -- cursor and scrolling ---------------------------------------------------------------------------------------

    @property
    def _leads(self) -> bool:
        """Whether the view goes with the cursor's row: it is visible, and the user has just moved to it."""
        first, stop = self.visible_range
        return first <= self.cursor_index < stop and self._view.now - self._moved_s < _LEADS_S

    def _tell_cursor(self) -> None:
        """Post a message when the cursor is on another row than before."""
        changed, row = self._selection.take_key()
        if changed:
            self.post_message(self.Highlighted(self, self.cursor_key, row))

    def _reveal_cursor(self) -> None:
        first, cursor = self.scroll_offset.y, self._selection.cursor
        top = min(max(first, cursor - self._page + 1), cursor)
        if top != first:
            self.scroll_to(y=top, animate=False, force=True)

    def _set_marks(self, marked: set[Hashable]) -> None:
        if marked != self.marked:
            self._selection.marked = marked
            self._refresh_changed()
            self.post_message(self.MarksChanged(self))

    # -- drawing ----------------------------------------------------------------------------------------------------

    def render_lines(self, crop: Region) -> list[Strip]:
        """Draw the lines of `crop`; the source is asked for their rows at most once."""
        first, last = (self.scroll_offset.y + max(y - HEADER_LINES, 0) for y in (crop.y, crop.bottom))
        self._view.fetch(first, last)
        return super().render_lines(crop)

    def render_line(self, y: int) -> Strip:
        """Draw one line: the header, a row, or nothing."""
        painter = self._lines
        left, width = self.scroll_offset.x, painter.width
        if y < HEADER_LINES:
            header = painter.header(self._sorted)
            return header.crop_extend(left, left + width, self.get_component_rich_style("table--header"))
        if not self._selection.count:
            return painter.empty_line(y, self._page, self.empty_text)
        return self._view.draw(y, self.scroll_offset.y + y - HEADER_LINES, painter, left)

    @property
    def _lines(self) -> LinePainter[Row]:
        if self._painter is None:
            width = self.scrollable_content_region.width
            layout = fit(self._columns, width, self._seen.cells)
            self._painter = LinePainter(self, layout, width, self._seen.cut, ascii_only=self.ascii_only)
        return self._painter

    def _refresh_changed(self) -> None:
        """Draw the lines again that show another row than they should, or another state; all for wider columns."""
        if not self._selection.count:
            return  # the text that is shown without rows refreshes itself
        (first, stop), width = self.visible_range, self.size.width
        rows = self._selection.source.window(first, stop)
        if self._seen.note(self._columns, rows):
            self._restyle()
            self._resize_virtual()
        for y in self._view.changed(first, rows, self._page):
            self.refresh(Region(0, y, width, 1))

    def _refresh_place(self, place: int) -> None:
        """Draw the line of one row again, if it is visible."""
        line = place - self.scroll_offset.y
        if 0 <= line < self._page:
            self.refresh(Region(0, line + HEADER_LINES, self.size.width, 1))

    def _restyle(self) -> None:
        self._painter = None
        self._view.forget()
        self.refresh()

    @property
    def _page(self) -> int:
        """Number of rows that fit on the screen."""
        return max(1, self.scrollable_content_region.height - HEADER_LINES)

    def _resize_virtual(self) -> None:
        if not self.is_attached:
            return
        size = Size(self._lines.layout.width, self._selection.count + HEADER_LINES)
        if size != self.virtual_size:
            set_virtual_size(self, size)

    def notify_style_update(self) -> None:
        """Drop strips in the old styles."""
        super().notify_style_update()
        self._painter = None

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Move the scrollbar; only lines that now show another row are drawn again."""
        if self.show_vertical_scrollbar:
            self.vertical_scrollbar.position = new_value
        if round(old_value) != round(new_value):
            self._refresh_changed()

    def watch_ascii_only(self) -> None:
        """Draw all lines again."""
        self._restyle()

    # -- keys and mouse ---------------------------------------------------------------------------------------------

    def action_move(self, lines: int) -> None:
        """Move the cursor by `lines`."""
        self.move_cursor(self.cursor_index + lines)

    def action_extend(self, lines: int) -> None:
        """Move the cursor by `lines`, marking every row from the old place to the new one."""
        start = self.cursor_index
        self.move_cursor(start + lines)
        self.mark(self._selection.from_to_cursor(start))

    def action_page(self, pages: int) -> None:
        """Move the cursor by `pages` screens."""
        self.move_cursor(self.cursor_index + pages * max(1, self._page - 1))

    def action_first(self) -> None:
        """Go to the first row."""
        self.move_cursor(0)

    def action_last(self) -> None:
        """Go to the last row."""
        self.move_cursor(self._selection.count - 1)

    def action_choose(self) -> None:
        """Post a message that the user chose the row under the cursor."""
        if (row := self.cursor_row) is not None:
            self.post_message(self.Chosen(self, self._selection.source.key(row), row))

    def on_mount(self) -> None:
        """Show the rows of the source."""
        self.refresh_rows()

    def on_resize(self) -> None:
        """Lay the columns out for the new width, and keep the cursor visible if it was."""
        line = self.cursor_index - self.scroll_offset.y
        self._seen.note(self._columns, self._selection.source.window(*self.visible_range))
        self._restyle()
        self._resize_virtual()
        if line >= 0:
            self._reveal_cursor()

    def on_click(self, event: events.Click) -> None:
        """Go to the clicked row, and choose it at a second click; post a message for a click on a label."""
        place = event.get_content_offset(self)
        if place is None:
            return
        if place.y < HEADER_LINES:
            if (slot := self._lines.layout.at(place.x + self.scroll_offset.x)) is not None:
                self.post_message(self.HeaderClicked(self, slot.column.id))
            return
        index = self.scroll_offset.y + place.y - HEADER_LINES
        if index < self._selection.count:
            self.move_cursor(index)
            if event.chain == 2:
                self.action_choose()


def _nothing(_row: object, _second: int) -> None:
    return None
