"""The columns of a virtual table, and the width of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, Literal, TypeVar

from rich.style import Style
from rich.text import Text

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


@dataclass(frozen=True)
class Column(Generic[Row]):
    """A column: at least `width` cells, and `share` parts of the cells that are left over."""

    id: str
    label: str
    cell: Callable[[Row, RenderContext], Text]
    width: int
    share: int = 0
    max_width: int | None = None
    justify: Literal["left", "right"] = "left"
    hide_below: int = 0
    """Width of the table in cells below which the column is hidden."""


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


def fit(columns: Sequence[Column[Row]], width: int) -> Layout[Row]:
    """Lay the columns out over `width` cells, in their order. They are wider than that if their minimum widths are."""
    shown = [column for column in columns if width >= column.hide_below]
    gap = 2 if width >= ROOMY else 1
    spare = width - GUTTER - sum(column.width for column in shown) - gap * max(0, len(shown) - 1)
    widths = _grown(shown, spare)
    slots = []
    x = GUTTER
    for column, cells in zip(shown, widths, strict=True):
        slots.append(Slot(column, x, cells))
        x += cells + gap
    return Layout(tuple(slots), x - gap if slots else GUTTER)


def _grown(columns: Sequence[Column[Row]], spare: int) -> list[int]:
    """Return the columns' widths after `spare` cells are shared out, each column up to its maximum."""
    widths = [column.width for column in columns]
    while spare > 0:
        growing = [
            place
            for place, column in enumerate(columns)
            if column.share and (column.max_width is None or widths[place] < column.max_width)
        ]
        shares = sum(columns[place].share for place in growing)
        if not shares:
            break
        left = spare
        for place in growing:
            limit = columns[place].max_width
            room = left if limit is None else limit - widths[place]
            grant = min(left, room, max(1, spare * columns[place].share // shares))
            widths[place] += grant
            left -= grant
        spare = left
    return widths
