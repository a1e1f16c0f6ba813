"""The screens that set two runs, or two attempts, side by side."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.tui.conftest import at_rest, text_of
from textual.screen import Screen

from pipeloom.status import RunStatus, Status
from pipeloom.store.rows import AttemptRow, RunRow
from pipeloom.store.write.connect import close_writer, open_writer
from pipeloom.store.write.ledger import Ledger
from pipeloom.tui.app import PipeloomApp
from pipeloom.tui.reports.compare.attempts import CompareAttemptsScreen
from pipeloom.tui.reports.compare.columns import signed
from pipeloom.tui.reports.compare.diff_text import LINES, diff_lines, json_lines
from pipeloom.tui.reports.compare.runs import CompareRunsScreen
from pipeloom.tui.widgets.chips import Chips

START = "2026-08-01T12:00:00.000000+00:00"
END = "2026-08-01T12:00:41.000000+00:00"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Two runs of 30 tasks: the first three fail in the second run, one got slower."""
    path = tmp_path / "etl.db"
    connection = open_writer(path)
    ledger = Ledger(connection)
    for _ in (1, 2):
        ledger.insert_run(RunRow(0, "weather", RunStatus.DONE, START, finished_at=END))
    rows = [
        AttemptRow(
            run * 100 + task, run, task, 1, f"task-{task:02}", Status.DONE, duration_s=1.0, params='{"month": 5}',
            result=f'{{"rows": {run}}}', worker="worker-1",
        )
        for run in (1, 2) for task in range(1, 31)
    ]  # fmt: skip
    for task in (1, 2, 3):
        rows[29 + task] = rows[29 + task]._replace(
            status=Status.ERROR, error_type="KeyError", error="Traceback\nKeyError: 'a'"
        )
    rows[33] = rows[33]._replace(duration_s=9.0)
    ledger.insert_attempts(rows)
    ledger.insert_logs(
        [(run * 100 + 1, seq, START, "INFO", text) for run in (1, 2) for seq, text in enumerate(("read", f"{run}"), 1)]
    )
    close_writer(connection)
    return path


async def test_the_tasks_that_changed_come_first_and_the_chips_filter(path: Path) -> None:
    app = PipeloomApp(path)
    async with app.run_test(size=(120, 40)) as pilot:
        app.push_screen(CompareRunsScreen(path, 1, 2))
        await at_rest(pilot)
        shown = text_of(app)
        assert shown.index("task-01") < shown.index("task-04") < shown.index("task-05")
        assert "all 30" in shown
        await pilot.press("f")
        await pilot.pause()
        assert "task-01" in text_of(app)
        assert "task-04" not in text_of(app)
        chips = app.screen.query_one(Chips)
        place = next(line for line in text_of(app).split("\n") if "slower" in line).index("slower")
        await pilot.click(chips, offset=(place, 0))
        await pilot.pause()
        assert chips.chosen == "slower"
        assert "task-01" not in text_of(app)
        assert "+8.0s" in text_of(app)
        await pilot.press("F", "F", "F")
        await pilot.pause()
        assert chips.chosen == "same"


async def test_a_task_leads_to_its_two_attempts_and_escape_back(path: Path) -> None:
    app = PipeloomApp(path)
    async with app.run_test(size=(120, 40)) as pilot:
        app.push_screen(CompareRunsScreen(path, 1, 2))
        await at_rest(pilot)
        await pilot.press("enter")
        await at_rest(pilot)
        assert type(app.screen) is CompareAttemptsScreen
        shown = text_of(app)
        assert "+ KeyError: 'a'" in shown
        assert '-   "rows": 1' in shown
        assert '+   "rows": 2' in shown
        assert "- INFO     1" in shown
        assert "The same in both: params." in shown
        await pilot.press("escape")
        assert app.screen.title == "Compare"
        await pilot.press("escape")
        assert app.screen.title is None


@pytest.mark.parametrize(
    "screen", [lambda path: CompareRunsScreen(path, 1, 9), lambda path: CompareAttemptsScreen(path, 101, 9)]
)
async def test_what_is_not_in_the_file_is_told(path: Path, screen: Callable[[Path], Screen[None]]) -> None:
    app = PipeloomApp(path)
    async with app.run_test(size=(80, 24)) as pilot:
        app.push_screen(screen(path))
        await at_rest(pilot)
        assert "are not both in this file" in text_of(app)
        await pilot.press("y", "f", "d", "j")
        await pilot.press("escape")


async def test_a_file_that_is_gone_is_told(path: Path) -> None:
    app = PipeloomApp(path)
    async with app.run_test(size=(80, 24)) as pilot:
        app.push_screen(CompareRunsScreen(path.with_name("gone.db"), 1, 2))
        await at_rest(pilot)
        assert "There is no file" in text_of(app).replace("\n", " ")


async def test_copies_are_text_and_help_names_the_screen(path: Path) -> None:
    app = PipeloomApp(path)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        app.push_screen(CompareRunsScreen(path, 1, 2))
        await at_rest(pilot)
        await pilot.press("y")
        assert "task-04\tdone\tdone\t+8.0s\t±4.5s?\tslower" in app.clipboard
        await pilot.press("question_mark")
        await pilot.pause()
        assert "Show only the next kind of change." in text_of(app)


def test_the_lines_of_a_diff_are_bounded_and_equal_ones_folded() -> None:
    left = [f"line {number}" for number in range(LINES * 3)]
    right = [*left[:300], "other", *left[301:]]
    shown = [line.plain for line in diff_lines(left, right)]
    assert shown == [
        "  … 298 equal lines …", "  line 298", "  line 299", "- line 300", "+ other", "  line 301", "  line 302",
        "  … 297 equal lines …", "  … 1,200 more lines are not compared …",
    ]  # fmt: skip


def test_the_order_of_keys_is_no_difference_and_what_is_no_json_is_text(nasty: str) -> None:
    assert json_lines('{"a": 1, "b": 2}') == json_lines('{"b": 2, "a": 1}')
    assert json_lines("[" * 100_000)
    assert json_lines(None) == []
    shown = diff_lines(["same"], ["same", nasty])
    assert all("\x1b" not in line.plain and "\n" not in line.plain for line in shown)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0.0s"), (-0.0, "0.0s"), (-0.03, "0.0s"), (0.03, "0.0s"), (-0.06, "-0.1s"), (60, "+1m00s")],
)
def test_a_difference_of_nothing_has_no_sign(seconds: float, text: str) -> None:
    assert signed(seconds) == text
