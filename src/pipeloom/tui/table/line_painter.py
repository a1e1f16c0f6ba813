"""The lines of a virtual table as strips, each made once and kept for as long as its row looks the same."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Generic

from rich.cells import cell_len
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.cache import LRUCache
from textual.strip import Strip

from pipeloom.text import clean
from pipeloom.tui.style.glyphs import CURSOR_BAR, MARK
from pipeloom.tui.style.text import clip
from pipeloom.tui.table.columns import GUTTER, Column, Layout, RenderContext, Row

KEPT_LINES: Final = 1024
"""Strips that are kept: a few screens full, whatever the number of rows."""


@dataclass(frozen=True, slots=True)
class LineState:
    """What a line shows besides its row."""

    cursor: bool = False
    marked: bool = False
    second: int = 0
    """The clock, for rows that read it; the same for all others, so that they stay kept."""


@dataclass(frozen=True, slots=True)
class Paint:
    """Where a painter gets its styles from: the widget's component classes."""

    full: Callable[[str], Style]
    partial: Callable[[str], Style]
    base: Style
    console: Console


class LinePainter(Generic[Row]):
    """Draws header, rows and placeholders for one layout and one set of styles."""

    def __init__(self, layout: Layout[Row], width: int, paint: Paint, *, ascii_only: bool) -> None:
        self.layout = layout
        self.width = width
        """Cells that are seen of a line."""
        self._paint = paint
        self._ascii_only = ascii_only
        self._kept: LRUCache[Hashable, tuple[Row, LineState, Strip]] = LRUCache(KEPT_LINES)
        self._now = 0.0
        self._contexts: list[RenderContext] = []

    def header(self, sorted_by: tuple[str, bool] | None) -> Strip:
        """Return the line of labels, with an arrow on the sorted column."""
        cells = (self._label(slot.column, slot.width, sorted_by) for slot in self.layout.slots)
        return self._strip([Segment(" " * GUTTER)], cells, self._paint.full("table--header"))

    def line(self, row: Row | None, look: LineState | None, key: Hashable | None, now: float, left: int) -> Strip:
        """Return the line of a row from cell `left` on; drawn anew only when row or look are others than last time."""
        if look is None:
            return Strip.blank(self.width, self._paint.base)
        if row is None:
            return self._placeholder(look).crop_extend(left, left + self.width, self._line_style(look))
        kept = self._kept.get(key)
        if kept is None or kept[0] is not row or kept[1] != look:
            kept = row, look, self._strip(self._gutter(look), self._cells(row, now), self._line_style(look))
            self._kept[key] = kept
        return kept[2].crop_extend(left, left + self.width, self._line_style(look))

    def _placeholder(self, look: LineState) -> Strip:
        """Return the line of a row that is not loaded yet."""
        dots = "..." if self._ascii_only else "···"
        style = self._paint.partial("table--placeholder")
        cells = (_fitted(Text(dots[: slot.width], style), 3, "left") for slot in self.layout.slots)
        return self._strip(self._gutter(look), cells, self._line_style(look))

    def message(self, line: str, width: int) -> Strip:
        """Return a line of the text that stands where rows would be."""
        text = Text(no_wrap=True, end="").append(clean(line), self._paint.partial("table--empty"))
        text.truncate(width, overflow="ellipsis")
        text.pad_left(max(0, (width - text.cell_len) // 2))
        return Strip(Segment.apply_style(text.render(self._paint.console), self._paint.base))

    def _line_style(self, look: LineState) -> Style:
        return self._paint.full("table--cursor") if look.cursor else self._paint.base

    def _gutter(self, look: LineState) -> list[Segment]:
        bar, mark = (">", "*") if self._ascii_only else (CURSOR_BAR, MARK)
        return [
            Segment(bar if look.cursor else " ", self._paint.partial("table--bar")),
            Segment(mark if look.marked else " ", self._paint.partial("table--mark")),
            Segment(" "),
        ]

    def _cells(self, row: Row, now: float) -> Iterator[list[Segment]]:
        if now != self._now or not self._contexts:
            self._now = now
            self._contexts = [
                RenderContext(slot.width, now, self._ascii_only, self._paint.partial) for slot in self.layout.slots
            ]
        for slot, context in zip(self.layout.slots, self._contexts, strict=True):
            yield _fitted(slot.column.cell(row, context), slot.width, slot.column.justify)

    def _label(self, column: Column[Row], width: int, sorted_by: tuple[str, bool] | None) -> list[Segment]:
        label = column.label
        if sorted_by is not None and sorted_by[0] == column.id:
            up, down = ("^", "v") if self._ascii_only else ("↑", "↓")
            label = f"{label[: max(0, width - 2)]} {down if sorted_by[1] else up}"
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
    """Return `text` in exactly `width` cells. Its spans follow each other, as `append` makes them.

    Not `Text.render`, which costs more than all the rest of a line: it allows for spans that lie over each other.
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
