"""Which part of a timeline is seen, and what each cell of it shows. No widget, no colours."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from pipeloom.status import Status
from pipeloom.store.read.timeline import BAD, Block, Lane
from pipeloom.tui.style import format as fmt
from pipeloom.tui.style.glyphs import badge

_FILLS: Final = dict(zip(Status, " ╌╍┅━▓░▒", strict=True))
_ASCII_FILLS: Final = dict(zip(Status, " ,>~-#:%", strict=True))
_SEVERAL: Final = "═"
_ASCII_SEVERAL: Final = "="
_CHOSEN: Final = "█"
_ASCII_CHOSEN: Final = "@"
_SPARSE: Final = "╌"
_ASCII_SPARSE: Final = "."
_BUSY: Final = 0.5
"""A cell of several blocks that was busy for a smaller share looks sparse."""

_STEPS_S: Final = (
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200,
    14_400, 28_800, 43_200, 86_400,
)  # fmt: skip
_TICK_CELLS: Final = 12
_MARGIN: Final = 2
"""Cells that stay free after the end of the last block."""
_CLOSEST_S: Final = 0.001
"""A cell never stands for less."""


def fill(status: Status, *, ascii_only: bool) -> str:
    """Return what a block of this status is filled with."""
    return (_ASCII_FILLS if ascii_only else _FILLS)[status]


def several(*, ascii_only: bool) -> str:
    """Return what a cell shows in which several attempts began, none of which came to a bad end."""
    return _ASCII_SEVERAL if ascii_only else _SEVERAL


def under_cursor(text: str, *, ascii_only: bool) -> str:
    """Return what a cell of the cursor's block shows: glyphs stay, its filling becomes solid, as no other is."""
    fillings = _ASCII_FILLS.values() if ascii_only else _FILLS.values()
    return (_ASCII_CHOSEN if ascii_only else _CHOSEN) if text in fillings else text


class Drawn(NamedTuple):
    """A cell: its character, and whose colour it has (None: nobody's)."""

    text: str
    status: Status | None


@dataclass(frozen=True, slots=True)
class View:
    """The seconds that are seen: from `start_s` on, `cell_s` to a cell, in `width` cells."""

    start_s: float
    cell_s: float
    width: int
    length_s: float
    """Of the whole timeline."""

    @classmethod
    def whole(cls, length_s: float, width: int) -> View:
        """Return the view that shows everything."""
        width = max(1, width)
        return cls(0.0, max(_CLOSEST_S, length_s / max(1, width - _MARGIN)), width, length_s)

    @property
    def is_whole(self) -> bool:
        """Whether all is seen."""
        return self.cell_s >= View.whole(self.length_s, self.width).cell_s

    @property
    def room_s(self) -> float:
        """The seconds in which blocks are shown, without the margin."""
        return self.cell_s * max(1, self.width - _MARGIN)

    @property
    def stop_s(self) -> float:
        """Up to when it goes."""
        return self.start_s + self.cell_s * self.width

    def at(self, x: int) -> float:
        """Return when cell `x` begins."""
        return self.start_s + self.cell_s * x

    def x(self, moment_s: float) -> int:
        """Return the cell of a moment; it may lie outside."""
        return int((moment_s - self.start_s) // self.cell_s)

    def zoomed(self, factor: float, about_s: float) -> View:
        """Return a view of `factor` times as many seconds; `about_s` stays in its cell as far as it can."""
        widest = View.whole(self.length_s, self.width).cell_s
        cell_s = min(widest, max(_CLOSEST_S, self.cell_s * factor))
        start_s = about_s - (about_s - self.start_s) * cell_s / self.cell_s
        return replace(self, start_s=start_s, cell_s=cell_s).held()

    def moved(self, cells: int) -> View:
        """Return the view `cells` further to the right."""
        return replace(self, start_s=self.start_s + cells * self.cell_s).held()

    def showing(self, block: Block) -> View:
        """Return the view in which a block is seen, or the start of one that is too long: this one, if it is."""
        took_s = min(block.end_s - block.start_s, self.room_s)
        if self.start_s <= block.start_s and block.start_s + took_s <= self.start_s + self.room_s * (1 + 1e-9):
            return self
        return replace(self, start_s=block.start_s - (self.room_s - took_s) / 2).held()

    def held(self) -> View:
        """Return the view, moved to where there is something to see."""
        last = max(0.0, self.length_s - self.room_s)
        return replace(self, start_s=min(max(0.0, self.start_s), last))


def lane_cells(lane: Lane, view: View, *, ascii_only: bool) -> Iterator[Drawn]:
    """Yield the cells of a lane: a glyph where a block begins, its filling after that; the worst of several."""
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
    """Return the line of times above the lanes, from the beginning of the run on."""
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
    """Return a time of the axis, with the digits that its step deserves."""
    if step < 1:
        return f"{seconds:.{3 if step < 0.01 else 2 if step < 0.1 else 1}f}s"
    return fmt.stopwatch(round(seconds))
