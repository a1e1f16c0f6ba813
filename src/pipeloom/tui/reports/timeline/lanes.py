"""The lanes of a run's workers, drawn line by line: a paint costs its cells, not the run's attempts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import ClassVar, Final

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from pipeloom.store.read.timeline import Block, Lane, Timeline
from pipeloom.text import clean
from pipeloom.tui.reports.timeline.view import Drawn, View, axis, lane_cells, under_cursor
from pipeloom.tui.style import format as fmt
from pipeloom.tui.style.glyphs import STATUS_CLASSES
from pipeloom.tui.style.text import clip_middle

_HEADER: Final = 1
_GUTTER: Final = 2
_IDLE: Final = 11
"""Cells of the idle share at the end of a lane."""
_NAMES: Final = (8, 20)
"""Minimum and maximum cells of a worker's name."""
_ZOOM: Final = 2.0
_PAN: Final = 4
"""A key moves the view by this fraction of its width (1/n)."""


class TimelineLanes(ScrollView, can_focus=True):
    """One line per worker, with a cursor on one of the blocks."""

    ALLOW_SELECT = False

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "timeline--axis",
        "timeline--name",
        "timeline--idle",
        "timeline--last",
        "timeline--lane",
        "timeline--cursor",
        *STATUS_CLASSES,
    }

    DEFAULT_CSS = """
    TimelineLanes { height: 1fr; scrollbar-size: 1 1; overflow-x: hidden; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "block(-1)", "Left", show=False, id="timeline.left", tooltip="Go to the attempt before."),
        Binding("right,l", "block(1)", "Right", show=False, id="timeline.right", tooltip="Go to the next attempt."),
        Binding("up,k", "lane(-1)", "Up", show=False, id="timeline.up", tooltip="Go to the worker above."),
        Binding("down,j", "lane(1)", "Down", show=False, id="timeline.down", tooltip="Go to the worker below."),
        Binding("tab", "later(1)", "Next", show=False, id="timeline.next", tooltip="Go to what began next, anywhere."),
        Binding(
            "shift+tab", "later(-1)", "Previous", show=False, id="timeline.previous",
            tooltip="Go to what began before, anywhere.",
        ),
        Binding("shift+left", "pan(-1)", "Pan", show=False, id="timeline.pan_left", tooltip="Show what was earlier."),
        Binding("shift+right", "pan(1)", "Pan", show=False, id="timeline.pan_right", tooltip="Show what was later."),
        Binding("pageup", "lane(-10)", "Pageup", show=False, id="timeline.page_up", tooltip="Go ten workers up."),
        Binding("pagedown", "lane(10)", "Pagedown", show=False, id="timeline.page_down", tooltip="Go ten workers on."),
        Binding("home", "end(-1)", "First", show=False, id="timeline.first", tooltip="Go to the lane's first attempt."),
        Binding("end", "end(1)", "Last", show=False, id="timeline.last", tooltip="Go to the lane's last attempt."),
        Binding("enter", "choose", "Open", id="timeline.choose", tooltip="Go back and show this attempt."),
    ]  # fmt: skip

    timeline: reactive[Timeline | None] = reactive(None, init=False)
    """The timeline. A newer one keeps the cursor on its attempt, and the view."""
    ascii_only: reactive[bool] = reactive(False)  # noqa: FBT003

    @dataclass
    class Moved(Message):
        """The cursor is on another block, or the view has moved."""

    @dataclass
    class Chosen(Message):
        """The user chose a block."""

        block: Block

    def __init__(self) -> None:
        super().__init__()
        self.view = View.whole(0, 1)
        """The visible part."""
        self._place = (0, 0)
        """Lane and index of the cursor's block."""

    @property
    def _lanes(self) -> Sequence[Lane]:
        return () if self.timeline is None else self.timeline.lanes

    @property
    def lane(self) -> Lane | None:
        """The lane of the cursor."""
        return self._lanes[self._place[0]] if self._lanes else None

    @property
    def block(self) -> Block | None:
        """The block under the cursor."""
        lane = self.lane
        return None if lane is None else lane.blocks[self._place[1]]

    # -- taking over -------------------------------------------------------------------------------------------------

    def watch_timeline(self, before: Timeline | None, timeline: Timeline | None) -> None:
        """Find the cursor's attempt again; show everything if everything was shown, else the same part."""
        known = before.lanes[self._place[0]].blocks[self._place[1]].id if before is not None and before.lanes else None
        self._place = self._found(known)
        self._fit(0.0 if timeline is None else timeline.length_s, whole=before is None or self.view.is_whole)
        self.virtual_size = Size(1, len(self._lanes) + _HEADER)
        self._go(self._place)

    def _found(self, attempt_id: int | None) -> tuple[int, int]:
        """Return the place of an attempt; without one, that of the attempt that ended last."""
        for number, lane in enumerate(self._lanes if attempt_id is not None else ()):
            place = next((place for place, block in enumerate(lane.blocks) if block.id == attempt_id), None)
            if place is not None:
                return number, place
        return (None if self.timeline is None else self.timeline.straggler) or (0, 0)

    def on_resize(self) -> None:
        """Show the same part in another number of cells."""
        self._fit(self.view.length_s, whole=self.view.is_whole)
        self._tell()

    def _fit(self, length_s: float, *, whole: bool) -> None:
        fresh = View.whole(length_s, self._room)
        self.view = fresh if whole else View(self.view.start_s, self.view.cell_s, fresh.width, length_s).held()

    # -- moving ------------------------------------------------------------------------------------------------------

    def zoom(self, factor: float, about_s: float | None = None) -> None:
        """Show `factor` times as many seconds; `about_s` stays in place, else the cursor's block stays visible."""
        if about_s is not None:
            self.view = self.view.zoomed(factor, about_s)
        elif self.block is not None:
            self.view = self.view.zoomed(factor, (self.block.start_s + self.block.end_s) / 2).showing(self.block)
        self._tell()

    def zoom_out(self) -> None:
        """Show everything."""
        self._fit(self.view.length_s, whole=True)
        self._tell()

    def seek(self, step: int, *, bad: bool = False) -> bool:
        """Go to the next or previous start on any lane; `bad`: of one that is not done. False: there is none."""
        block = self.block
        if block is None:
            return False
        found = [
            (lane.blocks[place].start_s, lane.blocks[place].id, number, place)
            for number, lane in enumerate(self._lanes)
            if (place := lane.beside((block.start_s, block.id), step, bad=bad)) is not None
        ]
        if found:
            self._go((min(found) if step > 0 else max(found))[2:])
        return bool(found)

    def action_later(self, step: int) -> None:
        """Go to the next or previous start on any lane."""
        self.seek(step)

    def action_block(self, step: int) -> None:
        """Go to the next block of the lane, or to the one before."""
        number, place = self._place
        if self.lane is not None:
            self._go((number, min(max(0, place + step), len(self.lane.blocks) - 1)))

    def action_lane(self, step: int) -> None:
        """Go to another lane, to its block at the same time."""
        block = self.block
        if block is not None:
            number = min(max(0, self._place[0] + step), len(self._lanes) - 1)
            if number != self._place[0]:
                moment = min(max(block.start_s, self.view.start_s), block.end_s)
                self._go((number, self._lanes[number].nearest(moment)))

    def action_end(self, step: int) -> None:
        """Go to the first block of the lane, or to the last."""
        if self.lane is not None:
            self._go((self._place[0], 0 if step < 0 else len(self.lane.blocks) - 1))

    def action_pan(self, step: int) -> None:
        """Show an earlier or later part."""
        self.view = self.view.moved(step * max(1, self.view.width // _PAN))
        self._tell()

    def action_choose(self) -> None:
        """Tell the screen that the user chose the block under the cursor."""
        if self.block is not None:
            self.post_message(self.Chosen(self.block))

    def _go(self, place: tuple[int, int]) -> None:
        """Move the cursor there, and its block into view."""
        self._place = place
        if self.block is not None:
            self.view = self.view.showing(self.block)
        top, page = self.scroll_offset.y, max(1, self.size.height - _HEADER)
        if not top <= place[0] < top + page:
            self.scroll_to(y=place[0] if place[0] < top else place[0] - page + 1, animate=False, force=True)
        self._tell()

    def _tell(self) -> None:
        self.refresh()
        self.post_message(self.Moved())

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer the actions that need a block only where there is one."""
        return self.block is not None and super().check_action(action, parameters)

    # -- the mouse ---------------------------------------------------------------------------------------------------

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Zoom in where the mouse is, with ctrl."""
        self._wheel(event, 1 / _ZOOM)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Zoom out where the mouse is, with ctrl."""
        self._wheel(event, _ZOOM)

    def _wheel(self, event: events.MouseEvent, factor: float) -> None:
        if event.ctrl:
            event.prevent_default().stop()
            self.zoom(factor, self.view.at(min(max(0, event.x - self._left), self.view.width)))

    def on_click(self, event: events.Click) -> None:
        """Go to the block that was clicked; a second click chooses it."""
        place = event.get_content_offset(self)
        number = -1 if place is None else self.scroll_offset.y + place.y - _HEADER
        if place is None or place.y < _HEADER or number >= len(self._lanes):
            return
        moment = self.view.at(min(max(0, place.x - self._left), self.view.width)) + self.view.cell_s / 2
        self._go((number, self._lanes[number].nearest(moment)))
        if event.chain == 2:
            self.action_choose()

    # -- drawing -----------------------------------------------------------------------------------------------------

    @property
    def _name_width(self) -> int:
        longest = max((cell_len(_name(lane)) for lane in self._lanes), default=0)
        return min(max(_NAMES[0], longest), _NAMES[1], max(_NAMES[0], self.size.width // 5))

    @property
    def _left(self) -> int:
        return 1 + self._name_width + _GUTTER

    @property
    def _room(self) -> int:
        """Number of cells of the lanes."""
        return max(1, self.scrollable_content_region.width - self._left - _IDLE)

    def render_line(self, y: int) -> Strip:
        """Draw the axis, or a lane."""
        width = self.scrollable_content_region.width
        if y < _HEADER:
            text = " " * self._left + axis(self.view, ascii_only=self.ascii_only)
            style = self.get_component_rich_style("timeline--axis")
            return Strip([Segment(text, style)]).adjust_cell_length(width, style)
        number = self.scroll_offset.y + y - _HEADER
        if self.timeline is None or number >= len(self._lanes):
            return Strip.blank(width, self.rich_style)
        lane, mine = self._lanes[number], number == self._place[0]
        base = self.get_component_rich_style("timeline--lane") if mine else self.rich_style
        name = clip_middle(_name(lane), self._name_width)
        segments = [
            Segment(f" {name}{' ' * (self._name_width - cell_len(name) + _GUTTER)}", self._style("timeline--name")),
            *self._cells(number, lane),
            Segment(f"  idle {fmt.percent(self.timeline.idle(lane)):>3} ", self._style("timeline--idle")),
        ]
        return Strip(Segment.apply_style(segments, base)).adjust_cell_length(width, base)

    def _cells(self, number: int, lane: Lane) -> Iterator[Segment]:
        """Yield the cells of a lane, grouped by style."""
        cells = list(lane_cells(lane, self.view, ascii_only=self.ascii_only))
        straggler = None if self.timeline is None else self.timeline.straggler
        if straggler is not None and straggler[0] == number:
            after = self._last_cell(lane.end_s) + 1
            if 0 < after < len(cells):
                cells[after] = Drawn("<" if self.ascii_only else "◄", None)
        under = range(*self._cursor_cells(lane)) if number == self._place[0] else range(0)
        for x in under:
            if 0 <= x < len(cells):
                cells[x] = cells[x]._replace(text=under_cursor(cells[x].text, ascii_only=self.ascii_only))
        looks = ((drawn.text, (drawn.status, drawn.text in "◄<", x == under.start)) for x, drawn in enumerate(cells))
        for (status, last, cursor), group in groupby(looks, key=itemgetter(1)):
            style = self._style("timeline--last" if last else f"status--{status}" if status else "timeline--idle")
            text = "".join(text for text, _look in group)
            yield Segment(text, style + self._style("timeline--cursor") if cursor and under else style)

    def _cursor_cells(self, lane: Lane) -> tuple[int, int]:
        """Return the first cell of the cursor's block, and the one after its last."""
        block = lane.blocks[self._place[1]]
        first = self.view.x(block.start_s)
        return first, max(first, self._last_cell(block.end_s)) + 1

    def _last_cell(self, end_s: float) -> int:
        """Return the last cell that a block fills at least to half."""
        return self.view.x(end_s - self.view.cell_s / 2)

    def _style(self, name: str) -> Style:
        return self.get_component_rich_style(name, partial=True)


def _name(lane: Lane) -> str:
    return clean(lane.worker) or "(no worker)"
