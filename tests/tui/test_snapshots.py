"""What the screens look like: no engine, made-up commits, a clock that stands still."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from pipeloom.status import Status
from pipeloom.store.connect import close_writer, open_writer
from pipeloom.store.ledger import Ledger
from pipeloom.store.rows import AttemptRow
from pipeloom.tui.app import PipeloomApp
from pipeloom.tui.widgets.detail import DetailPane
from pipeloom.tui.widgets.virtual_table import VirtualTable

SIZES = [(80, 24), (120, 40)]
Before = Callable[[Any], Awaitable[None]]


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> None:
    """Times are shown in the user's zone: here that is UTC."""
    import time

    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


def live(cockpit: Any, synthetic: Any, rows: int, *keys: str, at: int | None = None, tab: str | None = None) -> Before:
    async def before(pilot: Any) -> None:
        if rows:
            cockpit.commit(synthetic.rows(rows), synthetic.run)
        await cockpit.settle(pilot)
        if at is not None:
            pilot.app.screen.query_one(VirtualTable).move_to_key(at)
        await pilot.press(*keys)
        if tab:
            pilot.app.screen.query_one(DetailPane).show_tab(tab)
        await pilot.pause()

    return before


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("rows", [0, 12, 500], ids=["empty", "mixed", "crowded"])
def test_live(snap_compare: Any, cockpit: Any, synthetic: Any, rows: int, size: tuple[int, int]) -> None:
    assert snap_compare(cockpit.app, terminal_size=size, run_before=live(cockpit, synthetic, rows))


@pytest.mark.parametrize("size", [*SIZES, (160, 50)], ids=lambda size: f"{size[0]}x{size[1]}")
def test_live_with_the_error_of_a_task(snap_compare: Any, cockpit: Any, synthetic: Any, size: tuple[int, int]) -> None:
    before = live(cockpit, synthetic, 12, "d", at=5, tab="error")
    assert snap_compare(cockpit.app, terminal_size=size, run_before=before)


def test_live_with_the_overview_of_a_task(snap_compare: Any, cockpit: Any, synthetic: Any) -> None:
    assert snap_compare(cockpit.app, terminal_size=(120, 40), run_before=live(cockpit, synthetic, 12, "d", at=1))


def test_live_filtered_with_marks(snap_compare: Any, cockpit: Any, synthetic: Any) -> None:
    keys = ("space", "space", "slash", *"status:running,error")
    assert snap_compare(cockpit.app, terminal_size=(120, 40), run_before=live(cockpit, synthetic, 12, *keys))


def test_live_with_a_filter_that_is_wrong(snap_compare: Any, cockpit: Any, synthetic: Any) -> None:
    keys = ("slash", *"status:bad")
    assert snap_compare(cockpit.app, terminal_size=(120, 40), run_before=live(cockpit, synthetic, 12, *keys))


def test_live_in_the_light_theme(snap_compare: Any, cockpit: Any, synthetic: Any) -> None:
    cockpit.app.theme = "pipeloom-light"
    assert snap_compare(cockpit.app, terminal_size=(120, 40), run_before=live(cockpit, synthetic, 12))


def test_live_in_ascii(snap_compare: Any, cockpit: Any, synthetic: Any) -> None:
    cockpit.app.ascii_only = True
    assert snap_compare(cockpit.app, terminal_size=(80, 24), run_before=live(cockpit, synthetic, 12))


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("keys", [("x",), ("R",), ("question_mark",)], ids=["cancel", "retry", "help"])
def test_dialogs(snap_compare: Any, cockpit: Any, synthetic: Any, keys: tuple[str, ...], size: tuple[int, int]) -> None:
    assert snap_compare(cockpit.app, terminal_size=size, run_before=live(cockpit, synthetic, 12, *keys))


@pytest.fixture
def history_app(tmp_path: Path, synthetic: Any) -> PipeloomApp:
    """The app over a small file, without a run."""
    path = tmp_path / "etl.db"
    connection = open_writer(path)
    rows = [row._replace(id=number) for number, row in enumerate(synthetic.rows(24), 1)]
    Ledger(connection).insert_attempts(rows)
    Ledger(connection).insert_logs(
        [(17, 1, synthetic.at(31), "WARNING", "row 14: precipitation empty, counted as missing")]
    )
    close_writer(connection)
    return PipeloomApp(path, clock=lambda: synthetic.clock, monotonic=lambda: 1000.0)


async def at_rest(pilot: Any) -> None:
    """Wait until nothing is being read any more; a read that a newer one replaced does not count."""
    for _ in range(500):
        await pilot.pause()
        if all(worker.is_finished for worker in pilot.app.workers):
            return
        await pilot.pause(0.01)
    raise AssertionError("the history is still being read")


def loaded(*keys: str, at: int | None = None, tab: str | None = None) -> Before:
    async def before(pilot: Any) -> None:
        await at_rest(pilot)
        if at is not None:
            pilot.app.screen.table.move_to_key(at)
        await pilot.press(*keys)
        if tab:
            pilot.app.screen.query_one(DetailPane).show_tab(tab)
        await at_rest(pilot)

    return before


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_history(snap_compare: Any, history_app: PipeloomApp, size: tuple[int, int]) -> None:
    assert snap_compare(history_app, terminal_size=size, run_before=loaded())


def test_history_with_a_log(snap_compare: Any, history_app: PipeloomApp) -> None:
    assert snap_compare(history_app, terminal_size=(120, 40), run_before=loaded("d", at=17, tab="log"))


def test_start(snap_compare: Any, tmp_path: Path) -> None:
    assert snap_compare(PipeloomApp(tmp_path / "etl.db"), terminal_size=(80, 24))


def test_every_status_has_a_row_in_the_mixed_picture(synthetic: Any) -> None:
    shown: set[Status] = {row.status for row in synthetic.rows(12) if isinstance(row, AttemptRow)}
    assert shown == set(Status) - {Status.INTERRUPTED}
