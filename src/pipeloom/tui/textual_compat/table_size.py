"""Change the number of rows of a table without a layout of the whole screen."""

from __future__ import annotations

from typing import Final

from textual.geometry import Size
from textual.widget import Widget

from pipeloom.tui.textual_compat.contracts import holds

_HOLDS: Final = holds("table size")


def set_virtual_size(widget: Widget, size: Size) -> None:
    """Set the size of all that can be scrolled to, and update the scrollbars."""
    if _HOLDS:
        widget.set_reactive(Widget.virtual_size, size)
        widget._scroll_update(size)  # a scrollbar that comes or goes asks for a layout itself
    else:
        widget.virtual_size = size
