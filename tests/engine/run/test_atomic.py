"""All or nothing: what an atomic attempt puts is stored in one transaction with its `done`, or not at all."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.engine.conftest import Bench, Gate

from pipeloom.engine.run import held_back
from pipeloom.engine.run.resume import Resume
from pipeloom.loader import import_file
from pipeloom.messages import MsgTaskFinished, MsgTaskLog, MsgTaskProgress, TaskDef
from pipeloom.pipeline import Pipeline, RetryPolicy
from pipeloom.protocols import Channel

AT = "2026-08-01T12:00:00+00:00"
jobs: Any = import_file(str(Path(__file__).parents[1] / "jobs.py"))
async_jobs: Any = import_file(str(Path(__file__).parents[1] / "async_jobs.py"))


@dataclass(frozen=True)
class Page:
    """A row of the user's own table; a negative number is refused by its handler."""

    number: int


def storing(before: Callable[[Page], object] = lambda msg: None, **options: Any) -> Pipeline:
    """Return a pipeline that stores pages, each after `before`."""
    pipeline = Pipeline("bench", [TaskDef("a")], lambda task, q: None, **{"atomic": True, **options})
    pipeline.schemas.append(lambda conn: conn.execute("CREATE TABLE IF NOT EXISTS pages (number INTEGER) STRICT"))

    @pipeline.handler(Page)
    def store(conn: Any, msg: Page) -> None:
        before(msg)
        conn.execute("INSERT INTO pages VALUES (?)", (msg.number,))
        if msg.number < 0:
            raise ValueError("no such page")

    return pipeline


def run(bench: Bench, worker: Any, tasks: list[TaskDef] | None = None, **options: Any) -> None:
    bench.run(worker, tasks or [TaskDef("a")], **{"pipeline": storing(), **options})


def pages(bench: Bench) -> list[int]:
    return [number for (number,) in bench.rows("SELECT number FROM pages ORDER BY rowid")]


def spools(bench: Bench) -> list[Path]:
    return sorted(bench.path.parent.glob("etl.db.held-*"))


@pytest.fixture(params=["memory", "file"])
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where an attempt's messages wait."""
    if request.param == "file":
        monkeypatch.setattr(held_back, "MEMORY", 100)
    return str(request.param)


# -- how an attempt ends ---------------------------------------------------------------------------------------------------


def put_all(task: TaskDef, q: Channel) -> None:
    """Put one of each kind."""
    for number in range(5):
        q.put(Page(number), state={"page": number})
    q.put(Page(5), Page(6), TaskDef("found", params={"quiet": True}))
    q.put(TaskDef("found"))


def counts(bench: Bench) -> tuple[int, int, int]:
    """The rows, states and found tasks in the file."""
    tables = ("pages", "task_state", "found_tasks")
    rows, states, found = (bench.rows(f"SELECT count(*) FROM {table}")[0][0] for table in tables)
    return rows, states, found


def test_what_is_done_is_stored_whole_and_in_order(bench: Bench, place: str) -> None:
    run(bench, lambda task, q: None if task.params else put_all(task, q))
    assert pages(bench) == list(range(7))
    assert bench.rows("SELECT state FROM task_state") == [('{"page": 4}',)]
    assert bench.rows("SELECT task_id, status, rows FROM task_runs") == [("a", "done", 7), ("found", "done", 0)]
    assert spools(bench) == []


def fail(task: TaskDef, q: Channel) -> None:
    raise RuntimeError("the line is dead")


def reported(status: str) -> Callable[[TaskDef, Channel], None]:
    return lambda task, q: q.put(MsgTaskFinished(task.task_id, status, AT))


def refused(task: TaskDef, q: Channel) -> None:
    q.put(Page(-1))
    q.put(Page(7))


def leave(task: TaskDef, q: Channel) -> None:
    raise SystemExit(3)


@pytest.mark.parametrize(
    ("last", "status"),
    [(fail, "error"), (leave, "error"), (reported("error"), "error"), (reported("cancelled"), "cancelled"),
     (refused, "error")],
    ids=["raises", "exits", "reports an error", "reports cancelled", "handler raises"],
)  # fmt: skip
def test_an_attempt_that_is_not_done_leaves_nothing(bench: Bench, place: str, last: Any, status: str) -> None:
    def work(task: TaskDef, q: Channel) -> None:
        put_all(task, q)
        last(task, q)

    run(bench, work)
    assert counts(bench) == (0, 0, 0)
    assert bench.rows("SELECT task_id, status, rows FROM task_runs") == [("a", status, 0)]
    assert spools(bench) == []


def test_a_reported_done_is_stored_whole(bench: Bench, place: str) -> None:
    def work(task: TaskDef, q: Channel) -> None:
        q.put(Page(1))
        q.put(Page(2))
        q.put(MsgTaskFinished(task.task_id, "done", AT, "all of it", {"n": 2}))
        q.put(Page(3))

    run(bench, work)
    assert pages(bench) == [1, 2]
    assert bench.rows("SELECT status, message, result, rows FROM task_runs") == [("done", "all of it", '{"n": 2}', 2)]


def test_a_handler_that_raises_undoes_the_attempt_which_fails_with_that_error(bench: Bench, place: str) -> None:
    run(bench, refused)
    assert bench.rows("SELECT status, error_type, message FROM task_runs") == [
        ("error", "ValueError", "handler for Page: ValueError: no such page")
    ]
    assert "in store" in bench.one("error", "a")
    assert pages(bench) == []


def test_a_retry_begins_with_the_state_from_before_the_attempt_that_failed(bench: Bench, place: str) -> None:
    seen: list[Any] = []

    def work(task: TaskDef, q: Channel) -> None:
        seen.append(q.state)
        q.put(Page(q.attempt), state={"attempt": q.attempt})
        q.put(Page(-1 if q.attempt == 1 else 10))
        if q.attempt == 2:
            raise RuntimeError("the line is dead")

    run(bench, work, retry=RetryPolicy(2, backoff=0.0))
    assert bench.rows("SELECT attempt, status, rows FROM task_runs") == [
        (1, "error", 0),
        (2, "error", 0),
        (3, "done", 2),
    ]
    assert seen == [{}, {}, {}]
    assert pages(bench) == [3, 10]


@pytest.mark.parametrize("how", ["cancel", "close", "limit", "abandon"])
def test_an_attempt_that_is_stopped_leaves_nothing(bench: Bench, gate: Gate, place: str, how: str) -> None:
    def work(task: TaskDef, q: Channel) -> None:
        put_all(task, q)
        gate.pass_through()
        if how == "abandon":
            deaf.wait(60)
            q.put(Page(9))
        q.sleep(600)

    deaf = threading.Event()
    engine = bench.engine(work, [TaskDef("a")], pipeline=storing(), timeout=5.0 if how == "limit" else None)
    engine.start()
    gate.await_arrival()
    gate.open()
    if how == "close":
        engine.close()
    elif how == "limit":
        bench.clock.advance(6)
    else:
        engine.cancel()
    if how == "abandon":
        engine.abandon([1])
    assert engine.wait(20)
    deaf.set()
    engine.close()
    status = {"close": "interrupted", "limit": "error"}.get(how, "cancelled")
    assert bench.rows("SELECT status, rows FROM task_runs") == [(status, 0)]
    assert counts(bench) == (0, 0, 0)
    assert spools(bench) == []


def test_progress_and_logs_are_not_held_back(bench: Bench, gate: Gate) -> None:
    def work(task: TaskDef, q: Channel) -> None:
        q.put(Page(1))
        q.put(MsgTaskProgress("a", 1, 2, "half"))
        q.put(MsgTaskLog("a", "a line"))
        gate.pass_through()
        raise RuntimeError("the line is dead")

    engine = bench.engine(work, [TaskDef("a")], pipeline=storing())
    engine.start()
    gate.await_arrival()
    bench.recorder.wait_until(lambda: bench.rows("SELECT text FROM task_logs") and bench.one("step", "a"))
    gate.open()
    assert engine.wait(20)
    assert pages(bench) == []


# -- what others see -------------------------------------------------------------------------------------------------------


def test_no_reader_sees_a_part_while_the_attempt_runs_or_while_it_is_stored(
    bench: Bench, gate: Gate, place: str
) -> None:
    seen: list[tuple[int, str]] = []

    def look(_msg: object = None) -> None:
        rows = bench.rows("SELECT (SELECT count(*) FROM pages WHERE number < 100), status FROM task_runs WHERE id=1")
        seen.extend(rows)

    def work(task: TaskDef, q: Channel) -> None:
        if task.task_id == "other":
            gate.await_arrival()
            q.put(Page(100))  # behind what the atomic task has put
            bench.recorder.wait_until(lambda: 100 in pages(bench))
            look()
            gate.open()
        else:
            for number in range(20):
                q.put(Page(number))
            gate.pass_through()

    tasks = [TaskDef("a", atomic=True), TaskDef("other")]
    bench.run(work, tasks, pipeline=storing(before=look, atomic=False), workers=2)
    assert len(seen) == 22
    assert {rows for rows, _ in seen} == {0}
    assert "done" not in {status for _, status in seen}
    look()
    assert seen[-1] == (20, "done")


def test_of_many_tasks_that_end_at_once_a_reader_sees_whole_ones(bench: Bench) -> None:
    over = threading.Event()
    seen: set[tuple[str, int]] = set()

    def watch() -> None:
        with closing(sqlite3.connect(bench.path)) as reader:
            while not over.is_set():
                seen.update(
                    reader.execute(
                        "SELECT status, (SELECT count(*) FROM pages WHERE number / 10 = task_id) FROM task_runs"
                    )
                )

    def work(task: TaskDef, q: Channel) -> None:
        for number in range(10):
            q.put(Page(int(task.task_id) * 10 + number))
        if int(task.task_id) % 10 == 0:
            raise RuntimeError("at the end")

    tasks = [TaskDef(number) for number in range(100, 300)]
    engine = bench.engine(work, tasks, pipeline=storing(), workers=4)
    engine.start()
    watcher = threading.Thread(target=watch)
    watcher.start()
    assert engine.wait(60)
    over.set()
    watcher.join()
    assert {rows for status, rows in seen if status == "done"} <= {10}
    assert {rows for status, rows in seen if status != "done"} <= {0}
    assert len(pages(bench)) == 180 * 10


# -- which tasks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pipeline", "task", "stored"),
    [(True, None, []), (True, False, [1]), (False, True, []), (False, None, [1])],
)
def test_a_task_says_more_than_its_pipeline(bench: Bench, pipeline: bool, task: bool | None, stored: list[int]) -> None:
    def work(task: TaskDef, q: Channel) -> None:
        q.put(Page(1))
        raise RuntimeError("at the end")

    run(bench, work, [TaskDef("a", atomic=task)], pipeline=storing(atomic=pipeline))
    assert pages(bench) == stored


def test_a_task_that_is_found_stays_atomic_in_a_resumed_run(bench: Bench) -> None:
    def work(task: TaskDef, q: Channel) -> None:
        if task.task_id == "a":
            q.put(TaskDef("found", atomic=True))
        else:
            q.put(Page(1))
            raise RuntimeError("at the end")

    run(bench, work, pipeline=storing(atomic=False))
    assert pages(bench) == []
    run(bench, work, pipeline=storing(atomic=False), resume=Resume())
    assert (pages(bench), bench.rows("SELECT task_id, run_id FROM task_runs WHERE run_id=2")) == ([], [("found", 2)])


def test_what_comes_with_the_end_runs_after_it(bench: Bench) -> None:
    def work(task: TaskDef, q: Channel) -> None:
        if task.task_id == "a":
            for name in ("x", "y", "x"):
                q.put(Page(1), TaskDef(name))
        else:
            assert bench.one("status", "a") == "done"

    run(bench, work)
    assert bench.rows("SELECT task_id, status FROM task_runs") == [("a", "done"), ("x", "done"), ("y", "done")]


@pytest.mark.parametrize(("last", "stored"), [(2, [1, 2]), (-1, [])])
def test_a_run_that_keeps_pipelooms_tables_out_of_the_file_is_atomic_too(
    bench: Bench, place: str, last: int, stored: list[int]
) -> None:
    def work(task: TaskDef, q: Channel) -> None:
        q.put(Page(1))
        q.put(Page(last))

    run(bench, work, store_task_status=False)
    assert pages(bench) == stored


@pytest.mark.parametrize("executor", ["thread", "process", "dask", "async"])
@pytest.mark.parametrize(("job", "stored"), [("count", 300), ("fail", 0)])
def test_every_executor_stores_all_or_nothing(
    request: pytest.FixtureRequest, bench: Bench, place: str, executor: str, job: str, stored: int
) -> None:
    pipeline = Pipeline("notes", [], print, atomic=True)
    pipeline.schema(lambda conn: conn.execute("CREATE TABLE notes (value INTEGER)"))
    pipeline.handler(jobs.Note)(lambda conn, msg: conn.execute("INSERT INTO notes VALUES (?)", (msg.value,)))
    work = getattr(jobs, job)
    address = request.getfixturevalue("cluster").address if executor == "dask" else None
    bench.run(
        async_jobs.of(work) if executor == "async" else work,
        [TaskDef("a", params={"messages": 300})],
        pipeline=pipeline,
        executor=executor,
        address=address,
    )
    assert bench.rows("SELECT value FROM notes ORDER BY rowid") == [(number,) for number in range(stored)]
    assert bench.rows("SELECT status, rows FROM task_runs") == [("done" if stored else "error", stored)]
    assert spools(bench) == []


# -- replays ---------------------------------------------------------------------------------------------------------------


def test_a_transaction_that_is_rolled_back_whole_is_replayed_with_what_was_held_back(
    bench: Bench, gate: Gate, place: str
) -> None:
    """The second task's handler rolls the whole batch back, the first task's rows included."""
    pipeline = storing()
    pipeline.schemas.append(lambda conn: conn.execute("CREATE TABLE keys (key INTEGER PRIMARY KEY)"))
    pipeline.schemas.append(lambda conn: conn.execute("INSERT INTO keys VALUES (1)"))

    @pipeline.handler(jobs.Note)
    def roll_back(conn: Any, msg: Any) -> None:
        conn.execute("INSERT OR ROLLBACK INTO keys VALUES (1)")

    def work(task: TaskDef, q: Channel) -> None:
        for number in range(10):
            q.put(Page(number))
        if task.task_id == "b":
            q.put(jobs.Note("b", 1))

    run(bench, work, [TaskDef("a"), TaskDef("b")], pipeline=pipeline, workers=1)
    assert bench.rows() == [("a", 1, "done"), ("b", 1, "error")]
    assert pages(bench) == list(range(10))


def test_a_foreign_key_that_is_left_unfulfilled_undoes_its_attempt_alone(bench: Bench, gate: Gate, place: str) -> None:
    pipeline = storing()
    pipeline.schemas.append(
        lambda conn: conn.execute("CREATE TABLE children (parent REFERENCES parents DEFERRABLE INITIALLY DEFERRED)")
    )
    pipeline.schemas.append(lambda conn: conn.execute("CREATE TABLE parents (number INTEGER PRIMARY KEY)"))
    pipeline.handler(jobs.Note)(lambda conn, msg: conn.execute("INSERT INTO children VALUES (?)", (msg.value,)))

    def work(task: TaskDef, q: Channel) -> None:
        gate.pass_through()
        q.put(Page(int(task.task_id)))
        q.put(jobs.Note(task.task_id, 1 if task.task_id == 3 else None))

    engine = bench.engine(work, 6, pipeline=pipeline, workers=6)
    engine.start()
    gate.await_arrival(6)
    gate.open()
    assert engine.wait(60)
    engine.close()
    assert sorted(pages(bench)) == [1, 2, 4, 5, 6]
    assert bench.rows("SELECT count(*) FROM children") == [(5,)]
    assert bench.rows("SELECT task_id, message FROM task_runs WHERE status != 'done'") == [
        (3, "IntegrityError: FOREIGN KEY constraint failed")
    ]


def test_a_row_that_another_program_has_deleted_takes_its_attempt_along(bench: Bench, gate: Gate) -> None:
    def work(task: TaskDef, q: Channel) -> None:
        q.put(Page(1))
        gate.pass_through()

    engine = bench.engine(work, [TaskDef("a")], pipeline=storing())
    engine.start()
    gate.await_arrival()
    bench.recorder.wait_for_status("running", "a")
    with closing(sqlite3.connect(bench.path)) as other, other:
        other.execute("DELETE FROM task_runs")
    gate.open()
    assert engine.wait(20)
    assert bench.rows("SELECT status FROM task_runs") == [("error",)]
    assert pages(bench) == []


# -- the file --------------------------------------------------------------------------------------------------------------


def test_the_file_is_private_and_named_after_the_database_and_the_attempt(
    bench: Bench, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held_back, "MEMORY", 100)

    gates = {"x": gate, "y": Gate()}

    def work(task: TaskDef, q: Channel) -> None:
        if task.name in gates:  # not one that was found
            put_all(task, q)
            gates[task.name].pass_through()

    engine = bench.engine(work, [TaskDef("x"), TaskDef("y")], pipeline=storing(), workers=2)
    engine.start()
    for each in gates.values():
        each.await_arrival()
    assert [path.name for path in spools(bench)] == ["etl.db.held-1", "etl.db.held-2"]
    assert {path.stat().st_mode & 0o777 for path in spools(bench)} == {0o600}
    gates["x"].open()
    bench.recorder.wait_for_status("done", "x")
    assert [path.name for path in spools(bench)] == ["etl.db.held-2"]
    gates["y"].open()
    engine.close()
    assert spools(bench) == []


def test_a_program_that_is_closed_while_an_attempt_is_stored_leaves_nothing_of_it(bench: Bench, gate: Gate) -> None:
    def handle(msg: Page) -> None:
        gate.pass_through()
        slow.wait(0.2)

    def work(task: TaskDef, q: Channel) -> None:
        for number in range(100):
            q.put(Page(number))

    slow = threading.Event()
    engine = bench.engine(work, [TaskDef("a")], pipeline=storing(before=handle))
    engine.start()
    gate.await_arrival()
    gate.open()
    engine.close(0.0)
    assert (engine.failure, engine.summary().unsaved) == (None, 1)
    assert pages(bench) == []
    assert bench.rows("SELECT status, message FROM task_runs") == [
        ("error", "What the task has put was not stored: the program was closed")
    ]


@pytest.mark.parametrize("fault", ["removed", "replaced", "linked"])
def test_a_file_that_is_not_the_attempts_own_is_not_read(
    bench: Bench, gate: Gate, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setattr(held_back, "MEMORY", 100)

    def work(task: TaskDef, q: Channel) -> None:
        put_all(task, q)
        gate.pass_through()

    engine = bench.engine(work, [TaskDef("a")], pipeline=storing())
    engine.start()
    gate.await_arrival()
    (spool,) = spools(bench)
    content = spool.read_bytes()
    spool.rename(spool.with_name("kept"))
    if fault == "replaced":
        spool.write_bytes(content)
    elif fault == "linked":
        spool.symlink_to("kept")
    gate.open()
    assert engine.wait(20)
    engine.close()
    assert counts(bench) == (0, 0, 0)
    assert bench.rows("SELECT status, error_type FROM task_runs") == [("error", "StoreError")]
    assert "etl.db.held-1" in bench.one("message", "a")


@pytest.mark.parametrize("executor", ["thread", "process", "async"])
def test_what_cannot_be_held_back_fails_its_attempt_also_when_the_worker_goes_on(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, executor: str
) -> None:
    monkeypatch.setattr(held_back, "MEMORY", 100)
    (bench.path.parent / "etl.db.held-1").mkdir()
    pipeline = Pipeline("notes", [], print, atomic=True)
    pipeline.schema(lambda conn: conn.execute("CREATE TABLE notes (value INTEGER)"))
    pipeline.handler(jobs.Note)(lambda conn, msg: conn.execute("INSERT INTO notes VALUES (?)", (msg.value,)))
    work = async_jobs.of(jobs.count_on) if executor == "async" else jobs.count_on
    bench.run(work, [TaskDef("a", params={"messages": 300})], pipeline=pipeline, executor=executor)
    assert bench.rows("SELECT status, error_type FROM task_runs") == [("error", "StoreError")]
    assert "etl.db.held-1 cannot be written" in bench.one("message", "a")
    assert bench.rows("SELECT * FROM notes") == []


def test_a_message_that_cannot_be_pickled_is_refused_in_put_and_one_of_a_local_class_is_taken(bench: Bench) -> None:
    @dataclass(frozen=True)
    class Local:
        value: Any

    pipeline = storing()
    taken: list[Any] = []
    pipeline.handler(Local)(lambda conn, msg: taken.append(msg))

    def work(task: TaskDef, q: Channel) -> None:
        q.put(Local([1, Local]))
        if task.task_id == "b":
            q.put(Local(threading.Lock()))

    run(bench, work, [TaskDef("a"), TaskDef("b")], pipeline=pipeline)
    assert taken == [Local([1, Local])]
    assert bench.rows("SELECT status, error_type FROM task_runs") == [("done", None), ("error", "MessageError")]
    assert "Local cannot be held back until the task is done: " in bench.one("message", "b")


# -- kills and memory: in a process of their own ---------------------------------------------------------------------------

PIPELINE = """
import os, resource, signal, sys, threading
from dataclasses import dataclass
from pipeloom import Pipeline, TaskDef, run_pipeline
from pipeloom.engine.run import held_back

@dataclass(frozen=True)
class Block:
    number: int
    data: bytes

def work(task, q):
    for number in range(task.params["blocks"]):
        q.put(Block(number, bytes([number % 256]) * task.params["size"]))

def pipeline(*tasks):
    made = Pipeline("blocks", tasks, work, atomic=True)
    made.schema(lambda conn: conn.execute("CREATE TABLE IF NOT EXISTS blocks (number INTEGER, data BLOB)"))

    @made.handler(Block)
    def store(conn, msg):
        if msg.number == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        conn.execute("INSERT INTO blocks VALUES (?, ?)", (msg.number, msg.data))

    return made

kill_at = None
"""


def script(bench: Bench, text: str) -> subprocess.CompletedProcess[str]:
    code = PIPELINE + textwrap.dedent(text)
    environment = {**os.environ, "MALLOC_TRIM_THRESHOLD_": "100000"}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=bench.path.parent, capture_output=True, text=True, timeout=120, check=False,
        env=environment,
    )  # fmt: skip


@pytest.mark.kill
@pytest.mark.parametrize("at", [0, 7, 19])
def test_a_kill_while_it_is_stored_leaves_nothing_and_the_next_start_clears_the_file(bench: Bench, at: int) -> None:
    killed = script(
        bench,
        f"""
        held_back.MEMORY = 1000
        kill_at = {at}
        run_pipeline("etl.db", pipeline(TaskDef("a", params={{"blocks": 20, "size": 1000}})), ui="none")
        """,
    )
    assert killed.returncode == -9, killed.stderr
    assert len(spools(bench)) == 1
    assert bench.rows("SELECT count(*) FROM blocks") == [(0,)]
    (bench.path.parent / "etl.db.held-notes").touch()
    run(bench, lambda task, q: None, pipeline=storing(atomic=False))
    assert [path.name for path in spools(bench)] == ["etl.db.held-notes"], "what is named otherwise is not ours"
    assert bench.rows("SELECT status FROM task_runs ORDER BY id") == [("interrupted",), ("done",)]


def test_a_large_attempt_takes_little_memory(bench: Bench) -> None:
    ran = script(
        bench,
        """
        run_pipeline("etl.db", pipeline(TaskDef("a", params={"blocks": 1, "size": 1 << 20})), ui="none")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        run_pipeline("etl.db", pipeline(TaskDef("b", params={"blocks": 200, "size": 1 << 20})), ui="none")
        print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10)
        """,
    )
    assert ran.returncode == 0, ran.stderr
    assert bench.rows("SELECT count(*), sum(length(data)) >> 20 FROM blocks") == [(201, 201)]
    assert spools(bench) == []
    assert int(ran.stdout) <= 64
