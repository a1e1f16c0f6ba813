"""The timeline of a run: who ran which attempt, idle time, and the last attempts, which all others waited for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Final

from textual import getters, on
from textual.binding import BindingType
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from pipeloom.status import RunStatus, Status
from pipeloom.store.read.history import History
from pipeloom.store.read.timeline import LIMIT, Block, Timeline, read_timeline
from pipeloom.text import clean, counted
from pipeloom.tui.bindings import key
from pipeloom.tui.reports.base import REPORT_KEYS, ReportScreen
from pipeloom.tui.reports.timeline.lanes import TimelineLanes
from pipeloom.tui.reports.timeline.view import fill, several
from pipeloom.tui.sharing.place import Place
from pipeloom.tui.style import format as fmt
from pipeloom.tui.style.glyphs import badge
from pipeloom.tui.style.text import content
from pipeloom.tui.widgets.line_layout import Part, line

_ZOOM: Final = 2.0
_ALONE_S: Final = 0.1
"""Seconds below which the end counts as busy: several workers were at work."""
COPIED_BLOCKS: Final = 2_000


class TimelineScreen(ReportScreen[int, Timeline]):
    """Lanes of blocks with a cursor. Returns the id of the attempt that the user chose, or None."""

    BINDINGS: ClassVar[list[BindingType]] = [
        key("plus", "zoom(1)", "In", "Show less, in more detail.", "timeline.in", display="+"),
        key("minus", "zoom(-1)", "Out", "Show more.", "timeline.out", display="-"),
        key("0", "zoom_out", "All", "Show the whole run.", "timeline.all"),
        key("n", "bad(1)", "Failed", "Go to the next attempt that came to no good end.", "timeline.failed"),
        key("N", "bad(-1)", "Before", "Go to the one before that did.", "timeline.failed_before", footer=False),
        *REPORT_KEYS,
    ]

    AUTO_FOCUS = "TimelineLanes"
    TITLE = "Timeline"
    EMPTY = "This run is not in the file any more."
    NEED_REPORT = frozenset({"copy", "zoom", "zoom_out", "bad"})

    _lanes = getters.query_one(TimelineLanes)
    _about = getters.query_one("#timeline-about", Static)
    _legend = getters.query_one("#timeline-legend", Static)

    def __init__(self, db_path: Path, run_id: int) -> None:
        """Show a run of the file."""
        super().__init__(db_path)
        self._run_id = run_id

    def compose_body(self) -> list[Widget]:
        """Yield lanes, the attempt under the cursor, and the legend."""
        return [TimelineLanes(), Static("", id="timeline-about"), Static("", id="timeline-legend")]

    def place(self) -> Place:
        """Return the report of what is shown."""
        return Place(history=True, report=f"timeline:{self._run_id}")

    def look_up(self, history: History) -> Timeline | None:
        """Read the run."""
        return read_timeline(history, self._run_id, self.services.clock())

    def goes_on(self, found: Timeline) -> bool:
        """Tell whether the run goes on."""
        return found.run.status is RunStatus.RUNNING

    def title_line(self) -> Content:
        """Return file, run, duration, and the last attempts."""
        found = self.found
        title = super().title_line()
        if found is None:
            return Content.assemble(title, (f"  run {self._run_id}", "$muted"))
        run, last = found.run, found.straggler
        shown = badge(run.status, ascii_only=self.services.ascii_only)
        left = [
            Part(title, 9),
            Part(content(f"run {run.id}", "bold"), 8),
            Part(content(run.pipeline, "$muted", limit=30), 3),
            Part(Content.styled(shown.label, shown.variable), 7),
            Part(content(fmt.duration(found.took_s)), 7),
            Part(content(counted(found.blocks, "attempt"), "$muted"), 4),
            Part(content(f"{fmt.count(found.unstarted)} not begun" if found.unstarted else "", "$muted"), 2),
            Part(content("cut" if found.blocks + found.unstarted >= LIMIT else "", "$warning"), 9),
        ]
        alone = ""
        if last is not None and len(found.lanes) > 1 and found.alone_s >= _ALONE_S:
            alone = f"last {fmt.duration(found.alone_s)}: only {clean(found.lanes[last[0]].worker, 24)}"
        return line(left, [Part(content(alone, "$warning"), 6)], max(0, self.size.width - 2))

    def show_found(self, found: Timeline) -> None:
        """Show the lanes, or a sentence when there are none."""
        if not found.lanes:
            waiting = f" {fmt.count(found.unstarted)} wait for a worker." if found.unstarted else ""
            self._say(content(f"No attempt of run {found.run.id} has begun.{waiting}"))
            return
        self._lanes.ascii_only = self.services.ascii_only
        self._lanes.timeline = found
        known = {block.status for lane in found.lanes for block in lane.blocks}
        self._legend.update(self._legend_content([status for status in Status if status in known]))

    def on_resize(self) -> None:
        """Lay out the title again."""
        self._head.update(self.title_line())

    @on(TimelineLanes.Moved)
    def _tell_block(self) -> None:
        """Show the attempt under the cursor, and the visible part."""
        lanes, block = self._lanes, self._lanes.block
        if block is None or lanes.lane is None or self.found is None:
            return
        shown = badge(block.status, ascii_only=self.services.ascii_only)
        dash = "-" if self.services.ascii_only else "–"
        view = lanes.view
        part = f"{fmt.stopwatch(view.start_s)}{dash}{fmt.stopwatch(min(view.stop_s, view.length_s))}"
        left = [
            Part(Content.styled(shown.label, shown.variable), 8),
            Part(content(block.name or "(empty)", "bold", limit=60), 9),
            Part(content(f"attempt {block.attempt}", "$muted"), 3),
            Part(content(lanes.lane.worker, "$muted", limit=40), 4),
            Part(content(f"{fmt.stopwatch(block.start_s)}{dash}{fmt.stopwatch(block.end_s)}"), 6),
            Part(content(fmt.duration(block.end_s - block.start_s), "bold"), 7),
        ]
        seen = "" if view.is_whole else f"seen {part} of {fmt.stopwatch(view.length_s)}"
        self._about.update(_fitted_content(left, seen, self.size.width - 2))
        self.refresh_bindings()

    @on(TimelineLanes.Chosen)
    def _choose(self, event: TimelineLanes.Chosen) -> None:
        self.dismiss(event.block.id)

    def action_zoom(self, steps: int) -> None:
        """Zoom in or out."""
        self._lanes.zoom(_ZOOM**-steps)

    def action_zoom_out(self) -> None:
        """Show the whole run."""
        self._lanes.zoom_out()

    def action_bad(self, step: int) -> None:
        """Go to the next or previous attempt that is not done."""
        if not self._lanes.seek(step, bad=True):
            self.services.tell(
                "No later attempt came to a bad end." if step > 0 else "No earlier attempt came to a bad end."
            )

    def _legend_content(self, statuses: list[Status]) -> Content:
        ascii_only = self.services.ascii_only
        told = []
        for status in statuses:
            shown = badge(status, ascii_only=ascii_only)
            told.append(
                Content.styled(f"{shown.glyph}{fill(status, ascii_only=ascii_only) * 2} {status}", shown.variable)
            )
        told.append(content(f"{several(ascii_only=ascii_only)} several", "$muted"))
        return Content("  ").join(told)

    def plain(self, found: Timeline) -> str:
        """Return a line per worker, and one for each of the first attempts."""
        lines = [f"run {found.run.id}\t{clean(found.run.pipeline)}\t{found.run.status}\t{fmt.duration(found.took_s)}"]
        lines += [f"{clean(lane.worker)}\tidle {fmt.percent(found.idle(lane))}" for lane in found.lanes]
        return "\n".join([*lines, *_plain_blocks(found)])


def _fitted_content(left: list[Part], right: str, width: int) -> Content:
    return line(left, [Part(content(right, "$muted"), 2)], max(0, width))


def _plain_blocks(found: Timeline) -> Iterator[str]:
    """Yield the first blocks of the run in the order of their starts."""
    known: list[tuple[Block, str]] = [(block, lane.worker) for lane in found.lanes for block in lane.blocks]
    known.sort(key=lambda entry: entry[0].start_s)
    for block, worker in known[:COPIED_BLOCKS]:
        yield (
            f"{clean(block.name)}\t{block.attempt}\t{block.status}\t{clean(worker)}"
            f"\t{block.start_s:.3f}\t{block.end_s - block.start_s:.3f}"
        )
    if len(known) > COPIED_BLOCKS:
        yield f"… and {len(known) - COPIED_BLOCKS:,} more"
