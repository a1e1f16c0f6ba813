"""Reruns from the history list their tasks with the parameters of the run that they are of."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.tui.history.test_history_views import at_rest, told, until

from pipeloom import Channel, Pipeline, TaskDef, run_pipeline
from pipeloom.engine.engine import Engine
from pipeloom.engine.options import EngineOptions
from pipeloom.store.read.history import History
from pipeloom.tui.app import PipeloomApp
from pipeloom.user_state import remember_pipeline

CODE = """
from pipeloom import Pipeline, TaskDef
pipeline = Pipeline("pages", worker_fn=lambda task, q: None)
@pipeline.tasks
def pages(region: str, count: int = 2):
    return [TaskDef(f"{region}-{number}") for number in range(count)]
"""


def pages(region: str, count: int = 2) -> Iterator[TaskDef]:
    for number in range(count):
        yield TaskDef(f"{region}-{number}")


def failing(task: TaskDef, _q: Channel) -> None:
    if task.task_id in ("eu-1", "us-1"):
        raise KeyError("page")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Two runs of the pipeline, for two regions; one task of each has failed."""
    path = tmp_path / "etl.db"
    for region, count in (("eu", 3), ("us", 2)):
        run_pipeline(path, Pipeline("pages", pages, failing), params={"region": region, "count": count}, ui="none")
    return path


def names(path: Path, run_id: int) -> set[str]:
    with History(path) as history:
        return {row.name for row in history.page(where=None) if row.run_id == run_id}


@pytest.mark.parametrize(
    "keys", [("slash", *"run:1 status:error", "enter", "r"), ("b", "end", "r")], ids=["a task", "rest"]
)
async def test_a_rerun_has_the_parameters_of_its_run_whatever_the_program_was_started_with(
    file: Path, keys: tuple[str, ...]
) -> None:
    pipeline = Pipeline("pages", pages, lambda _task, _q: None)
    app = PipeloomApp(file, Engine(file, pipeline, EngineOptions(params={"region": "us"})), start=False)
    async with app.run_test(size=(160, 40)) as pilot:
        await pilot.press("2")
        await until(app, pilot, "5 attempts")
        for pressed in keys:
            await pilot.press(pressed)
            await at_rest(app, pilot)
        await until(app, pilot, "again?" if keys[0] == "slash" else "Run the rest of run 1 (1 task)?")
        await pilot.press("right", "enter")
        await until(app, pilot, "1/1", "region=eu count=3")
        assert app.engine is not None
        app.engine.close()
    assert names(file, 3) == {"eu-1"}
    with History(file) as history:
        run = history.run(3)
    assert run is not None
    assert run.parent_run_id == 1
    assert json.loads(run.params or "") == {"region": "eu", "count": "3"}


async def test_a_pipeline_that_is_loaded_for_a_rerun_needs_no_parameters_typed(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "pages.py").write_text(CODE, encoding="utf-8")
    remember_pipeline(file, str(tmp_path / "pages.py"))
    app = PipeloomApp(file)
    async with app.run_test(size=(160, 40), notifications=True) as pilot:
        await until(app, pilot, "5 attempts")
        await pilot.press("slash", *"eu-1", "enter")
        await until(app, pilot, " 1 of 5 attempts")
        await pilot.press("r")
        await until(app, pilot, "No pipeline is loaded")
        await pilot.press("right", "enter")
        await until(app, pilot, "Run 1 task of run 1 again?")
        await pilot.press("right", "enter")
        await until(app, pilot, "1/1", "1 done")
        assert app.engine is not None
        app.engine.close()
    assert names(file, 3) == {"eu-1"}


async def test_a_rerun_that_needs_a_secret_tells_where_to_type_it(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    code = CODE.replace("region: str", "token: Secret, region: str").replace("import ", "import Secret, ")
    (tmp_path / "pages.py").write_text(code, encoding="utf-8")
    remember_pipeline(file, str(tmp_path / "pages.py"))
    app = PipeloomApp(file)
    async with app.run_test(size=(160, 40), notifications=True) as pilot:
        await until(app, pilot, "5 attempts")
        await pilot.press("R")
        await until(app, pilot, "No pipeline is loaded")
        await pilot.press("right", "enter")
        command = f"pipeloom retry {file} 'status:error' {tmp_path / 'pages.py'} -p token=…"
        await told(app, pilot, f"pages needs token. From a shell: {command}")


async def test_a_rerun_whose_parameters_do_not_fit_any_more_is_told(file: Path) -> None:
    def today(region: int) -> list[TaskDef]:
        return [TaskDef(f"{region}")]

    pipeline = Pipeline("pages", today, lambda _task, _q: None)
    app = PipeloomApp(file, Engine(file, pipeline, EngineOptions(params={"region": 3})), start=False)
    async with app.run_test(size=(160, 40), notifications=True) as pilot:
        await pilot.press("2")
        await until(app, pilot, "5 attempts")
        await pilot.press("R")
        await told(app, pilot, "'us' is not what region takes: int.")
