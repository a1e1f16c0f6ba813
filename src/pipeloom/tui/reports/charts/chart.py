"""A chart of textual-plotext. Only this module imports it, and the first chart imports this module."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from rich.text import Text
from textual.geometry import Size
from textual.message import Message
from textual_plotext import PlotextPlot

_ASCII_FRAME: Final = str.maketrans("┌┐└┘─│┤├┬┴┼", "++++-|||+++")


class Chart(PlotextPlot):
    """A plot whose frame is ASCII where the rest of the screen is."""

    @dataclass
    class Resized(Message):
        """The chart has another size."""

    def __init__(self, draw: Callable[[Any, int, int], None], *, ascii_only: bool = False) -> None:
        """Show what `draw` plots; it gets the plot and its size in cells."""
        super().__init__()
        self._draw = draw
        self._ascii_only = ascii_only
        self._drawn: tuple[Size, Text] | None = None

    def show_plot(self) -> None:
        """Draw the chart again."""
        self._drawn = None
        self.refresh()

    def on_resize(self) -> None:
        """Tell the screen, whose words may depend on the size."""
        self.post_message(self.Resized())

    def render(self) -> Text:
        """Return the plot in its own colours, without the library's themes."""
        if self._drawn is None or self._drawn[0] != self.size:
            self._drawn = self.size, self._build(self.size)
        return self._drawn[1]

    def _build(self, size: Size) -> Text:
        plot = self.plt
        plot.clear_data()
        self._draw(plot, size.width, size.height)
        plot.plotsize(size.width, size.height)
        plot._set_size(size.width, size.height)  # as the parent does: plotsize alone is sometimes lost
        drawn = Text.from_ansi(plot.build())
        if not self._ascii_only:
            return drawn
        plain = Text(drawn.plain.translate(_ASCII_FRAME), no_wrap=True, end="")
        plain.spans = drawn.spans
        return plain
