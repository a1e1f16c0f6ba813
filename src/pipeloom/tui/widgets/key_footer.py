"""The line of keys at the bottom: whole keys only, and help and the way out among them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol, runtime_checkable

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.events import Resize
from textual.widget import Widget
from textual.widgets import Footer

ALWAYS: Final = ("help", "leave")
"""Actions whose keys are shown at any width."""
_PALETTE: Final = "-command-palette"
_BORDER: Final = 2
"""Cells around the key of the palette."""


@runtime_checkable
class _Key(Protocol):
    """A key of Textual's footer."""

    key_display: str
    description: str
    action: str


class KeyFooter(Footer):
    """Shows the first keys that fit; Textual's own cuts the last one."""

    def compose(self) -> ComposeResult:
        """Yield the keys that fit."""
        self._fitted_width = self.app.size.width
        yield from fitting(list(super().compose()), self._fitted_width)

    def on_resize(self, event: Resize) -> None:
        """Choose again."""
        if event.size.width != getattr(self, "_fitted_width", event.size.width):
            self.call_after_refresh(self.recompose)


def fitting(keys: Sequence[Widget], width: int) -> list[Widget]:
    """Return the keys that fit in `width` cells, in their order; those of `ALWAYS` come before all others."""
    left = width - sum(_cells(key) for key in keys if _is_always(key))
    shown = []
    for key in keys:
        if _is_always(key):
            shown.append(key)
            continue
        left -= _cells(key)  # what is left stays below zero: no key skips one before it
        if left >= 0:
            shown.append(key)
    return shown


def _is_always(key: Widget) -> bool:
    return isinstance(key, _Key) and key.action.removeprefix("app.") in ALWAYS


def _cells(key: Widget) -> int:
    if not isinstance(key, _Key):
        return 0
    described = cell_len(key.description) + 1 if key.description else 0
    return cell_len(key.key_display) + 2 + described + (_BORDER if key.has_class(_PALETTE) else 0)
