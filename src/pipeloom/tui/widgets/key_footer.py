"""The line of keys at the bottom: whole keys only, and help and the way out among them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar, Final, NamedTuple

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.events import Click, MouseMove
from textual.reactive import reactive
from textual.screen import Screen
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import Input

from pipeloom.tui.style.text import content

ALWAYS: Final = ("help", "leave")
"""Actions whose keys are shown at any width."""
_PALETTE: Final = "command_palette"


class FooterKey(NamedTuple):
    """A key as the footer shows it."""

    key: str
    shown: str
    """The key as a reader knows it: `^p`."""
    word: str
    action: str
    tooltip: str
    enabled: bool

    @property
    def is_palette(self) -> bool:
        """Whether this is the key of the palette, which stands at the right end."""
        return self.action.removeprefix("app.") == _PALETTE

    @property
    def cells(self) -> int:
        """How wide it is: with a blank around the key and one after the word, or a line before the palette's."""
        return cell_len(self.shown) + cell_len(self.word) + (3 if self.word or self.is_palette else 2)


class KeyFooter(Widget, can_focus=False):
    """Shows the first keys that fit, drawn as one line.

    Textual's own cuts the last key, and makes a widget for each key at each change of the focus.
    """

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "key-footer--key",
        "key-footer--word",
        "key-footer--line",
        "key-footer--hover",
        "key-footer--disabled",
    }

    hovered: reactive[str] = reactive("")
    """The key under the mouse."""

    def __init__(self) -> None:
        super().__init__()
        self._keys: list[FooterKey] = []

    def on_mount(self) -> None:
        """Follow the keys of the screen."""
        self.screen.bindings_updated_signal.subscribe(self, self._bindings_changed)

    def _bindings_changed(self, screen: Screen[object]) -> None:
        if self.app.app_focus and self.is_attached and screen is self.screen:
            self.call_after_refresh(self._read_keys)

    def _read_keys(self) -> None:
        keys = sorted(self._keys_of_screen(), key=lambda key: key.is_palette) if self.is_attached else []
        if keys != self._keys:
            self._keys = keys
            self.refresh()

    def _keys_of_screen(self) -> Iterator[FooterKey]:
        """Yield one key for each action."""
        palette = self.app.COMMAND_PALETTE_BINDING
        seen: set[str] = set()
        is_typing = isinstance(self.screen.focused, Input)
        for name, (_node, binding, enabled, tooltip) in self.screen.active_bindings.items():
            if (binding.show or name == palette) and binding.action not in seen:
                seen.add(binding.action)
                shown = self.app.get_key_display(binding)
                if is_typing and len(shown) == 1:
                    continue  # it is typed; Textual takes `slash` for no character
                told = tooltip or binding.tooltip or binding.description
                yield FooterKey(binding.key, shown, binding.description, binding.action, told, enabled)

    def render_line(self, y: int) -> Strip:  # noqa: ARG002 - it has one line
        """Return the keys that fit."""
        plain = self.rich_style
        segments: list[Segment] = []
        end: list[Segment] = []
        for key in fitting(self._keys, self.size.width):
            if key.is_palette:
                end = [Segment("▏", self._style("line")), *self._drawn(key), Segment(" ", plain)]
            else:
                segments += self._drawn(key)
        used = sum(cell_len(segment.text) for segment in (*segments, *end))
        blank = Segment(" " * (self.size.width - used), plain)
        return Strip([*segments, blank, *end]).adjust_cell_length(self.size.width, plain)

    def _drawn(self, key: FooterKey) -> list[Segment]:
        key_style, word_style = self._style("key"), self._style("word")
        if key.key == self.hovered:
            key_style = word_style = self._style("hover")
        if not key.enabled:
            key_style, word_style = key_style + self._style("disabled"), word_style + self._style("disabled")
        if key.is_palette:
            return [Segment(key.shown, key_style), Segment(f" {key.word}", word_style)]
        word = [Segment(f"{key.word} ", word_style)] if key.word else []
        return [Segment(f" {key.shown} ", key_style), *word]

    def _style(self, part: str) -> Style:
        return self.get_component_rich_style(f"key-footer--{part}")

    def _key_at(self, x: int) -> FooterKey | None:
        left = 0
        for key in fitting(self._keys, self.size.width):
            start = self.size.width - key.cells if key.is_palette else left
            if start <= x < start + key.cells:
                return key
            left += key.cells
        return None

    def on_mouse_move(self, event: MouseMove) -> None:
        """Light the key under the mouse, and say what it does."""
        key = self._key_at(event.x)
        self.hovered = key.key if key is not None else ""
        self.tooltip = content(key.tooltip) if key is not None else None

    def on_leave(self) -> None:
        """Put the light out."""
        self.hovered = ""

    def on_click(self, event: Click) -> None:
        """Press the key that was clicked."""
        key = self._key_at(event.x)
        if key is None:
            return
        if key.enabled:
            self.app.simulate_key(key.key)
        else:
            self.app.bell()


def fitting(keys: Sequence[FooterKey], width: int) -> list[FooterKey]:
    """Return the keys that fit in `width` cells, in their order; those of `ALWAYS` come before all others."""
    left = width - sum(key.cells for key in keys if _is_always(key))
    shown = []
    for key in keys:
        if _is_always(key):
            shown.append(key)
            continue
        left -= key.cells  # what is left stays below zero: no key skips one before it
        if left >= 0:
            shown.append(key)
    return shown


def _is_always(key: FooterKey) -> bool:
    return key.action.removeprefix("app.") in ALWAYS
