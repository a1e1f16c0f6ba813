"""A screen that shows a running task shows no secret."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

from tests.tui.conftest import text_of, until

from pipeloom.engine.engine import Engine
from pipeloom.engine.options import EngineOptions
from pipeloom.messages import TaskDef
from pipeloom.pipeline import Pipeline
from pipeloom.protocols import Channel
from pipeloom.secrets import Secret
from pipeloom.tui.app import PipeloomApp
from pipeloom.tui.attempts.table_screen import TableScreen


async def test_the_screens_of_a_run_show_no_secret(tmp_path: Path) -> None:
    go, value = threading.Event(), "hunter2-on-screen"

    def load(task: TaskDef, q: Channel) -> None:
        print("printed", value)
        q.progress(1, 2, f"said {value}")
        assert go.wait(30)
        raise ConnectionError(f"raised {value}")

    task = TaskDef("load", f"name {value}", params={"token": Secret(value), "url": f"?t={value}"})
    engine = Engine(tmp_path / "etl.db", Pipeline("p", [task], load), EngineOptions(workers=1))
    app = PipeloomApp(tmp_path / "etl.db", engine)
    pictures: list[str] = []
    async with app.run_test(size=(140, 50)) as pilot:
        await until(pilot, lambda: "said •••" in text_of(app))
        await pilot.press("enter")
        await pilot.pause()
        pictures.append(app.export_screenshot())
        go.set()
        await until(pilot, lambda: not engine.is_running)
        await until(pilot, lambda: "raised •••" in text_of(app))
        pictures.append(app.export_screenshot())
        assert isinstance(app.screen, TableScreen)
        await pilot.press("h")
        await until(pilot, lambda: "•••" in text_of(app))
        pictures.append(app.export_screenshot())
    await asyncio.to_thread(engine.close)
    for picture in pictures:
        assert "hunter2" not in picture
        assert "on-screen" not in picture.replace("&#8209;", "-")
