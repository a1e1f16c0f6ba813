"""A table that draws the lines you see and no others, over any source of rows."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Generic

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message

from pipeloom.tui.table.columns import Column, RenderContext, Row, RowSource
from pipeloom.tui.table.row_view import HEADER_LINES, RowView

__all__ = ["Column", "RenderContext", "RowSource", "VirtualTable"]


@dataclass
class TableMessage(Message):
    """Says something about a table."""

    table: VirtualTable[Any]

    @property
    def control(self) -> VirtualTable[Any]:
        """The table, for `@on` selectors."""
        return self.table


class VirtualTable(RowView[Row], Generic[Row], can_focus=True):
    """Rows of a `RowSource` under a header that stays, with a cursor and marks.

    The cursor and the marks belong to keys. When rows come, go or move, the cursor stays with its row, and its row
    stays on its line of the screen. Call `refresh_rows` after the source has changed, `tick` when time has passed.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Up", show=False, id="table.up", tooltip="Go to the row above."),
        Binding("down,j", "move(1)", "Down", show=False, id="table.down", tooltip="Go to the row below."),
        Binding("shift+up", "extend(-1)", "Extend", show=False, id="table.mark_up", tooltip="Mark, going up."),
        Binding("shift+down", "extend(1)", "Extend", show=False, id="table.mark_down", tooltip="Mark, going down."),
        Binding("pageup", "page(-1)", "Pageup", show=False, id="table.page_up", tooltip="Go one page up."),
        Binding("pagedown", "page(1)", "Pagedown", show=False, id="table.page_down", tooltip="Go one page down."),
        Binding("home", "first", "First", show=False, id="table.first", tooltip="Go to the first row."),
        Binding("end", "last", "Last", show=False, id="table.last", tooltip="Go to the last row."),
        Binding("left", "scroll_left", "Left", show=False, id="table.left", tooltip="Show columns further left."),
        Binding("right", "scroll_right", "Right", show=False, id="table.right", tooltip="Show columns further right."),
        Binding("enter", "choose", "Open", show=False, id="table.choose", tooltip="Open the row under the cursor."),
    ]

    @dataclass
    class Highlighted(TableMessage):
        """The cursor is on another row, or on none; `row` is None as well while it is not loaded."""

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

    _at_top: bool = True
    """Whether the cursor stays on the top row, whichever that is: until the user moves it, and after going back."""
    _mark_anchor: Hashable | None = None
    """The row that was marked last, where the next range begins."""

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
    def cursor_index(self) -> int:
        """Place of the cursor's row, from 0; 0 as well when there are no rows."""
        return self._cursor_index

    @property
    def is_at_top(self) -> bool:
        """Whether the first row is in sight and has the cursor, because nobody has moved it."""
        return self._at_top and self.scroll_offset.y == 0

    @property
    def cursor_key(self) -> Hashable | None:
        """Key of the cursor's row; None without rows, or while the row is not loaded."""
        return self._cursor_key

    @property
    def cursor_row(self) -> Row | None:
        """The row under the cursor; None without rows, or while it is not loaded."""
        return self._row_at(self._cursor_index)

    # -- what the screens do ----------------------------------------------------------------------------------------

    def refresh_rows(self) -> None:
        """Take note that the source has changed; draws only lines whose row is another object than before."""
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
            self._refresh_changed()

    def move_cursor(self, index: int) -> None:
        """Put the cursor on the row at `index`, or the nearest there is, and scroll it into view."""
        before, self._cursor_index = self._cursor_index, max(0, min(index, self._count - 1))
        self._at_top = self._cursor_index == 0
        self._take_key()
        self._reveal_cursor()
        for place in {before, self._cursor_index}:
            self._refresh_place(place)

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

    def mark_loaded(self) -> None:
        """Mark every row that is loaded."""
        self.mark(self._source.key(row) for row in self._source.window(0, self._count) if row is not None)

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

    # -- keeping place ----------------------------------------------------------------------------------------------

    def _anchor(self) -> tuple[Hashable | None, int]:
        """Return key and place of the row that should stay on its line: the cursor's if it is seen, else the top."""
        first = self.scroll_offset.y
        if self.is_at_top:
            return None, 0
        if first <= self._cursor_index < first + self._page:
            return self._cursor_key, self._cursor_index
        place, row, _look = self._painted.get(HEADER_LINES, (first, None, None))
        if row is None or place != first:
            return None, first  # not loaded, or scrolled since it was painted
        return self._source.key(row), first

    def _settle_cursor(self) -> None:
        """Find the cursor's row again; when it is gone, the cursor goes to the row now in its place."""
        kept = None if self.is_at_top else self._cursor_key
        found = None if kept is None else self._source.index(kept)
        self._cursor_index = max(0, min(self._cursor_index if found is None else found, self._count - 1))
        self._take_key()

    def _take_key(self) -> None:
        """Learn the key of the row under the cursor, and tell when it is another."""
        row = self._row_at(self._cursor_index)
        key = None if row is None else self._source.key(row)
        if key != self._cursor_key:
            self._cursor_key = key
            self.post_message(self.Highlighted(self, key, row))

    def _reveal_cursor(self) -> None:
        first = self.scroll_offset.y
        if self._cursor_index < first:
            self.scroll_to(y=self._cursor_index, animate=False, force=True)
        elif self._cursor_index >= first + self._page:
            self.scroll_to(y=self._cursor_index - self._page + 1, animate=False, force=True)

    def _set_marks(self, marked: set[Hashable]) -> None:
        if marked != self.marked:
            self.marked = marked
            self._refresh_changed()
            self.post_message(self.MarksChanged(self))

    # -- keys and mouse ---------------------------------------------------------------------------------------------

    def action_move(self, lines: int) -> None:
        """Move the cursor by `lines`."""
        self.move_cursor(self._cursor_index + lines)

    def action_extend(self, lines: int) -> None:
        """Move the cursor by `lines`, marking the rows that it leaves and reaches."""
        start = self._cursor_index
        self.move_cursor(start + lines)
        low, high = sorted((start, self._cursor_index))
        self.mark(self._source.key(row) for row in self._source.window(low, high + 1) if row is not None)
        self._mark_anchor = self._cursor_key

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
