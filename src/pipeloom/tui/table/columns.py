"""What a virtual table shows: its source of rows, its columns, and how wide each of them is drawn."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, Literal, Protocol, TypeVar

from rich.style import Style
from rich.text import Text

Row = TypeVar("Row")

GUTTER: Final = 3
"""Cells left of the first column: cursor bar, mark, space."""

ROOMY: Final = 100
"""From this table width on, columns stand two cells apart instead of one."""


class RowSource(Protocol[Row]):
    """Rows by place and by key. Every method is called on the UI thread, and is fast."""

    def count(self) -> int:
        """Return the number of rows."""

    def window(self, start: int, stop: int) -> Sequence[Row | None]:
        """Return rows `start` to `stop`, None for one that is not loaded yet (asking may start loading it)."""

    def key(self, row: Row) -> Hashable:
        """Return what identifies the row, however it moves."""

    def index(self, key: Hashable) -> int | None:
        """Return where the key is now; None when it is gone or its place is not known."""


@dataclass(frozen=True, slots=True)
class RenderContext:
    """What a cell needs to know to draw itself."""

    width: int
    """Cells that the column has; longer text is clipped."""
    now: float
    """Unix seconds, as last told to `VirtualTable.tick`."""
    ascii_only: bool
    style: Callable[[str], Style]
    """A component class, such as "status--running" or "table--muted", as a Rich style without background."""


@dataclass(frozen=True)
class Column(Generic[Row]):
    """A column. It gets at least `width` cells, and `share` parts of what the table has to spare."""

    id: str
    label: str
    cell: Callable[[Row, RenderContext], Text]
    width: int
    share: int = 0
    max_width: int | None = None
    justify: Literal["left", "right"] = "left"
    hide_below: int = 0
    """The column is left out of a table narrower than this."""


@dataclass(frozen=True)
class Slot(Generic[Row]):
    """A column in its place."""

    column: Column[Row]
    x: int
    width: int


@dataclass(frozen=True)
class Layout(Generic[Row]):
    """The columns that a table of some width shows."""

    slots: tuple[Slot[Row], ...]
    width: int
    """Cells from the left edge to the end of the last column."""

    def at(self, x: int) -> Slot[Row] | None:
        """Return the slot under `x`; the space before a column belongs to it."""
        return next((slot for slot in self.slots if x < slot.x + slot.width), None)


def fit(columns: Sequence[Column[Row]], width: int) -> Layout[Row]:
    """Lay the columns out over `width` cells, in their order; they may need more than there is."""
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
    """Return the columns' widths after `spare` cells went to those that want them, each up to its maximum."""
    widths = [column.width for column in columns]
    while spare > 0:
        hungry = [
            place
            for place, column in enumerate(columns)
            if column.share and (column.max_width is None or widths[place] < column.max_width)
        ]
        shares = sum(columns[place].share for place in hungry)
        if not shares:
            break
        left = spare
        for place in hungry:
            limit = columns[place].max_width
            room = left if limit is None else limit - widths[place]
            grant = min(left, room, max(1, spare * columns[place].share // shares))
            widths[place] += grant
            left -= grant
        spare = left
    return widths
