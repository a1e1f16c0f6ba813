"""A handler that does not return, or not in time: the engine closes, the file is in order, and what was lost is counted."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.engine.conftest import Bench, Gate

from pipeloom.errors import FileBusyError
from pipeloom.messages import TaskDef
from pipeloom.pipeline import Pipeline
from pipeloom.protocols import Channel
from pipeloom.store.file.owner import OwnerLock
from pipeloom.store.write.handler_connection import HandlerAccessError, HandlerConnection

Stuck = Callable[[HandlerConnection, Path], object]

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT max(i) FROM n"


@dataclass(frozen=True)
class Row:
    number: int


def second_connection(_conn: HandlerConnection, path: Path) -> None:
    with closing(sqlite3.connect(path, timeout=600)) as connection:
        connection.execute("CREATE TABLE mine (x)")


def deaf(conn: HandlerConnection, _path: Path) -> None:
    while True:
        try:
            conn.execute("SELECT 1")
        except HandlerAccessError:
            time.sleep(0.001)


STUCK: dict[str, Stuck] = {
    "waits": lambda conn, path: threading.Event().wait(),
    "waits for the writer's own transaction": second_connection,
    "takes no refusal": deaf,
    "computes": lambda conn, path: sum(range(3_000_000)),
}


def schema(conn: HandlerConnection) -> None:
    conn.execute("CREATE TABLE IF NOT EXISTS rows (number)")


def pipeline_of(handle: Callable[[HandlerConnection, Row], object]) -> Pipeline:
    made = Pipeline("p", [], print)
    made.schema(schema)
    made.handler(Row)(handle)
    return made


@pytest.mark.parametrize("stuck", STUCK.values(), ids=STUCK)
def test_the_engine_closes_past_a_handler_that_does_not_return(bench: Bench, gate: Gate, stuck: Stuck) -> None:
    arrived, last = threading.Event(), threading.Event()

    def handle(conn: HandlerConnection, msg: Row) -> None:
        conn.execute("INSERT INTO rows VALUES (?)", [msg.number])
        if msg.number == 2:
            arrived.set()
            while not last.is_set():
                stuck(conn, bench.path)
                last.wait(0.001)

    def worker(task: TaskDef, q: Channel) -> None:
        if task.task_id == 2:
            gate.pass_through()
        q.put(Row(int(task.task_id)))
        if task.task_id == 2:
            q.sleep(600)

    engine = bench.engine(worker, 2, pipeline=pipeline_of(handle), workers=1)
    engine.start()
    bench.recorder.wait_for_status("done", 1)
    gate.open()
    assert arrived.wait(20)
    begin = time.monotonic()
    engine.close(0.0)
    assert time.monotonic() - begin < 10
    assert str(engine.failure) == "the handler for Row does not return"
    assert engine.summary().unsaved > 0
    assert engine.summary().exit_code == 4
    assert bench.rows("SELECT number FROM rows") == [(1,)]
    assert bench.rows() == [(1, 1, "done"), (2, 1, "interrupted")]
    assert bench.rows("SELECT status FROM pipeline_runs") == [("interrupted",)]
    lock = OwnerLock(bench.path)
    try:
        lock.acquire("")
    except FileBusyError:  # pragma: no cover
        pytest.fail("the file is still owned")
    lock.release()
    last.set()


def test_a_handler_that_returns_too_late_stores_nothing(bench: Bench, gate: Gate) -> None:
    refused: list[str] = []
    ended = threading.Event()

    def handle(conn: HandlerConnection, msg: Row) -> None:
        gate.pass_through()
        try:
            conn.execute("INSERT INTO rows VALUES (1)")
        except HandlerAccessError as error:
            refused.append(str(error))
        ended.set()

    engine = bench.engine(lambda task, q: q.put(Row(1)), pipeline=pipeline_of(handle))
    engine.start()
    gate.await_arrival()
    engine.close(0.0)
    gate.open()
    assert ended.wait(20)
    assert refused == ["The connection of a handler ends with the handler: do not keep it."]
    assert bench.rows("SELECT count(*) FROM rows") == [(0,)]


def test_a_statement_that_runs_when_the_program_is_closed_is_stopped_and_the_rest_is_saved(bench: Bench) -> None:
    arrived = threading.Event()

    def handle(conn: HandlerConnection, msg: Row) -> None:
        conn.execute("INSERT INTO rows VALUES (?)", [msg.number])
        if msg.number == 2:
            arrived.set()
            conn.execute(ENDLESS)

    def worker(task: TaskDef, q: Channel) -> None:
        q.put(Row(int(task.task_id)))
        if task.task_id == 2:
            q.put(Row(3))
            q.sleep(600)

    pipeline = Pipeline("p", [], print)
    pipeline.schema(schema)
    pipeline.handler(Row, timeout=600)(handle)
    engine = bench.engine(worker, 2, pipeline=pipeline, workers=1)
    engine.start()
    assert arrived.wait(20)
    engine.close(0.0)
    assert engine.failure is None
    assert engine.summary().unsaved == 2
    assert bench.rows("SELECT number FROM rows") == [(1,)]
    assert bench.rows() == [(1, 1, "done"), (2, 1, "interrupted")]


def test_messages_that_come_too_late_for_slow_handlers_are_counted_and_their_attempt_is_not_done(
    bench: Bench, gate: Gate
) -> None:
    def handle(conn: HandlerConnection, msg: Row) -> None:
        gate.pass_through()
        conn.execute("INSERT INTO rows VALUES (?)", [msg.number])
        time.sleep(0.2)

    def worker(task: TaskDef, q: Channel) -> None:
        for number in range(100):
            q.put(Row(number))

    engine = bench.engine(worker, pipeline=pipeline_of(handle))
    engine.start()
    gate.await_arrival()
    gate.open()
    engine.close(0.0)
    assert engine.failure is None
    ((stored,),) = bench.rows("SELECT count(*) FROM rows")
    assert 0 < stored < 100
    assert engine.summary().unsaved == 100 - stored
    assert bench.one("status") == "error"
    assert bench.one("message") == "Row was not stored: the program was closed"
