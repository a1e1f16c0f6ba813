"""Floods: the queue is bounded by number and by bytes, and nothing of what was accepted is lost."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.engine.conftest import Bench, Gate

from pipeloom.engine.run.executor_events import ExecutorEvents
from pipeloom.engine.worker.weight import weight
from pipeloom.engine.writer.inbox import CAPACITY_BYTES, Inbox
from pipeloom.errors import WriterFailedError
from pipeloom.messages import MsgTaskProgress, TaskDef
from pipeloom.pipeline import Pipeline
from pipeloom.protocols import Channel

MIB = 1 << 20


@dataclass(frozen=True)
class Rows:
    rows: Any


class Slotted:
    __slots__ = ("never", "rows")

    def __init__(self, rows: Any) -> None:
        self.rows = rows


class Hostile:
    @property
    def nbytes(self) -> int:
        raise RuntimeError("boom")


def announce_waiting(inbox: Inbox) -> threading.Event:
    """Return an event that is set once somebody waits for room."""
    waiting, wait = threading.Event(), inbox._drained.wait

    def announced(timeout: float | None = None) -> bool:
        waiting.set()
        return wait(timeout)

    inbox._drained.wait = announced  # type: ignore[method-assign]
    return waiting


def flooding() -> Pipeline:
    pipeline = Pipeline("flood", [], print)
    pipeline.schema(lambda conn: conn.execute("CREATE TABLE loaded (size)"))
    pipeline.handler(Rows)(lambda conn, msg: conn.execute("INSERT INTO loaded VALUES (?)", (len(msg.rows),)))
    return pipeline


@pytest.mark.parametrize(
    "rows",
    ["x" * 10 * MIB, b"x" * 10 * MIB, ["x" * 1000] * 10_000, dict.fromkeys(range(10_000), "x" * 1000)],
    ids=["text", "bytes", "list", "dict"],
)
def test_a_message_that_is_too_large_is_refused_in_the_workers_own_call(bench: Bench, rows: Any) -> None:
    def worker(task: TaskDef, q: Channel) -> None:
        q.put(Rows(["small"]))
        q.put(Rows(rows))

    bench.run(worker, pipeline=flooding())
    assert bench.one("error_type") == "MessageError"
    assert "MiB; at most 8 are taken: publish smaller batches" in bench.one("error")
    assert bench.rows("SELECT size FROM loaded") == [(1,)]


def test_many_large_messages_are_held_back_by_their_bytes(bench: Bench, gate: Gate) -> None:
    pipeline, put = flooding(), 0

    class Hold:
        pass

    pipeline.handler(Hold)(lambda conn, msg: gate.pass_through())

    def worker(task: TaskDef, q: Channel) -> None:
        nonlocal put
        q.put(Hold())
        gate.await_arrival()
        for _ in range(200):
            q.put(Rows("x" * 4 * MIB))
            put += 1

    engine = bench.engine(worker, pipeline=pipeline)
    engine.start()
    assert announce_waiting(engine._parts.run.inbox).wait(20)
    assert put <= CAPACITY_BYTES // (4 * MIB) + 1
    gate.open()
    assert engine.wait(60)
    assert bench.rows("SELECT count(*), sum(size) FROM loaded") == [(200, 800 * MIB)]


def test_whoever_waits_for_room_is_told_when_nothing_can_be_saved_any_more() -> None:
    inbox, failed = Inbox(capacity=1), threading.Event()
    inbox.put((1, "first"))
    waiting = announce_waiting(inbox)

    def put() -> None:
        with pytest.raises(WriterFailedError):
            inbox.put((1, "second"))
        failed.set()

    thread = threading.Thread(target=put)
    thread.start()
    assert waiting.wait(20)
    assert inbox.fail(OSError("gone")) == 1
    thread.join(20)
    assert failed.is_set()


@pytest.mark.parametrize(
    ("value", "least", "most"),
    [
        (Rows("x" * MIB), MIB, MIB + 1000),
        (Slotted("x" * MIB), MIB, MIB + 1000),
        (Rows([b"x" * 1000] * 1000), 10**6, 1.2 * 10**6),
        (Rows({"a": "x" * MIB}), MIB, MIB + 1000),
        (Rows({"x" * 10_000}), 10_000, 11_000),
        (Rows((1, 2.0, None, True)), 0, 1000),
        (MsgTaskProgress(1, 1, 2, "x" * 1000), 1000, 1100),
        (Hostile(), 0, 100),
        (Rows(Rows(Rows(Rows(Rows(Rows(Rows(Rows("x" * MIB)))))))), 0, 2 * MIB),
    ],
    ids=["text", "slots", "list", "dict", "set", "scalars", "progress", "hostile", "deep"],
)
def test_a_message_is_weighed_by_what_it_holds(value: Any, least: float, most: float) -> None:
    assert least <= weight(value) <= most


@given(
    st.recursive(st.none() | st.text() | st.binary() | st.floats(), lambda inner: st.lists(inner) | st.sets(st.text()))
)
def test_anything_can_be_weighed(value: Any) -> None:
    assert weight(Rows(value)) > 0


@pytest.mark.parametrize("how", ["close", "lost"])
def test_who_waits_for_room_is_let_go_when_the_run_is_stopped(bench: Bench, gate: Gate, how: str) -> None:
    """A remote worker that has stopped would else be taken for one that does not, and be killed."""
    pipeline, listening, let_go = Pipeline("flood", [], print), threading.Event(), threading.Event()
    pipeline.handler(Rows)(lambda conn, msg: gate.pass_through())

    def worker(task: TaskDef, q: Channel) -> None:
        assert listening.wait(20)
        try:
            while True:
                q.put(Rows(b"x" * MIB))
        finally:
            let_go.set()

    engine = bench.engine(worker, pipeline=pipeline)
    engine.start()
    waiting = announce_waiting(engine._parts.run.inbox)
    listening.set()
    assert waiting.wait(20)
    gate.await_arrival()
    if how == "lost":
        ExecutorEvents(engine._parts.run).lost("the scheduler is gone")
    else:
        closing = threading.Thread(target=engine.close, args=(10.0,))
        closing.start()
    try:
        assert let_go.wait(5)
    finally:
        gate.open()
    if how == "close":
        closing.join(20)
