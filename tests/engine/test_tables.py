"""Tables of a pipeline through the whole engine: created, extended or refused at start-up, written by any executor."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.engine.conftest import Bench

from pipeloom import run_pipeline
from pipeloom.engine.executors import ExecutorName
from pipeloom.engine.executors.dask.cluster import Cluster
from pipeloom.engine.run.resume import Resume
from pipeloom.engine.worker.validation import MAX_MESSAGE
from pipeloom.errors import UsageError
from pipeloom.loader import import_file
from pipeloom.messages import TaskDef
from pipeloom.pipeline import Pipeline
from pipeloom.protocols import Channel, HandledAttempt
from pipeloom.store.write.handler_connection import HandlerConnection, SchemaConnection
from pipeloom.tables.table import Table

ORDERS: dict[str, Any] = {"id": int, "customer": str, "total": Decimal | None}
HOSTILE = '"); DROP TABLE task_runs; --'


@dataclass(frozen=True)
class Note:
    text: str


def nothing(task: TaskDef, q: Channel) -> None:
    pass


def run(bench: Bench, pipeline: Pipeline, worker: Callable[[Any, Any], object], tasks: int = 1, **options: Any) -> None:
    engine = bench.engine(worker, tasks, pipeline=pipeline, **options)
    engine.start()
    assert engine.wait(30)
    engine.close()


def start(bench: Bench, *declarations: tuple[Any, ...], **options: Any) -> None:
    """Run a pipeline that declares tables and writes nothing."""
    pipeline = Pipeline("shop", [], nothing)
    for declaration in declarations:
        pipeline.table(*declaration, **options)
    run(bench, pipeline, nothing)


def sql_of(bench: Bench, table: str = "orders") -> str:
    return str(bench.rows("SELECT sql FROM sqlite_schema WHERE name=?", table)[0][0])


# -- written -----------------------------------------------------------------------------------------------------------


def test_rows_replace_those_of_the_same_key_and_name_their_attempt(bench: Bench) -> None:
    pipeline = Pipeline("shop", [], nothing)
    orders = pipeline.table("orders", ORDERS, "id")

    def worker(task: TaskDef, q: Channel) -> None:
        q.put(orders.rows([(task.task_id, "ada", Decimal("1.10")), (100, f"by-{task.task_id}", None)]))

    run(bench, pipeline, worker, 3, workers=1)
    assert bench.rows("SELECT o.id, o.customer, o.total, t.task_id FROM orders o JOIN task_runs t ON t.id = o._attempt ORDER BY 1") == [
        (1, "ada", "1.10", 1), (2, "ada", "1.10", 2), (3, "ada", "1.10", 3), (100, "by-3", None, 3),
    ]  # fmt: skip
    assert sql_of(bench).endswith("STRICT")


def test_without_a_key_rows_are_appended_and_without_provenance_they_name_nothing(bench: Bench) -> None:
    pipeline = Pipeline("shop", [], nothing)
    seen = pipeline.table("seen", {"what": str}, provenance=False)

    def worker(task: TaskDef, q: Channel) -> None:
        for _ in range(2):
            q.put(seen.rows([("a",)]))

    run(bench, pipeline, worker)
    assert bench.rows("SELECT * FROM seen") == [("a",), ("a",)]


@pytest.mark.parametrize("provenance", [True, False])
@pytest.mark.parametrize("many", [1, 500])
def test_composite_keys_and_keys_of_all_columns(bench: Bench, provenance: bool, many: int) -> None:
    pipeline = Pipeline("shop", [], nothing)
    days = pipeline.table("days", {"city": str, "day": date, "rain": float}, ["day", "city"], provenance=provenance)
    pairs = pipeline.table("pairs", {"a": int, "b": int}, ("b", "a"), provenance=provenance)

    def worker(task: TaskDef, q: Channel) -> None:
        q.put(days.rows([("oslo", date(2026, 1, 1), float(n)) for n in range(many)]))
        q.put(pairs.rows([(1, 2)] * many))

    run(bench, pipeline, worker, 2, workers=1)
    assert bench.rows("SELECT city, day, rain FROM days") == [("oslo", "2026-01-01", many - 1.0)]
    assert bench.rows("SELECT a, b FROM pairs") == [(1, 2)]
    if provenance:
        assert bench.rows("SELECT _attempt FROM days UNION SELECT _attempt FROM pairs") == [(2,)]


def test_names_of_any_characters_are_quoted(bench: Bench) -> None:
    pipeline = Pipeline("shop", [], nothing)
    columns: dict[str, Any] = {HOSTILE: int, "select": str, "a b": str, "é'": str, "rowid": int, "?1": int}
    odd = pipeline.table(HOSTILE, columns, HOSTILE)

    def worker(task: TaskDef, q: Channel) -> None:
        for text in ("first", "second"):
            q.put(odd.rows([dict(zip(columns, (1, text, "b", "c", 7, 8), strict=True))]))

    run(bench, pipeline, worker)
    quoted = HOSTILE.replace('"', '""')
    assert bench.rows(f'SELECT * FROM "{quoted}"') == [(1, "second", "b", "c", 7, 8, 1)]
    assert bench.one("status") == "done"
    run(bench, pipeline, nothing)


def test_a_value_that_fits_no_rule_is_an_error_of_its_own_attempt_in_rows(bench: Bench) -> None:
    pipeline = Pipeline("shop", [], nothing)
    orders = pipeline.table("orders", ORDERS, "id")

    def worker(task: TaskDef, q: Channel) -> None:
        q.put(orders.rows([(1, "ada", None)]))
        q.put(orders.rows([(2, "bob", None), (3, "eve", 0.1)]))

    run(bench, pipeline, worker)
    assert bench.rows("SELECT id FROM orders") == [(1,)]
    assert bench.one("error_type") == "MessageError"
    assert "row 2: column total (Decimal) cannot hold float 0.1" in bench.one("error")


def test_rows_that_the_file_refuses_are_undone_as_a_whole(bench: Bench) -> None:
    pipeline = Pipeline("shop", [], nothing)
    orders = pipeline.table("orders", {"id": str, "customer": str, "total": Decimal | None}, "id")

    @pipeline.schema
    def unique(conn: SchemaConnection) -> None:
        conn.execute("CREATE UNIQUE INDEX IF NOT EXISTS names ON orders (customer)")

    def worker(task: TaskDef, q: Channel) -> None:
        q.put(orders.rows([(f"a-{task.task_id}", f"c-{task.task_id}", None), (f"b-{task.task_id}", "the same", None)]))

    run(bench, pipeline, worker, 3, workers=1)
    assert bench.rows("SELECT id FROM orders ORDER BY id") == [("a-1",), ("b-1",)]
    assert bench.rows("SELECT status FROM task_runs ORDER BY id") == [("done",), ("error",), ("error",)]
    assert "UNIQUE constraint failed: orders.customer" in bench.one("message", 2)


def test_a_rollback_by_the_file_itself_replays_the_other_rows_once(bench: Bench) -> None:
    pipeline = Pipeline("shop", [], nothing)
    seen = pipeline.table("seen", {"n": int})

    @pipeline.schema
    def trigger(conn: SchemaConnection) -> None:
        conn.execute(
            "CREATE TRIGGER IF NOT EXISTS t BEFORE INSERT ON seen WHEN new.n = 2 "
            "BEGIN SELECT RAISE(ROLLBACK, 'not that one'); END"
        )

    def worker(task: TaskDef, q: Channel) -> None:
        for n in (1, 2, 3):
            q.put(seen.rows([(n,)]))

    run(bench, pipeline, worker)
    assert bench.rows("SELECT n FROM seen") == [(1,), (3,)]
    assert "not that one" in bench.one("message")


def test_more_rows_than_a_message_holds_are_cut_into_several(bench: Bench) -> None:
    pipeline = Pipeline("shop", [], nothing)
    texts = pipeline.table("texts", {"n": int, "text": str}, "n")
    long = "x" * 2_000
    rows = 3 * MAX_MESSAGE // 2_000

    def worker(task: TaskDef, q: Channel) -> None:
        q.put(texts.rows((n, long) for n in range(rows)))

    run(bench, pipeline, worker)
    assert bench.rows("SELECT count(*), sum(length(text)) FROM texts") == [(rows, rows * 2_000)]


def test_one_row_that_no_message_holds_is_refused(bench: Bench) -> None:
    pipeline = Pipeline("shop", [], nothing)
    texts = pipeline.table("texts", {"n": int, "text": str}, "n")

    def worker(task: TaskDef, q: Channel) -> None:
        q.put(texts.rows([(1, "x" * (MAX_MESSAGE + 1))]))

    run(bench, pipeline, worker)
    assert "publish smaller batches" in bench.one("error")


def test_rows_of_a_table_of_another_pipeline_are_refused(bench: Bench) -> None:
    foreign = Table("orders", {"id": int})
    same_name = Pipeline("shop", [], nothing)
    same_name.table("orders", {"id": int, "more": int | None})

    def worker(task: TaskDef, q: Channel) -> None:
        q.put(foreign.rows([(1,)]))

    run(bench, Pipeline("bench", [], nothing), worker)
    run(bench, same_name, worker)
    errors = [error for (error,) in bench.rows("SELECT error FROM task_runs ORDER BY id")]
    assert "has no table orders: call pipeline.table(...) beside the pipeline, before the run begins" in errors[0]
    assert "no table orders with the columns id" in errors[1]


def test_a_resumed_run_goes_on_in_the_same_table(bench: Bench) -> None:
    pipeline = Pipeline("shop", [], nothing)
    seen = pipeline.table("seen", {"task": int})

    def worker(task: TaskDef, q: Channel) -> None:
        q.put(seen.rows([(task.task_id,)]))
        if task.task_id == 2 and q.attempt == 1 and not bench.rows("SELECT 1 FROM pipeline_runs WHERE id = 2"):
            raise ValueError("once")

    run(bench, pipeline, worker, 3, workers=1)
    run(bench, pipeline, worker, 3, workers=1, resume=Resume())
    assert bench.rows("SELECT task, _attempt, run_id FROM seen JOIN task_runs t ON t.id = _attempt ORDER BY 2") == [
        (1, 1, 1), (2, 2, 1), (3, 3, 1), (2, 4, 2),
    ]  # fmt: skip


PIPELINE = """
from datetime import date
from enum import StrEnum
from pipeloom import Pipeline, TaskDef

class Kind(StrEnum):
    A = "a"

def load(task, q):
    q.put(rows.rows([{"task": task.task_id, "day": date(2026, 1, 2), "kind": Kind.A, "gap": None}]))

pipeline = Pipeline("shop", [TaskDef(n, f"task-{n}") for n in range(4)], load)
rows = pipeline.table("rows", {"task": int, "day": date, "kind": Kind, "gap": int | None}, key="task")
"""


@pytest.mark.parametrize("executor", ["thread", "process"])
def test_rows_travel_from_workers_of_any_kind(bench: Bench, tmp_path: Path, executor: ExecutorName) -> None:
    _rows_travel(bench, tmp_path, executor=executor)


def test_rows_travel_from_a_cluster(bench: Bench, tmp_path: Path, cluster: Cluster) -> None:
    _rows_travel(bench, tmp_path, executor="dask", address=cluster.address)


def _rows_travel(bench: Bench, folder: Path, **options: Any) -> None:
    file = folder / "shop.py"
    file.write_text(PIPELINE)
    pipeline = import_file(str(file)).pipeline
    summary = run_pipeline(bench.path, pipeline, workers=2, ui="none", **options)
    assert summary.ok, summary.failed
    assert bench.rows("SELECT task, day, kind, gap FROM rows ORDER BY task") == [
        (n, "2026-01-02", "a", None) for n in range(4)
    ]
    assert bench.rows("SELECT count(*) FROM rows r JOIN task_runs t ON t.id = r._attempt AND t.task_id = r.task") == [
        (4,)
    ]


# -- the attempt of a handler --------------------------------------------------------------------------------------------


def test_a_handler_is_told_the_attempt_of_its_message(bench: Bench) -> None:
    told: list[Any] = []
    pipeline = Pipeline("notes", [], nothing)

    @pipeline.handler(Note)
    def keep(conn: HandlerConnection, msg: Note) -> None:
        told.append((msg.text, conn.attempt))

    def worker(task: TaskDef, q: Channel) -> None:
        q.put(Note(f"{task.task_id}.{q.attempt}"))
        if task.task_id == 2 and q.attempt == 1:
            raise ValueError("once")

    pipeline.retry = type(pipeline.retry)(retries=1, backoff=0)
    run(bench, pipeline, worker, 2, workers=1)
    run(bench, pipeline, worker, 1, store_task_status=False)
    assert sorted(told[:3]) == [
        ("1.1", HandledAttempt(1, 1, 1, 1)), ("2.1", HandledAttempt(2, 1, 2, 1)), ("2.2", HandledAttempt(3, 1, 2, 2)),
    ]  # fmt: skip
    assert told[3:] == [("1.1", HandledAttempt(None, None, 1, 1))]


def test_a_schema_helper_has_no_attempt(bench: Bench) -> None:
    pipeline = Pipeline("notes", [], nothing)

    @pipeline.schema
    def create(conn: SchemaConnection) -> None:
        assert conn.attempt

    with pytest.raises(UsageError, match="There is no attempt"):
        run(bench, pipeline, nothing)


def test_where_attempts_are_not_stored_rows_name_none(bench: Bench) -> None:
    pipeline = Pipeline("shop", [], nothing)
    seen = pipeline.table("seen", {"n": int})

    def worker(task: TaskDef, q: Channel) -> None:
        q.put(seen.rows([(1,)]))
        q.put(seen.rows([(2,)] * 200))

    run(bench, pipeline, worker, store_task_status=False)
    assert bench.rows("SELECT count(*), count(_attempt) FROM seen") == [(201, 0)]
    assert bench.rows("SELECT count(*) FROM sqlite_schema WHERE name = 'task_runs'") == [(0,)]


# -- start-up ------------------------------------------------------------------------------------------------------------


def test_a_column_that_is_new_in_the_mapping_is_added(bench: Bench) -> None:
    start(bench, ("orders", {"id": int}, "id"), provenance=False)
    with closing(sqlite3.connect(bench.path)) as connection:
        connection.execute("INSERT INTO orders VALUES (7)")
        connection.commit()
    start(bench, ("Orders", {"note": str | None, "ID": int}, "ID"))
    assert bench.rows("SELECT id, note, _attempt FROM orders") == [(7, None, None)]
    with pytest.raises(UsageError, match="has rows, which have nothing for the new column day: declare it with"):
        start(bench, ("orders", {"id": int, "note": str | None, "day": date}, "id"))
    start(bench, ("other", {"id": int}))
    start(bench, ("other", {"id": int, "day": date}))
    assert (
        sql_of(bench, "other")
        == 'CREATE TABLE "other" ("id" INTEGER NOT NULL, "_attempt" INTEGER, "day" TEXT NOT NULL) STRICT'
    )


DIFFERENT = {
    "type": ("orders", {**ORDERS, "customer": int}, "id"),
    "not null": ("orders", {**ORDERS, "customer": str | None}, "id"),
    "null": ("orders", {**ORDERS, "total": Decimal}, "id"),
    "no key": ("orders", ORDERS),
    "other key": ("orders", ORDERS, "customer"),
    "longer key": ("orders", ORDERS, ["id", "customer"]),
    "missing column": ("orders", {"id": int, "customer": str}, "id"),
}


@pytest.mark.parametrize("which", DIFFERENT)
def test_any_other_difference_is_told_with_both_definitions_before_anything_runs(bench: Bench, which: str) -> None:
    start(bench, ("orders", ORDERS, "id"))
    before = bench.rows("SELECT name, sql FROM sqlite_schema"), bench.rows("SELECT count(*) FROM pipeline_runs")
    with pytest.raises(UsageError) as raised:
        start(bench, ("new", {"id": int}), DIFFERENT[which])
    in_file, declared = str(raised.value).split(" In the pipeline: ")
    stored = sql_of(bench).removeprefix('CREATE TABLE "orders" ')
    assert in_file == f"The table orders in the file is not the one that the pipeline declares. In the file: {stored}."
    assert declared.startswith('("id" INTEGER NOT NULL, "customer" ')
    assert (
        bench.rows("SELECT name, sql FROM sqlite_schema"),
        bench.rows("SELECT count(*) FROM pipeline_runs"),
    ) == before


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("CREATE TABLE seen (n INTEGER NOT NULL, _attempt INTEGER)", 'In the file: ("n" INTEGER NOT NULL, "_attempt" INTEGER). In the pipeline'),
        ("CREATE VIEW seen AS SELECT 1 AS n", "In the file: a view."),
        ("CREATE VIRTUAL TABLE seen USING fts5(n)", "In the file: a virtual."),
    ],
)  # fmt: skip
def test_what_is_no_strict_table_is_left_alone(bench: Bench, sql: str, said: str) -> None:
    with closing(sqlite3.connect(bench.path)) as connection:
        connection.execute(sql)
    with pytest.raises(UsageError) as raised:
        start(bench, ("seen", {"n": int}))
    assert said in str(raised.value)


def test_a_table_of_the_users_own_with_those_columns_is_written_as_it_is(bench: Bench) -> None:
    with closing(sqlite3.connect(bench.path)) as connection:
        connection.execute(
            "CREATE TABLE seen (n INTEGER PRIMARY KEY, t TEXT NOT NULL DEFAULT 'x' CHECK (t <> ''), _attempt INTEGER, "
            "twice INTEGER AS (n * 2)) STRICT"
        )
    pipeline = Pipeline("shop", [], nothing)
    seen = pipeline.table("seen", {"t": str, "n": int}, "n")

    def worker(task: TaskDef, q: Channel) -> None:
        q.put(seen.rows([("a", 2)]))

    run(bench, pipeline, worker)
    assert bench.rows("SELECT * FROM seen") == [(2, "a", 1, 4)]


def test_a_table_is_declared_once(bench: Bench) -> None:
    pipeline = Pipeline("shop", [], nothing)
    pipeline.table("orders", {"id": int})
    with pytest.raises(UsageError, match="has a table ORDERS already"):
        pipeline.table("ORDERS", {"id": int})
