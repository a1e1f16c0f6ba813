"""The history screen over real files."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Zone
from tests.tui.conftest import text_of
from textual.pilot import Pilot

from pipeloom.filters import parse
from pipeloom.status import Status
from pipeloom.store.read.history import History
from pipeloom.store.read.paging import NEWEST, Sort
from pipeloom.store.rows import AttemptRow
from pipeloom.store.write.connect import close_writer, open_writer
from pipeloom.store.write.ledger import Ledger
from pipeloom.tui.app import PipeloomApp
from pipeloom.tui.attempts.detail import DetailPane
from pipeloom.tui.history.queries import AttemptsQuery
from pipeloom.tui.history.screen import HistoryScreen
from pipeloom.tui.table.sources import KEPT_PAGES, PagedSource, Snapshot, load_pages
from pipeloom.tui.table.virtual_table import VirtualTable


def make(path: Path, count: int, name: str = "task-{}", message: str = "m{}") -> Path:
    connection = open_writer(path, durability="normal")
    ledger = Ledger(connection)
    ledger.begin()
    ledger.insert_attempts(
        [
            AttemptRow(
                n,
                n // 1000 + 1,
                n,
                1,
                name.format(n),
                Status.ERROR if n % 7 == 0 else Status.DONE,
                message=message.format(n),
                duration_s=1.0,
            )
            for n in range(1, count + 1)
        ]
    )
    ledger.commit()
    close_writer(connection)
    return path


async def until(app: PipeloomApp, pilot: Pilot[None], words: str) -> None:
    for _ in range(400):
        if words in text_of(app):
            return
        await pilot.pause(0.02)
    raise AssertionError(f"{words!r} did not appear in\n{text_of(app)}")


async def test_a_file_of_200_000_attempts_shows_its_newest_page_and_loads_little_more(tmp_path: Path) -> None:
    app = PipeloomApp(make(tmp_path / "etl.db", 200_000))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(app, pilot, "task-200000")
        await until(app, pilot, "200,000 attempts")  # on a slow machine they are counted after the first rows are there
        screen = app.screen
        assert isinstance(screen, HistoryScreen)
        assert screen.lists.attempts.pages.count() == 200_000
        assert screen.lists.attempts.pages.loaded() < 2_000
        await pilot.press("end")
        await until(app, pilot, "task-1 ")
        await pilot.press("home")
        await until(app, pilot, "task-200000")
        for _ in range(30):
            await pilot.press("pagedown")
        await pilot.pause()
        assert screen.lists.attempts.pages.loaded() <= KEPT_PAGES * AttemptsQuery.size


async def test_filter_and_detail_work_on_a_file_without_a_run(tmp_path: Path) -> None:
    app = PipeloomApp(make(tmp_path / "etl.db", 50))
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await until(app, pilot, "task-50")
        await pilot.press("slash", *"status:error task-4")
        await until(app, pilot, "2 of 50 attempts")
        await pilot.press("enter", "enter")
        await until(app, pilot, "Overview")
        await app.workers.wait_for_complete()
        await pilot.pause()
        assert app.screen.query_one(DetailPane).plain == "m49", "what failed is shown by its error"
        app.screen.query_one(DetailPane).show_tab("overview")
        await until(app, pilot, "task 49 · attempt 1 · run 1")
        app.screen.query_one(DetailPane).show_tab("log")
        await until(app, pilot, "No log lines.")


async def test_an_open_detail_keeps_its_attempt_when_that_passes_the_filter_no_longer(tmp_path: Path) -> None:
    path = make(tmp_path / "etl.db", 50)
    app = PipeloomApp(path)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(app, pilot, "task-50")
        await pilot.press("slash", *"status:error", "enter")
        await until(app, pilot, "7 of 50 attempts")
        screen = app.screen
        assert isinstance(screen, HistoryScreen)
        screen.open_detail("overview")
        await until(app, pilot, "task 49 · attempt 1 · run 1")
        with closing(sqlite3.connect(path)) as other, other:
            other.execute("UPDATE task_runs SET status='done' WHERE id IN (49, 42)")
        screen.reload()
        await until(app, pilot, "6 of 50 attempts")
        assert screen.selection().attempt_id == 49
        assert "task 49 · attempt 1 · run 1" in text_of(app)
        await pilot.press("down")
        await until(app, pilot, "task 35 · attempt 1 · run 1")
        screen.reload()
        await until(app, pilot, "5 of 50 attempts")
        assert screen.selection().attempt_id == 35


async def test_new_rows_do_not_take_the_cursor_away_from_its_row(tmp_path: Path) -> None:
    path = make(tmp_path / "etl.db", 300)
    app = PipeloomApp(path)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(app, pilot, "task-300")
        screen = app.screen
        assert isinstance(screen, HistoryScreen)
        screen.table.move_cursor(5)
        connection = open_writer(path)
        Ledger(connection).insert_attempts([AttemptRow(n, 2, n, 1, f"new-{n}", Status.DONE) for n in range(301, 321)])
        close_writer(connection)
        screen.reload()
        await until(app, pilot, "▲ 20 new")
        assert screen.table.cursor_key == 295
        await until(app, pilot, "300 attempts")
        await pilot.press("f5")
        await until(app, pilot, "320 attempts")
        await until(app, pilot, "new-320")
        assert screen.table.cursor_index == 0


async def test_a_filter_holds_wherever_one_has_scrolled_to(tmp_path: Path) -> None:
    app = PipeloomApp(make(tmp_path / "etl.db", 20_000))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(app, pilot, "task-20000")
        await pilot.press("end")
        await until(app, pilot, "task-1 ")
        for _ in range(60):
            await pilot.press("pageup")
        await pilot.press("slash", *"status:error")
        await until(app, pilot, "2,857 of 20,000 attempts")
        await until(app, pilot, "task-19999")


async def test_reading_goes_on_after_a_read_that_was_replaced_at_once(tmp_path: Path) -> None:
    app = PipeloomApp(make(tmp_path / "etl.db", 5_000))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(app, pilot, "task-5000")
        screen = app.screen
        assert isinstance(screen, HistoryScreen)
        for _ in range(3):
            screen.reload()
            screen.table.move_cursor(4_000)
            screen.reload()
        await until(app, pilot, "task-1000 ")
        screen.table.move_cursor(4_999)
        await until(app, pilot, "task-1 ")


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_the_zone_of_the_times_is_named(tmp_path: Path, zone: Zone, size: tuple[int, int]) -> None:
    zone("Europe/Berlin")
    app = PipeloomApp(make(tmp_path / "etl.db", 50))
    async with app.run_test(size=size) as pilot:
        await until(app, pilot, "task-50")
        await until(app, pilot, "times in CET/CEST")


async def test_an_empty_file_says_so(tmp_path: Path) -> None:
    app = PipeloomApp(make(tmp_path / "etl.db", 0))
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await until(app, pilot, "Nothing has run in this file yet.")
        await pilot.press("1")
        await until(app, pilot, "No run goes on in this file")


async def test_without_a_file_the_start_page_says_what_to_do(tmp_path: Path) -> None:
    app = PipeloomApp(tmp_path / "etl.db")
    async with app.run_test(size=(80, 24)) as pilot:
        await until(app, pilot, "pipeloom-tui etl.db --demo")
        await pilot.press("q")
        await pilot.pause()
    assert not (tmp_path / "etl.db").exists()


@pytest.mark.parametrize("text", ["", "status:error"])
@pytest.mark.parametrize("sort", [NEWEST, Sort("name", descending=False), Sort("duration_s")])
def test_pages_by_key_and_by_place_are_the_same(tmp_path: Path, text: str, sort: Sort) -> None:
    query = AttemptsQuery(parse(text), sort)
    with History(make(tmp_path / "etl.db", 3_000)) as history:
        whole = query.page(history, 5_000)
        source = PagedSource(query, lambda: None)
        source.replace(query, Snapshot(len(whole), load_pages(query, history, [0], {}, len(whole))))
        for wanted in ([1], [2, 3], [1], [0]):
            source.put(load_pages(query, history, wanted, source.neighbours(wanted), len(whole)))
        source.put(load_pages(query, history, [3], {}, len(whole)))
        assert list(source.window(0, 4 * query.size)) == whole[: 4 * query.size]
        last = (len(whole) - 1) // query.size
        assert load_pages(query, history, [last], {}, len(whole))[last] == whole[last * query.size :]
        assert source.take_missing() == []


@pytest.mark.parametrize(("size", "least"), [((80, 24), 16), ((120, 40), 20), ((160, 50), 40)])
async def test_the_list_of_runs_leaves_room_for_names_and_messages(
    tmp_path: Path, size: tuple[int, int], least: int
) -> None:
    app = PipeloomApp(make(tmp_path / "etl.db", 50))
    async with app.run_test(size=size) as pilot:
        await until(app, pilot, "task-50")
        screen = app.screen
        assert isinstance(screen, HistoryScreen)
        widths = {slot.column.id: slot.width for slot in screen.lists.attempts._lines.layout.slots}
        assert widths["message"] >= least
        assert widths["task"] >= len("task-50")
        assert screen.lists.attempts._lines.layout.width <= screen.lists.attempts.size.width


async def test_the_first_paint_on_a_narrow_screen_has_the_columns_of_all_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    widths: list[int] = []
    paint = VirtualTable.render_line

    def noted(self: VirtualTable[Any], y: int) -> Any:
        widths.append(self.size.width)
        return paint(self, y)

    monkeypatch.setattr(VirtualTable, "render_line", noted)
    app = PipeloomApp(make(tmp_path / "etl.db", 50))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(app, pilot, "task-50")
    assert set(widths) == {80}


@pytest.mark.parametrize("message", ["", "loaded"])
async def test_a_long_name_is_whole_where_the_messages_are_short(tmp_path: Path, message: str) -> None:
    name = "customers-2025-03-01-part-{}"
    app = PipeloomApp(make(tmp_path / "etl.db", 50, name, message))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(app, pilot, name.format(50))


async def test_names_and_messages_share_the_width_where_both_are_long(tmp_path: Path) -> None:
    app = PipeloomApp(
        make(tmp_path / "etl.db", 50, "customers-2025-03-01-part-{}", "the server has closed the connection {}")
    )
    async with app.run_test(size=(80, 24)) as pilot:
        await until(app, pilot, "part-50")
        await until(app, pilot, "the server has")
