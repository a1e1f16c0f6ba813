"""A start that is given up enters no run, and lets the file go once nothing of the user's code is at it."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest
from tests.conftest import WaitFor
from tests.engine.conftest import Gate

from pipeloom import run_pipeline
from pipeloom.engine.engine import Engine
from pipeloom.errors import PipeloomError
from pipeloom.messages import TaskDef
from pipeloom.pipeline import Pipeline
from pipeloom.store.file.owner import OwnerLock, is_owned


def stuck(gate: Gate) -> Pipeline:
    pipeline = Pipeline("stuck", [TaskDef(1, "one")], lambda task, q: None)
    pipeline.schema(lambda conn: gate.pass_through())
    return pipeline


def runs(path: Path) -> int:
    connection = sqlite3.connect(path)
    try:
        (count,) = connection.execute("SELECT count(*) FROM pipeline_runs").fetchone()
    finally:
        connection.close()
    return int(count)


def test_closing_gives_up_a_start_that_a_schema_helper_holds(db_path: Path, wait_for: WaitFor) -> None:
    gate = Gate()
    others = set(threading.enumerate())  # a writer that an earlier test has left stuck may be among them
    engine = Engine(db_path, stuck(gate))
    errors: list[str] = []

    def start() -> None:
        try:
            engine.start()
        except PipeloomError as error:
            errors.append(str(error))

    starting = threading.Thread(target=start)
    starting.start()
    gate.await_arrival()
    engine.close()
    starting.join(10)
    assert errors == ["The run was stopped before it began."]
    assert not engine.is_started
    # The helper has the file still, so no other program may write to it.
    with pytest.raises(PipeloomError, match="is in use"):
        OwnerLock(db_path).acquire("")
    gate.open()
    wait_for(lambda: not is_owned(db_path))
    assert runs(db_path) == 0
    assert not any(thread.name == "pipeloom-writer" for thread in set(threading.enumerate()) - others)


def test_an_engine_that_was_closed_before_its_start_does_not_start(db_path: Path) -> None:
    engine = Engine(db_path, Pipeline("late", [TaskDef(1, "one")], lambda task, q: None))
    engine.close()
    with pytest.raises(PipeloomError, match="stopped before it began"):
        engine.start()
    assert not is_owned(db_path)


def test_a_ctrl_c_while_a_schema_helper_runs_enters_no_run(
    db_path: Path, wait_for: WaitFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate()

    def interrupted(self: object) -> None:
        gate.await_arrival()
        raise KeyboardInterrupt

    monkeypatch.setattr("pipeloom.engine.writer.opening.Opening.wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_pipeline(db_path, stuck(gate), ui="none")
    assert is_owned(db_path)
    gate.open()
    wait_for(lambda: not is_owned(db_path))
    assert runs(db_path) == 0


def test_a_ctrl_c_that_comes_too_late_ends_the_run_that_was_entered(
    db_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeloom.engine.writer.opening import Opening

    wait = Opening.wait

    def interrupted(self: Opening) -> None:
        wait(self)
        raise KeyboardInterrupt

    monkeypatch.setattr(Opening, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_pipeline(db_path, Pipeline("late", [TaskDef(1, "one")], lambda task, q: None), ui="none")
    assert not is_owned(db_path)
    connection = sqlite3.connect(db_path)
    assert connection.execute("SELECT status FROM pipeline_runs").fetchall() == [("interrupted",)]
    connection.close()


@pytest.mark.parametrize("where", ["pipeloom.engine.run.run.Run.begin", "pipeloom.engine.parts.EngineParts.serve"])
def test_a_ctrl_c_at_the_end_of_a_start_closes_the_run(
    db_path: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(where, interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_pipeline(db_path, [TaskDef(1, "one")], worker_fn=lambda task, q: None, ui="none")
    assert not is_owned(db_path)
    connection = sqlite3.connect(db_path)
    assert connection.execute("SELECT status FROM pipeline_runs").fetchall() != [("running",)]
    connection.close()
