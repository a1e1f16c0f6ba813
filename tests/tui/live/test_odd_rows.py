"""A task whose rows are far from its past, on the screens with a real engine."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

from tests.tui.conftest import text_of, until

from pipeloom.engine.engine import Engine
from pipeloom.messages import TaskDef
from pipeloom.pipeline import Pipeline
from pipeloom.protocols import Channel
from pipeloom.status import Status
from pipeloom.tui.app import PipeloomApp
from pipeloom.tui.attempts.table_screen import TableScreen


class Loads:
    """Two tasks that write as many rows as they are told, and run until they may end."""

    def __init__(self) -> None:
        self.rows = {"orders": 1000, "users": 1000}
        self.go = threading.Event()
        self.pipeline = Pipeline("loads", [TaskDef(name, name) for name in self.rows], self._work)
        self.table = self.pipeline.table("loaded", {"n": int})

    def _work(self, task: TaskDef, q: Channel) -> None:
        q.put(self.table.rows([(n,) for n in range(self.rows[str(task.task_id)])]))
        assert self.go.wait(30)


async def test_odd_rows_are_marked_while_the_task_runs_and_in_the_history(tmp_path: Path) -> None:
    loads, path = Loads(), tmp_path / "etl.db"
    loads.go.set()
    for _ in range(5):
        past = Engine(path, loads.pipeline)
        past.start()
        assert past.wait(30)
        past.close()
    loads.go.clear()
    loads.rows = {"orders": 5000, "users": 12}
    engine = Engine(path, loads.pipeline)
    app = PipeloomApp(path, engine)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "▲5000" in text_of(app) and " 12 " in text_of(app))
        assert "▲5,000 rows" in text_of(app)
        assert "▼" not in text_of(app)
        screen = app.screen
        assert isinstance(screen, TableScreen)
        screen.filter_bar.set("rows:odd")
        await until(pilot, lambda: screen.table.row_count == 1)
        await pilot.press("d")
        await until(pilot, lambda: "5,000, usually 664 to 1,504" in text_of(app))
        loads.go.set()
        await until(pilot, lambda: app.board.counts[Status.DONE] == 2)
        await until(pilot, lambda: screen.table.row_count == 2 and "▼12" in text_of(app))
        await pilot.press("2")
        await until(pilot, lambda: "12 attempts" in text_of(app))
        history = app.screen
        assert isinstance(history, TableScreen)
        history.filter_bar.set("rows:odd")
        await until(pilot, lambda: history.table.row_count == 2)
        await until(pilot, lambda: "▲5,000 rows" in text_of(app) and "▼12 rows" in text_of(app))
    await asyncio.to_thread(engine.close)
