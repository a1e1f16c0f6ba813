"""Attempts whose rows are far from what is usual for their task."""

from __future__ import annotations

import json
from typing import Any

from tests.engine.conftest import Bench, Gate

from pipeloom.console.lines import json_summary
from pipeloom.console.summary import summary_lines
from pipeloom.engine.engine import Engine
from pipeloom.engine.run.summary import OddTask
from pipeloom.messages import TaskDef
from pipeloom.pipeline import Pipeline, RetryPolicy
from pipeloom.protocols import Channel
from pipeloom.status import Exit, Status

PIPELINE = Pipeline("orders", [], print)
ORDERS = PIPELINE.table("orders", {"n": int})
USUAL = (64, 154)
"""Of a task that has always written 100 rows."""


def write(q: Channel, rows: int) -> None:
    q.put(ORDERS.rows([(n,) for n in range(rows)]))


def run(bench: Bench, *written: int, pipeline: Pipeline = PIPELINE, **options: Any) -> Engine:
    """Run as many tasks as numbers of rows are given to their end; each writes its own."""

    def worker(task: TaskDef, q: Channel) -> None:
        write(q, written[int(task.task_id) - 1])

    engine = bench.engine(worker, len(written), pipeline=pipeline, **options)
    engine.start()
    assert engine.wait(20)
    engine.close()
    return engine


def ranges(bench: Bench, run_id: int) -> list[Any]:
    return bench.rows("SELECT rows_low, rows_high FROM task_runs WHERE run_id=? ORDER BY id", run_id)


def test_a_task_is_compared_with_its_own_past_once_there_are_five_runs_of_it(bench: Bench) -> None:
    for _ in range(5):
        assert run(bench, 100, 0).summary().odd == ()
    assert {*ranges(bench, 1), *ranges(bench, 5)} == {(None, None)}
    summary = run(bench, 12, 0, 7).summary()
    assert ranges(bench, 6) == [USUAL, (0, 4), (None, None)]
    assert summary.odd == (OddTask(1, "task-1", 12, USUAL),)
    assert summary.exit_code is Exit.DONE
    assert run(bench, 155, 0).summary().odd == (OddTask(1, "task-1", 155, USUAL),)


def test_the_past_is_that_of_the_same_pipeline_and_of_attempts_that_were_done(bench: Bench) -> None:
    def failing(task: TaskDef, q: Channel) -> None:
        write(q, 100)
        if q.attempt == 1:
            raise ValueError("once")

    for _ in range(4):
        run(bench, 100)
    engine = bench.engine(failing, 1, pipeline=PIPELINE)
    engine.start()
    assert engine.wait(20)
    engine.close()
    other = Pipeline("other", [], print, handlers=PIPELINE.handlers, schemas=PIPELINE.schemas)
    assert run(bench, 1, pipeline=other).summary().odd == ()
    assert run(bench, 1).summary().odd == ()
    assert len(run(bench, 1).summary().odd) == 1


def test_a_rerun_counts_among_the_past_of_later_runs(bench: Bench) -> None:
    for _ in range(3):
        run(bench, 100)
    for _ in range(2):
        retried = bench.engine(lambda _, q: write(q, 100), 1, pipeline=PIPELINE)
        retried.start()
        assert retried.wait(20)
        retried.retry([bench.rows("SELECT max(id) FROM task_runs")[0][0]])
        assert retried.wait(20)
        retried.close()
    assert len(bench.rows("SELECT 1 FROM task_runs")) == 7
    run(bench, 100)
    assert ranges(bench, 6) == [USUAL]


def test_too_many_rows_are_known_while_the_task_runs_and_too_few_at_its_end(bench: Bench, gate: Gate) -> None:
    for _ in range(5):
        run(bench, 100, 100)

    def worker(task: TaskDef, q: Channel) -> None:
        write(q, 1)
        if task.task_id == 1:
            write(q, 200)
        gate.pass_through()

    engine = bench.engine(worker, 2, pipeline=PIPELINE)
    engine.start()

    def newest(task_id: int) -> Any:
        rows = [row for batch in bench.recorder.batches for row in batch.attempts if row.run_id == 6]
        return next((row for row in reversed(rows) if row.task_id == task_id), None)

    bench.recorder.wait_until(
        lambda: all((row := newest(n)) is not None and row.rows == rows for n, rows in ((1, 201), (2, 1)))
    )
    assert [(newest(n).status, newest(n).odd) for n in (1, 2)] == [(Status.RUNNING, 1), (Status.RUNNING, 0)]
    gate.open()
    assert engine.wait(20)
    engine.close()
    assert [(newest(n).status, newest(n).odd) for n in (1, 2)] == [(Status.DONE, 1), (Status.DONE, -1)]


def test_a_retry_that_writes_as_usual_clears_its_task(bench: Bench) -> None:
    for _ in range(5):
        run(bench, 100)

    def worker(task: TaskDef, q: Channel) -> None:
        write(q, 500 if q.attempt == 1 else 100)
        if q.attempt == 1:
            raise ValueError("twice read")

    engine = bench.engine(worker, 1, pipeline=PIPELINE, retry=RetryPolicy(retries=1, backoff=0))
    engine.start()
    assert engine.wait(20)
    engine.close()
    assert engine.summary().odd == ()
    assert bench.rows("SELECT attempt, rows > rows_high FROM task_runs WHERE run_id=6 ORDER BY id") == [(1, 1), (2, 0)]


def test_the_reports_of_a_run_name_the_tasks_with_odd_rows(bench: Bench) -> None:
    for _ in range(5):
        run(bench, *[100] * 12)
    summary = run(bench, *[1] * 11, 100).summary()
    assert json.loads(json_summary(summary))["odd"][0] == {
        "task_id": 1, "name": "task-1", "rows": 1, "usual": [64, 154],
    }  # fmt: skip
    told = [line.plain for line in summary_lines(summary)]
    assert told[1] == "  ! task-1  1 row, usually 64 to 154"
    assert told[10:12] == ["  ! task-10  1 row, usually 64 to 154", "  … and 1 more"]
