"""The charts: a task's durations, a file's days."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import Zone
from tests.tui.conftest import at_rest, text_of

from pipeloom.status import RunStatus, Status
from pipeloom.store.read.charts import Day
from pipeloom.store.rows import AttemptRow, RunRow
from pipeloom.store.write.connect import close_writer, open_writer
from pipeloom.store.write.ledger import Ledger
from pipeloom.times import stamp
from pipeloom.tui.app import PipeloomApp
from pipeloom.tui.reports.charts.axis import count_ticks, log_ticks, places, time_ticks
from pipeloom.tui.reports.charts.screen import FileChartScreen, TaskChartScreen, _bar_cells

EPOCH = datetime(2026, 8, 1, 12, tzinfo=UTC)


def make(path: Path, name: str = "load", *, status: Status = Status.DONE) -> Path:
    """Ten attempts of a task in ten runs, two a day; the fourth failed, the last took ten times as long."""
    connection = open_writer(path)
    ledger = Ledger(connection)
    for number in range(10):
        moment = stamp(EPOCH + timedelta(hours=12 * number))
        ledger.insert_run(RunRow(0, "weather", RunStatus.ERROR if number == 3 else RunStatus.DONE, moment))
    rows = [AttemptRow(n, n, 1, 1, name, status, started_at=stamp(EPOCH), duration_s=float(n)) for n in range(1, 11)]
    rows[3] = rows[3]._replace(status=Status.ERROR)
    rows[9] = rows[9]._replace(duration_s=100.0)
    if status is Status.QUEUED:
        rows = [row._replace(status=status, duration_s=None) for row in rows]
    ledger.insert_attempts(rows)
    close_writer(connection)
    return path


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_a_task_has_a_mark_for_each_attempt_by_its_status(tmp_path: Path, size: tuple[int, int]) -> None:
    path = make(tmp_path / "etl.db")
    app = PipeloomApp(path)
    async with app.run_test(size=size) as pilot:
        app.push_screen(TaskChartScreen(path, "load"))
        await at_rest(pilot)
        shown = text_of(app)
        assert "✓ 9 done   × 1 error   p50 6.0s" in shown
        chart = shown[shown.index("┌") :]
        assert chart.count("×") == 1
        assert 5 <= chart.count("✓") <= 9
        assert "run 1" in chart
        await pilot.press("g")
        await pilot.pause()
        logarithmic = text_of(app)
        assert logarithmic[logarithmic.index("┌") :].count("✓") == 9
        await pilot.press("y")
        assert "error\t4\t1\t2026-08-01T12:00:00.000000+00:00\t4.0" in app.clipboard
        app.theme = "pipeloom-light"
        await pilot.pause()
        await pilot.press("escape")


async def test_a_file_has_a_bar_for_each_day(tmp_path: Path, zone: Zone) -> None:
    zone("Europe/Berlin")
    path = make(tmp_path / "etl.db")
    app = PipeloomApp(path)
    async with app.run_test(size=(80, 24)) as pilot:
        app.push_screen(FileChartScreen(path))
        await at_rest(pilot)
        shown = text_of(app)
        assert "██ 9 done   ×× 1 error" in shown
        assert " days in CET/CEST" in shown
        assert any("███ ××× ███" in line for line in shown.split("\n"))
        await pilot.press("left", "right", "y")
        assert "2026-08-02\t" in app.clipboard


async def test_what_there_is_not_is_told(tmp_path: Path) -> None:
    path = make(tmp_path / "etl.db", status=Status.QUEUED)
    app = PipeloomApp(path)
    async with app.run_test(size=(80, 24)) as pilot:
        app.push_screen(TaskChartScreen(path, "load"))
        await at_rest(pilot)
        assert "No attempt of load has taken any time yet." in text_of(app)
        await pilot.press("g", "f5")
        await at_rest(pilot)
        await pilot.press("escape")
        app.push_screen(TaskChartScreen(path, "[/] \x1b[31m"))
        await at_rest(pilot)
        assert "No attempt of a task named '[/] ␛[31m' is in this file." in text_of(app)
        empty = tmp_path / "empty.db"
        close_writer(open_writer(empty))
        app.push_screen(FileChartScreen(empty))
        await at_rest(pilot)
        assert "Nothing has run in this file yet." in text_of(app)
        await pilot.press("left", "right", "y")


async def test_names_from_the_file_are_shown_as_text(tmp_path: Path, nasty: str) -> None:
    stored = nasty.encode("utf-8", "replace").decode().replace("\0", "")
    path = make(tmp_path / "etl.db", stored)
    app = PipeloomApp(path)
    async with app.run_test(size=(80, 24)) as pilot:
        app.push_screen(TaskChartScreen(path, stored))
        await at_rest(pilot)
        assert "9 done" in text_of(app)
        assert not set(text_of(app)) & {"\x1b", "\x07", "\x9b", "\r", "\t"}


async def test_ascii_charts_keep_to_ascii(tmp_path: Path) -> None:
    path = make(tmp_path / "etl.db")
    app = PipeloomApp(path)
    app.ascii_only = True
    async with app.run_test(size=(80, 24)) as pilot:
        for screen in (TaskChartScreen(path, "load"), FileChartScreen(path)):
            app.push_screen(screen)
            await at_rest(pilot)
            lines = text_of(app).split("\n")[:-1]
            assert all(line.isascii() for line in lines), lines


def test_the_library_is_loaded_with_the_first_chart() -> None:
    code = "import pipeloom.tui.app, pipeloom.tui.reports.charts.screen, sys; print('plotext' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "False"


lengths = st.floats(0, 1e7, allow_nan=False)


@given(longest=lengths, most=st.integers(2, 20))
def test_times_on_an_axis_reach_the_longest_and_are_few(longest: float, most: int) -> None:
    ticks = time_ticks(longest, most)
    assert ticks[0] == 0
    assert ticks[-1] >= longest * (1 - 1e-6)
    assert 2 <= len(ticks) <= max(most, 2)


def test_axes_have_round_marks_and_as_many_as_they_may() -> None:
    assert time_ticks(5.6, 8) == [0, 1, 2, 3, 4, 5, 6]
    assert time_ticks(80, 5) == [0, 20, 40, 60, 80]
    assert time_ticks(100_000, 6) == [0, 21_600, 43_200, 64_800, 86_400, 108_000]
    assert count_ticks(7, 5) == [0, 2, 4, 6, 8]
    assert log_ticks(0.3, 4, 9) == [0.2, 0.5, 1, 2, 5]
    assert log_ticks(0.3, 4000, 9) == [0.1, 1, 10, 100, 1000, 10_000]


@given(highest=st.integers(0, 10**7), most=st.integers(2, 20))
def test_counts_on_an_axis_are_whole_and_reach_the_highest(highest: int, most: int) -> None:
    ticks = count_ticks(highest, most)
    assert ticks[0] == 0
    assert ticks[-1] >= highest
    assert 2 <= len(ticks) <= max(most, 2)
    assert len({later - earlier for earlier, later in pairwise(ticks)}) == 1


@given(one=st.floats(0.01, 1e6), other=st.floats(0.01, 1e6), most=st.integers(2, 20))
def test_a_logarithmic_axis_holds_all(one: float, other: float, most: int) -> None:
    ticks = log_ticks(min(one, other), max(one, other), most)
    assert ticks == sorted(set(ticks))
    assert ticks[0] <= min(one, other) * (1 + 1e-9)
    assert ticks[-1] >= max(one, other) * (1 - 1e-9)
    assert len(ticks) >= 2


@given(count=st.integers(0, 1000), most=st.integers(0, 50))
def test_marks_are_no_more_than_there_is_room_for(count: int, most: int) -> None:
    assert len(places(count, most)) <= max(1, most)


days = st.lists(st.dictionaries(st.sampled_from(list(RunStatus)), st.integers(1, 50)), min_size=1, max_size=8)


@given(made=days, lines=st.integers(2, 60))
def test_bars_are_as_high_as_their_days(made: list[dict[RunStatus, int]], lines: int) -> None:
    known = list(RunStatus)
    top = count_ticks(max(sum(day.values()) for day in made), 6)[-1]
    cells = _bar_cells([Day(EPOCH.date(), day) for day in made], known, lines, top)
    for place, day in enumerate(made):
        x = place * 4 + 2
        mine = {status: [y for cell, y in zip(*points, strict=True) if cell == x] for status, points in cells.items()}
        heights = sorted(y for ys in mine.values() for y in ys)
        total = sum(day.values())
        assert len(heights) == len(set(heights))
        assert (heights[-1:] or [0])[0] <= total
        assert len(heights) == (total * (lines - 1) // top + 1 if total else 0)
        assert {status for status, ys in mine.items() if ys} <= day.keys()
