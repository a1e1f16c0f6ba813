"""The panes about one attempt: its log and its traceback."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Zone
from tests.tui.conftest import Cockpit, MakeThemedApp, Synthetic, text_of
from textual.containers import ScrollableContainer

from pipeloom.status import Status
from pipeloom.store.rows import AttemptRow, LogRow
from pipeloom.tui.attempts.detail import DetailPane
from pipeloom.tui.attempts.log_text import log_lines, matches
from pipeloom.tui.attempts.traceback_text import traceback_text

AT = "2026-08-01T12:00:00.000000+00:00"
ROW = AttemptRow(1, 1, 1, 1, "load", Status.RUNNING)
LOG = [
    LogRow(AT, ("DEBUG", "INFO", "WARNING", "ERROR")[number % 4], f"line {number} [/] {'x' * 200}", number)
    for number in range(1, 201)
]
TRACEBACK = """Traceback (most recent call last):
  File "/home/me/etl.py", line 41, in load
    row['temp']
  File "/usr/lib/python3.11/site-packages/pandas/core.py", line 7, in get
    raise KeyError(key)
KeyError: 'temp'
"""


def test_a_log_is_shown_from_a_level_on_and_its_gaps_are_told() -> None:
    rows = [LOG[0], LOG[1], LOG[9], LogRow(AT, "AUDIT", "the user's own level", 11)]
    assert ["line 1 " in log_lines(rows)[0].plain, "line 2 " in log_lines(rows)[1].plain] == [True, True]
    assert "7 lines not kept" in log_lines(rows)[2].plain
    shown = "\n".join(line.plain for line in log_lines(rows, "ERROR"))
    assert "line 10" not in shown
    assert "the user's own level" in shown


def test_what_is_searched_for_is_found_whatever_its_case_and_never_as_a_pattern() -> None:
    shown = log_lines(LOG, needle="LINE 7")
    assert matches(shown, "LINE 7") == [6, *range(69, 79)]
    assert len(matches(shown, "[/]")) == 200
    assert matches(shown, "") == []
    assert any(span.style == "reverse" for span in shown[6].spans)


def test_the_users_frames_stand_out_of_a_traceback() -> None:
    styles: dict[str, Any] = {}
    shown = traceback_text(TRACEBACK)
    for span in shown.spans:
        styles[shown.plain[span.start : span.end].strip()] = span.style
    assert styles['File "/home/me/etl.py", line 41, in load'] == "bold"
    assert "row['temp']" not in styles
    assert styles['File "/usr/lib/python3.11/site-packages/pandas/core.py", line 7, in get'] == "$muted"
    assert styles["raise KeyError(key)"] == "$muted"
    assert styles["KeyError: 'temp'"] == "$status-error"


async def test_the_log_is_followed_searched_cut_by_level_and_wrapped_by_key(themed_app: MakeThemedApp) -> None:
    pane = DetailPane()
    app = themed_app(pane)
    async with app.run_test(size=(80, 20), notifications=True) as pilot:
        scroll = pane.query_one(ScrollableContainer)
        pane.show_tab("log")
        pane.begin()
        pane.show_attempt(ROW, [ROW], LOG)
        await pilot.pause()
        await pilot.pause()
        assert scroll.is_vertical_scroll_end
        await pilot.press("slash", *"line 50", "enter")
        await pilot.pause()
        assert "line 50" in text_of(app).split("\n")[3]
        await pilot.press("n")
        assert "line 50" in text_of(app).split("\n")[3]
        await pilot.press("w")
        await pilot.pause()
        assert scroll.virtual_size.height == 201  # the zone, and the lines
        await pilot.press("slash", *"line 1", "enter", "n", "n")
        await pilot.pause()
        assert "line 11 " in text_of(app).split("\n")[3]
        await pilot.press("N")
        await pilot.pause()
        assert "line 10 " in text_of(app).split("\n")[3]
        await pilot.press("L", "L", "L")
        await pilot.pause()
        assert scroll.virtual_size.height == 51


@pytest.mark.parametrize("follows", [True, False])
async def test_the_end_of_a_growing_log_is_kept_in_sight_unless_told_not_to(
    themed_app: MakeThemedApp, follows: bool
) -> None:
    pane = DetailPane()
    async with themed_app(pane).run_test(size=(80, 20)) as pilot:
        scroll = pane.query_one(ScrollableContainer)
        pane.show_tab("log")
        pane.begin()
        if not follows:
            await pilot.press("f")
        for count in (100, 200):
            pane.show_attempt(ROW, [ROW], LOG[:count])
            await pilot.pause()
            await pilot.pause()
        assert scroll.is_vertical_scroll_end is follows


async def test_whoever_turns_to_the_log_of_a_running_task_sees_its_end(themed_app: MakeThemedApp) -> None:
    pane = DetailPane()
    async with themed_app(pane).run_test(size=(80, 20)) as pilot:
        scroll = pane.query_one(ScrollableContainer)
        pane.show_attempt(ROW, [ROW], LOG)
        for tab, at_end in (("log", True), ("overview", False), ("log", True)):
            pane.show_tab(tab)
            await pilot.pause()
            await pilot.pause()
            assert (scroll.scroll_y > 0) is at_end


async def test_the_row_or_its_detail_is_copied(cockpit: Cockpit, synthetic: Synthetic, tmp_path: Path) -> None:
    async with cockpit.app.run_test(size=(120, 40)) as pilot:
        cockpit.commit(synthetic.rows(), synthetic.run)
        await cockpit.settle(pilot)
        row = cockpit.live.table.cursor_row
        assert row is not None
        await pilot.press("y")
        assert cockpit.app.clipboard.startswith(f"{row.task_id}\t{row.name}\t{row.status}")
        await pilot.press("d", "y")
        assert f"task {row.task_id} · attempt {row.attempt}" in cockpit.app.clipboard


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_the_detail_of_a_failed_task_opens_on_its_message(
    cockpit: Cockpit, synthetic: Synthetic, size: tuple[int, int]
) -> None:
    async with cockpit.app.run_test(size=size) as pilot:
        cockpit.commit(synthetic.rows(500), synthetic.run)
        await cockpit.settle(pilot)
        table, detail = cockpit.live.table, cockpit.live.detail
        table.move_to_key(5)
        await pilot.press("enter")
        await cockpit.settle(pilot)
        await pilot.pause()
        assert detail.plain.startswith("KeyError: 'temp_max'\n\nTraceback")
        shown = text_of(pilot.app).split("\n")
        place = next(y for y, line in enumerate(shown) if "Overview" in line)
        assert "KeyError: 'temp_max'" in shown[place + 2]
        assert detail.size.height >= table.size.height, "the detail gets half of the lines"
        await pilot.press("up")
        await cockpit.settle(pilot)
        assert "seattle" in detail.plain.split("\n")[0], "what has not failed is shown by its overview"


async def test_the_detail_takes_the_lines_that_the_table_does_not_need(cockpit: Cockpit, synthetic: Synthetic) -> None:
    async with cockpit.app.run_test(size=(120, 40)) as pilot:
        cockpit.commit(synthetic.rows(3), synthetic.run)
        await cockpit.settle(pilot)
        await pilot.press("l")
        await pilot.pause()
        few = cockpit.live.detail.size.height
        cockpit.commit(synthetic.rows(9), synthetic.run)
        await cockpit.settle(pilot)
        await pilot.pause()
        assert few - cockpit.live.detail.size.height == 6
        await pilot.press("escape")
        await pilot.pause()
        assert cockpit.live.table.size.height > 30


@pytest.mark.parametrize("key", ["enter", "z"])
@pytest.mark.parametrize("opened_by", ["d", "l", "e"])
async def test_the_detail_becomes_the_whole_screen_and_small_again(
    cockpit: Cockpit, synthetic: Synthetic, opened_by: str, key: str
) -> None:
    async with cockpit.app.run_test(size=(80, 24)) as pilot:
        cockpit.commit(synthetic.rows(500), synthetic.run)
        await cockpit.settle(pilot)
        await pilot.press(opened_by)
        await pilot.pause()
        small = cockpit.live.detail.size.height
        await pilot.press(key)
        await pilot.pause()
        assert cockpit.live.detail.size.height >= 22
        for step in (key, key, "escape"):
            await pilot.press(step)
            await pilot.pause()
        assert cockpit.live.detail.size.height == small
        await pilot.press("escape")
        await pilot.pause()
        assert not cockpit.live.detail.display
        assert cockpit.app.focused is cockpit.live.table


async def test_the_filter_line_is_in_sight_when_it_takes_the_keys(cockpit: Cockpit, synthetic: Synthetic) -> None:
    async with cockpit.app.run_test(size=(80, 24)) as pilot:
        cockpit.commit(synthetic.rows(500), synthetic.run)
        await cockpit.settle(pilot)
        await pilot.press("e", "z")
        await pilot.pause()
        assert not cockpit.live.filter_bar.region
        await pilot.press("slash")
        await pilot.pause()
        assert cockpit.live.filter_bar.region
        assert cockpit.live.filter_bar.has_focus_within


async def test_left_and_right_change_the_tab_from_the_table_and_e_goes_to_the_error(
    cockpit: Cockpit, synthetic: Synthetic
) -> None:
    async with cockpit.app.run_test(size=(80, 24)) as pilot:
        cockpit.commit(synthetic.rows(), synthetic.run)
        await cockpit.settle(pilot)
        table, detail = cockpit.live.table, cockpit.live.detail
        await pilot.press("d", "right")
        await pilot.pause()
        assert "● running" in detail.plain, "the attempts"
        await pilot.press("left", "left")
        await pilot.pause()
        assert detail.plain == "No result.", "the tab before the first is the last"
        table.move_to_key(4)
        await pilot.press("e")
        await cockpit.settle(pilot)
        assert detail.plain == "No error."
        cockpit.commit([synthetic.rows()[3]._replace(id=4, attempt=1, status=Status.ERROR, message="Refused: 429")])
        await cockpit.settle(pilot)
        assert detail.plain == "of attempt 1\nRefused: 429", "a task that waits for its retry shows why"
        await pilot.press("z", "w", "left")
        assert detail.plain.startswith("of attempt 1"), "lines that are not wrapped are moved"
        await pilot.press("w", "z", "slash", "a", "left")
        assert detail.plain.startswith("of attempt 1"), "where text is typed, the keys are the field's"


async def test_the_times_of_a_detail_are_the_users_and_name_their_zone(themed_app: MakeThemedApp, zone: Zone) -> None:
    zone("Europe/Berlin")
    pane = DetailPane()
    app = themed_app(pane)
    async with app.run_test(size=(80, 20)) as pilot:
        pane.begin()
        queued, started = (f"2026-10-25T0{hour}:30:00.000000+00:00" for hour in (0, 1))
        row = ROW._replace(queued_at=queued, started_at=started)
        pane.show_attempt(row, [row], [])
        await pilot.pause()
        await pilot.pause()
        shown = text_of(app)
        assert "2026-10-25 02:30:00 CEST" in shown
        assert "2026-10-25 02:30:00 CET " in shown
        pane.show_tab("log")
        for logs, told in (
            ([LogRow(queued, "INFO", "a", 1)], ["times in CEST", "02:30:00  INFO    a"]),
            (
                [LogRow(queued, "INFO", "a", 1), LogRow(started, "INFO", "b", 2)],
                ["02:30:00 CEST  INFO    a", "02:30:00 CET  INFO    b"],
            ),
        ):
            pane.show_attempt(row, [row], logs)
            await pilot.pause()
            assert [line.strip() for line in text_of(app).split("\n") if "0:00" in line or "times" in line] == told
