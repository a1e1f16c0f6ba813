"""The panes about one attempt: its log and its traceback."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
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
    assert "7 lines were not kept" in log_lines(rows)[2].plain
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
        assert scroll.virtual_size.height == 200
        await pilot.press("slash", *"line 1", "enter", "n", "n")
        await pilot.pause()
        assert "line 11 " in text_of(app).split("\n")[3]
        await pilot.press("N")
        await pilot.pause()
        assert "line 10 " in text_of(app).split("\n")[3]
        await pilot.press("L", "L", "L")
        await pilot.pause()
        assert scroll.virtual_size.height == 50


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
