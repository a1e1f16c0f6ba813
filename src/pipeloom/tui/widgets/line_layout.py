"""One line with a left and a right end, which loses its least important parts when it is narrow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual.content import Content


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a line; the one with the highest `rank` stays longest."""

    content: Content
    rank: int
    before: str = "  "
    """Separator to its left neighbour."""


def line(left: Sequence[Part], right: Sequence[Part], width: int) -> Content:
    """Return `left` and `right` in exactly `width` cells, without the parts for which there is no room."""
    shown = [part for part in (*left, *right) if part.content.plain]
    while shown:
        starts = _joined([part for part in left if part in shown])
        ends = _joined([part for part in right if part in shown])
        space = width - starts.cell_length - ends.cell_length
        if space >= (2 if starts.plain and ends.plain else 0):
            return Content.assemble(starts, " " * space, ends)
        if len(shown) == 1:
            break
        shown.remove(min(shown, key=lambda part: part.rank))
    return (_joined(shown) if shown else Content("")).truncate(max(0, width), ellipsis=True, pad=True)


def _joined(parts: Sequence[Part]) -> Content:
    pieces: list[Content | str] = []
    for part in parts:
        if pieces:
            pieces.append(part.before)
        pieces.append(part.content)
    return Content.assemble(*pieces)
