"""One line with a left and a right end, which loses its least important parts when it is narrow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from textual.content import Content


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a line; the one with the highest `rank` stays longest."""

    content: Content
    rank: int
    before: str = "  "
    """Separator to its left neighbour."""
    least: int | None = None
    """Cells to which it may be cut before it goes; None: it is whole, or not there."""


def line(left: Sequence[Part], right: Sequence[Part], width: int) -> Content:
    """Return `left` and `right` in exactly `width` cells, without the parts for which there is no room."""
    lefts, rights = ([part for part in parts if part.content.plain] for parts in (left, right))
    while shown := [*lefts, *rights]:
        starts, ends = _joined(lefts), _joined(rights)
        space = width - starts.cell_length - ends.cell_length
        lacking = (2 if starts.plain and ends.plain else 0) - space
        if lacking <= 0:
            return Content.assemble(starts, " " * space, ends)
        if len(shown) == 1:
            break
        last = min(shown, key=lambda part: part.rank)
        side = lefts if last in lefts else rights
        room = last.content.cell_length - lacking
        cut = last.least is not None and room >= last.least
        kept = last.content.truncate(room, ellipsis=True) if cut else Content("")
        side[side.index(last)] = replace(last, content=kept)
        lefts, rights = ([part for part in parts if part.content.plain] for parts in (lefts, rights))
    return (_joined(shown) if shown else Content("")).truncate(max(0, width), ellipsis=True, pad=True)


def _joined(parts: Sequence[Part]) -> Content:
    pieces: list[Content | str] = []
    for part in parts:
        if pieces:
            pieces.append(part.before)
        pieces.append(part.content)
    return Content.assemble(*pieces)
