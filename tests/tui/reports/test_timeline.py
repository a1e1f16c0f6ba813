"""A run in time: lanes, zoom, cursor."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.tui.conftest import MakeThemedApp, at_rest, text_of
from textual import events
from textual.pilot import Pilot

from pipeloom.status import RunStatus, Status
from pipeloom.store.file.owner import OwnerLock
from pipeloom.store.read.timeline import Block, Lane, Timeline
from pipeloom.store.rows import AttemptRow, RunRow
from pipeloom.store.write.connect import close_writer, open_writer
from pipeloom.store.write.ledger import Ledger
from pipeloom.times import stamp
from pipeloom.tui.app import PipeloomApp
from pipeloom.tui.reports.timeline.lanes import TimelineLanes
from pipeloom.tui.reports.timeline.screen import TimelineScreen
from pipeloom.tui.reports.timeline.view import View, axis, fill, lane_cells
from pipeloom.tui.session.file_monitor import FileChanged

EPOCH = datetime(2026, 8, 1, 12, tzinfo=UTC)


def at(second: float) -> str:
    return stamp(EPOCH + timedelta(seconds=second))


def row(number: int, worker: int, start: float, end: float | None, status: Status = Status.DONE) -> AttemptRow:
    finished = None if end is None else at(end)
    return AttemptRow(
        number, 1, number, 1, f"task-{number}", status, started_at=at(start), finished_at=finished, worker=f"worker-{worker}"
    )  # fmt: skip


ROWS = [
    row(1, 1, 0, 10), row(2, 1, 10, 14, Status.ERROR), row(3, 1, 20, 30), row(4, 2, 0, 5, Status.CANCELLED),
    row(5, 2, 5, 40), row(6, 3, 1, 3, Status.INTERRUPTED),
]  # fmt: skip


def make(path: Path, rows: list[AttemptRow], status: RunStatus = RunStatus.ERROR) -> Path:
    connection = open_writer(path)
    ledger = Ledger(connection)
    ledger.insert_run(RunRow(0, "weather", status, at(0), finished_at=None if status is RunStatus.RUNNING else at(40)))
    ledger.insert_attempts(rows)
    close_writer(connection)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return make(tmp_path / "etl.db", ROWS)


async def opened(pilot: Pilot[None], screen: TimelineScreen) -> list[int | None]:
    """Push the screen and wait until it shows something; what it answers is put into the list."""
    answers: list[int | None] = []
    pilot.app.push_screen(screen, answers.append)
    await at_rest(pilot)
    return answers


def name(app: PipeloomApp) -> str:
    block = app.screen.query_one(TimelineLanes).block
    assert block is not None
    return str(block.name)


async def test_lanes_show_blocks_idle_shares_and_the_straggler(path: Path) -> None:
    app = PipeloomApp(path)
    async with app.run_test(size=(100, 24)) as pilot:
        await opened(pilot, TimelineScreen(path, 1))
        lines = text_of(app).split("\n")
        lanes = [line for line in lines if line.startswith(" worker-")]
        assert [line.split()[0] for line in lanes] == ["worker-1", "worker-2", "worker-3"]
        assert [line.split()[-1] for line in lanes] == ["40%", "0%", "95%"]
        assert lanes[0].count("✓") == 2
        assert "×▓" in lanes[0]
        assert "■░" in lanes[1]
        assert "✓█" in lanes[1]
        assert "█◄" in lanes[1]
        assert "!▒" in lanes[2]
        assert "last 10s: only worker-2" in lines[0]
        assert "task-5" in text_of(app)


async def test_nobody_is_called_the_last_who_was_not_waited_for(tmp_path: Path) -> None:
    path = make(tmp_path / "etl.db", [row(1, 1, 0, 10), row(2, 2, 0, 10.05)], RunStatus.DONE)
    app = PipeloomApp(path)
    async with app.run_test(size=(100, 24)) as pilot:
        await opened(pilot, TimelineScreen(path, 1))
        assert "worker-2" in text_of(app)
        assert "only" not in text_of(app).split("\n")[0]


async def test_the_cursor_walks_over_blocks_and_enter_answers_with_the_attempt(path: Path) -> None:
    app = PipeloomApp(path)
    async with app.run_test(size=(100, 24)) as pilot:
        answers = await opened(pilot, TimelineScreen(path, 1))
        walked = [name(app)]
        for key in ("left", "up", "right", "tab", "tab", "shift+tab", "end", "home", "down", "down", "n", "N"):
            await pilot.press(key)
            walked.append(name(app))
        assert walked == [
            "task-5", "task-4", "task-1", "task-2", "task-3", "task-3", "task-2", "task-3", "task-1", "task-4", "task-6",
            "task-2", "task-6",
        ]  # fmt: skip
        await pilot.press("enter")
        assert answers == [6]


async def test_zoom_pan_and_wheel_keep_what_they_are_about_in_place(path: Path) -> None:
    app = PipeloomApp(path)
    async with app.run_test(size=(100, 24)) as pilot:
        await opened(pilot, TimelineScreen(path, 1))
        lanes = app.screen.query_one(TimelineLanes)
        whole = lanes.view
        assert whole.is_whole
        await pilot.press("home", "plus", "plus")
        assert lanes.view.cell_s == pytest.approx(whole.cell_s / 4)
        assert lanes.view.start_s <= lanes.view.at(0) <= 0.1
        assert "seen 00:00–00:" in text_of(app)
        await pilot.press("shift+right")
        assert lanes.view.start_s == pytest.approx(lanes.view.cell_s * (lanes.view.width // 4))
        x = lanes._left + 20
        moment = lanes.view.at(20)
        place = lanes.region.offset
        scroll = {"delta_x": 0, "delta_y": 0, "button": 0, "shift": False, "meta": False, "ctrl": True}
        lanes.post_message(events.MouseScrollUp(lanes, x, 3, screen_x=place.x + x, screen_y=place.y + 3, **scroll))  # type: ignore[arg-type]
        await pilot.pause()
        assert lanes.view.cell_s == pytest.approx(whole.cell_s / 8)
        assert lanes.view.at(20) == pytest.approx(moment)
        await pilot.press("0")
        assert lanes.view == whole
        await pilot.click(lanes, offset=(lanes._left + whole.x(12), 1))
        assert name(app) == "task-2"


async def test_a_run_that_goes_on_follows_the_file_and_keeps_the_cursor(tmp_path: Path) -> None:
    path = make(tmp_path / "etl.db", [row(1, 1, 0, 10), row(2, 1, 10, None, Status.RUNNING)], RunStatus.RUNNING)
    lock = OwnerLock(path)
    lock.acquire(at(0))
    app = PipeloomApp(path, clock=lambda: EPOCH.timestamp() + 60)
    async with app.run_test(size=(100, 24)) as pilot:
        await opened(pilot, TimelineScreen(path, 1))
        await pilot.press("left")
        connection = open_writer(path)
        Ledger(connection).insert_attempts([row(3, 0, 5, 60)])
        close_writer(connection)
        app.file_changes.publish(FileChanged(None))
        for _ in range(300):
            if "worker-0" in text_of(app):
                break
            await pilot.pause(0.02)
        assert "worker-0" in text_of(app)
        assert name(app) == "task-1"
    lock.release()


async def test_what_there_is_not_is_told(tmp_path: Path) -> None:
    waiting = AttemptRow(1, 1, 1, 1, "task-1", Status.QUEUED)
    path = make(tmp_path / "etl.db", [waiting], RunStatus.RUNNING)
    app = PipeloomApp(path)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, TimelineScreen(path, 1))
        assert "No attempt of run 1 has begun. 1 wait for a worker." in text_of(app)
        await pilot.press("plus", "n", "tab", "enter", "0")
        await pilot.press("escape")
        answers = await opened(pilot, TimelineScreen(path, 7))
        assert "This run is not in the file" in text_of(app)
        await pilot.press("escape")
        assert answers == [None]


async def test_ascii_and_copy(path: Path) -> None:
    app = PipeloomApp(path)
    app.ascii_only = True
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, TimelineScreen(path, 1))
        lanes = [line for line in text_of(app).split("\n") if line.startswith(" worker-")]
        assert all(line.isascii() for line in lanes)
        assert "x##" in lanes[0]
        await pilot.press("y")
        assert "worker-2\tidle 0%" in app.clipboard
        assert "task-2\t1\terror\tworker-1\t10.000\t4.000" in app.clipboard


def test_no_two_statuses_look_alike_without_colour() -> None:
    for ascii_only in (False, True):
        begun = [status for status in Status if status not in (Status.QUEUED, Status.RETRYING)]
        assert len({fill(status, ascii_only=ascii_only) for status in begun}) == len(begun)


class Looked(list[Block]):
    """Counts how often one of them is looked at; refuses to be gone through."""

    looks = 0

    def __getitem__(self, place: Any) -> Any:
        self.looks += 1
        assert isinstance(place, int)
        return super().__getitem__(place)

    def __iter__(self) -> NoReturn:
        raise AssertionError("all of them are looked at")


def test_a_paint_costs_what_its_cells_cost_however_many_attempts_there_are() -> None:
    lanes = [
        Lane(f"w{count}", [Block(n, n, "t", 1, Status.DONE, n * 1.0, n + 0.9) for n in range(count)]) for count in (100, 100_000)
    ]  # fmt: skip
    looks = []
    for lane in lanes:
        lane.blocks = Looked(lane.blocks)
        list(lane_cells(lane, View.whole(lane.end_s, 120), ascii_only=False))
        looks.append(lane.blocks.looks)
    assert looks[1] <= 2 * looks[0]


def test_many_in_a_cell_show_the_worst_and_a_cell_that_is_mostly_idle_looks_so() -> None:
    blocks = [Block(n, n, "t", 1, Status.DONE, n * 0.1, n * 0.1 + 0.09) for n in range(1000)]
    blocks[505] = blocks[505]._replace(status=Status.ERROR)
    busy = Lane("busy", blocks)
    sparse = Lane("sparse", [block._replace(end_s=block.start_s + 0.01) for block in blocks])
    view = View.whole(100, 52)
    text = "".join(cell.text for cell in lane_cells(busy, view, ascii_only=False))
    assert text == "═" * 25 + "×" + "═" * 24 + "  "
    text = "".join(cell.text for cell in lane_cells(sparse, view, ascii_only=False))
    assert text == "╌" * 25 + "×" + "╌" * 24 + "  "


views = st.builds(
    lambda length, width, steps: _walked(View.whole(length, width), steps),
    st.floats(0, 1e6), st.integers(1, 300), st.lists(st.sampled_from(["in", "out", "left", "right"]), max_size=12),
)  # fmt: skip


def _walked(view: View, steps: list[str]) -> View:
    for step in steps:
        match step:
            case "in":
                view = view.zoomed(0.5, view.at(view.width // 3))
            case "out":
                view = view.zoomed(2.0, view.at(view.width // 3))
            case "left" | "right":
                view = view.moved(-7 if step == "left" else 7)
    return view


@given(view=views)
def test_a_view_never_leaves_the_timeline_and_its_axis_fits(view: View) -> None:
    assert view.start_s >= 0
    assert view.cell_s > 0
    assert view.start_s <= view.length_s
    for ascii_only in (False, True):
        line = axis(view, ascii_only=ascii_only)
        assert len(line) == view.width
        assert line.isascii() or not ascii_only


@given(view=views, start=st.floats(0, 1), took=st.floats(0, 1))
def test_a_block_that_is_gone_to_is_seen(view: View, start: float, took: float) -> None:
    begins = start * view.length_s
    block = Block(1, 1, "t", 1, Status.DONE, begins, begins + took * (view.length_s - begins))
    seen = view.showing(block)
    assert seen.cell_s == view.cell_s
    assert -1 <= seen.x(block.start_s) <= max(1, seen.width)


async def test_many_lanes_scroll_and_nasty_names_are_shown_as_text(themed_app: MakeThemedApp, nasty: str) -> None:
    lanes = [Lane(f"{nasty[:50]}{n}", [Block(n, n, nasty, 1, Status.DONE, 0, 5)]) for n in range(30)]
    widget = TimelineLanes()
    async with themed_app(widget).run_test(size=(80, 12)) as pilot:
        run = RunRow(1, "etl", RunStatus.DONE, at(0))
        widget.timeline = Timeline(run, lanes, 0.0, 5.0, 0, (0, 0), 0.0)
        await pilot.pause()
        await pilot.press(*["pagedown"] * 3)
        await pilot.pause()
        assert widget.lane is lanes[29]
        assert widget.scroll_offset.y > 0
        assert "\x1b" not in text_of(pilot.app)
