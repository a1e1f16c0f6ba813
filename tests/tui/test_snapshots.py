"""What the screens look like: no engine, made-up commits, a clock that stands still."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.tui.conftest import Cockpit, SnapCompare, Synthetic, at_rest, text_of
from textual.pilot import Pilot

from pipeloom.code.version import Change
from pipeloom.engine.commands import LimitUse
from pipeloom.engine.executors.base import WorkerInfo
from pipeloom.status import RunStatus, Status
from pipeloom.store.write.connect import close_writer, open_writer
from pipeloom.store.write.ledger import Ledger
from pipeloom.tui.app import PipeloomApp
from pipeloom.tui.attempts.detail import DetailPane
from pipeloom.tui.attempts.table_screen import TableScreen
from pipeloom.tui.widgets.workers import LimitStep, WorkersDialog, WorkersSeen

SIZES = [(80, 24), (120, 40)]
Before = Callable[[Any], Awaitable[None]]


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> None:
    """Times are shown in the user's zone: here that is UTC."""
    import time

    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


def live(
    cockpit: Cockpit, synthetic: Synthetic, rows: int, *keys: str, at: int | None = None, tab: str | None = None
) -> Before:
    async def before(pilot: Pilot[None]) -> None:
        if rows:
            cockpit.commit(synthetic.rows(rows), synthetic.run)
        await cockpit.settle(pilot)
        if at is not None:
            assert isinstance(pilot.app.screen, TableScreen)
            pilot.app.screen.table.move_to_key(at)
        await pilot.press(*keys)
        if tab:
            pilot.app.screen.query_one(DetailPane).show_tab(tab)
        await pilot.pause()

    return before


STATES: dict[str, dict[str, Any]] = {
    "empty": {"rows": 0},
    "mixed": {"rows": 12},
    "crowded": {"rows": 500},
    "overview": {"rows": 12, "keys": ("d",), "at": 1},
    "attempts": {"rows": 12, "keys": ("d",), "at": 4, "tab": "attempts"},
    "error": {"rows": 12, "keys": ("d",), "at": 5, "tab": "error"},
    "params": {"rows": 12, "keys": ("d",), "at": 1, "tab": "params"},
    "result": {"rows": 12, "keys": ("d",), "at": 8, "tab": "result"},
    "filtered": {"rows": 12, "keys": ("space", "space", "slash", *"status:running,error")},
    "wrong-filter": {"rows": 12, "keys": ("slash", *"status:bad")},
    "cancel": {"rows": 12, "keys": ("x",)},
    "cancel-many": {"rows": 500, "keys": ("asterisk", "x")},
    "retry": {"rows": 12, "keys": ("R",)},
    "sort": {"rows": 12, "keys": ("s",)},
    "help": {"rows": 12, "keys": ("question_mark",)},
}


@pytest.mark.parametrize("size", [*SIZES, (160, 50)], ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("look", ["dark", "light", "ascii"])
@pytest.mark.parametrize("state", STATES)
def test_live(
    snap_compare: SnapCompare, cockpit: Cockpit, synthetic: Synthetic, state: str, look: str, size: tuple[int, int]
) -> None:
    cockpit.app.ascii_only = look == "ascii"
    if look == "light":
        cockpit.app.theme = "pipeloom-light"
    given = STATES[state]
    shown = live(cockpit, synthetic, given["rows"], *given.get("keys", ()), at=given.get("at"), tab=given.get("tab"))

    async def before(pilot: Pilot[None]) -> None:
        await shown(pilot)
        assert look != "ascii" or text_of(pilot.app).isascii()

    assert snap_compare(cockpit.app, terminal_size=size, run_before=before)


def test_workers(snap_compare: SnapCompare, cockpit: Cockpit, synthetic: Synthetic) -> None:
    found = [
        WorkerInfo("tcp://10.0.0.7:40313", 1, (1,), 98.4, 412 << 20, 12_053 << 20),
        WorkerInfo("tcp://10.0.0.8:38221", 4, (2, 3, 4, 5), 301.0, 1_602 << 20, 12_053 << 20),
        WorkerInfo("tcp://10.0.0.9:38221", 1, (), 2.0, 98 << 20, None),
        WorkerInfo("worker-1/48213", 1, (), None, 51 << 20, None),
        WorkerInfo("worker-2", 1, (6,)),
    ]

    async def seen() -> WorkersSeen:
        return WorkersSeen(found)

    async def before(pilot: Pilot[None]) -> None:
        await live(cockpit, synthetic, 12)(pilot)
        await pilot.app.push_screen(WorkersDialog(seen, lambda number: f"seattle-2012-{number:02}"))
        await at_rest(pilot)

    assert snap_compare(cockpit.app, terminal_size=(120, 40), run_before=before)


@pytest.mark.parametrize(("size", "look"), [(SIZES[0], "dark"), (SIZES[1], "light"), (SIZES[1], "ascii")])
def test_live_with_what_was_skipped(
    snap_compare: SnapCompare, cockpit: Cockpit, synthetic: Synthetic, size: tuple[int, int], look: str
) -> None:
    cockpit.app.ascii_only = look == "ascii"
    if look == "light":
        cockpit.app.theme = "pipeloom-light"
    rows = synthetic.rows(12)
    failed = next(row for row in rows if row.status is Status.ERROR)
    queued = next(row for row in rows if row.status is Status.QUEUED)
    message = f"{failed.name} failed"
    skipped = [
        queued._replace(id=900 + n, task_id=900 + n, name=f"report-{n}", status=Status.SKIPPED, message=message)
        for n in range(3)
    ]

    async def before(pilot: Pilot[None]) -> None:
        cockpit.commit([*rows, *skipped], synthetic.run)
        await cockpit.settle(pilot)
        assert isinstance(pilot.app.screen, TableScreen)
        pilot.app.screen.table.move_to_key(900)
        await pilot.press(*(("d",) if size == SIZES[1] else ()))
        await at_rest(pilot)
        assert look != "ascii" or text_of(pilot.app).isascii()

    assert snap_compare(cockpit.app, terminal_size=size, run_before=before)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("look", ["dark", "ascii"])
def test_limits(
    snap_compare: SnapCompare, cockpit: Cockpit, synthetic: Synthetic, look: str, size: tuple[int, int]
) -> None:
    cockpit.app.ascii_only = look == "ascii"
    workers = [WorkerInfo(f"worker-{number}", 1, (number,) * (number < 4)) for number in range(1, 9)]
    limits = [
        LimitUse("api", 2, 5, 2, 37),
        LimitUse("host:*", 2, None, 9, 1_240),
        LimitUse("reports", None, 0.2, 1, 0),
        LimitUse("[/]a name\nof two lines that is too long for the list", 12, None, 0, 0),
    ]

    async def seen() -> WorkersSeen:
        return WorkersSeen(workers, limits)

    async def change(step: LimitStep) -> None:
        pass

    async def before(pilot: Pilot[None]) -> None:
        await live(cockpit, synthetic, 12)(pilot)
        await pilot.app.push_screen(WorkersDialog(seen, lambda number: f"seattle-2012-{number:02}", change))
        await at_rest(pilot)
        await pilot.press("j")
        await at_rest(pilot)
        assert look != "ascii" or text_of(pilot.app).isascii()

    assert snap_compare(cockpit.app, terminal_size=size, run_before=before)


GIVEN = '{"--first": "12", "start": "2026-11-01", "region": ["eu", "us"]}'


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_live_with_parameters(
    snap_compare: SnapCompare, cockpit: Cockpit, synthetic: Synthetic, size: tuple[int, int]
) -> None:
    synthetic = replace(synthetic, run=replace(synthetic.run, params=GIVEN))
    assert snap_compare(cockpit.app, terminal_size=size, run_before=live(cockpit, synthetic, 12))


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("keys", [(), ("R",)], ids=["header", "question"])
def test_live_with_changed_code(
    snap_compare: SnapCompare, cockpit: Cockpit, synthetic: Synthetic, size: tuple[int, int], keys: tuple[str, ...]
) -> None:
    watch, change = cockpit.app.session.code, Change("/jobs/pipeline.py", synthetic.clock - 90, others=1)
    watch._engine, watch._found = cockpit.engine, (cockpit.engine.version, change)
    assert snap_compare(cockpit.app, terminal_size=size, run_before=live(cockpit, synthetic, 12, *keys))


@pytest.fixture
def history_app(tmp_path: Path, synthetic: Synthetic) -> PipeloomApp:
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


def loaded(*keys: str, at: int | None = None, tab: str | None = None) -> Before:
    async def before(pilot: Pilot[None]) -> None:
        await at_rest(pilot)
        if at is not None:
            assert isinstance(pilot.app.screen, TableScreen)
            pilot.app.screen.table.move_to_key(at)
        await pilot.press(*keys)
        if tab:
            pilot.app.screen.query_one(DetailPane).show_tab(tab)
        await at_rest(pilot)

    return before


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_history(snap_compare: SnapCompare, history_app: PipeloomApp, size: tuple[int, int]) -> None:
    assert snap_compare(history_app, terminal_size=size, run_before=loaded())


def test_history_of_runs_with_parameters(snap_compare: SnapCompare, tmp_path: Path, synthetic: Synthetic) -> None:
    connection = open_writer(path := tmp_path / "etl.db")
    ended = replace(synthetic.run, status=RunStatus.ERROR, finished_at=synthetic.at(60))
    for given in (None, GIVEN):
        Ledger(connection).insert_run(replace(ended, params=given))
    close_writer(connection)
    app = PipeloomApp(path, clock=lambda: synthetic.clock, monotonic=lambda: 1000.0)
    assert snap_compare(app, terminal_size=(80, 24), run_before=loaded("b", "down"))


def test_history_with_a_log(snap_compare: SnapCompare, history_app: PipeloomApp) -> None:
    assert snap_compare(history_app, terminal_size=(120, 40), run_before=loaded("d", at=17, tab="log"))


def test_start(snap_compare: SnapCompare, tmp_path: Path) -> None:
    assert snap_compare(PipeloomApp(tmp_path / "etl.db"), terminal_size=(80, 24))


def test_every_status_has_a_row_in_the_mixed_picture(synthetic: Synthetic) -> None:
    shown: set[Status] = {row.status for row in synthetic.rows(12)}
    assert shown == set(Status) - {Status.INTERRUPTED, Status.SKIPPED}
