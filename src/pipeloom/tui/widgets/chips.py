"""A line of words with counts, of which one is chosen."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from textual import events
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from pipeloom.tui.style import format as fmt


@dataclass(frozen=True, slots=True)
class Chip:
    """A choice: its value, its word and glyph (literals of ours) and colour, and how much there is of it."""

    value: str
    word: str
    count: int
    glyph: str = ""
    style: str = ""


class Chips(Widget):
    """Shows the chips that have anything, in as many lines as they need, without glyphs where that saves one.

    A click chooses one.
    """

    DEFAULT_CSS = """
    Chips { height: auto; width: 1fr; }
    """

    auto_links = False

    chips: reactive[tuple[Chip, ...]] = reactive((), layout=True)
    chosen: reactive[str] = reactive("")
    """The value of the chip that holds."""

    @dataclass
    class Chosen(Message):
        """The user chose a chip."""

        value: str

    @property
    def shown(self) -> tuple[Chip, ...]:
        """The chips that can be chosen."""
        return tuple(chip for chip in self.chips if chip.count or not chip.value or chip.value == self.chosen)

    def choose_next(self, step: int) -> None:
        """Choose the next chip, or the one before."""
        known = [chip.value for chip in self.shown]
        if known:
            place = known.index(self.chosen) if self.chosen in known else 0
            self.post_message(self.Chosen(known[(place + step) % len(known)]))

    def render(self) -> Content:
        """Draw the chips."""
        lines = self._lines(self.content_size.width)
        return Content("\n").join(Content(" ").join(shown for _chip, shown in line) for line in lines)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """Return the lines that the chips need."""
        del container, viewport
        return max(1, len(self._lines(width)))

    def on_click(self, event: events.Click) -> None:
        """Choose the chip that was clicked."""
        place = event.get_content_offset(self)
        lines = self._lines(self.content_size.width)
        if place is None or place.y >= len(lines):
            return
        x = 0
        for chip, shown in lines[place.y]:
            x += shown.cell_length + 1
            if place.x < x:
                self.post_message(self.Chosen(chip.value))
                return

    def _lines(self, width: int) -> list[list[tuple[Chip, Content]]]:
        with_glyphs = _filled([(chip, self._chip_content(chip, chip.glyph)) for chip in self.shown], width)
        if len(with_glyphs) < 2:
            return with_glyphs
        without = _filled([(chip, self._chip_content(chip, "")) for chip in self.shown], width)
        return without if len(without) < len(with_glyphs) else with_glyphs

    def _chip_content(self, chip: Chip, glyph: str) -> Content:
        text = f" {glyph} {chip.word} {fmt.count(chip.count)} " if glyph else f" {chip.word} {fmt.count(chip.count)} "
        shown = Content.styled(text, chip.style) if chip.style else Content(text)
        return shown.stylize("bold reverse") if chip.value == self.chosen else shown


def _filled(chips: Iterable[tuple[Chip, Content]], width: int) -> list[list[tuple[Chip, Content]]]:
    """Return the chips in lines of up to `width` cells."""
    lines: list[list[tuple[Chip, Content]]] = []
    used = 0
    for chip, shown in chips:
        if not lines or used + shown.cell_length > width:
            lines.append([])
            used = 0
        lines[-1].append((chip, shown))
        used += shown.cell_length + 1
    return lines
