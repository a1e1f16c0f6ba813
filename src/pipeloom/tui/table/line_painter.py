"""The lines of a virtual table as strips. A strip is kept while its row looks the same."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from typing import Final, Generic

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.cache import LRUCache
from textual.strip import Strip
from textual.widget import Widget

from pipeloom.text import clean
from pipeloom.tui.style.glyphs import CURSOR_BAR, MARK
from pipeloom.tui.style.text import clip
from pipeloom.tui.table.columns import GUTTER, Column, Layout, RenderContext, Row

LINE_CLASSES: Final = frozenset(
    {
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
    }
)
"""Component classes of a line, besides those of the statuses; `css/app.tcss` colours them."""

KEPT_LINES: Final = 1024
"""Number of strips that are kept: those of a few screens."""


@dataclass(frozen=True, slots=True)
class LineState:
    """How a line looks besides the cells of its row."""

    cursor: bool = False
    marked: bool = False
    beside: Hashable = None
    """What its cells show besides their row; strips are kept while that stays the same."""


class LinePainter(Generic[Row]):
    """Draws header, rows and placeholders for one layout and one set of styles."""

    def __init__(
        self,
        widget: Widget,
        layout: Layout[Row],
        width: int,
        cut: Callable[[Column[Row]], Callable[[str, int], str]],
        *,
        ascii_only: bool,
    ) -> None:
        """Draw in the styles that `widget` has now; `cut` returns what cuts the names of a column."""
        self.layout = layout
        self._cut = cut
        self.width = width
        """Visible cells of a line."""
        self._full = cache(widget.get_component_rich_style)
        self._partial = cache(partial(widget.get_component_rich_style, partial=True))
        """The component classes without their backgrounds."""
        self._base = widget.rich_style
        self._console = widget.app.console
        self._ascii_only = ascii_only
        self._kept: LRUCache[Hashable, tuple[Row, LineState, Strip]] = LRUCache(KEPT_LINES)
        self._now = 0.0
        self._contexts: list[RenderContext] = []

    def header(self, sorted_by: tuple[str, bool] | None) -> Strip:
        """Return the line of labels, with an arrow on the column `sorted_by` (its id, and whether it descends)."""
        cells = (self._label(slot.column, slot.width, sorted_by) for slot in self.layout.slots)
        return self._strip([Segment(" " * GUTTER)], cells, self._full("table--header"))

    def line(self, row: Row | None, state: LineState | None, key: Hashable | None, now: float, left: int) -> Strip:
        """Return the line of a row from cell `left` on; drawn only when row or state differ from the last time."""
        if state is None:
            return Strip.blank(self.width, self._base)
        if row is None:
            return self._placeholder(state).crop_extend(left, left + self.width, self._line_style(state))
        kept = self._kept.get(key)
        if kept is None or kept[0] is not row or kept[1] != state:
            kept = row, state, self._strip(self._gutter(state), self._cells(row, now), self._line_style(state))
            self._kept[key] = kept
        return kept[2].crop_extend(left, left + self.width, self._line_style(state))

    def _placeholder(self, state: LineState) -> Strip:
        """Return the line of a row that is not loaded yet."""
        dots = "..." if self._ascii_only else "···"
        style = self._partial("table--placeholder")
        cells = (_fitted(Text(dots[: slot.width], style), 3, "left") for slot in self.layout.slots)
        return self._strip(self._gutter(state), cells, self._line_style(state))

    def empty_line(self, y: int, lines: int, message: str) -> Strip:
        """Return line `y` of a table without rows: of `lines` lines, the upper third ends with `message`."""
        texts = message.split("\n")
        place = y - max(2, (lines - len(texts)) // 3)
        if not 0 <= place < len(texts):
            return Strip.blank(self.width, self._base)
        return self._message(texts[place], self.width).adjust_cell_length(self.width, self._base)

    def _message(self, line: str, width: int) -> Strip:
        text = Text(no_wrap=True, end="").append(clean(line), self._partial("table--empty"))
        text.truncate(width, overflow="ellipsis")
        text.pad_left(max(0, (width - text.cell_len) // 2))
        return Strip(Segment.apply_style(text.render(self._console), self._base))

    def _line_style(self, state: LineState) -> Style:
        return self._full("table--cursor") if state.cursor else self._base

    def _gutter(self, state: LineState) -> list[Segment]:
        bar, mark = (">", "*") if self._ascii_only else (CURSOR_BAR, MARK)
        return [
            Segment(bar if state.cursor else " ", self._partial("table--bar")),
            Segment(mark if state.marked else " ", self._partial("table--mark")),
            Segment(" "),
        ]

    def _cells(self, row: Row, now: float) -> Iterator[list[Segment]]:
        if now != self._now or not self._contexts:
            self._now = now
            self._contexts = [
                RenderContext(slot.width, now, self._ascii_only, self._partial, self._cut(slot.column))
                for slot in self.layout.slots
            ]
        for slot, context in zip(self.layout.slots, self._contexts, strict=True):
            yield _fitted(slot.column.cell(row, context), slot.width, slot.column.justify)

    def _label(self, column: Column[Row], width: int, sorted_by: tuple[str, bool] | None) -> list[Segment]:
        label = column.label
        if sorted_by is not None and sorted_by[0] == column.id:
            up, down = ("^", "v") if self._ascii_only else ("↑", "↓")
            gap = " " * (len(label) + 2 <= width)
            label = f"{label[: max(0, width - 1 - len(gap))]}{gap}{down if sorted_by[1] else up}"
        return _fitted(Text(label), width, column.justify)

    def _strip(self, gutter: Iterable[Segment], cells: Iterable[list[Segment]], style: Style) -> Strip:
        segments = list(gutter)
        x = GUTTER
        for slot, cell in zip(self.layout.slots, cells, strict=True):
            if slot.x > x:
                segments.append(Segment(" " * (slot.x - x)))
            segments.extend(cell)
            x = slot.x + slot.width
        return Strip(Segment.apply_style(segments, style), x).simplify()


def _fitted(text: Text, width: int, justify: str) -> list[Segment]:
    """Return `text` in exactly `width` cells. Its spans must not overlap; those of `append` do not.

    `Text.render` costs more than the rest of a line together, because it allows for spans that overlap.
    """
    plain, base = text.plain, _style(text.style)
    missing = width - cell_len(plain)
    if missing < 0:
        plain = clip(plain, width)
        missing = width - cell_len(plain)
    if not text.spans:
        pad = " " * missing
        return [Segment(pad + plain if justify == "right" else plain + pad, base)]
    segments = [Segment(" " * missing)] if missing and justify == "right" else []
    end = 0
    for span in text.spans:
        if span.start > end:
            segments.append(Segment(plain[end : span.start], base))
        segments.append(Segment(plain[span.start : span.end], base + _style(span.style)))
        end = span.end
    if end < len(plain):
        segments.append(Segment(plain[end:], base))
    if missing and justify != "right":
        segments.append(Segment(" " * missing))
    return segments


def _style(style: str | Style) -> Style:
    return Style.parse(style) if isinstance(style, str) else style
