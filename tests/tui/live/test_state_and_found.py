"""Tasks that go on where they ended, and tasks that find others, on the screens with a real engine."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.tui.conftest import text_of, until
from textual.pilot import Pilot

from pipeloom.engine.engine import Engine
from pipeloom.engine.options import EngineOptions
from pipeloom.messages import TaskDef
from pipeloom.pipeline import Pipeline
from pipeloom.protocols import Channel
from pipeloom.status import Status
from pipeloom.tui.app import PipeloomApp
from pipeloom.tui.attempts.table_screen import TableScreen


class Pages:
    """A task that notes its page and fails, and one that runs until it may end."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.go = threading.Event()
        self.pipeline = Pipeline("pages", [TaskDef("pages"), TaskDef("slow")], self._work)

    def _work(self, task: TaskDef, q: Channel) -> None:
        if task.task_id == "slow":
            assert self.go.wait(30)
            return
        self.seen.append(q.state.get("page"))
        q.put(state={"page": q.state.get("page", 0) + 1})
        raise ValueError("the line is dead")


@asynccontextmanager
async def shown(path: Path, pipeline: Pipeline, go: threading.Event) -> AsyncIterator[tuple[PipeloomApp, Pilot[None]]]:
    engine = Engine(path, pipeline, EngineOptions(workers=2))
    app = PipeloomApp(path, engine)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        yield app, pilot
        go.set()
        await until(pilot, lambda: not engine.is_running)
    await asyncio.to_thread(engine.close)


async def choose(app: PipeloomApp, pilot: Pilot[None], name: str) -> None:
    screen = app.screen
    assert isinstance(screen, TableScreen)
    screen.filter_bar.set(name)
    await until(pilot, lambda: screen.table.row_count == 1 and screen.table.cursor_row is not None)


@pytest.mark.parametrize("mode", ["live", "history"])
@pytest.mark.parametrize(
    ("key", "begins"), [("y", 1), ("s", None), ("r", 1)], ids=["go on", "from the start", "the key itself"]
)
async def test_running_again_asks_whether_to_go_on_or_to_begin(
    tmp_path: Path, mode: str, key: str, begins: int | None
) -> None:
    pages = Pages()
    async with shown(tmp_path / "etl.db", pages.pipeline, pages.go) as (app, pilot):
        await until(pilot, lambda: app.board.counts[Status.ERROR] == 1)
        if mode == "history":
            await pilot.press("2")
            await until(pilot, lambda: "2 attempts" in text_of(app))
        await choose(app, pilot, "pages")
        await pilot.press("r")
        await until(pilot, lambda: "1 task can go on where it has ended." in text_of(app))
        assert "From the start (s)" in text_of(app)
        assert "Go on (y, r)" in text_of(app)
        await pilot.press(key)
        await until(pilot, lambda: len(pages.seen) == 2)
        assert pages.seen == [None, begins]


async def test_a_no_runs_nothing(tmp_path: Path) -> None:
    pages = Pages()
    async with shown(tmp_path / "etl.db", pages.pipeline, pages.go) as (app, pilot):
        await until(pilot, lambda: app.board.counts[Status.ERROR] == 1)
        await choose(app, pilot, "pages")
        screen = app.screen
        for key in ("n", "escape"):
            await pilot.press("r")
            await until(pilot, lambda: "From the start" in text_of(app))
            await pilot.press(key)
            await until(pilot, lambda: app.screen is screen)
        assert pages.seen == [None]


@pytest.mark.parametrize("mode", ["live", "history"])
async def test_the_state_is_a_tab_of_the_tasks_that_have_one(tmp_path: Path, mode: str) -> None:
    pages = Pages()
    async with shown(tmp_path / "etl.db", pages.pipeline, pages.go) as (app, pilot):
        await until(pilot, lambda: app.board.counts[Status.ERROR] == 1)
        if mode == "history":
            await pilot.press("2")
            await until(pilot, lambda: "2 attempts" in text_of(app))
        await choose(app, pilot, "pages")
        await pilot.press("d")
        await until(pilot, lambda: "Result State" in " ".join(text_of(app).split()))
        screen = app.screen
        assert isinstance(screen, TableScreen)
        screen.detail.show_tab("state")
        await until(pilot, lambda: '"page": 1' in text_of(app) and "left by attempt 1" in text_of(app))
        await choose(app, pilot, "slow")
        await until(pilot, lambda: "Result State" not in " ".join(text_of(app).split()))
        assert '"page"' not in text_of(app)


async def test_the_table_grows_under_the_cursor_and_the_total_says_so(tmp_path: Path) -> None:
    go, steps = threading.Event(), threading.Semaphore(0)

    def find(task: TaskDef, q: Channel) -> None:
        if task.task_id != "seed":
            return
        for number in range(3):
            assert steps.acquire(timeout=30)
            q.put(*(TaskDef(f"{number}-{place}") for place in range(100)))
        assert go.wait(30)

    pipeline = Pipeline("crawl", [TaskDef("seed"), *(TaskDef(f"listed-{n}") for n in range(50))], find, workers=1)
    engine = Engine(tmp_path / "etl.db", pipeline, EngineOptions(workers=1))
    app = PipeloomApp(tmp_path / "etl.db", engine)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await until(pilot, lambda: app.board.counts[Status.QUEUED] == 50)
        screen = app.screen
        assert isinstance(screen, TableScreen)
        await until(pilot, lambda: screen.table.row_count == 51)
        assert "0/51 " in text_of(app)
        screen.table.move_to_key("listed-20")
        await pilot.pause()

        def shows(total: int) -> bool:
            return screen.table.row_count == total and f"0/{total}+" in text_of(app)

        line = next(n for n, text in enumerate(text_of(app).splitlines()) if "listed-20" in text)
        for total in (151, 251, 351):
            steps.release()
            await until(pilot, partial(shows, total))
            row = screen.table.cursor_row
            assert row is not None
            assert row.name == "listed-20"
            assert "listed-20" in text_of(app).splitlines()[line]
        go.set()
        await until(pilot, lambda: not engine.is_running)
        await until(pilot, lambda: "351/351 " in text_of(app))
    await asyncio.to_thread(engine.close)
