"""The library's front door."""

from __future__ import annotations

import signal
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest

import pipeloom
from pipeloom import Pipeline, RunSummary, TaskDef, run_pipeline
from pipeloom.errors import PipeloomError, UsageError
from pipeloom.protocols import Channel


def test_every_public_name_can_be_had() -> None:
    for name in pipeloom.__all__:
        assert getattr(pipeloom, name) is not None
    assert set(pipeloom.__all__) <= set(dir(pipeloom))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = pipeloom.nothing


def test_failed_tasks_raise_nothing_and_are_in_the_summary(tmp_path: Path) -> None:
    def work(task: TaskDef, q: Channel) -> None:
        if task.task_id == 0:
            raise KeyError("temp_max")

    summary = run_pipeline(tmp_path / "etl.db", [TaskDef(0, "zero"), TaskDef(1, "one")], worker_fn=work, ui="none")
    assert isinstance(summary, RunSummary)
    assert (summary.counts, summary.ok, summary.total) == ({"done": 1, "error": 1}, False, 2)
    assert [(task.task_id, task.name, task.error) for task in summary.failed] == [(0, "zero", "KeyError: 'temp_max'")]


def test_handlers_and_schema_may_be_arguments(tmp_path: Path) -> None:
    class Row:
        pass

    run_pipeline(
        tmp_path / "etl.db",
        [TaskDef(1, "one")],
        worker_fn=lambda task, q: q.put(Row()),
        handlers={Row: lambda conn, msg: conn.execute("INSERT INTO t VALUES (7)")},
        schema=lambda conn: conn.execute("CREATE TABLE IF NOT EXISTS t (x)"),
        ui="none",
    )
    connection = sqlite3.connect(tmp_path / "etl.db")
    assert connection.execute("SELECT x FROM t").fetchall() == [(7,)]
    connection.close()


@pytest.mark.parametrize(
    ("tasks", "options"),
    [
        ([TaskDef(1, "a")], {}),
        ([TaskDef(1, "a")], {"worker_fn": print, "workers": 0}),
        ([TaskDef(1, "a"), TaskDef(1, "b")], {"worker_fn": print}),
        ([TaskDef(1, "a")], {"worker_fn": print, "ui": "loud"}),
        ([TaskDef(1, "a")], {"worker_fn": print, "ui": "tui"}),  # there is no terminal here
        ([TaskDef(1, "a")], {"worker_fn": print, "durability": "some"}),
        ([TaskDef(1, "a")], {"worker_fn": print, "executor": "gpu"}),
        ([TaskDef(1, "a")], {"worker_fn": "print"}),
    ],
)
def test_misuse_is_refused_before_anything_is_written(tmp_path: Path, tasks: Any, options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        run_pipeline(tmp_path / "etl.db", tasks, **options)
    assert not list(tmp_path.iterdir())


def test_ctrl_c_saves_and_is_passed_on(tmp_path: Path) -> None:
    def work(task: TaskDef, q: Channel) -> None:
        main = threading.main_thread().ident
        assert main is not None
        signal.pthread_kill(main, signal.SIGINT)
        q.sleep(60)

    with pytest.raises(KeyboardInterrupt):
        run_pipeline(tmp_path / "etl.db", [TaskDef(1, "one")], worker_fn=work, ui="none")
    connection = sqlite3.connect(tmp_path / "etl.db")
    assert connection.execute("SELECT status, message FROM task_runs").fetchall() == [
        ("interrupted", "stopped with ctrl+c")
    ]
    connection.close()


def test_what_cannot_be_opened_is_an_error_of_the_library(tmp_path: Path) -> None:
    with pytest.raises(PipeloomError, match="is a directory"):
        run_pipeline(tmp_path, Pipeline("p", [], print), ui="none")


def test_the_demo_is_the_same_forty_tasks_every_time() -> None:
    from pipeloom.demo import _tasks, demo

    assert list(demo.tasks) == _tasks()
    assert len(_tasks()) == 40
    assert 30 < sum(task.params["seconds"] for task in _tasks()) / 4 < 60
