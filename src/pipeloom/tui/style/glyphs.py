"""The look of a status: a glyph, a word and a style name, so that none depends on colour alone."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from rich.style import Style
from rich.text import Text

from pipeloom.status import Status
from pipeloom.text import clean, is_on

_UNICODE: Final = dict(zip(Status, "○»●…✓×■!↷", strict=True))
_ASCII: Final = dict(zip(Status, ".>*~+x-!/", strict=True))

STATUS_CLASSES: Final = frozenset(f"status--{status}" for status in Status) | {"status--unknown"}
"""Component classes of every widget that shows a status; `css/app.tcss` colours them."""

MARK: Final = "•"
ODD: Final = ("", "▲", "▼")
"""The marks of `AttemptRow.odd`: 1 for too many rows, -1 for too few."""
CURSOR_BAR: Final = "▌"
_SPARKS: Final = "▁▂▃▄▅▆▇█"
_ASCII_SPARKS: Final = "_.-:=+*#"


@dataclass(frozen=True, slots=True)
class Badge:
    """The look of a status."""

    glyph: str
    word: str
    style: str
    """Name of a component class, such as "status--running"."""
    variable: str
    """The theme variable that colours it in `Content`, such as "$status-running"."""

    @property
    def label(self) -> str:
        """Glyph and word, as in "● running"."""
        return f"{self.glyph} {self.word}"


@lru_cache(256)
def badge(status: Hashable, *, ascii_only: bool = False) -> Badge:
    """Return the badge of a status; an unknown word (an old file may hold any) gets a question mark."""
    try:
        known = Status(str(status))
    except ValueError:
        return Badge("?", clean(status, 20), "status--unknown", "$status-unknown")
    glyph = (_ASCII if ascii_only else _UNICODE)[known]
    return Badge(glyph, known.value, f"status--{known.value}", f"$status-{known.value}")


def status_text(status: Hashable, style_of: Callable[[str], Style], *, ascii_only: bool = False) -> Text:
    """Return glyph and word in the style that `style_of` knows for the status."""
    shown = badge(status, ascii_only=ascii_only)
    return Text(shown.label, style=style_of(shown.style), no_wrap=True, end="")


def spark(values: tuple[float, ...], width: int, *, ascii_only: bool = False) -> str:
    """Return the last `width` values as a line of small bars, the highest at full height."""
    shown = [value if 0 <= value < float("inf") else 0.0 for value in values[-width:]] if width > 0 else []
    top = max(shown, default=0.0)
    return "".join(spark_level(value, top, ascii_only=ascii_only) for value in shown)


def spark_level(value: float, top: float, *, ascii_only: bool = False) -> str:
    """Return one small bar for `value`, of full height at `top`."""
    steps = _ASCII_SPARKS if ascii_only else _SPARKS
    return steps[min(len(steps) - 1, int(value / top * len(steps)))] if top > 0 else steps[0]


def wants_ascii(environ: Mapping[str, str] = os.environ, encoding: str = "utf-8") -> bool:
    """Tell whether only ASCII should be drawn: the terminal is not UTF-8, or `PIPELOOM_ASCII` asks for it."""
    return is_on(environ.get("PIPELOOM_ASCII") or "0") is not False or "utf" not in encoding.lower()
