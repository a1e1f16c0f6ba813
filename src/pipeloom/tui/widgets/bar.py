"""A progress bar as one line of text, for any widget that draws lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.style import Style
from rich.text import Text
from textual.content import Content

from pipeloom.tui.style.format import number

GHOST: Final = "┃"


def fraction(progress: object) -> float | None:
    """Return `progress` within 0..1, or None when it says nothing (None, NaN, infinity, text)."""
    value = number(progress)
    return None if value is None else min(max(value, 0.0), 1.0)


def pieces(progress: object, width: int, *, ascii_only: bool = False) -> tuple[str, str]:
    """Return the filled and the empty part, together exactly `width` cells; an unknown progress fills nothing.

    The end is drawn to half a cell. Only a whole 1 fills the last half, so that a full bar means what it says.
    """
    width = max(0, width)
    halves = int((fraction(progress) or 0.0) * width * 2)
    whole, half = divmod(halves, 2)
    if ascii_only:
        return "#" * whole, "-" * (width - whole)
    if half:
        return "━" * whole + "╸", "━" * (width - whole - 1)
    if 0 < whole < width:
        return "━" * whole, "╺" + "━" * (width - whole - 1)
    return "━" * whole, "━" * (width - whole)


def bar(
    progress: object,
    width: int,
    fill: str | Style = "",
    rail: str | Style = "",
    *,
    ghost: float | None = None,
    ghost_style: str | Style = "",
    ascii_only: bool = False,
) -> Text:
    """Return the bar as Rich text, for a cell of a table; `ghost` (0..1) is a mark on it."""
    filled, empty = pieces(progress, width, ascii_only=ascii_only)
    text = Text(no_wrap=True, end="")
    if ghost is None or width <= 0:
        return text.append(filled, fill).append(empty, rail)
    place = min(width - 1, int(ghost * width))
    mark = "|" if ascii_only else GHOST
    before, after = filled[:place], filled[place + 1 :]
    text.append(before, fill).append(empty[: max(0, place - len(filled))], rail)
    text.append(mark, ghost_style)
    return text.append(after, fill).append(empty[max(0, place + 1 - len(filled)) :], rail)


def parts_content(parts: Sequence[tuple[float, str, str]], width: int, *, ascii_only: bool = False) -> Content:
    """Return a bar of several parts as content: each is a share of 1, a style, and a sign for ASCII.

    A part that is not empty has a cell at least, wherever there is room for it.
    """
    total = min(sum(share for share, _, _ in parts), 1.0)
    filled, empty = pieces(total, width, ascii_only=ascii_only)
    kept = [part for part in parts if part[0] > 0]
    cells = [max(1, round(share / total * len(filled))) for share, _, _ in kept]
    while kept and sum(cells) != len(filled):
        widest = cells.index(max(cells))
        if cells[widest] == 1 and sum(cells) > len(filled):
            cells[cells.index(1)] = 0  # more parts than cells
        else:
            cells[widest] += 1 if sum(cells) < len(filled) else -1
    drawn, start = [], 0
    for (_, style, sign), length in zip(kept, cells, strict=True):
        drawn.append((sign * length if ascii_only else filled[start : start + length], style))
        start += length
    return Content.assemble(*drawn, (empty, "$rail"))


def bar_content(progress: object, width: int, fill: str, rail: str = "$rail", *, ascii_only: bool = False) -> Content:
    """Return the bar as content; `fill` and `rail` are styles such as "$status-running"."""
    filled, empty = pieces(progress, width, ascii_only=ascii_only)
    return Content.assemble((filled, fill), (empty, rail))
