"""Handlers, group commits, and what the writer does when the file cannot be written."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from tests.engine.conftest import Bench, Gate

from pipeloom.engine.engine import Engine
from pipeloom.engine.writer.sink import CommitBatch
from pipeloom.errors import TaskCancelled, UsageError, WriterFailedError
from pipeloom.messages import MsgTaskProgress, TaskDef
from pipeloom.pipeline import Handler, Pipeline
from pipeloom.protocols import Channel
from pipeloom.store.write.handler_connection import HandlerConnection, SchemaConnection


@dataclass(frozen=True)
class MsgRow:
    key: str


@dataclass(frozen=True)
class MsgSpecialRow(MsgRow):
    pass


def rows_pipeline(handler: Handler | None = None) -> Pipeline:
    pipeline = Pipeline("rows", [], print)

    @pipeline.schema
    def create_rows(conn: SchemaConnection) -> None:
        conn.executescript(
            "CREATE TABLE IF NOT EXISTS rows (key TEXT PRIMARY KEY); CREATE TABLE IF NOT EXISTS other (x);"
        )

    def insert(conn: HandlerConnection, msg: MsgRow) -> None:
        conn.execute("INSERT INTO rows VALUES (?)", (msg.key,))
        conn.commit()

    pipeline.handler(MsgRow)(handler or insert)
    return pipeline


def test_a_handler_persists_messages_of_its_type_and_of_subclasses(bench: Bench) -> None:
    def worker(task: TaskDef, q: Channel) -> None:
        q.put(MsgRow("a"))
        q.put(MsgSpecialRow("b"))

    engine = bench.engine(worker, pipeline=rows_pipeline())
    engine.start()
    engine.wait(20)
    assert bench.rows("SELECT key FROM rows") == [("a",), ("b",)]


def test_a_handler_that_raises_fails_its_attempt_and_nothing_else(bench: Bench) -> None:
    def worker(task: TaskDef, q: Channel) -> None:
        q.put(MsgRow(f"before-{task.task_id}"))
        q.put(MsgRow("the same"))

    engine = bench.engine(worker, 2, pipeline=rows_pipeline(), workers=1)
    engine.start()
    engine.wait(20)
    assert bench.rows("SELECT key FROM rows ORDER BY key") == [("before-1",), ("before-2",), ("the same",)]
    assert bench.rows("SELECT status, error_type, message FROM task_runs ORDER BY id") == [
        ("done", None, ""),
        ("error", "IntegrityError", "handler for MsgRow: IntegrityError: UNIQUE constraint failed: rows.key"),
    ]
    assert "in insert" in bench.one("error", 2)


def test_a_failed_handler_stops_its_worker(bench: Bench) -> None:
    def worker(task: TaskDef, q: Channel) -> None:
        q.put(MsgRow("x"))
        q.put(MsgRow("x"))
        q.sleep(1000)

    engine = bench.engine(worker, pipeline=rows_pipeline())
    engine.start()
    assert engine.wait(20)
    assert bench.one("status") == "error"


@pytest.mark.parametrize(
    "sql",
    [
        "COMMIT",
        "ROLLBACK",
        "BEGIN IMMEDIATE",
        "SAVEPOINT x",
        "ATTACH ':memory:' AS m",
        "PRAGMA synchronous=OFF",
        "PRAGMA journal_mode=DELETE",
        "UPDATE task_runs SET status='done'",
        "DELETE FROM pipeline_runs",
        "DROP TABLE task_logs",
        "ALTER TABLE task_runs ADD COLUMN x",
        "CREATE TRIGGER t AFTER UPDATE ON task_runs BEGIN DELETE FROM rows; END",
        "CREATE TEMP TABLE task_runs (x)",
        "CREATE VIEW task_logs AS SELECT 1",
    ],
)
def test_a_handler_cannot_reach_the_transaction_or_our_tables(bench: Bench, sql: str) -> None:
    pipeline = rows_pipeline(
        lambda conn, msg: (conn.execute("INSERT INTO rows VALUES (?)", (msg.key,)), conn.execute(sql))
    )
    engine = bench.engine(lambda task, q: q.put(MsgRow("x")), pipeline=pipeline)
    engine.start()
    assert engine.wait(20)
    assert bench.rows("SELECT status, error_type FROM task_runs") == [("error", "HandlerAccessError")]
    assert bench.rows("SELECT key FROM rows") == []


def test_a_trigger_cannot_reach_our_tables_either(bench: Bench) -> None:
    pipeline = rows_pipeline()

    @pipeline.schema
    def add_trigger(conn: HandlerConnection) -> None:
        conn.execute("CREATE TRIGGER t AFTER INSERT ON rows BEGIN DELETE FROM task_runs; END")

    engine = bench.engine(lambda task, q: q.put(MsgRow("x")), pipeline=pipeline)
    engine.start()
    assert engine.wait(20)
    assert bench.rows("SELECT status, error_type FROM task_runs") == [("error", "HandlerAccessError")]


def children_pipeline(how: str = "") -> Pipeline:
    """Return a pipeline whose rows need a parent: 0 to 9 are there; a number above 1000 brings its own."""
    pipeline = Pipeline("children", [], print)
    pipeline.schema(lambda conn: conn.execute("CREATE TABLE IF NOT EXISTS parents (number INTEGER PRIMARY KEY)"))
    pipeline.schema(lambda conn: conn.execute(f"CREATE TABLE IF NOT EXISTS children (parent REFERENCES parents {how})"))
    pipeline.schema(lambda conn: conn.executemany("INSERT INTO parents VALUES (?)", [(n,) for n in range(10)]))

    @pipeline.handler(MsgRow)
    def insert(conn: HandlerConnection, msg: MsgRow) -> None:
        conn.execute("INSERT INTO children VALUES (?)", (int(msg.key),))
        if int(msg.key) > 1_000:
            conn.execute("INSERT INTO parents VALUES (?)", (int(msg.key),))

    return pipeline


@pytest.mark.parametrize("how", ["", "DEFERRABLE INITIALLY DEFERRED"])
def test_a_row_without_its_parent_fails_its_message_alone(bench: Bench, gate: Gate, how: str) -> None:
    def worker(task: TaskDef, q: Channel) -> None:
        gate.pass_through()
        for number in (100, 3) if task.task_id in (2, 5) else (1, 2):
            q.put(MsgRow(str(number)))

    engine = bench.engine(worker, 6, pipeline=children_pipeline(how), workers=6)
    engine.start()
    gate.await_arrival()
    gate.open()  # all of it comes at once
    assert engine.wait(20)
    engine.close()
    assert bench.rows("SELECT id, status FROM task_runs WHERE status <> 'done'") == [(2, "error"), (5, "error")]
    assert bench.rows("SELECT DISTINCT message FROM task_runs WHERE status = 'error'") == [
        ("handler for MsgRow: IntegrityError: FOREIGN KEY constraint failed",)
    ]
    assert bench.rows("SELECT count(*) FROM children WHERE parent < 3") == [(8,)]
    assert bench.rows("PRAGMA foreign_key_check") == []


def test_a_parent_may_follow_within_the_handler_where_the_schema_says_so(bench: Bench) -> None:
    engine = bench.engine(
        lambda task, q: q.put(MsgRow("1001")), pipeline=children_pipeline("DEFERRABLE INITIALLY DEFERRED")
    )
    engine.start()
    assert engine.wait(20)
    assert bench.rows("SELECT parent FROM children") == [(1001,)]
    assert bench.one("status") == "done"


def test_a_schema_helper_may_turn_foreign_keys_off(bench: Bench) -> None:
    pipeline = children_pipeline()
    pipeline.schema(lambda conn: conn.execute("PRAGMA foreign_keys=OFF"))
    engine = bench.engine(lambda task, q: q.put(MsgRow("100")), pipeline=pipeline)
    engine.start()
    assert engine.wait(20)
    assert bench.rows("SELECT parent FROM children") == [(100,)]


@pytest.mark.parametrize("how", ["INSERT OR ROLLBACK INTO rows VALUES ('same')", "INSERT INTO other VALUES (1)"])
def test_a_statement_that_rolls_the_transaction_back_takes_no_other_message_along(bench: Bench, how: str) -> None:
    def handle(conn: HandlerConnection, msg: MsgRow) -> None:
        conn.execute(
            how if msg.key == "poison" else "INSERT INTO rows VALUES (?)", () if msg.key == "poison" else (msg.key,)
        )

    pipeline = rows_pipeline(handle)

    @pipeline.schema
    def add_trigger(conn: HandlerConnection) -> None:
        conn.execute("CREATE TRIGGER t AFTER INSERT ON other BEGIN SELECT RAISE(ROLLBACK, 'no'); END")
        conn.execute("INSERT INTO rows VALUES ('same')")

    def worker(task: TaskDef, q: Channel) -> None:
        q.put(MsgRow("poison" if task.task_id == 2 else f"good-{task.task_id}"))

    engine = bench.engine(worker, 3, pipeline=pipeline, workers=1)
    engine.start()
    assert engine.wait(20)
    assert bench.rows() == [(1, 1, "done"), (2, 1, "error"), (3, 1, "done")]
    assert bench.rows("SELECT key FROM rows ORDER BY key") == [("good-1",), ("good-3",), ("same",)]


def test_a_handlers_connection_is_dead_after_the_handler(bench: Bench) -> None:
    kept: list[Any] = []
    engine = bench.engine(
        lambda task, q: q.put(MsgRow("x")), pipeline=rows_pipeline(lambda conn, msg: kept.append(conn))
    )
    engine.start()
    assert engine.wait(20)
    with pytest.raises(Exception, match="ends with the handler"):
        kept[0].execute("SELECT 1")


def test_a_message_without_a_handler_is_an_error_that_says_what_to_do(bench: Bench) -> None:
    bench.run(lambda task, q: q.put(MsgRow("x")))
    assert bench.one("message") == (
        "MessageError: There is no handler for MsgRow: register one with @pipeline.handler(MsgRow)."
    )


def test_a_schema_helper_that_fails_stops_the_run_before_it_starts(bench: Bench) -> None:
    pipeline = rows_pipeline()
    pipeline.schema(lambda conn: conn.execute("CREATE TABLE ("))
    with pytest.raises(UsageError, match=r"Schema helper .* failed: OperationalError"):
        bench.engine(lambda task, q: None, pipeline=pipeline).start()
    assert bench.rows("SELECT * FROM pipeline_runs") == []


def test_nobody_is_told_of_a_change_before_it_is_committed(bench: Bench, gate: Gate) -> None:
    """The handler holds the transaction open; what the transaction changed is told only afterwards."""
    engine = bench.engine(
        lambda task, q: (q.put(MsgTaskProgress(task.task_id, 1, 2, "half")), q.put(MsgRow("x"))),
        pipeline=rows_pipeline(lambda conn, msg: gate.pass_through()),
    )
    engine.start()
    gate.await_arrival()
    told = [row for batch in bench.recorder.batches for row in batch.attempts]
    assert all(row.message == "" for row in told)
    assert bench.rows("SELECT message FROM task_runs") in ([], [("",)])
    gate.open()
    bench.recorder.wait_until(lambda: any(row.message == "half" for b in bench.recorder.batches for row in b.attempts))
    assert engine.wait(20)


def test_a_file_locked_by_another_program_delays_the_batch_and_loses_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, gate: Gate
) -> None:
    monkeypatch.setattr("pipeloom.store.write.connect.BUSY_TIMEOUT_S", 0.0)
    engine = bench.engine(lambda task, q: gate.pass_through())
    engine.start()
    gate.await_arrival()
    bench.recorder.wait_for_status("running")
    other = sqlite3.connect(bench.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    gate.open()
    bench.recorder.wait_until(lambda: bench.recorder.waiting)
    assert "locked" in str(bench.recorder.waiting[0])
    other.execute("ROLLBACK")
    other.close()
    assert engine.wait(20)
    assert bench.recorder.waiting[-1] is None
    assert bench.rows() == [(1, 1, "done")]


OnConnection = Callable[[sqlite3.Connection], object]


class OnWriter:
    """A sink that uses the writer's own connection, on the writer's thread."""

    def __init__(
        self, engine: Engine, *, first: OnConnection | None = None, waiting: OnConnection | None = None
    ) -> None:
        self._engine = engine
        self._first = first
        self._waiting = waiting

    def committed(self, batch: CommitBatch) -> None:
        if batch.seq == 1 and self._first:
            self._first(self._engine._parts.writer._file.ledger._connection)

    def writer_waiting(self, reason: str | None) -> None:
        if reason and self._waiting:
            self._waiting(self._engine._parts.writer._file.ledger._connection)

    def writer_failed(self, error: BaseException) -> None: ...


def test_a_full_disk_keeps_the_batch_and_replays_it_when_there_is_room(bench: Bench, gate: Gate) -> None:
    def no_room(connection: sqlite3.Connection) -> None:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count={pages}").fetchall()

    def worker(task: TaskDef, q: Channel) -> None:
        gate.pass_through()
        q.put(MsgRow("y" * 200_000))

    engine = bench.engine(worker, pipeline=rows_pipeline())
    engine.add_sink(
        OnWriter(engine, first=no_room, waiting=lambda c: c.execute("PRAGMA max_page_count=1000000").fetchall())
    )
    engine.start()
    gate.await_arrival()
    bench.recorder.wait_for_status("running")
    gate.open()
    assert engine.wait(20)
    assert bench.recorder.waiting == ["database or disk is full", None]
    assert bench.rows("SELECT status, length(key) FROM task_runs, rows") == [("done", 200_000)]


def test_what_a_full_disk_kept_from_being_saved_is_counted_when_the_program_is_closed(bench: Bench, gate: Gate) -> None:
    def no_room(connection: sqlite3.Connection) -> None:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count={pages}").fetchall()

    def worker(task: TaskDef, q: Channel) -> None:
        gate.pass_through()
        q.put(MsgRow("y" * 200_000))

    engine = bench.engine(worker, pipeline=rows_pipeline())
    engine.add_sink(OnWriter(engine, first=no_room))
    engine.start()
    gate.await_arrival()
    bench.recorder.wait_for_status("running")
    gate.open()
    bench.recorder.wait_until(lambda: bench.recorder.waiting)
    engine.close(0.1)
    assert engine.summary().unsaved > 0
    assert bench.recorder.failures


def test_a_dead_writer_makes_every_put_raise_and_is_reported(bench: Bench, gate: Gate) -> None:
    raised: list[BaseException] = []

    def worker(task: TaskDef, q: Channel) -> None:
        gate.pass_through()
        try:
            while True:
                q.put(MsgTaskProgress(task.task_id, 1, 2))
        except (WriterFailedError, TaskCancelled) as error:
            raised.append(error)
            raise

    engine = bench.engine(worker, wal=False)  # the write-ahead log would go with the connection
    engine.add_sink(OnWriter(engine, first=lambda connection: connection.close()))
    engine.start()
    gate.await_arrival()
    gate.open()
    assert engine.wait(20)
    engine.close()
    assert raised
    assert isinstance(engine.failure, sqlite3.ProgrammingError)
    assert bench.recorder.failures == [engine.failure]
    assert engine.summary().unsaved > 0


def test_a_sink_that_raises_harms_neither_the_writer_nor_the_other_sinks(bench: Bench) -> None:
    def fail(connection: sqlite3.Connection) -> None:
        raise RuntimeError("a bug of the screen")

    engine = bench.engine(lambda task, q: None)
    engine._sinks.insert(0, OnWriter(engine, first=fail))
    engine.start()
    assert engine.wait(20)
    assert bench.recorder.states()[-1] == "done"


def test_without_task_status_the_file_holds_the_users_tables_alone_and_the_sinks_are_told(bench: Bench) -> None:
    engine = bench.engine(lambda task, q: q.put(MsgRow("a")), pipeline=rows_pipeline(), store_task_status=False)
    engine.start()
    assert engine.wait(20)
    engine.close()
    assert bench.rows("SELECT name FROM sqlite_schema WHERE type='table' ORDER BY 1") == [("other",), ("rows",)]
    assert bench.rows("SELECT key FROM rows") == [("a",)]
    assert bench.recorder.states()[-1] == "done"
    assert engine.summary().counts == {"done": 1}


@pytest.mark.parametrize(("durability", "level"), [("full", 2), ("normal", 1)])
@pytest.mark.parametrize(("wal", "mode"), [(True, "wal"), (False, "delete")])
def test_the_options_set_the_pragmas(bench: Bench, durability: str, level: int, wal: bool, mode: str) -> None:
    seen: list[Any] = []
    pipeline = Pipeline("p", [], print)
    engine = bench.engine(lambda task, q: None, pipeline=pipeline, durability=durability, wal=wal)

    def look(connection: sqlite3.Connection) -> None:
        seen.extend(connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("synchronous", "journal_mode"))

    engine.add_sink(OnWriter(engine, first=look))
    engine.start()
    assert engine.wait(20)
    assert seen == [level, mode]


def test_a_clean_end_leaves_one_complete_file(bench: Bench) -> None:
    bench.run(lambda task, q: None, 50)
    assert sorted(path.name for path in bench.path.parent.iterdir()) == ["etl.db", "etl.db.lock"]
    assert bench.path.stat().st_mode & 0o777 == 0o600


KILLED = """
import sys, threading
from pathlib import Path
from pipeloom import MsgTaskProgress, TaskDef, run_pipeline

def work(task, q):
    q.put(MsgTaskProgress(task.task_id, 1, 2, "half way"))
    if task.task_id > 1:
        threading.Event().wait()

class Tell:
    def committed(self, batch):
        for row in batch.attempts:
            print(row.task_id, row.status, row.message, flush=True)
    def writer_waiting(self, reason): ...
    def writer_failed(self, error): ...

from pipeloom import Pipeline
from pipeloom.engine.engine import Engine
engine = Engine(Path(sys.argv[1]), Pipeline("p", [TaskDef(n, str(n)) for n in range(1, 5)], work, workers=2))
engine.add_sink(Tell())
engine.start()
engine.wait()
"""


@pytest.mark.kill
def test_what_a_killed_process_left_open_is_interrupted_when_the_file_is_opened_again(bench: Bench) -> None:
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(bench.path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    seen = set()
    for line in process.stdout:
        seen.add(line.strip())
        if {"1 done half way", "2 running half way", "3 running half way"} <= seen:
            break
    process.kill()
    process.wait()
    process.stdout.close()
    (heartbeat,) = bench.rows("SELECT heartbeat_at FROM pipeline_runs")[0]
    bench.run(lambda task, q: None, 0)
    assert bench.rows("SELECT task_id, status, message, error_type FROM task_runs ORDER BY id") == [
        (1, "done", "half way", None),
        (2, "interrupted", "half way", "ProcessDied"),
        (3, "interrupted", "half way", "ProcessDied"),
        (4, "interrupted", "", "ProcessDied"),
    ]
    assert bench.rows("SELECT DISTINCT finished_at FROM task_runs WHERE task_id > 1") == [(heartbeat,)]
    assert bench.rows("SELECT status, finished_at=heartbeat_at FROM pipeline_runs WHERE id=1") == [("interrupted", 1)]
    assert bench.rows("PRAGMA integrity_check") == [("ok",)]


@pytest.mark.parametrize("when", ["running", "running, with the last row to come", "queued"])
def test_an_attempt_whose_row_another_program_deleted_ends_with_a_sentence(bench: Bench, gate: Gate, when: str) -> None:
    def worker(task: TaskDef, q: Channel) -> None:
        if task.task_id != 1:
            return
        gate.pass_through()
        if when == "running":
            while True:
                q.sleep(0.01)
                q.put(MsgTaskProgress(task.task_id, 1, 2))

    engine = bench.engine(worker, 3, workers=1)
    engine.start()
    gate.await_arrival()
    bench.recorder.wait_for_status("running")
    bench.recorder.wait_for_status("queued", 3)
    gone = 3 if when == "queued" else 1
    connection = sqlite3.connect(bench.path)
    with connection:
        connection.execute("DELETE FROM task_runs WHERE task_id=?", (gone,))
        connection.execute("DELETE FROM pipeline_runs")
    connection.close()
    gate.open()
    assert engine.wait(20)
    engine.close()
    expected = dict.fromkeys((1, 2, 3), "done") | {gone: "error"}
    assert {task: status for task, _, status in bench.rows()} == expected
    assert bench.one("message", gone) == "its row was deleted from the file by another program while it was open"
    assert bench.one("error_type", gone) == "StoreError"
    assert bench.rows("SELECT id, pipeline, status FROM pipeline_runs") == [(engine.run_id, "bench", "error")]
    assert bench.recorder.failures == []
