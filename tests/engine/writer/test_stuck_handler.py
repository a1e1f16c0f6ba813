"""A handler that does not return: the run can be stopped all the same, and nothing is said to be saved that is not."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import pytest
from tests.conftest import WaitFor
from tests.engine.conftest import Bench, Gate

from pipeloom.engine.engine import Engine
from pipeloom.engine.writer import handler_calls
from pipeloom.pipeline import Pipeline
from pipeloom.status import Exit


@dataclass(frozen=True)
class Row:
    number: int


def stuck_engine(bench: Bench, gate: Gate, ends: BaseException | None = None, tasks: int = 1) -> Engine:
    pipeline = Pipeline("stuck", [], print)

    @pipeline.schema
    def table(connection: Any) -> None:
        connection.execute("CREATE TABLE IF NOT EXISTS numbers (number INTEGER)")

    @pipeline.handler(Row)
    def insert(connection: Any, msg: Row) -> None:
        connection.execute("INSERT INTO numbers VALUES (?)", (msg.number,))
        gate.pass_through()
        if ends is not None:
            raise ends

    def work(task: Any, q: Any) -> None:
        for number in range(20_000):  # more than the queue takes
            q.put(Row(number))

    return bench.engine(work, tasks, pipeline=pipeline, workers=2)


def writers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "pipeloom-writer"]


@pytest.mark.parametrize("ends", [None, ValueError("late"), SystemExit(1)], ids=repr)
def test_the_run_is_left_and_what_the_handler_does_later_is_not_committed(
    bench: Bench, gate: Gate, monkeypatch: pytest.MonkeyPatch, wait_for: WaitFor, ends: BaseException | None
) -> None:
    monkeypatch.setattr(handler_calls, "STUCK_S", 0.0)
    engine = stuck_engine(bench, gate, ends, tasks=4)
    engine.start()
    gate.await_arrival()
    engine.close(0.0)

    assert str(engine.failure).startswith("the handler for Row has not returned")
    assert engine.summary().exit_code == Exit.UNSAVED
    assert engine.summary().unsaved > 0
    assert bench.recorder.failures == [engine.failure]

    gate.open()
    wait_for(lambda: not writers())
    assert bench.rows("SELECT * FROM numbers") == []
    assert bench.recorder.failures == [engine.failure]
    bench.run(lambda task, q: None)
    assert bench.rows("SELECT DISTINCT status FROM task_runs WHERE run_id = 1") == [("interrupted",)]


def test_a_handler_that_returns_while_the_run_is_stopped_is_waited_for(bench: Bench, gate: Gate) -> None:
    engine = stuck_engine(bench, gate)
    engine.start()
    gate.await_arrival()
    closing = threading.Thread(target=engine.close, args=(0.0,))
    closing.start()
    gate.open()
    closing.join(20)
    assert (engine.failure, engine.summary().unsaved) == (None, 0)
    assert bench.rows("SELECT count(*) FROM numbers")[0][0] > 0
