"""Turn text that is not ours into what Textual and Rich show verbatim: the one door between data and the screen.

Nothing here parses markup. Wrap every string that is not a literal: `cell` for table cells, `content` for one line
anywhere else, `lines` for what may have several.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.cells import cell_len, set_cell_size
from rich.style import Style
from rich.text import Text
from textual.content import Content

from pipeloom import text as text_module
from pipeloom.text import LIMIT, LongNames, clean, first_line

DETAIL_LIMIT: Final = 64 * 1024
"""Characters that a pane of details shows at most."""

ELLIPSIS: Final = "…"
_MORE: Final = f" {ELLIPSIS}"
"""After the parts for which there is room."""


def cell(value: object, style: str | Style = "") -> Text:
    """Return `value` as one line of Rich text."""
    return Text(clean(value), style=style, no_wrap=True, end="")


def cell_first_line(value: object, style: str | Style = "") -> Text:
    """Return the first line of `value` that is not blank, as Rich text."""
    return Text(first_line(value), style=style, no_wrap=True, end="")


def content(value: object, style: str = "", limit: int = LIMIT) -> Content:
    """Return `value` as one line; `style` is a literal of ours such as "$text-muted"."""
    return _styled(clean(value, limit), style)


def lines(value: object, style: str = "", limit: int = DETAIL_LIMIT) -> Content:
    """Return `value` with its line breaks, cut to `limit` characters."""
    return _styled(clean(value, limit, multiline=True), style)


def clip(text: str, width: int) -> str:
    """Return `text` cut to `width` terminal cells, with an ellipsis for what is missing, never half a character."""
    if width <= 0:
        return ""
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, width - 1).rstrip() + ELLIPSIS


def whole_parts(parts: Sequence[tuple[str, Style]], width: int) -> Text:
    """Return the parts that fit `width` cells, each whole: a number that is cut would be another number."""
    text = Text("", no_wrap=True, end="")
    for place, (told, style) in enumerate(parts):
        is_last = place == len(parts) - 1
        if len(text) + len(told) + (0 if is_last else len(_MORE)) > width:
            return text.append(ELLIPSIS, style)
        text.append(f"{told} ", style)
    if len(text) > width:
        text.right_crop(1)  # the blank after the last
    return text


def clip_middle(text: str, width: int) -> str:
    """Return `text` cut to `width` cells in its middle, so that a path keeps its end."""
    return text_module.clip_middle(text, width, cell_len)


def cut_name(names: LongNames, name: str, width: int) -> str:
    """Return one of `names` cut to `width` cells where they are all the same."""
    return names.cut(name, width, cell_len)


def _styled(plain: str, style: str) -> Content:
    return Content.styled(plain, style) if style else Content(plain)
