"""Worker functions that are `async def`: a slot is a coroutine on one event loop."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
from functools import partial, wraps
from itertools import cycle, repeat
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import WaitFor
from tests.engine.conftest import Bench, Gate
from tests.engine.executors.test_executors import PATIENCE_S, Rig

from pipeloom.engine.attempt import OutcomeKind
from pipeloom.errors import MessageError, TaskCancelled, UsageError, WriterFailedError
from pipeloom.loader import import_file
from pipeloom.messages import MsgTaskProgress, TaskDef
from pipeloom.pipeline import Pipeline, RetryPolicy
from pipeloom.protocols import AsyncChannel, Channel

async_jobs: Any = import_file(str(Path(__file__).parents[1] / "async_jobs.py"))


class Loader:
    async def __call__(self, task: TaskDef, q: AsyncChannel) -> None:
        await q.put(MsgTaskProgress(task.task_id, 1, 2, "half"))


@pytest.mark.parametrize(
    "worker",
    [async_jobs.say, partial(async_jobs.say), Loader(), Loader().__call__],
    ids=["function", "partial", "object", "method"],
)
def test_a_coroutine_function_runs_on_the_loop_without_being_told(bench: Bench, worker: Any) -> None:
    bench.run(worker, 3)
    assert bench.rows() == [(1, 1, "done"), (2, 1, "done"), (3, 1, "done")]
    assert bench.rows("SELECT executor, workers FROM pipeline_runs") == [("async", 32)]
    assert bench.rows("SELECT DISTINCT worker FROM task_runs") == [("loop",)]


def test_a_decorated_one_runs_there_when_it_is_told(bench: Bench) -> None:
    @wraps(async_jobs.say)
    def decorated(task: TaskDef, q: AsyncChannel) -> object:
        return async_jobs.say(task, q)

    bench.run(decorated, executor="async")
    assert bench.rows() == [(1, 1, "done")]


@pytest.mark.parametrize(
    ("worker", "executor", "said"),
    [
        (async_jobs.say, "thread", "runs with executor=\"async\", not with 'thread'"),
        (async_jobs.say, "process", "runs with executor=\"async\", not with 'process'"),
        (lambda task, q: None, "async", "is for a worker function that is `async def`"),
    ],
)
def test_an_executor_that_cannot_run_the_function_is_refused_at_the_start(
    bench: Bench, worker: Any, executor: str, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        bench.engine(worker, executor=executor)


def test_ten_thousand_may_run_at_a_time_and_no_more(bench: Bench) -> None:
    assert bench.engine(async_jobs.say, workers=10_000).options.workers == 10_000
    with pytest.raises(UsageError, match="from 1 to 10,000"):
        bench.engine(async_jobs.say, workers=10_001)


def test_all_coroutines_wait_at_the_same_time(bench: Bench) -> None:
    waiting, all_here = [0], asyncio.Event()

    async def meet(task: TaskDef, q: AsyncChannel) -> None:
        waiting[0] += 1
        if waiting[0] == 500:
            all_here.set()
        await all_here.wait()

    bench.run(meet, 500, workers=500)
    assert bench.rows("SELECT count(*) FROM task_runs WHERE status='done'") == [(500,)]


def test_each_coroutine_has_a_log_of_its_own(bench: Bench) -> None:
    turn = [asyncio.Event(), asyncio.Event()]

    async def talk(task: TaskDef, q: AsyncChannel) -> None:
        own, other = turn if task.task_id == 1 else turn[::-1]
        print(f"{task.task_id} begins")
        other.set()
        await own.wait()
        logging.getLogger("etl").warning("%s goes on", task.task_id)

    bench.run(talk, 2)
    logged = bench.rows(
        "SELECT task_id, text FROM task_logs JOIN task_runs ON task_run_id = task_runs.id ORDER BY 1, seq"
    )
    assert logged == [(1, "1 begins"), (1, "1 goes on"), (2, "2 begins"), (2, "2 goes on")]


def test_a_time_limit_cancels_the_coroutine_and_a_retry_begins_again(bench: Bench) -> None:
    cleaned: list[int] = []

    async def work(task: TaskDef, q: AsyncChannel) -> None:
        if q.attempt == 2:
            return
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned.append(q.attempt)

    engine = bench.engine(work, timeout=5.0, retry=RetryPolicy(1, backoff=0.0, retry_on=("TimeoutError",)))
    engine.start()
    bench.recorder.wait_for_status("running")
    bench.clock.advance(6)
    bench.recorder.wait_for_status("retrying", attempt=2)
    bench.clock.advance(1)
    assert engine.wait(PATIENCE_S)
    assert bench.rows("SELECT attempt, status, error_type FROM task_runs") == [
        (1, "error", "TimeoutError"),
        (2, "done", None),
    ]
    assert cleaned == [1]


@pytest.mark.parametrize("asked", [True, False])
def test_a_cancelled_error_counts_as_a_request_only_after_one(bench: Bench, asked: bool) -> None:
    async def work(task: TaskDef, q: AsyncChannel) -> None:
        await q.put(MsgTaskProgress(task.task_id, 1, 2, "here"))
        if asked:
            await q.sleep(600)
        raise asyncio.CancelledError

    engine = bench.engine(work)
    engine.start()
    if asked:
        engine.cancel([bench.recorder.wait_for_status("running").id])
    assert engine.wait(PATIENCE_S)
    assert bench.rows() == [(1, 1, "cancelled" if asked else "error")]


def test_a_thread_that_is_asked_to_stop_may_leave_by_the_cancellation_of_asyncio(bench: Bench, gate: Gate) -> None:
    def work(task: TaskDef, q: Channel) -> None:
        async def wait() -> None:
            main = asyncio.current_task()
            loop = asyncio.get_running_loop()
            assert main is not None
            q.on_cancel(lambda: loop.call_soon_threadsafe(main.cancel))
            gate.pass_through()
            await asyncio.Event().wait()

        asyncio.run(wait())

    engine = bench.engine(work)
    engine.start()
    gate.open()
    row = bench.recorder.wait_for_status("running")
    gate.await_arrival()
    engine.cancel([row.id])
    assert engine.wait(PATIENCE_S)
    assert bench.rows() == [(1, 1, "cancelled")]


@pytest.fixture
def rig() -> Any:
    made = Rig("async")
    yield made
    made.log.hold.set()
    made.executor.cancel(range(1000))
    made.executor.shutdown(0.2)
    assert made.log.errors == []


def test_what_is_not_awaited_is_stored_all_the_same(rig: Rig) -> None:
    assert rig.run(1, async_jobs.forget_to_wait, messages=900).kind is OutcomeKind.OK
    assert rig.log.values(1) == list(range(900))


@pytest.mark.parametrize(
    ("room", "is_loop"),
    [([True], {True}), ([False], {False}), ([True, False, False, True, True], {True, False})],
    ids=["room", "no room", "now and then"],
)
def test_what_there_is_room_for_is_reported_by_the_loop_itself_and_in_order(
    rig: Rig, room: list[bool], is_loop: set[bool]
) -> None:
    rig.log.room = cycle(room)
    assert rig.run(1, async_jobs.count, messages=500).kind is OutcomeKind.OK
    assert rig.log.kinds(1) == ["started", *["message"] * 500, "ended"]
    assert rig.log.values(1) == list(range(500))
    assert {thread == "pipeloom-loop" for thread in rig.log.threads} == is_loop


def test_those_that_have_begun_go_on_while_many_others_begin(rig: Rig) -> None:
    held = threading.Event()
    rig.log.room = repeat(True)
    rig.executor._loop.call_soon_threadsafe(held.wait, PATIENCE_S)  # type: ignore[attr-defined]
    numbers = [rig.submit(number, async_jobs.let_others_go_on) for number in range(1, 501)]
    held.set()
    for number in numbers:
        rig.log.outcome(number)
    places = {event[:2]: place for place, event in enumerate(rig.log.events)}
    assert places[1, "ended"] < places[500, "started"]


def test_a_refusal_is_raised_by_each_put_itself_where_there_is_room(rig: Rig) -> None:
    refused: list[int] = []

    def refuse(attempt_id: int) -> None:
        refused.append(attempt_id)
        raise WriterFailedError("full")

    rig.log.room, rig.log.answer = cycle([True]), refuse
    rig.run(1, async_jobs.count_on, messages=5)
    assert refused == [1] * 5


def test_a_coroutine_that_never_waits_is_told_to(rig: Rig, wait_for: WaitFor) -> None:
    rig.log.hold.clear()
    rig.submit(1, async_jobs.forget_to_wait, messages=5_000)
    wait_for(lambda: not rig.executor.workers()[0].attempts, PATIENCE_S)
    rig.log.hold.set()
    outcome = rig.log.outcome(1)
    assert (outcome.kind, outcome.error_type) == (OutcomeKind.ERROR, MessageError.__name__)
    assert "await each q.put" in outcome.error


@pytest.mark.parametrize(
    ("refusal", "kind"), [(TaskCancelled(), OutcomeKind.CANCELLED), (WriterFailedError("full"), OutcomeKind.ERROR)]
)
def test_a_last_message_that_the_engine_refuses_is_never_a_success(
    rig: Rig, refusal: BaseException, kind: OutcomeKind
) -> None:
    def refuse(attempt_id: int) -> None:
        raise refusal

    rig.log.answer = refuse
    assert rig.run(1, async_jobs.count, messages=1).kind is kind


def test_a_coroutine_that_keeps_the_loop_is_named_with_its_stack(bench: Bench, wait_for: WaitFor) -> None:
    go_on, told = threading.Event(), threading.Event()

    async def block(task: TaskDef, q: AsyncChannel) -> None:
        assert go_on.wait(PATIENCE_S)
        while not told.is_set():  # noqa: ASYNC110 - the event is of threads
            await asyncio.sleep(0.01)

    engine = bench.engine(block)
    engine.start()
    wait_for(lambda: bench.rows("SELECT text FROM task_logs"), PATIENCE_S)
    ((line,),) = bench.rows("SELECT text FROM task_logs")
    assert "All other tasks wait while this one keeps the event loop" in line
    assert "in block" in line
    assert "runner.py" not in line
    line = block.__code__.co_firstlineno + 1
    place = f"{Path(__file__).name}, line {line}"
    assert bench.one("message") == f"All other tasks wait while this one keeps the event loop: {place}"
    go_on.set()
    wait_for(lambda: len(bench.rows("SELECT text FROM task_logs")) == 2, PATIENCE_S)
    told.set()
    assert engine.wait(PATIENCE_S)
    assert bench.rows("SELECT count(*) FROM task_logs WHERE text LIKE 'It has kept the event loop for%'") == [(1,)]


def test_a_sleep_that_is_not_awaited_is_an_error_that_names_the_line(bench: Bench) -> None:
    async def forget(task: TaskDef, q: AsyncChannel) -> str:
        q.sleep(60)  # type: ignore[unused-coroutine]
        return "done"

    bench.run(forget)
    place = f"{Path(__file__).name}, line {forget.__code__.co_firstlineno + 1}"
    assert bench.rows("SELECT status, message FROM task_runs") == [
        ("error", f"MessageError: {place}: q.sleep(...) was not awaited, so nothing slept. Write: await q.sleep(...)")
    ]


def test_a_sleep_that_was_cancelled_before_it_began_is_not_forgotten(bench: Bench) -> None:
    async def choose(task: TaskDef, q: AsyncChannel) -> None:
        asyncio.create_task(q.sleep(60)).cancel()
        await q.sleep(0)

    bench.run(choose)
    assert bench.rows() == [(1, 1, "done")]


async def _exits() -> None:
    sys.exit(3)


async def _stop(held: list[object]) -> None:
    asyncio.get_running_loop().stop()


async def _stop_in_c(held: list[object]) -> None:
    asyncio.BaseEventLoop.stop(asyncio.get_running_loop())  # type: ignore[arg-type]
    await asyncio.sleep(0)


async def _exit_in_a_callback(held: list[object]) -> None:
    asyncio.get_running_loop().call_soon(sys.exit)
    await asyncio.sleep(0)


async def _exit_in_a_task(held: list[object]) -> None:
    held.append(asyncio.create_task(_exits()))
    await asyncio.sleep(0)


async def _await_an_exit(held: list[object]) -> None:
    await asyncio.create_task(_exits())


async def _close(held: list[object]) -> None:
    asyncio.get_running_loop().close()


@pytest.mark.parametrize(
    ("harm", "status", "error"),
    [
        (_stop, "error", "RuntimeError"),
        (_stop_in_c, "done", None),
        (_exit_in_a_callback, "done", None),
        (_exit_in_a_task, "done", None),
        (_await_an_exit, "error", "SystemExit"),
        (_close, "error", "RuntimeError"),
    ],
)
def test_a_coroutine_that_ends_the_loop_ends_no_other(bench: Bench, harm: Any, status: str, error: str | None) -> None:
    over = threading.Event()

    async def worker(task: TaskDef, q: AsyncChannel) -> None:
        if task.task_id == 1:
            while not over.is_set():  # noqa: ASYNC110 - the event is of threads
                await asyncio.sleep(0.01)
        elif task.task_id == 2:
            await harm([])
        else:
            over.set()

    bench.run(worker, 3, workers=2)
    ends = [("done", None), (status, error), ("done", None)]
    assert bench.rows("SELECT status, error_type FROM task_runs ORDER BY id") == ends


def test_what_attempts_leave_on_the_loop_ends_with_it(bench: Bench) -> None:
    left: list[asyncio.Task[object]] = []

    async def start_more(task: TaskDef, q: AsyncChannel) -> None:
        left.append(asyncio.create_task(asyncio.Event().wait()))
        await asyncio.sleep(0)

    before = set(threading.enumerate())
    bench.run(start_more)
    assert left[0].cancelled()
    assert not [thread for thread in set(threading.enumerate()) - before if thread.name.startswith("pipeloom-loop")]


def test_a_child_that_a_coroutine_forks_and_that_waits_does_not_go_on_as_a_second_program(bench: Bench) -> None:
    async def fork(task: TaskDef, q: AsyncChannel) -> None:
        never = asyncio.get_running_loop().create_future()
        child = os.fork()
        if child == 0:
            await never
        _, status = await asyncio.to_thread(os.waitpid, child, 0)
        print("the child has left with", os.waitstatus_to_exitcode(status))

    bench.run(fork)
    assert bench.rows() == [(1, 1, "done")]
    assert bench.rows("SELECT text FROM task_logs") == [("the child has left with 0",)]


def test_a_pipeline_may_name_the_executor(bench: Bench) -> None:
    bench.run(async_jobs.say, pipeline=Pipeline("bench", [], async_jobs.say, executor="async", workers=2))
    assert bench.rows("SELECT executor, workers FROM pipeline_runs") == [("async", 2)]
