"""The order of the live table that the user chooses."""

from __future__ import annotations

import pytest
from tests.tui.conftest import Cockpit, Synthetic

from pipeloom.status import Status
from pipeloom.store.rows import AttemptRow
from pipeloom.tui.live.board import Board
from pipeloom.tui.live.sorting import COLUMNS, Sorting

NOW = 1_785_585_641.0


def test_choosing_a_column_again_reverses_it_and_then_goes_back() -> None:
    sorting, seen = Sorting(), []
    for column in ("task", "task", "task", "id", "task", None):
        sorting.choose(column)
        seen.append((sorting.column, sorting.descending))
    assert seen == [("task", False), ("task", True), (None, False), ("id", False), ("task", False), (None, False)]


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("descending", [False, True])
def test_every_column_orders_values_of_any_kind(column: str, descending: bool) -> None:
    board = Board()
    ids: list[int | str] = [3, "b", 1, "a", 2]
    board.apply(
        [
            AttemptRow(
                number,
                1,
                task_id,
                1,
                f"name {number % 2}",
                status,
                progress=[None, 0.5, 0.0, 1.0, None][number],
                message=["", "b", "a", "", "c"][number],
                started_at=[None, "2026-08-01T12:00:00Z", "nonsense", None, "2026-08-01T11:00:00Z"][number],
                duration_s=[None, None, None, 4.0, None][number],
            )
            for number, (task_id, status) in enumerate(
                zip(ids, [Status.QUEUED, Status.RUNNING, Status.RUNNING, Status.DONE, Status.RUNNING], strict=True)
            )
        ],
        None,
        0.0,
    )
    Sorting(column, descending).apply(board, NOW, 0.0)
    assert {row.task_id for row in board.shown()} == set(ids)
    if column == "id":
        wanted = [1, 2, 3, "a", "b"]
        assert [row.task_id for row in board.shown()] == (wanted[::-1] if descending else wanted)


def test_rows_are_put_in_order_now_and_then_but_never_under_the_users_hands() -> None:
    board, sorting = Board(), Sorting("progress")
    sorting.apply(board, NOW, 100.0)
    assert not sorting.is_due(101.9, float("-inf"))
    assert sorting.is_due(102.1, float("-inf"))
    assert not sorting.is_due(102.1, 101.5)
    assert sorting.is_due(103.0, 101.5)
    sorting._took_s = 0.5
    assert not sorting.is_due(109.0, 0.0)
    assert sorting.is_due(110.0, 0.0)
    assert not Sorting().is_due(1000.0, 0.0)


async def test_s_asks_and_the_rows_follow_the_choice(cockpit: Cockpit, synthetic: Synthetic) -> None:
    async with cockpit.app.run_test(size=(120, 40)) as pilot:
        cockpit.commit(synthetic.rows(), synthetic.run)
        await cockpit.settle(pilot)
        before = cockpit.live.table.cursor_key
        await pilot.press("s", "down", "down", "enter")
        await cockpit.settle(pilot)
        names = [row.name for row in cockpit.app.board.shown()]
        assert names == sorted(names)
        await pilot.press("S")
        await cockpit.settle(pilot)
        assert [row.name for row in cockpit.app.board.shown()] == sorted(names, reverse=True)
        assert cockpit.live.table.cursor_key in (before, cockpit.app.board.shown()[0].task_id)
        await pilot.press("s", "escape")
        await cockpit.settle(pilot)
        assert [row.name for row in cockpit.app.board.shown()] == sorted(names, reverse=True)


async def test_a_click_on_a_label_sorts_by_it(cockpit: Cockpit, synthetic: Synthetic) -> None:
    async with cockpit.app.run_test(size=(120, 40)) as pilot:
        cockpit.commit(synthetic.rows(), synthetic.run)
        await cockpit.settle(pilot)
        table = cockpit.live.table
        await pilot.click(table, offset=(12, 0))
        await cockpit.settle(pilot)
        names = [row.name for row in cockpit.app.board.shown()]
        assert names == sorted(names)
        cockpit.commit([cockpit.app.board.shown()[-1]._replace(name="aaa")])
        await cockpit.settle(pilot)
        assert cockpit.app.board.shown()[-1].name == "aaa"
        cockpit.monotonic += 5
        cockpit.live._tick()
        assert cockpit.app.board.shown()[0].name == "aaa"
