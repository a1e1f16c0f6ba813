"""Runs for what has changed on the screens: what is unchanged is counted, asks nothing, and reruns do not mind it."""

from __future__ import annotations

import asyncio
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from tests.tui.conftest import Cockpit, SnapCompare, Synthetic, at_rest, text_of, until
from textual.pilot import Pilot

from pipeloom import Channel, Pipeline, TaskDef, run_pipeline
from pipeloom.engine.engine import Engine
from pipeloom.engine.options import EngineOptions
from pipeloom.status import RunStatus
from pipeloom.store.read.history import History
from pipeloom.store.write.connect import close_writer, open_writer
from pipeloom.store.write.ledger import Ledger
from pipeloom.tui.app import PipeloomApp

SIZES = pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=lambda size: f"{size[0]}x{size[1]}")
TASKS = [TaskDef(f"page-{number}") for number in range(3)]


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


@SIZES
@pytest.mark.parametrize("rows", [12, 0], ids=["some", "nothing"])
def test_the_header_counts_what_is_unchanged(
    snap_compare: SnapCompare, cockpit: Cockpit, synthetic: Synthetic, rows: int, size: tuple[int, int]
) -> None:
    run = replace(synthetic.run, unchanged=988)
    if not rows:
        run = replace(run, status=RunStatus.DONE, finished_at=run.started_at)

    async def before(pilot: Pilot[None]) -> None:
        cockpit.commit(synthetic.rows(rows) if rows else [], run)
        await cockpit.settle(pilot)

    assert snap_compare(cockpit.app, terminal_size=size, run_before=before)


@SIZES
def test_the_history_counts_what_is_unchanged(
    snap_compare: SnapCompare, tmp_path: Path, synthetic: Synthetic, size: tuple[int, int]
) -> None:
    connection = open_writer(path := tmp_path / "etl.db")
    ended = replace(synthetic.run, status=RunStatus.DONE, finished_at=synthetic.at(60))
    for unchanged in (None, 988):
        run = Ledger(connection).insert_run(replace(ended, unchanged=unchanged))
        rows = [row._replace(id=run.id * 100 + place, run_id=run.id) for place, row in enumerate(synthetic.rows(6), 1)]
        Ledger(connection).insert_attempts(rows)
    close_writer(connection)
    app = PipeloomApp(path, clock=lambda: synthetic.clock, monotonic=lambda: 1000.0)

    async def before(pilot: Pilot[None]) -> None:
        await at_rest(pilot)
        await pilot.press("b", "down")
        await at_rest(pilot)

    assert snap_compare(app, terminal_size=size, run_before=before)


def work(task: TaskDef, _q: Channel) -> None:
    if task.name == "page-1":
        raise KeyError("page")


async def test_a_run_for_what_has_changed_asks_nothing_and_a_rerun_does_not_mind(tmp_path: Path) -> None:
    path = tmp_path / "etl.db"
    run_pipeline(path, Pipeline("pages", TASKS, work), ui="none")
    connection = sqlite3.connect(path)
    connection.execute("UPDATE pipeline_runs SET status='interrupted'")
    connection.commit()
    connection.close()
    pipeline = Pipeline("pages", TASKS, lambda _task, _q: None, changed=True)
    engine = Engine(path, pipeline, EngineOptions())
    app = PipeloomApp(path, engine)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: engine.is_started and not engine.is_running)
        await until(pilot, lambda: "= 2 unchanged" in text_of(app))
        await pilot.press("2", "slash", *"run:1 page-0", "enter", "r")
        await until(pilot, lambda: "of run 1 again?" in text_of(app))
        await pilot.press("y")
        again = app.engine
        await until(pilot, lambda: app.engine is not engine and app.engine is not None and app.engine.is_started)
        again = app.engine
        assert again is not None
        await until(pilot, lambda: not again.is_running)
    await asyncio.to_thread(again.close)
    with History(path) as history:
        ran = [(row.run_id, row.name) for row in history.page(where=None)]
        unchanged = [run.unchanged for run in history.runs()]
    assert ran[:2] == [(3, "page-0"), (2, "page-1")]
    assert unchanged == [None, 2, None]
