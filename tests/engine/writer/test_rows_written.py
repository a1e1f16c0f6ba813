"""The number of rows that an attempt has written: what is committed of it, and nothing that was undone."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from tests.engine.conftest import Bench

from pipeloom.console.lines import json_lines, json_summary
from pipeloom.console.summary import summary_lines
from pipeloom.engine.engine import Engine
from pipeloom.engine.writer.sink import CommitBatch
from pipeloom.messages import MsgTaskProgress, TaskDef
from pipeloom.pipeline import Pipeline, RetryPolicy
from pipeloom.protocols import Channel
from pipeloom.store.read.follow import FollowedRun
from pipeloom.store.read.history import History
from pipeloom.store.write.handler_connection import HandlerConnection, SchemaConnection


@dataclass(frozen=True)
class Sql:
    text: str


def counting_pipeline(schema: str = "CREATE TABLE t (n INTEGER PRIMARY KEY);") -> Pipeline:
    """A pipeline whose messages are scripts of statements, split at `;`."""
    pipeline = Pipeline("counting", [], print)

    @pipeline.schema
    def create(conn: SchemaConnection) -> None:
        conn.executescript(schema)

    @pipeline.handler(Sql)
    def execute(conn: HandlerConnection, msg: Sql) -> None:
        for statement in msg.text.split(";"):
            conn.execute(statement).fetchall()

    return pipeline


def run(
    bench: Bench, pipeline: Pipeline, worker: Callable[[Any, Any], object], tasks: int = 1, **options: Any
) -> Engine:
    engine = bench.engine(worker, tasks, pipeline=pipeline, **options)
    engine.start()
    assert engine.wait(20)
    engine.close()
    return engine


def has_grown(bench: Bench, before: int) -> bool:
    return len(bench.recorder.batches) > before


def written(bench: Bench) -> list[Any]:
    return [rows for (rows,) in bench.rows("SELECT rows FROM task_runs ORDER BY id")]


def test_inserted_updated_and_deleted_rows_count_for_their_attempt(bench: Bench) -> None:
    pipeline = counting_pipeline()
    table = pipeline.table("orders", {"id": int, "note": str}, "id")

    def worker(task: TaskDef, q: Channel) -> None:
        if task.task_id == 1:
            q.put(
                Sql(
                    "INSERT INTO t VALUES (1), (2), (3); UPDATE t SET n = n + 10 WHERE n > 1; DELETE FROM t WHERE n = 1"
                )
            )
            q.put(Sql("INSERT INTO t VALUES (4) RETURNING n; SELECT * FROM t"))
        elif task.task_id == 2:
            q.put(table.rows([(n, "a") for n in range(500)]))
            q.put(table.rows([(n, "b") for n in range(3)]))
            q.put(table.rows([]))

    engine = run(bench, pipeline, worker, 3, workers=1)
    assert written(bench) == [3 + 2 + 1 + 1, 503, 0]
    assert engine.summary().rows == 510


def test_what_triggers_write_counts_too(bench: Bench) -> None:
    pipeline = counting_pipeline(
        "CREATE TABLE t (n); CREATE TABLE audit (n); "
        "CREATE TRIGGER copy AFTER INSERT ON t BEGIN INSERT INTO audit VALUES (new.n); END;"
    )
    run(bench, pipeline, lambda _, q: q.put(Sql("INSERT INTO t VALUES (1), (2)")))
    assert written(bench) == [4]


def test_rows_of_a_handler_that_fails_do_not_count(bench: Bench) -> None:
    def worker(task: TaskDef, q: Channel) -> None:
        q.put(Sql(f"INSERT INTO t VALUES ({task.task_id})"))
        q.put(Sql("INSERT INTO t VALUES (100), (200); INSERT INTO missing VALUES (1)"))

    run(bench, counting_pipeline(), worker, 2, workers=1)
    assert written(bench) == [1, 1]
    assert bench.rows("SELECT count(*) FROM t") == [(2,)]


def test_rows_of_a_transaction_that_was_lost_count_once(bench: Bench) -> None:
    pipeline = counting_pipeline("CREATE TABLE t (n INTEGER PRIMARY KEY ON CONFLICT ROLLBACK);")

    def worker(task: TaskDef, q: Channel) -> None:
        for n in (1, 2, 1, 3):
            q.put(Sql(f"INSERT INTO t VALUES ({n})"))

    run(bench, pipeline, worker)
    assert written(bench) == [3]
    assert bench.rows("SELECT n FROM t") == [(1,), (2,), (3,)]


def test_rows_beside_one_that_leaves_a_foreign_key_unfulfilled_count_once(bench: Bench) -> None:
    pipeline = counting_pipeline(
        "CREATE TABLE parents (n INTEGER PRIMARY KEY); "
        "CREATE TABLE t (n REFERENCES parents (n) DEFERRABLE INITIALLY DEFERRED); INSERT INTO parents VALUES (1);"
    )

    def worker(task: TaskDef, q: Channel) -> None:
        for n in (1, 1, 7, 1):
            q.put(Sql(f"INSERT INTO t VALUES ({n})"))

    run(bench, pipeline, worker)
    assert written(bench) == [3]


def test_rows_of_several_commits_add_up_and_each_attempt_has_its_own(bench: Bench) -> None:
    def worker(task: TaskDef, q: Channel) -> None:
        for n in range(3):
            q.put(Sql(f"INSERT INTO t VALUES ({q.attempt * 10 + n})"))
            before = len(bench.recorder.batches)
            q.put(MsgTaskProgress(task.task_id, n, 3))
            bench.recorder.wait_until(partial(has_grown, bench, before))
        if q.attempt == 1:
            raise ValueError("once")

    pipeline = counting_pipeline()
    pipeline.retry = RetryPolicy(retries=1, backoff=0)
    engine = run(bench, pipeline, worker)
    assert written(bench) == [3, 3]
    seen = [row.rows for batch in bench.recorder.batches for row in batch.attempts if row.attempt == 1]
    assert seen == sorted(seen, key=lambda rows: rows or 0)
    assert {0, 3} <= {*seen}
    assert engine.summary().rows == 6


def test_where_attempts_are_not_stored_the_summary_has_the_rows(bench: Bench) -> None:
    engine = run(
        bench, counting_pipeline(), lambda _, q: q.put(Sql("INSERT INTO t VALUES (1), (2)")), store_task_status=False
    )
    assert engine.summary().rows == 2


def test_the_reports_of_a_run_say_how_many_rows_it_has_written(bench: Bench) -> None:
    engine = run(bench, counting_pipeline(), lambda _, q: q.put(Sql("INSERT INTO t VALUES (1), (2)")))
    summary = engine.summary()
    assert json.loads(json_summary(summary))["rows"] == 2
    assert "1 done in" in summary_lines(summary)[0].plain
    assert summary_lines(summary)[0].plain.endswith(", 2 rows written")
    batch = CommitBatch(1, tuple(row for one in bench.recorder.batches for row in one.attempts), None, 1, 0.0, 0)
    assert [json.loads(line)["rows"] for line in json_lines(batch)][-1] == 2
    with History(bench.path) as history:
        assert [row.rows for row in FollowedRun(history, 1).look().attempts] == [2]
        assert [row.rows for row in history.page()] == [2]
