"""Workers that would harm others or lie about themselves: their own attempt fails, every other one goes on."""

from __future__ import annotations

import asyncio
import json
import time
import types
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from functools import partial, wraps
from types import SimpleNamespace
from typing import Any

import pytest
from tests.engine.conftest import Bench

from pipeloom.errors import UsageError
from pipeloom.messages import MsgTaskFinished, TaskDef
from pipeloom.pipeline import Channel, Pipeline, RetryPolicy
from pipeloom.store.write.handler_connection import HandlerConnection

# -- work that nothing runs ----------------------------------------------------------------------------------------------


def never() -> int:
    raise AssertionError("it was run")


async def plain_async(task: TaskDef, q: Channel, base: str = "") -> None:
    never()


def generator(task: TaskDef, q: Channel) -> Iterator[int]:
    yield never()


async def async_generator(task: TaskDef, q: Channel) -> AsyncIterator[int]:
    yield never()


class GeneratorCallable:
    def __call__(self, task: TaskDef, q: Channel) -> Iterator[int]:
        yield never()


class AsyncCallable:
    async def __call__(self, task: TaskDef, q: Channel) -> None:
        never()


def decorated(function: Callable[..., object]) -> Callable[..., object]:
    def wrapped(task: TaskDef, q: Channel) -> object:
        return function(task, q)

    return wrapped


@pytest.mark.parametrize(
    "worker",
    [
        generator,
        async_generator,
        GeneratorCallable(),
        partial(async_generator),
        partial(partial(generator)),
        GeneratorCallable().__call__,
    ],
    ids=["generator", "async generator", "callable", "partial", "partial of partial", "method"],
)
def test_a_function_that_runs_nothing_is_refused_at_the_start(bench: Bench, worker: Any) -> None:
    with pytest.raises(UsageError, match="must be a function without `yield`"):
        bench.engine(worker)


@pytest.mark.parametrize(
    ("worker", "what"),
    [
        (decorated(plain_async), "a coroutine"),
        (decorated(generator), "a generator"),
        (decorated(async_generator), "an async generator"),
        (decorated(AsyncCallable()), "a coroutine"),
    ],
)
def test_what_a_worker_returns_without_running_it_is_its_error(bench: Bench, worker: Any, what: str) -> None:
    bench.run(worker, retry=RetryPolicy(2))
    assert bench.rows() == [(1, 1, "error")]
    assert f"it returned {what}" in bench.one("error")


def test_a_decorator_that_runs_the_coroutine_makes_a_plain_worker(bench: Bench) -> None:
    @wraps(plain_async)
    def run(task: TaskDef, q: Channel) -> None:
        async def work() -> None:
            await asyncio.sleep(0)

        asyncio.run(work())

    bench.run(run)
    assert bench.rows() == [(1, 1, "done")]


# -- errors that cannot be printed -----------------------------------------------------------------------------------------


def exits(*_: object) -> Any:
    raise SystemExit(7)


def interrupts(*_: object) -> Any:
    raise KeyboardInterrupt


LOUD: Any = types.new_class("Loud", (str,), exec_body=lambda made: made.update(splitlines=exits, translate=exits))


def hostile(name: str, **members: object) -> Any:
    return types.new_class(name, (Exception,), exec_body=lambda made: made.update(members))


HOSTILE = {
    "ExitsError": hostile("ExitsError", __str__=exits),
    "InterruptsError": hostile("InterruptsError", __str__=interrupts),
    "OddTextError": hostile("OddTextError", __str__=lambda self: LOUD("odd")),
    "OddClassError": hostile("OddClassError", __class__=property(exits)),
    "OddNotesError": hostile("OddNotesError", __notes__=property(exits)),
}


@dataclass(frozen=True)
class Go:
    task_id: int


@pytest.mark.parametrize("name", sorted(HOSTILE))
@pytest.mark.parametrize("where", ["worker", "handler"])
def test_an_error_that_cannot_be_printed_ends_its_own_attempt_only(bench: Bench, name: str, where: str) -> None:
    error = HOSTILE[name]

    def worker(task: TaskDef, q: Channel) -> None:
        q.put(Go(int(task.task_id)))
        if where == "worker" and task.task_id == 1:
            raise error()

    def handle(conn: HandlerConnection, msg: Go) -> None:
        if where == "handler" and msg.task_id == 1:
            raise error()

    pipeline = Pipeline("p", [], print)
    pipeline.handler(Go)(handle)
    engine = bench.engine(worker, 12, pipeline=pipeline, workers=2, retry=RetryPolicy(0, retry_on=(ValueError, "Odd")))
    engine.start()
    assert engine.wait(20)
    engine.close()
    assert engine.failure is None
    assert sorted(bench.rows("SELECT task_id, status FROM task_runs")) == [
        (1, "error"), *((number, "done") for number in range(2, 13)),
    ]  # fmt: skip
    assert bench.one("error_type") == name


# -- tasks that are changed ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("attribute", ["task_id", "name", "params"])
def test_a_task_that_a_worker_changes_is_retried_as_it_was_entered(bench: Bench, attribute: str) -> None:
    seen: list[Any] = []

    def worker(task: Any, q: Channel) -> None:
        seen.append((task.task_id, task.name, dict(task.params)))
        setattr(task, attribute, [1, 2] if attribute != "params" else {})
        if q.attempt == 1:
            raise ValueError("after the change")

    tasks = [SimpleNamespace(task_id=3, name="bad", params={"day": "monday"})]
    bench.engine(worker, tasks, retry=RetryPolicy(1, backoff=0.0)).start()
    (engine,) = bench.engines
    assert engine.wait(20)
    assert seen == [(3, "bad", {"day": "monday"})] * 2
    assert bench.rows("SELECT task_id, name, attempt, status FROM task_runs ORDER BY id") == [
        (3, "bad", 1, "error"),
        (3, "bad", 2, "done"),
    ]


def test_a_worker_that_takes_from_its_params_finds_them_whole_in_its_retry(bench: Bench) -> None:
    params = {"pages": [1, 2], "day": {"name": "monday"}}
    left: list[str] = []

    def worker(task: TaskDef, q: Channel) -> None:
        given: Any = task.params
        given["pages"].pop()
        given["day"].clear()
        left.append(json.dumps(given.pop("pages")))
        if q.attempt == 1:
            raise ValueError

    engine = bench.engine(worker, [TaskDef(1, "a", params=params)], retry=RetryPolicy(1, backoff=0.0))
    engine.start()
    assert engine.wait(20)
    assert left == ["[1]", "[1]"]
    assert params == {"pages": [1, 2], "day": {"name": "monday"}}


# -- clocks, values, logs --------------------------------------------------------------------------------------------------


def test_times_are_true_when_a_task_replaces_the_clocks(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def worker(task: TaskDef, q: Channel) -> None:
        for name in ("time", "monotonic", "perf_counter"):
            monkeypatch.setattr(time, name, lambda: 0.0)

    from pipeloom.engine.clock import SYSTEM_CLOCK

    before = SYSTEM_CLOCK.monotonic(), SYSTEM_CLOCK.now()
    bench.run(worker)
    after = SYSTEM_CLOCK.monotonic(), SYSTEM_CLOCK.now()
    assert before[0] < after[0] < before[0] + 60
    assert before[1] < after[1]


@pytest.mark.parametrize(
    ("result", "stored"),
    [
        ({"mean": float("nan"), "rows": 3}, {"mean": None, "rows": 3}),
        ([1.5, float("inf"), [float("-inf")]], [1.5, None, [None]]),
        (float("nan"), None),
    ],
)
def test_a_result_with_nan_keeps_the_rest(bench: Bench, result: Any, stored: Any) -> None:
    bench.run(lambda task, q: q.put(MsgTaskFinished(task.task_id, "done", "", result=result)))
    assert json.loads(bench.one("result")) == stored


def test_what_a_handler_prints_is_in_the_log_of_the_attempt_of_its_message(bench: Bench) -> None:
    def handle(conn: HandlerConnection, msg: Go) -> None:
        print("row of", msg.task_id)

    pipeline = Pipeline("p", [], print)
    pipeline.handler(Go)(handle)
    engine = bench.engine(lambda task, q: q.put(Go(int(task.task_id))), 3, pipeline=pipeline)
    engine.start()
    assert engine.wait(20)
    engine.close()
    logs = bench.rows("SELECT r.task_id, l.text FROM task_logs l JOIN task_runs r ON r.id = l.task_run_id ORDER BY 1")
    assert logs == [(number, f"row of {number}") for number in (1, 2, 3)]


def test_a_handler_may_have_a_time_limit_of_its_own(bench: Bench) -> None:
    pipeline = Pipeline("p", [], print)
    with pytest.raises(UsageError, match="timeout must be a number of seconds above 0"):
        pipeline.handler(Go, timeout=0)
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT max(i) FROM n"
    pipeline.handler(Go, timeout=0.05)(lambda conn, msg: conn.execute(endless))
    engine = bench.engine(lambda task, q: q.put(Go(1)), pipeline=pipeline)
    engine.start()
    assert engine.wait(20)
    assert "took more than 0.05 s" in bench.one("message")
