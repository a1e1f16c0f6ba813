"""The keys of a table."""

from __future__ import annotations

from typing import Final

from textual.binding import Binding, BindingType

TABLE_KEYS: Final[list[BindingType]] = [
    Binding("up,k", "move(-1)", "Up", show=False, id="table.up", tooltip="Go to the row above."),
    Binding("down,j", "move(1)", "Down", show=False, id="table.down", tooltip="Go to the row below."),
    Binding("shift+up", "extend(-1)", "Extend-up", show=False, id="table.mark_up", tooltip="Mark, going up."),
    Binding("shift+down", "extend(1)", "Extend-down", show=False, id="table.mark_down", tooltip="Mark, going down."),
    Binding("pageup", "page(-1)", "Pageup", show=False, id="table.page_up", tooltip="Go one page up."),
    Binding("pagedown", "page(1)", "Pagedown", show=False, id="table.page_down", tooltip="Go one page down."),
    Binding("home", "first", "First", show=False, id="table.first", tooltip="Go to the first row."),
    Binding("end", "last", "Last", show=False, id="table.last", tooltip="Go to the last row."),
    Binding("left", "scroll_left", "Left", show=False, id="table.left", tooltip="Show columns further left."),
    Binding("right", "scroll_right", "Right", show=False, id="table.right", tooltip="Show columns further right."),
    Binding("enter", "choose", "Open", show=False, id="table.choose", tooltip="Open the row under the cursor."),
]
