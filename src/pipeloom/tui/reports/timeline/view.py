"""The visible part of a timeline, and the character of each of its cells. No widget, no colours."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from pipeloom.status import Status
from pipeloom.store.read.timeline import BAD, Block, Lane
from pipeloom.tui.style import format as fmt
from pipeloom.tui.style.glyphs import badge

_FILLS: Final = dict(zip(Status, " ╌╍┅━▓░▒ ", strict=True))
_ASCII_FILLS: Final = dict(zip(Status, " ,>~-#:% ", strict=True))
_SEVERAL: Final = "═"
_ASCII_SEVERAL: Final = "="
_CHOSEN: Final = "█"
_ASCII_CHOSEN: Final = "@"
_SPARSE: Final = "╌"
_ASCII_SPARSE: Final = "."
_BUSY: Final = 0.5
"""Busy share below which a cell of several blocks looks sparse."""

_STEPS_S: Final = (
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200,
    14_400, 28_800, 43_200, 86_400,
)  # fmt: skip
_TICK_CELLS: Final = 12
_MARGIN: Final = 2
"""Cells that stay free after the end of the last block."""
_CLOSEST_S: Final = 0.001
"""Minimum seconds of a cell."""


def fill(status: Status, *, ascii_only: bool) -> str:
    """Return the filling of a block of this status."""
    return (_ASCII_FILLS if ascii_only else _FILLS)[status]


def several(*, ascii_only: bool) -> str:
    """Return the character of a cell with the starts of several attempts that are done."""
    return _ASCII_SEVERAL if ascii_only else _SEVERAL


def under_cursor(text: str, *, ascii_only: bool) -> str:
    """Return the character of a cell of the cursor's block: glyphs stay, the filling becomes solid."""
    fillings = _ASCII_FILLS.values() if ascii_only else _FILLS.values()
    return (_ASCII_CHOSEN if ascii_only else _CHOSEN) if text in fillings else text


class Drawn(NamedTuple):
    """A cell: its character, and the block whose colour it has (None: none)."""

    text: str
    status: Status | None


@dataclass(frozen=True, slots=True)
class View:
    """The visible seconds: from `start_s`, `cell_s` per cell, in `width` cells."""

    start_s: float
    cell_s: float
    width: int
    length_s: float
    """End of the whole timeline."""

    @classmethod
    def whole(cls, length_s: float, width: int) -> View:
        """Return the view that shows everything."""
        width = max(1, width)
        return cls(0.0, max(_CLOSEST_S, length_s / max(1, width - _MARGIN)), width, length_s)

    @property
    def is_whole(self) -> bool:
        """Whether everything is visible."""
        return self.cell_s >= View.whole(self.length_s, self.width).cell_s

    @property
    def room_s(self) -> float:
        """The visible seconds, without the margin."""
        return self.cell_s * max(1, self.width - _MARGIN)

    @property
    def stop_s(self) -> float:
        """End of the visible part."""
        return self.start_s + self.cell_s * self.width

    def at(self, x: int) -> float:
        """Return the start of cell `x`, in seconds."""
        return self.start_s + self.cell_s * x

    def x(self, moment_s: float) -> int:
        """Return the cell of a time; it may lie outside."""
        return int((moment_s - self.start_s) // self.cell_s)

    def zoomed(self, factor: float, about_s: float) -> View:
        """Return a view of `factor` times as many seconds; `about_s` stays in its cell as far as possible."""
        widest = View.whole(self.length_s, self.width).cell_s
        cell_s = min(widest, max(_CLOSEST_S, self.cell_s * factor))
        start_s = about_s - (about_s - self.start_s) * cell_s / self.cell_s
        return replace(self, start_s=start_s, cell_s=cell_s).held()

    def moved(self, cells: int) -> View:
        """Return the view `cells` further to the right."""
        return replace(self, start_s=self.start_s + cells * self.cell_s).held()

    def showing(self, block: Block) -> View:
        """Return the view that shows a block, or the start of one that is too long: this view, if it does."""
        took_s = min(block.end_s - block.start_s, self.room_s)
        if self.start_s <= block.start_s and block.start_s + took_s <= self.start_s + self.room_s * (1 + 1e-9):
            return self
        return replace(self, start_s=block.start_s - (self.room_s - took_s) / 2).held()

    def held(self) -> View:
        """Return the view, moved to where there are blocks."""
        last = max(0.0, self.length_s - self.room_s)
        return replace(self, start_s=min(max(0.0, self.start_s), last))


def lane_cells(lane: Lane, view: View, *, ascii_only: bool) -> Iterator[Drawn]:
    """Yield the cells of a lane: a glyph at the start of a block, then its filling; the worst of several blocks."""
    many, sparse = several(ascii_only=ascii_only), _ASCII_SPARSE if ascii_only else _SPARSE
    for x in range(view.width):
        start_s, stop_s = view.at(x), view.at(x + 1)
        cell = lane.cell(start_s, stop_s)
        if cell.first == cell.stop:
            yield Drawn(" ", None)
            continue
        if cell.stop - cell.begun == 1:
            status = lane.blocks[cell.begun].status
            yield Drawn(badge(status, ascii_only=ascii_only).glyph, status)
        elif cell.stop == cell.begun:
            block = lane.blocks[cell.stop - 1]
            seen = block.end_s >= (start_s + stop_s) / 2
            yield Drawn(fill(block.status, ascii_only=ascii_only) if seen else " ", block.status)
        else:
            status = lane.worst(cell.begun, cell.stop)
            busy = lane.busy_s(stop_s) - lane.busy_s(start_s) >= _BUSY * view.cell_s
            glyph = badge(status, ascii_only=ascii_only).glyph if status in BAD else many if busy else sparse
            yield Drawn(glyph, status)


def axis(view: View, *, ascii_only: bool) -> str:
    """Return the line of times above the lanes, from the start of the run."""
    step = next((step for step in _STEPS_S if step >= view.cell_s * _TICK_CELLS), None)
    if step is None:
        step = _STEPS_S[-1] * max(1, int(view.cell_s * _TICK_CELLS // _STEPS_S[-1]) + 1)
    cells = [" "] * view.width
    number = int(view.start_s // step)
    while (x := view.x(number * step + step / 1e6)) < view.width:
        label = ("|" if ascii_only else "╷") + _moment(number * step, step)
        if 0 <= x <= view.width - len(label):
            cells[x : x + len(label)] = label
        number += 1
    return "".join(cells)


def _moment(seconds: float, step: float) -> str:
    """Return a time of the axis, with digits by its step."""
    if step < 1:
        return f"{seconds:.{3 if step < 0.01 else 2 if step < 0.1 else 1}f}s"
    return fmt.stopwatch(round(seconds))
