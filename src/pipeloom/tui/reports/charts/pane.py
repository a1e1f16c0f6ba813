"""A chart between the line that explains its marks and a hint."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from textual import getters
from textual.app import ComposeResult
from textual.color import Color
from textual.containers import Vertical
from textual.content import Content
from textual.theme import Theme
from textual.widgets import Static

EDGE_CELLS: Final = 8
"""Cells of frame and marks at the left of a chart."""
FRAME_LINES: Final = 3
"""Lines of frame and marks of a chart."""


class ChartPane(Vertical):
    """Draws the chart in the theme's colours, again when theme or size change."""

    _legend = getters.query_one("#chart-legend", Static)
    _hint = getters.query_one("#chart-hint", Static)

    def __init__(
        self,
        draw: Callable[[Any, int, int], None],
        words: Callable[[], tuple[Content, Content] | None],
        *,
        ascii_only: bool,
    ) -> None:
        """Show what `draw` plots, given the plot and its size in cells, between `words`: legend and hint."""
        from pipeloom.tui.reports.charts.chart import Chart

        super().__init__()
        self._chart = Chart(self._plot, ascii_only=ascii_only)
        self._draw = draw
        self._words = words
        self._is_filled = False

    def compose(self) -> ComposeResult:
        """Yield legend, chart and hint."""
        yield Static("", id="chart-legend")
        yield self._chart
        yield Static("", id="chart-hint")

    def on_mount(self) -> None:
        """Draw again in the colours of another theme."""
        self.app.theme_changed_signal.subscribe(self, self._recolour)

    @property
    def plot_width(self) -> int:
        """Width of the chart in cells."""
        return self._chart.size.width

    def _recolour(self, _theme: Theme) -> None:
        if self._is_filled:
            self.redraw()

    def redraw(self) -> None:
        """Draw chart and words; call it first when there is something to draw."""
        self._is_filled = True
        self._chart.show_plot()
        self.on_chart_resized()

    def on_chart_resized(self) -> None:
        """Write the words, which may depend on the size."""
        words = self._words()
        if words is not None:
            self._legend.update(words[0])
            self._hint.update(words[1])

    def _plot(self, plot: Any, width: int, height: int) -> None:
        if self._is_filled and width > EDGE_CELLS and height > FRAME_LINES:
            ground = self.colour("background")
            plot.canvas_color(ground)
            plot.axes_color(ground)
            plot.ticks_color(self.colour("muted"))
            self._draw(plot, width, height)

    def colour(self, variable: str) -> tuple[int, int, int]:
        """Return a colour of the theme in the plot library's form."""
        return Color.parse(self.app.theme_variables[variable]).rgb
