"""`run_task`: one task, the real engine, a real file, the calling thread."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from pipeloom import (
    MsgTaskFinished,
    Pipeline,
    RetryAfter,
    RetryPolicy,
    Secret,
    Status,
    TaskCancelled,
    TaskDef,
    run_pipeline,
)
from pipeloom.errors import MessageError, UsageError
from pipeloom.protocols import AsyncChannel, Channel
from pipeloom.testing import TaskFailedError, run_task


@dataclass(frozen=True)
class Page:
    """A domain message."""

    url: str
    size: int


def made(worker: Any, *tasks: TaskDef, **more: Any) -> Pipeline:
    """A pipeline with a table, and a handler that stores pages and refuses empty ones."""
    pipeline = Pipeline("shop", list(tasks) or [TaskDef("load")], worker, **more)
    pipeline.table("orders", {"id": int, "day": date}, key="id")

    @pipeline.schema
    def pages(conn: Any) -> None:
        conn.execute("CREATE TABLE IF NOT EXISTS pages (url TEXT, size INTEGER CHECK (size > 0))")

    @pipeline.handler(Page)
    def store(conn: Any, page: Page) -> None:
        conn.execute("INSERT INTO pages VALUES (?, ?)", (page.url, page.size))

    return pipeline


def load(task: TaskDef, q: Channel) -> Any:
    q.progress(1, 2, "fetched")
    logging.getLogger("shop").info("page %s", 1)
    print("printed")
    q.put(Page("/a", 3), TaskDef("next", params={"n": 2}), state={"page": q.state.get("page", 0) + 1})
    q.put(_orders(task).rows([{"id": 1, "day": date(2026, 11, 30)}, {"id": 2, "day": date(2026, 12, 1)}]))
    return {"pages": 1, "thread": threading.get_ident()}


def _orders(_task: TaskDef) -> Any:
    return SHOP.tables["orders"]


SHOP = made(load)


def test_a_task_runs_in_the_calling_thread_and_all_that_came_of_it_is_told() -> None:
    run = run_task(SHOP, "load")
    assert (run.status, run.attempts, run.error, run.exception) == ("done", 1, None, None)
    assert run.result == {"pages": 1, "thread": threading.get_ident()}
    assert run.rows("orders") == [{"id": 1, "day": "2026-11-30"}, {"id": 2, "day": "2026-12-01"}]
    assert run.query("SELECT url, size FROM pages WHERE size > ?", [1]) == [("/a", 3)]
    assert run.rows_written == 3
    assert run.messages[0] == Page("/a", 3)
    assert [one.message for one in run.progress] == ["fetched"]
    assert (run.message, run.state) == ("fetched", {"page": 1})
    assert [(one.task_id, one.params) for one in run.found] == [("next", {"n": 2})]
    assert [(line.level, line.text) for line in run.logs] == [("INFO", "page 1"), ("STDOUT", "printed")]
    assert run.raise_for_status() is run


def test_tasks_that_are_found_are_kept_and_not_run() -> None:
    run = run_task(SHOP, "load")
    assert run.query("SELECT task_id, status FROM task_runs ORDER BY id") == [("load", "done"), ("next", "cancelled")]


def test_state_is_given_and_returned() -> None:
    assert run_task(SHOP, "load", state={"page": 6}).state == {"page": 7}
    assert run_task(made(_nothing), "load", state={"page": 6}).state == {"page": 6}


def _nothing(_task: TaskDef, _q: Channel) -> None:
    """Do nothing."""


def _report(_task: TaskDef, q: Channel) -> Any:
    return dict(q.results)


@pytest.mark.parametrize("after", [["a", "b"], "*"])
def test_results_of_other_tasks_are_given(after: Any) -> None:
    pipeline = made(_report, TaskDef("a"), TaskDef("b"), TaskDef("report", after=after))
    assert run_task(pipeline, "report", results={"a": {"n": 1}, "b": None}).result == {"a": {"n": 1}, "b": None}


def test_a_result_that_is_not_given_is_missing_as_in_a_run() -> None:
    def report(_task: TaskDef, q: Channel) -> Any:
        return q.results["a"]

    run = run_task(made(report, TaskDef("a"), TaskDef("report", after=["a"])), "report")
    assert "There is no result of 'a'" in (run.error or "")


def test_the_checks_are_those_of_a_run() -> None:
    def wrong(_task: TaskDef, q: Channel) -> None:
        q.put(object())

    run = run_task(made(wrong), "load")
    assert (run.status, type(run.exception)) == ("error", MessageError)
    assert "There is no handler for object" in (run.error or "")
    assert run.messages == ()


def test_rows_that_do_not_fit_are_refused_as_in_a_run() -> None:
    def wrong(task: TaskDef, q: Channel) -> None:
        q.put(_orders(task).rows([{"id": "one", "day": date(2026, 1, 1)}]))

    run = run_task(made(wrong), "load")
    assert (run.status, run.rows("orders")) == ("error", [])
    assert "Table orders" in (run.error or "")


def test_what_the_worker_raises_is_kept_and_can_be_raised_again() -> None:
    def fails(_task: TaskDef, _q: Channel) -> None:
        orders = 3
        assert orders == 4, "orders are missing"

    run = run_task(made(fails), "load")
    assert (run.status, run.message) == ("error", "AssertionError: orders are missing")
    assert 'assert orders == 4, "orders are missing"' in (run.error or "")
    with pytest.raises(AssertionError, match="orders are missing") as raised:
        run.raise_for_status()
    assert raised.value is run.exception
    assert raised.traceback[-1].name == "fails"


def test_what_a_handler_raises_fails_the_task() -> None:
    def empty(_task: TaskDef, q: Channel) -> None:
        q.put(Page("/empty", 0))

    run = run_task(made(empty), "load")
    assert (run.status, run.exception, run.rows("pages")) == ("error", None, [])
    with pytest.raises(TaskFailedError, match="The task ended as error: handler for Page: IntegrityError"):
        run.raise_for_status()


@pytest.mark.parametrize("status", ["cancelled", "error"])
def test_an_end_that_the_worker_reports_is_the_end(status: str) -> None:
    def ends(task: TaskDef, q: Channel) -> None:
        q.put(MsgTaskFinished(task.task_id, status, "", "no more pages"))

    run = run_task(made(ends), "load")
    assert (run.status, run.message) == (status, "no more pages")
    with pytest.raises(TaskFailedError, match=f"ended as {status}: no more pages"):
        run.raise_for_status()


def test_an_atomic_task_that_fails_stores_nothing() -> None:
    def half(_task: TaskDef, q: Channel) -> None:
        q.put(Page("/a", 1))
        raise ConnectionError

    for atomic, rows in ((True, []), (False, [{"url": "/a", "size": 1}])):
        run = run_task(made(half, atomic=atomic), "load")
        assert (run.status, run.rows("pages"), run.messages) == ("error", rows, (Page("/a", 1),))


@pytest.mark.parametrize("retries", [0, 1, 2])
def test_retries_are_asked_for_and_do_not_wait(retries: int) -> None:
    def flaky(_task: TaskDef, q: Channel) -> int:
        print("attempt", q.attempt)
        if q.attempt < 3:
            q.put(state={"at": q.attempt})
            raise ConnectionError
        return int(q.state["at"])

    policy = RetryPolicy(retries=9, backoff=60.0, retry_on=(ConnectionError,))
    begin = time.monotonic()
    run = run_task(made(flaky, TaskDef("load", retries=5), retry=policy), "load", retries=retries)
    assert (run.attempts, run.status) == (retries + 1, "done" if retries == 2 else "error")
    assert [line.text for line in run.logs] == [f"attempt {number}" for number in range(1, retries + 2)]
    assert run.result == (2 if retries == 2 else None)
    assert time.monotonic() - begin < 50


def test_what_is_not_retried_in_a_run_is_not_retried() -> None:
    def fails(_task: TaskDef, _q: Channel) -> None:
        raise ValueError("no")

    assert run_task(made(fails, retry=RetryPolicy(retry_on=(OSError,))), "load", retries=3).attempts == 1


def test_a_wait_that_is_asked_for_is_an_end() -> None:
    def limited(_task: TaskDef, _q: Channel) -> None:
        raise RetryAfter(3600.0)

    run = run_task(made(limited), "load", retries=2)
    assert (run.status, run.attempts, type(run.exception)) == ("error", 1, RetryAfter)


def test_a_time_limit_stops_the_worker() -> None:
    def slow(_task: TaskDef, q: Channel) -> None:
        q.sleep(60.0)

    async def slow_coroutine(_task: TaskDef, _q: AsyncChannel) -> None:
        await asyncio.sleep(60.0)

    for worker in (slow, slow_coroutine):
        run = run_task(made(worker, TaskDef("load", timeout=0.05)), "load")
        assert (run.status, run.error) == ("error", "time limit reached")


async def load_async(_task: TaskDef, q: AsyncChannel) -> Any:
    await q.put(Page("/a", 1), state={"page": 1})
    await asyncio.gather(q.sleep(0), q.progress(1, 1, "slept"))
    if q.attempt == 1:
        raise ConnectionError("down")
    return threading.get_ident()


def test_a_coroutine_runs_in_the_calling_thread() -> None:
    run = run_task(made(load_async), "load")
    assert (run.status, repr(run.exception), run.rows("pages")) == (
        "error", "ConnectionError('down')", [{"url": "/a", "size": 1}],
    )  # fmt: skip
    again = run_task(made(load_async), "load", retries=1)
    assert (again.result, again.attempts, again.exception) == (threading.get_ident(), 2, None)


def test_a_coroutine_beside_a_running_loop_is_a_sentence() -> None:
    async def test() -> None:
        run_task(made(load_async), "load")

    with pytest.raises(UsageError, match="this thread has one that runs"):
        asyncio.run(test())


def listed(region: str, days: int = 2, token: Secret | None = None) -> Iterable[TaskDef]:
    for day in range(days):
        yield TaskDef(f"{region}-{day}", params={"day": day, "token": token})


def test_a_task_of_a_function_is_listed_with_params() -> None:
    def which(task: TaskDef, _q: Channel) -> Any:
        return [task.task_id, task.params["day"], task.params["token"] and task.params["token"].reveal()[:3]]

    pipeline = Pipeline("shop", listed, which)
    assert run_task(pipeline, "eu-1", params={"region": "eu"}).result == ["eu-1", 1, None]
    assert run_task(pipeline, "eu-4", params={"region": "eu", "days": "5", "token": "hunter2-kit"}).result[2] == "hun"
    with pytest.raises(UsageError, match="shop has no task 'eu-9': it has 'eu-0', 'eu-1'"):
        run_task(pipeline, "eu-9", params={"region": "eu"})
    with pytest.raises(UsageError, match="shop needs region"):
        run_task(pipeline, "eu-1")


def test_a_task_of_the_tests_own_runs() -> None:
    def which(task: TaskDef, _q: Channel) -> Any:
        task.params["seen"].append(1)
        return [type(task).__name__, task.params["n"]]

    given = TaskDef("own", params={"n": 7, "seen": []}, after=["load"])
    assert run_task(made(which), given, results={"load": 1}).result == ["TaskDef", 7]
    assert given.params["seen"] == []  # a worker gets a copy
    assert run_task(made(which), Own()).result == ["Own", 8]
    assert run_task(Pipeline("shop", listed, which), given).status is Status.DONE


class Own:
    """A task of a class of the user's."""

    task_id = "own"
    name = "own"

    def __init__(self) -> None:
        self.params: dict[str, Any] = {"n": 8, "seen": []}


@pytest.mark.parametrize(
    ("task", "more", "told"),
    [
        (TaskDef("load"), {"params": {"day": 1}}, "params= are for the function"),
        ("load", {"results": {"a": 1}}, "results= has 'a', which task 'load' does not come after"),
        ("load", {"results": {1: 1}}, "does not come after"),
        (7, {}, "shop has no task 7: it has 'load'"),
        (TaskDef("own", version=3), {}, "version must be a text"),  # type: ignore[arg-type]
    ],
)
def test_what_could_not_run_is_a_sentence(task: Any, more: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        run_task(made(_nothing), task, **more)


def test_the_executor_of_the_pipeline_refuses_what_it_would_in_a_run() -> None:
    with pytest.raises(UsageError, match="top level of a module"):
        run_task(made(lambda _task, _q: None, executor="process"), "load")
    with pytest.raises(UsageError, match="KIT_IS_MISSING is not set"):
        run_task(made(_nothing, secrets=["KIT_IS_MISSING"]), TaskDef("own"))


def test_a_table_that_is_not_there_is_a_sentence() -> None:
    with pytest.raises(UsageError, match=r"The file has no table 'order': it has .*orders, pages"):
        run_task(SHOP, "load").rows("order")


def test_a_file_can_be_given_and_goes_on(db_path: Path) -> None:
    pipeline = made(_report_and_count, TaskDef("a"), TaskDef("report", after=["a"]))
    with closing(sqlite3.connect(db_path)) as connection, connection:
        connection.execute("CREATE TABLE given (n INTEGER)")
        connection.execute("INSERT INTO given VALUES (1)")
    assert run_task(pipeline, "a", db=db_path).state == {"n": 1}
    again = run_task(pipeline, "a", db=db_path)
    assert (again.state, again.rows("given")) == ({"n": 2}, [{"n": 1}])
    run_pipeline(db_path, pipeline, ui="none")
    assert run_task(pipeline, "report", db=db_path).result == {"a": {}}
    assert db_path.exists()


def _report_and_count(_task: TaskDef, q: Channel) -> Any:
    q.put(state={"n": q.state.get("n", 0) + 1})
    return dict(q.results)


@pytest.mark.parametrize("worker", [load, load_async])
def test_nothing_is_left_behind(worker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    threads, streams, handlers = threading.enumerate(), (sys.stdout, sys.stderr), logging.getLogger().handlers[:]
    descriptors = len(list(Path("/dev/fd").iterdir())) if Path("/dev/fd").exists() else 0
    run = run_task(made(worker), "load", retries=1)
    assert run.rows("pages")
    assert list(tmp_path.iterdir()) == []
    assert threading.enumerate() == threads
    assert (sys.stdout, sys.stderr) == streams
    assert logging.getLogger().handlers == handlers
    if descriptors:
        assert len(list(Path("/dev/fd").iterdir())) == descriptors


@pytest.mark.parametrize("error", [KeyboardInterrupt, pytest.skip.Exception])
def test_what_ends_the_test_is_raised(error: type[BaseException], tmp_path: Path, monkeypatch: Any) -> None:
    def stops(_task: TaskDef, _q: Channel) -> None:
        raise error("stop")

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    threads = threading.enumerate()
    with pytest.raises(error):
        run_task(made(stops), "load", retries=3)
    assert (list(tmp_path.iterdir()), threading.enumerate()) == ([], threads)


@pytest.mark.parametrize("is_in_worker", [True, False])
def test_ctrl_c_in_a_coroutine_ends_the_test(is_in_worker: bool) -> None:
    async def waits(_task: TaskDef, _q: AsyncChannel) -> None:
        if is_in_worker:
            signal.raise_signal(signal.SIGINT)
        asyncio.get_running_loop().call_soon(signal.raise_signal, signal.SIGINT)
        await asyncio.sleep(60)

    threads = threading.enumerate()
    with pytest.raises(KeyboardInterrupt):
        run_task(made(waits), "load")
    assert threading.enumerate() == threads


@pytest.mark.parametrize("error", [SystemExit, TaskCancelled])
def test_what_ends_the_task_is_not_raised(error: type[BaseException]) -> None:
    def stops(_task: TaskDef, _q: Channel) -> None:
        raise error

    assert run_task(made(stops), "load").status == ("cancelled" if error is TaskCancelled else "error")


def test_tasks_run_in_several_threads_at_once() -> None:
    runs: list[Any] = []

    def run() -> None:
        runs.append(run_task(SHOP, "load").rows("orders"))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert runs == [runs[0]] * 4


DEBUGGED = """
from pipeloom import Pipeline, TaskDef
from pipeloom.testing import run_task

def load(task, q):
    found = task.task_id * 2
    breakpoint()
    return found

def test_load():
    print("status", run_task(Pipeline("p", [TaskDef("ab")], load), "ab").raise_for_status().status)

if __name__ == "__main__":
    test_load()
"""


def talk(command: Sequence[str], folder: Path) -> str:
    """Answer a debugger whose prompt has come, and return all that was shown."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "COVERAGE_PROCESS_START": ""}
    shown = ""
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        bufsize=0,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        watch = threading.Timer(60.0, process.kill)
        watch.start()
        for answer in ("p found\n", "c\n"):
            while not shown.endswith("(Pdb) "):
                char = process.stdout.read(1).decode()
                assert char, f"the prompt did not come: {shown}"
                shown += char
            process.stdin.write(answer.encode())
            shown += answer
        shown += process.stdout.read().decode()
        process.wait()
        watch.cancel()
    return shown


@pytest.mark.parametrize("runner", [["test_it.py"], ["-m", "pytest", "-q", "-p", "no:cacheprovider", "test_it.py"]])
def test_a_debugger_stops_in_the_worker(tmp_path: Path, runner: list[str]) -> None:
    (tmp_path / "test_it.py").write_text(DEBUGGED)
    shown = talk([sys.executable, *runner], tmp_path)
    assert "'abab'" in shown
    assert "status done" in shown or "1 passed" in shown
