"""Tasks that come after others, on the screens with a real engine: skipped ones, and what `r` says and does."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.tui.conftest import at_rest, text_of, until

from pipeloom.engine.engine import Engine
from pipeloom.engine.options import EngineOptions
from pipeloom.messages import TaskDef
from pipeloom.pipeline import Pipeline
from pipeloom.protocols import Channel
from pipeloom.status import Status
from pipeloom.tui.app import PipeloomApp
from pipeloom.tui.attempts.table_screen import TableScreen

TASKS = [TaskDef("load"), TaskDef("merge", after=["load"]), TaskDef("report", after="*"), TaskDef("other")]


class Jobs:
    def __init__(self) -> None:
        self.fails = True

    def __call__(self, task: TaskDef, _q: Channel) -> None:
        if task.task_id == "load" and self.fails:
            raise ValueError("no answer")


def line_of(app: PipeloomApp, name: str) -> str:
    return next(line for line in text_of(app).splitlines() if f" {name} " in line and "skipped" in line)


async def test_a_skipped_task_says_why_and_runs_when_what_it_waits_for_is_done(tmp_path: Path) -> None:
    jobs = Jobs()
    engine = Engine(tmp_path / "etl.db", Pipeline("shop", TASKS, jobs), EngineOptions(workers=2))
    app = PipeloomApp(tmp_path / "etl.db", engine)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await until(pilot, lambda: app.board.counts[Status.SKIPPED] == 2 and "2 skipped" in text_of(app))
        assert "load failed" in line_of(app, "merge")
        assert "load failed" in line_of(app, "report")
        screen = app.screen
        assert isinstance(screen, TableScreen)
        screen.table.move_to_key("merge")
        await pilot.press("r")
        await until(pilot, lambda: "1 refused: load failed: run that again" in " ".join(text_of(app).split()))
        jobs.fails = False
        screen.table.move_to_key("load")
        await pilot.press("r")
        await until(pilot, lambda: app.board.counts[Status.DONE] == 4)
        assert "skipped" not in text_of(app)
    await asyncio.to_thread(engine.close)


async def test_a_rerun_from_the_history_takes_along_what_was_skipped_because_of_it(tmp_path: Path) -> None:
    path, jobs = tmp_path / "etl.db", Jobs()
    first = Engine(path, Pipeline("shop", TASKS, jobs))
    first.start()
    assert await asyncio.to_thread(first.wait, 60)
    first.close()
    jobs.fails = False
    engine = Engine(path, Pipeline("shop", TASKS, jobs))
    app = PipeloomApp(path, engine, start=False)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await pilot.press("2")
        await until(pilot, lambda: "4 attempts" in text_of(app))
        await pilot.press("slash", *"status:error", "enter")
        await until(pilot, lambda: "1 of 4 attempts" in text_of(app))
        await at_rest(pilot)
        await pilot.press("r")
        await until(pilot, lambda: "2 that were skipped and come after them run, too" in text_of(app))
        await pilot.press("y")
        await until(pilot, lambda: app.board.counts[Status.DONE] == 3)
        assert app.engine is not None
        await asyncio.to_thread(app.engine.close)
