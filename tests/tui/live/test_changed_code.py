"""Files of the pipeline that change while its run goes on: the header, the question, and what is run."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.tui.conftest import text_of, until
from textual.pilot import Pilot

from pipeloom.engine.engine import Engine
from pipeloom.engine.options import EngineOptions
from pipeloom.loader import load_pipeline
from pipeloom.tui.app import PipeloomApp
from pipeloom.tui.widgets.dialogs import ChoiceDialog

FILE = """\
from pipeloom import Pipeline, TaskDef

def work(task, q):
    if task.task_id == 2:
        raise ValueError("of the old code")
    return "old"

pipeline = Pipeline("fix", [TaskDef(1, "sound"), TaskDef(2, "broken")], work, workers=1)
"""
FIXED = FILE.replace("task.task_id == 2", "not task").replace("old", "new")


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    before = set(sys.modules)
    yield tmp_path / "pipeline.py"
    for name in [name for name in sys.modules.keys() - before if name == "pipeline" or "pipeloom_file_" in name]:
        del sys.modules[name]


def write(file: Path, text: str) -> None:
    file.write_text(text)


@asynccontextmanager
async def ended_run(file: Path, size: tuple[int, int] = (120, 40)) -> AsyncIterator[tuple[PipeloomApp, Pilot[None]]]:
    """A run that has ended with a failed task, whose file has been changed since."""
    write(file, FILE)
    engine = Engine(file.with_name("etl.db"), load_pipeline(str(file)), EngineOptions())
    app = PipeloomApp(engine.db_path, engine)
    async with app.run_test(size=size, notifications=True) as pilot:
        await until(pilot, lambda: engine.has_let_go)
        write(file, FIXED)
        app.session.code.look()
        await until(pilot, lambda: "pipeline.py changed " in text_of(app))
        yield app, pilot
        await until(pilot, lambda: not engine.is_running)
    assert app.engine is not None
    await asyncio.to_thread(app.engine.close)


def attempts(app: PipeloomApp) -> list[tuple[int, int, str, bool]]:
    """Task, attempt, status, and whether it ran the code that was loaded first."""
    connection = sqlite3.connect(app.db_path)
    try:
        rows = connection.execute("SELECT task_id, attempt, status, code FROM task_runs ORDER BY id").fetchall()
    finally:
        connection.close()
    return [(task, attempt, status, code == rows[0][3]) for task, attempt, status, code in rows]


FIRST = [(1, 1, "done", True), (2, 1, "error", True)]


@pytest.mark.parametrize(
    ("keys", "then"),
    [
        (("R", "enter"), (2, 2, "done", False)),
        (("R", "R"), (2, 2, "done", False)),
        (("r", "y"), (2, 2, "done", False)),
        (("r", "o"), (2, 2, "error", True)),
        (("R", "escape"), ()),
    ],
)
async def test_a_retry_asks_which_code_to_run(file: Path, keys: tuple[str, str], then: tuple[object, ...]) -> None:
    async with ended_run(file) as (app, pilot):
        app.screen.query_one("VirtualTable").move_to_key(2)  # type: ignore[attr-defined]
        await pilot.press(keys[0])
        await until(pilot, lambda: isinstance(app.screen, ChoiceDialog))
        assert "broken" in text_of(app)
        await pilot.press(keys[1])
        await until(pilot, lambda: not isinstance(app.screen, ChoiceDialog))
        wanted = [*FIRST, then] if then else FIRST
        await until(pilot, lambda: attempts(app) == wanted)
        is_new = bool(then) and not then[3]
        app.session.code.look()
        await until(pilot, lambda: ("pipeline.py changed" in text_of(app)) is not is_new)


async def test_code_that_cannot_be_loaded_is_one_sentence_with_its_line(file: Path) -> None:
    async with ended_run(file) as (app, pilot):
        write(file, FIXED + "def broken(:\n")
        await pilot.press("R")
        await until(pilot, lambda: isinstance(app.screen, ChoiceDialog))
        await pilot.press("enter")
        await until(pilot, lambda: "(pipeline.py, line 9)" in " ".join(note.message for note in app._notifications))
        assert attempts(app) == FIRST


async def test_the_history_asks_too_and_a_new_run_is_of_the_new_code(file: Path) -> None:
    async with ended_run(file) as (app, pilot):
        await pilot.press("2", "R")
        await until(pilot, lambda: "or as it was loaded?" in text_of(app))
        await pilot.press("enter")
        await until(pilot, lambda: "Run 1 task of run 1 again?" in text_of(app))
        await pilot.press("y")
        await until(pilot, lambda: len(attempts(app)) == 3 and attempts(app)[2][2] == "done")
        assert attempts(app)[2] == (2, 1, "done", False)
        assert app.engine is not None
        await until(pilot, lambda: app.engine is not None and app.engine.run_id == 2 and not app.engine.is_running)


async def test_the_history_asks_about_an_attempt_of_the_open_run(file: Path) -> None:
    async with ended_run(file) as (app, pilot):
        await pilot.press("2")
        await until(pilot, lambda: "broken" in text_of(app))
        app.screen.query_one("VirtualTable").move_to_key(2)  # type: ignore[attr-defined]
        await pilot.press("r")
        await until(pilot, lambda: isinstance(app.screen, ChoiceDialog))
        await pilot.press("y")
        await until(pilot, lambda: attempts(app) == [*FIRST, (2, 2, "done", False)])
