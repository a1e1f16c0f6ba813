"""ASCII alone, for a terminal that shows nothing else: what lines, blocks and Textual's widgets draw, sign for sign.

Signs that carry a meaning (statuses, bars, sparklines) have better ones of their own, where they are drawn. Letters of
the user's stay as they are.
"""

from __future__ import annotations

import unicodedata
from typing import Final

from rich.segment import Segment
from rich.text import Text
from textual.color import Color
from textual.filter import LineFilter

_BOX: Final = range(0x2500, 0x2580)
_BLOCKS: Final = range(0x2580, 0x25A0)
_STAND_INS: Final = {
    ".": "…",
    "-": "·–—",
    "*": "•●",
    "x": "×✕✖",
    "~": "±",
    "<": "≤◄◀←⏎⌫",
    ">": "≥►▶→»",
    "^": "▲↑" + "".join(map(chr, range(0x2400, 0x2422))),  # the last are the pictures of control characters
    "v": "▼↓",
    "o": "○",
    "#": "■",
    "+": "✓✔",
    "?": "\ufffd",
    "/ ": "\N{RIGHT-POINTING MAGNIFYING GLASS}",
}
"""What stands for which signs."""


def _line(code: int) -> str:
    name = unicodedata.name(chr(code))
    across = any(word in name for word in ("HORIZONTAL", "LEFT", "RIGHT"))
    upright = any(word in name for word in ("VERTICAL", "UP", "DOWN"))
    return "+" if across and upright else "-" if across else "|" if upright else "/"


def _block(code: int) -> str:
    name = unicodedata.name(chr(code))
    return "#" if "FULL" in name or "SHADE" in name else "|" if "LEFT" in name or "RIGHT" in name else " "


_SIGNS: Final = str.maketrans(
    {sign: stand_in for stand_in, signs in _STAND_INS.items() for sign in signs}
    | {chr(code): _line(code) for code in _BOX}
    | {chr(code): _block(code) for code in _BLOCKS}
)


def in_ascii(text: Text) -> Text:
    """Return a line with its signs exchanged."""
    shown = text.copy()
    shown.plain = text.plain.translate(_SIGNS)
    return shown


class AsciiFilter(LineFilter):
    """Puts ASCII in the place of signs that are drawn; none changes its width."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:  # noqa: ARG002 - the colours stay
        """Return the segments of a line with their signs exchanged."""
        return [
            segment if segment.text.isascii() else segment._replace(text=segment.text.translate(_SIGNS))
            for segment in segments
        ]
