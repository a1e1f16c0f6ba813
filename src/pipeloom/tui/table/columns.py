"""The columns of a virtual table, and the width of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Generic, Literal, TypeVar

from rich.cells import cell_len
from rich.style import Style
from rich.text import Text

from pipeloom.text import LongNames, clean
from pipeloom.tui.style.text import clip_middle, cut_name

Row = TypeVar("Row")

GUTTER: Final = 3
"""Cells left of the first column: cursor bar, mark, space."""

ROOMY: Final = 100
"""Width in cells from which columns are two cells apart instead of one."""


@dataclass(frozen=True, slots=True)
class RenderContext:
    """What the function that draws a cell is given besides the row."""

    width: int
    """Width of the column in cells; longer text is clipped."""
    now: float
    """Unix seconds, from the last `VirtualTable.tick`."""
    ascii_only: bool
    style: Callable[[str], Style]
    """Returns a component class, such as "status--running" or "table--muted", as a Rich style without background."""
    cut: Callable[[str, int], str] = clip_middle
    """Cuts a name to a number of cells: in a column of names, where all that were seen are the same."""


@dataclass(frozen=True)
class Column(Generic[Row]):
    """A column: at least `width` cells, and `share` parts of the cells that are left over.

    A column with `content` is as wide as the widest text that was seen in it: at once where it has no share. What is
    left when all hold their texts goes to those without a `max_width`.
    """

    id: str
    label: str
    cell: Callable[[Row, RenderContext], Text]
    width: int
    share: int = 0
    max_width: int | None = None
    justify: Literal["left", "right"] = "left"
    hide_below: int = 0
    """Width of the table in cells below which the column is hidden."""
    content: Callable[[Row], str] | None = None
    """Returns the text of a row that the column has to hold; None: its width does not depend on the rows."""
    names: bool = False
    """Whether the contents are names, which `RenderContext.cut` tells apart."""
    hide_empty: bool = False
    """Whether the column is hidden while none of the rows that were seen has content for it."""

    @property
    def takes_the_rest(self) -> bool:
        """Whether the column may be wider than what it holds."""
        return bool(self.share) and self.max_width is None

    def wanted(self, seen: int) -> int | None:
        """Return the width that is needed when texts of `seen` cells were seen; None: any is of use."""
        if self.content is None:
            return self.max_width
        return max(self.width, seen if self.max_width is None else min(seen, self.max_width))


@dataclass(frozen=True)
class Slot(Generic[Row]):
    """A column with its left edge and its width, in cells."""

    column: Column[Row]
    x: int
    width: int


@dataclass(frozen=True)
class Layout(Generic[Row]):
    """The columns that fit a width."""

    slots: tuple[Slot[Row], ...]
    width: int
    """Cells from the left edge to the end of the last column."""

    def at(self, x: int) -> Slot[Row] | None:
        """Return the slot at cell `x`; the space before a column is part of it."""
        return next((slot for slot in self.slots if x < slot.x + slot.width), None)


class SeenTexts(Generic[Row]):
    """The widest text that was seen in each column, and what names share.

    Widths only grow, so that columns do not move to and fro.
    """

    def __init__(self) -> None:
        self.cells: dict[str, int] = {}
        """Cells by column id."""
        self.names: dict[str, LongNames] = {}
        """The names by column id."""

    def note(self, columns: Iterable[Column[Row]], rows: Sequence[Row | None]) -> bool:
        """Measure rows (None: not loaded); returns whether a column needs more than before, or cuts otherwise."""
        before, changed = dict(self.cells), False
        if not any(row is not None for row in rows):
            return False
        for column in columns:
            if column.content is not None:
                texts = [column.content(row) for row in rows if row is not None]
                seen = max((cell_len(text[: column.max_width]) for text in texts), default=0)
                self.cells[column.id] = max(seen, self.cells.get(column.id, 0))
                if column.names:
                    changed |= self._names(column).note(map(clean, texts))
        return changed or self.cells != before

    def cut(self, column: Column[Row]) -> Callable[[str, int], str]:
        """Return what cuts the names of a column."""
        return partial(cut_name, self._names(column)) if column.names else clip_middle

    def _names(self, column: Column[Row]) -> LongNames:
        if column.id not in self.names:
            least = column.width if column.share else column.max_width or 0
            self.names[column.id] = LongNames(least=least)
        return self.names[column.id]


def fit(columns: Sequence[Column[Row]], width: int, seen: Mapping[str, int] | None = None) -> Layout[Row]:
    """Lay the columns out over `width` cells, in their order. They are wider than that if their minimum widths are.

    `seen` has the widest text of columns by id.
    """
    seen = seen or {}
    shown = [
        column
        for column in columns
        if width >= column.hide_below and not (column.hide_empty and seen.get(column.id) == 0)
    ]
    gap = 2 if width >= ROOMY else 1
    limits = [column.wanted(seen.get(column.id, 0)) for column in shown]
    least = [
        column.width if column.share or column.content is None or limit is None else limit
        for column, limit in zip(shown, limits, strict=True)
    ]
    room = width - GUTTER - gap * max(0, len(shown) - 1)
    held = _grown(shown, least, limits, room - sum(least))
    rest = [None if column.takes_the_rest else cells for column, cells in zip(shown, held, strict=True)]
    widths = _grown(shown, held, rest, room - sum(held))
    slots = []
    x = GUTTER
    for column, cells in zip(shown, widths, strict=True):
        slots.append(Slot(column, x, cells))
        x += cells + gap
    return Layout(tuple(slots), x - gap if slots else GUTTER)


def _grown(columns: Sequence[Column[Row]], least: Sequence[int], limits: Sequence[int | None], spare: int) -> list[int]:
    """Return the columns' widths after `spare` cells are shared out, each column up to its limit."""
    widths = list(least)
    while spare > 0:
        growing = [
            place
            for place, column in enumerate(columns)
            if column.share and ((limit := limits[place]) is None or widths[place] < limit)
        ]
        shares = sum(columns[place].share for place in growing)
        if not shares:
            break
        left = spare
        for place in growing:
            limit = limits[place]
            room = left if limit is None else limit - widths[place]
            grant = min(left, room, max(1, spare * columns[place].share // shares))
            widths[place] += grant
            left -= grant
        spare = left
    return widths
