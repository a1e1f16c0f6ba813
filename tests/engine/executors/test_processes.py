"""The engine over worker processes, here and on a Dask cluster: what it decides, and what is on disk then."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import WaitFor
from tests.engine.conftest import Bench

from pipeloom.engine.engine import Engine
from pipeloom.engine.run.run import KILL_AFTER_S
from pipeloom.loader import import_file
from pipeloom.messages import TaskDef
from pipeloom.pipeline import Pipeline, RetryPolicy

jobs: Any = import_file(str(Path(__file__).parents[1] / "jobs.py"))


@pytest.fixture(params=["process", "dask"])
def pipeline(request: pytest.FixtureRequest) -> Pipeline:
    """A pipeline that keeps the notes of its workers."""
    made = Pipeline("processes", [], jobs.nothing, executor=request.param, workers=2)
    if request.param == "dask":
        made.address = request.getfixturevalue("cluster").address
    made.schema(lambda conn: conn.execute("CREATE TABLE IF NOT EXISTS notes (task_id, value)"))
    made.handler(jobs.Note)(
        lambda conn, msg: conn.execute("INSERT INTO notes VALUES (?, ?)", (msg.task_id, str(msg.value)))
    )
    return made


def test_rows_messages_and_the_executors_name_are_kept(bench: Bench, pipeline: Pipeline) -> None:
    bench.run(jobs.count, [TaskDef(n, "a", params={"messages": 50}) for n in range(4)], pipeline=pipeline)
    assert bench.rows("SELECT status, count(*) FROM task_runs GROUP BY 1") == [("done", 4)]
    assert bench.rows("SELECT count(*), count(DISTINCT value) FROM notes") == [(200, 50)]
    assert bench.rows("SELECT executor FROM pipeline_runs") == [(pipeline.executor,)]
    place = {"process": "worker-[0-9]/[0-9]*", "dask": "127.0.0.1:[0-9]*"}[pipeline.executor or ""]
    assert bench.rows("SELECT DISTINCT worker GLOB ? FROM task_runs", place) == [(1,)]


def test_a_lost_worker_is_an_error_that_the_policy_may_forgive(bench: Bench, pipeline: Pipeline) -> None:
    pipeline.retry = RetryPolicy(retries=1, backoff=0)
    bench.run(jobs.die_once, 1, pipeline=pipeline)
    assert bench.rows("SELECT attempt, status, error_type FROM task_runs") == [
        (1, "error", "WorkerLost"),
        (2, "done", None),
    ]


def test_abandoning_a_worker_process_kills_it_and_frees_its_slot(
    bench: Bench, pipeline: Pipeline, wait_for: WaitFor
) -> None:
    engine = bench.engine(jobs.deaf, pipeline=pipeline)
    engine.start()
    row = bench.recorder.wait_for_status("running")
    bench.recorder.wait_until(lambda: bench.rows("SELECT value FROM notes"))
    engine.cancel([row.id])
    bench.recorder.wait_for_status("cancelling")
    assert engine.abandon([row.id]).accepted == (row.id,)
    assert engine.wait(20)
    assert bench.rows("SELECT status, message FROM task_runs") == [
        ("cancelled", "its worker did not stop and was killed")
    ]
    assert engine.load().lost == 0
    wait_for(lambda: is_gone(bench.rows("SELECT value FROM notes")[0][0]))


def run_beyond_the_limit(bench: Bench, engine: Engine) -> None:
    """Run a task whose limit is 30 s until it is killed."""
    engine.start()
    bench.recorder.wait_until(lambda: bench.rows("SELECT value FROM notes"))
    bench.clock.advance(31)
    bench.recorder.wait_for_status("cancelling")
    bench.clock.advance(KILL_AFTER_S)
    assert engine.wait(20)


def test_a_process_that_does_not_stop_at_its_time_limit_is_killed(bench: Bench, pipeline: Pipeline) -> None:
    engine = bench.engine(jobs.deaf, [TaskDef(1, "deaf", timeout=30)], pipeline=pipeline)
    run_beyond_the_limit(bench, engine)
    assert bench.rows("SELECT status, error_type, error FROM task_runs") == [
        ("error", "TimeoutError", "time limit reached")
    ]


def test_closing_kills_what_does_not_stop_within_the_grace(bench: Bench, pipeline: Pipeline, wait_for: WaitFor) -> None:
    engine = bench.engine(jobs.deaf, 2, pipeline=pipeline)
    engine.start()
    bench.recorder.wait_until(lambda: len(bench.rows("SELECT value FROM notes")) == 2)
    engine.close(0.0, reason="stopped by the user")
    assert bench.rows("SELECT status FROM task_runs") == [("interrupted",)] * 2
    for (pid,) in bench.rows("SELECT value FROM notes"):
        wait_for(partial(is_gone, pid))


def is_gone(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    return False


def test_what_cannot_be_sent_is_a_clear_error_on_its_attempt(bench: Bench, pipeline: Pipeline) -> None:
    tasks = [TaskDef(1, "bad", params={"load": jobs.Unpicklable()}), TaskDef(2, "good")]
    bench.run(jobs.nothing, tasks, pipeline=pipeline)
    place = {"process": "worker process", "dask": "Dask worker"}[pipeline.executor or ""]
    assert bench.rows("SELECT status, error_type, message FROM task_runs") == [
        ("error", "TypeError", f"TypeError: the task cannot be sent to a {place}: it does not want to travel"),
        ("done", None, ""),
    ]


@pytest.mark.parametrize("pipeline", ["process"], indirect=True)
def test_a_task_may_have_a_pool_of_processes(bench: Bench, pipeline: Pipeline) -> None:
    bench.run(jobs.compute_in_a_pool, 1, pipeline=pipeline)
    assert bench.rows("SELECT status FROM task_runs") == [("done",)]
    assert bench.rows("SELECT value FROM notes") == [("12",), ("12",)]


@pytest.mark.parametrize("pipeline", ["process"], indirect=True)
def test_what_a_task_has_started_ends_with_its_worker_process(
    bench: Bench, pipeline: Pipeline, wait_for: WaitFor
) -> None:
    bench.run(partial(jobs.leave_a_child, waits=False), 1, pipeline=pipeline)
    wait_for(lambda: is_gone(bench.rows("SELECT value FROM notes")[0][0]))


@pytest.mark.parametrize("pipeline", ["process"], indirect=True)
def test_what_a_task_waits_for_ends_at_its_time_limit(bench: Bench, pipeline: Pipeline, wait_for: WaitFor) -> None:
    engine = bench.engine(partial(jobs.leave_a_child, waits=True), [TaskDef(1, "a", timeout=30)], pipeline=pipeline)
    run_beyond_the_limit(bench, engine)
    engine.close()
    wait_for(lambda: is_gone(bench.rows("SELECT value FROM notes")[0][0]))
