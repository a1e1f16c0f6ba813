"""Between the end of a run and a retry the file is anybody's."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.engine.conftest import PATIENCE_S, Bench

from pipeloom.engine.engine import Engine
from pipeloom.errors import FileBusyError, StoreError
from pipeloom.messages import TaskDef
from pipeloom.protocols import Channel
from pipeloom.store.file.owner import is_owned


def fails_first(task: TaskDef, q: Channel) -> None:
    if q.attempt == 1:
        raise ValueError(task.name)


def ended(bench: Bench, **options: Any) -> Engine:
    engine = bench.engine(fails_first, 2, **options)
    engine.start()
    assert engine.wait(PATIENCE_S)
    return engine


def test_a_run_lets_go_of_the_file_at_its_end_and_a_retry_takes_it_again(bench: Bench) -> None:
    engine = ended(bench)
    assert is_owned(bench.path)
    assert engine.let_go()
    assert engine.let_go()
    assert not is_owned(bench.path)
    assert not Path(f"{bench.path}-wal").exists()
    other = bench.run(fails_first, 3)
    assert other.run_id == 2
    assert engine.retry([1]).accepted == (6,)  # 3 to 5 are the other run's
    assert is_owned(bench.path)
    assert engine.wait(PATIENCE_S)
    assert engine.let_go()
    assert engine.retry([6]).accepted == (7,)
    assert engine.wait(PATIENCE_S)
    engine.close()
    rows = bench.rows("SELECT run_id, task_id, attempt, status FROM task_runs ORDER BY id")
    assert rows[:2] == [(1, 1, 1, "error"), (1, 2, 1, "error")]
    assert [row[0] for row in rows[2:5]] == [2, 2, 2]
    assert rows[5:] == [(1, 1, 2, "done"), (1, 1, 3, "done")]
    assert bench.rows("SELECT status FROM pipeline_runs") == [("error",), ("error",)]
    assert engine.summary().exit_code == 1
    assert bench.rows("SELECT max(heartbeat_at <= finished_at) FROM pipeline_runs") == [(1,)]


def test_while_another_process_has_the_file_a_retry_is_refused_and_changes_nothing(bench: Bench) -> None:
    engine = ended(bench)
    assert engine.let_go()
    other = ended(bench)
    with pytest.raises(FileBusyError):
        engine.retry([1])
    assert engine.has_let_go
    other.close()
    assert engine.retry([1]).accepted == (5,)
    assert engine.wait(PATIENCE_S)


@pytest.mark.parametrize("what", ["deleted", "removed"])
def test_a_run_that_is_not_in_the_file_any_more_cannot_be_taken_up(bench: Bench, what: str) -> None:
    engine = ended(bench)
    assert engine.let_go()
    if what == "deleted":
        with closing(sqlite3.connect(bench.path)) as connection, connection:
            connection.execute("DELETE FROM pipeline_runs")
    else:
        bench.path.unlink()
    with pytest.raises(StoreError, match="run the pipeline again"):
        engine.retry([1])
    assert not is_owned(bench.path)
    engine.close()
    assert bench.path.exists() == (what == "deleted")


def test_what_is_refused_does_not_keep_the_file(bench: Bench) -> None:
    engine = ended(bench)
    assert engine.let_go()
    assert 99 in engine.retry([99]).refused
    assert not is_owned(bench.path)


def test_a_run_goes_on_holding_its_file_while_it_runs_and_when_it_is_kept_in_memory(bench: Bench) -> None:
    engine = ended(bench, store_task_status=False)
    assert not engine.let_go()
    engine.close()
    running = bench.engine(lambda task, q: q.sleep(600), 1)
    running.start()
    assert not running.let_go()
    assert is_owned(bench.path)
