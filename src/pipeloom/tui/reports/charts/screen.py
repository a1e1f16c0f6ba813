"""The charts of a task's past and of a file's days. The first chart loads the library that draws them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

from textual import getters
from textual.binding import BindingType
from textual.content import Content
from textual.widget import Widget

from pipeloom.status import RunStatus, Status
from pipeloom.store.read.charts import ATTEMPTS, Day, TaskPoint, run_days, task_points
from pipeloom.store.read.history import History
from pipeloom.text import clean, counted
from pipeloom.times import zone_names
from pipeloom.tui.bindings import key
from pipeloom.tui.reports.base import REPORT_KEYS, ReportScreen
from pipeloom.tui.reports.charts.axis import count_ticks, log_ticks, places, time_ticks
from pipeloom.tui.reports.charts.pane import EDGE_CELLS, FRAME_LINES, ChartPane
from pipeloom.tui.sharing.place import Place
from pipeloom.tui.style import format as fmt
from pipeloom.tui.style.glyphs import badge
from pipeloom.tui.style.text import content

_BARS: Final = dict(zip(RunStatus, "▒█×░!", strict=True))
_ASCII_BARS: Final = dict(zip(RunStatus, ">#x-!", strict=True))
_STACK: Final = (RunStatus.DONE, RunStatus.RUNNING, RunStatus.CANCELLED, RunStatus.ERROR, RunStatus.INTERRUPTED)
"""Bars begin at the bottom."""
_SHORTEST_S: Final = 0.01
"""A logarithm needs a time above 0."""
_BAR_CELLS: Final = 4
_FRAME_CELLS: Final = 2
_LABEL_CELLS: Final = 12


class TaskChartScreen(ReportScreen[None, list[TaskPoint]]):
    """The durations of a task, one mark per attempt."""

    BINDINGS: ClassVar[list[BindingType]] = [
        key("g", "scale", "Scale", "Show the times on a logarithmic scale, or on an even one.", "chart.scale"),
        *REPORT_KEYS,
    ]

    TITLE = "Durations"
    NEED_REPORT = frozenset({"copy", "scale"})
    AUTO_FOCUS = None

    _pane = getters.query_one(ChartPane)

    def __init__(self, db_path: Path, name: str) -> None:
        """Show the task of this name, in all runs."""
        super().__init__(db_path)
        self._task_name = name
        self._logarithmic = False

    def compose_body(self) -> list[Widget]:
        """Yield the chart."""
        return [ChartPane(self._draw, self._words, ascii_only=self.services.ascii_only)]

    def place(self) -> Place:
        """Return the report of what is shown."""
        return Place(history=True, report=f"task:{self._task_name}")

    def look_up(self, history: History) -> list[TaskPoint] | None:
        """Read the latest attempts."""
        return task_points(history, self._task_name) or None

    def title_line(self) -> Content:
        """Return file and task."""
        return Content.assemble(super().title_line(), "  ", content(self._task_name or "(empty)", "bold", limit=60))

    def empty_content(self) -> Content:
        """Return the sentence with the task's name."""
        return content(f"No attempt of a task named {clean(self._task_name, 60)!r} is in this file.")

    def show_found(self, found: list[TaskPoint]) -> None:
        """Draw the attempts that have a duration; say so when none has."""
        if not any(point.duration_s is not None for point in found):
            self._say(content(f"No attempt of {clean(self._task_name, 60)} has taken any time yet."))
            return
        self._pane.redraw()

    def _words(self) -> tuple[Content, Content]:
        """Explain the marks."""
        found = self.found or []
        dash = "-" * 3 if self.services.ascii_only else "─" * 3
        kept = f", the last {ATTEMPTS:,}" if len(found) == ATTEMPTS else ""
        hint = content(f"one mark per attempt, oldest first{kept}   {dash} median of those done", "$muted")
        return self._legend_content(found), hint

    def _legend_content(self, found: Sequence[TaskPoint]) -> Content:
        counts = Counter(point.status for point in found if point.duration_s is not None)
        told = []
        for status in Status:
            if counts[status]:
                shown = badge(status, ascii_only=self.services.ascii_only)
                told.append(Content.styled(f"{shown.glyph} {fmt.count(counts[status])} {status}", shown.variable))
        done = _done(found)
        if done:
            told += [
                content(f"p50 {fmt.duration(_share(done, 0.5))}"),
                content(f"p95 {fmt.duration(_share(done, 0.95))}"),
            ]
        return Content("   ").join(told)

    def _draw(self, plot: Any, width: int, height: int) -> None:
        """Draw a mark per attempt, and the median."""
        found = self.found or []
        points = [(x, point) for x, point in enumerate(found) if point.duration_s is not None]
        longest = max(point.duration_s or 0.0 for _x, point in points)
        done = _done(found)
        if done:
            plot.hline(self._y(_share(done, 0.5)), color=self._pane.colour("muted"))
        for status in Status:
            mine = [(x, self._y(point.duration_s or 0.0)) for x, point in points if point.status is status]
            if mine:
                glyph = badge(status, ascii_only=self.services.ascii_only).glyph
                plot.scatter(
                    *map(list, zip(*mine, strict=True)), marker=glyph, color=self._pane.colour(f"status-{status}")
                )
        ticks = self._ticks(longest, max(2, height // 3))
        plot.ylim(self._y(0.0) if not self._logarithmic else self._y(ticks[0]), self._y(max(ticks[-1], longest)))
        plot.yticks([self._y(tick) for tick in ticks], [fmt.duration(tick) for tick in ticks])
        marks = places(len(found), (width - EDGE_CELLS) // _LABEL_CELLS)
        plot.xlim(-0.5, max(1, len(found)) - 0.5)
        plot.xticks(list(marks), [f"run {found[mark].run_id}" for mark in marks])

    def _ticks(self, longest_s: float, most: int) -> list[float]:
        if not self._logarithmic:
            return time_ticks(longest_s, most)
        shortest = min(point.duration_s for point in self.found or () if point.duration_s is not None)
        return log_ticks(max(shortest, _SHORTEST_S), max(longest_s, _SHORTEST_S), most)

    def _y(self, seconds: float) -> float:
        return math.log10(max(seconds, _SHORTEST_S)) if self._logarithmic else seconds

    def action_scale(self) -> None:
        """Change the scale of the durations."""
        self._logarithmic = not self._logarithmic
        self._pane.redraw()

    def plain(self, found: list[TaskPoint]) -> str:
        """Return a line per attempt."""
        head = f"{clean(self._task_name)}\trun\tattempt\tstarted\tseconds"
        return "\n".join(
            [head, *(f"{p.status}\t{p.run_id}\t{p.attempt}\t{clean(p.started_at)}\t{p.duration_s}" for p in found)]
        )


class FileChartScreen(ReportScreen[None, list[Day]]):
    """The number of runs per day, by status."""

    BINDINGS: ClassVar[list[BindingType]] = [
        key("left", "pan(-1)", "Earlier", "Show earlier days.", "chart.earlier"),
        key("right", "pan(1)", "Later", "Show later days.", "chart.later"),
        *REPORT_KEYS,
    ]

    TITLE = "Runs per day"
    EMPTY = "Nothing has run in this file yet."
    NEED_REPORT = frozenset({"copy", "pan"})
    AUTO_FOCUS = None

    _pane = getters.query_one(ChartPane)

    def __init__(self, db_path: Path) -> None:
        super().__init__(db_path)
        self._back = 0
        """Days between the last day shown and the newest day."""

    def compose_body(self) -> list[Widget]:
        """Yield the chart."""
        return [ChartPane(self._draw, self._words, ascii_only=self.services.ascii_only)]

    def place(self) -> Place:
        """Return the report of what is shown."""
        return Place(history=True, report="days")

    def look_up(self, history: History) -> list[Day] | None:
        """Read the runs."""
        return run_days(history) or None

    def goes_on(self, found: list[Day]) -> bool:
        """Tell whether a run goes on."""
        return any(day.runs.get(RunStatus.RUNNING) for day in found)

    def _seen(self, found: list[Day]) -> list[Day]:
        most = max(1, (self._pane.plot_width - EDGE_CELLS) // _BAR_CELLS)
        self._back = max(0, min(self._back, len(found) - most))
        stop = len(found) - self._back
        return found[max(0, stop - most) : stop]

    def _draw(self, plot: Any, width: int, height: int) -> None:
        """Draw a bar for each day that fits, with the statuses stacked."""
        days = self._seen(self.found or [])
        known = _known(days)
        highest = max((sum(day.runs.values()) for day in days), default=0)
        ticks = count_ticks(highest, max(2, height // 3))
        labels = [fmt.count(tick) for tick in ticks]
        bars = _ASCII_BARS if self.services.ascii_only else _BARS
        for status, (xs, ys) in _bar_cells(days, known, max(2, height - FRAME_LINES), ticks[-1]).items():
            plot.scatter(xs, ys, marker=bars[status], color=self._pane.colour(f"status-{status}"))
        plot.ylim(0, ticks[-1])
        plot.yticks(ticks, labels)
        plot.xlim(0, max(1, width - max(map(len, labels)) - _FRAME_CELLS - 1))  # one unit is one cell
        marks = places(len(days), (width - EDGE_CELLS) // (_LABEL_CELLS - 2))
        plot.xticks([_middle(mark) for mark in marks], [days[mark].date.strftime("%m-%d") for mark in marks])

    def show_found(self, found: list[Day]) -> None:
        """Draw the days."""
        del found
        self._pane.redraw()

    def _words(self) -> tuple[Content, Content] | None:
        """Explain the bars, and name the days shown."""
        found = self.found or []
        days = self._seen(found)
        if not days:
            return None
        hint = content(f"{days[0].date} to {days[-1].date} of {counted(len(found), 'day')} in {zone_names()}", "$muted")
        return self._legend_content(days), hint

    def _legend_content(self, days: Sequence[Day]) -> Content:
        bars = _ASCII_BARS if self.services.ascii_only else _BARS
        told = []
        for status in _known(days):
            number = sum(day.runs.get(status, 0) for day in days)
            told.append(content(f"{bars[status] * 2} {fmt.count(number)} {status}", f"$status-{status}"))
        return Content("   ").join(told)

    def action_pan(self, step: int) -> None:
        """Show earlier or later days."""
        self._back = max(0, self._back - step * max(1, (self._pane.plot_width // _BAR_CELLS) // 2))
        self._pane.redraw()

    def plain(self, found: list[Day]) -> str:
        """Return a line for each day with a run."""
        lines = [
            f"{day.date}\t" + ", ".join(f"{count:,} {status}" for status, count in day.runs.items())
            for day in found
            if day.runs
        ]
        return "\n".join(lines)


def _bar_cells(
    days: Sequence[Day], known: Sequence[RunStatus], lines: int, top: int
) -> dict[RunStatus, tuple[list[int], list[float]]]:
    """Return the cells of the stacked bars by status, one point each: `lines` of them lie between 0 and `top`.

    Not the library's own bars, whose widths and gaps vary with the number of days.
    """
    cells: dict[RunStatus, tuple[list[int], list[float]]] = {status: ([], []) for status in known}
    for place, day in enumerate(days):
        reached, number = 0, 0
        for status in known:
            reached += day.runs.get(status, 0)
            xs, ys = cells[status]
            while reached and number < lines and number * top <= reached * (lines - 1):
                xs += [_middle(place) - 1, _middle(place), _middle(place) + 1]
                ys += [number * top / (lines - 1)] * 3
                number += 1
    return {status: points for status, points in cells.items() if points[0]}


def _known(days: Sequence[Day]) -> list[RunStatus]:
    """Return the statuses of the runs, in the order of stacking."""
    return [status for status in _STACK if any(day.runs.get(status) for day in days)]


def _middle(place: int) -> int:
    """Return the cell in the middle of a day's bar."""
    return place * _BAR_CELLS + 2


def _done(found: Sequence[TaskPoint]) -> list[float]:
    return sorted(p.duration_s for p in found if p.status is Status.DONE and p.duration_s is not None)


def _share(ordered: Sequence[float], share: float) -> float:
    return ordered[round((len(ordered) - 1) * share)]
