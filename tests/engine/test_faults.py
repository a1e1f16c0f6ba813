"""Faults of the catalogue that need a whole engine: races, deadlocks, clocks, names, damage."""

from __future__ import annotations

import os
import random
import sqlite3
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from rich.style import Style
from tests.engine.conftest import Bench, Gate

from pipeloom.engine.refusal_text import refusal_text
from pipeloom.errors import PipeloomError
from pipeloom.messages import MsgTaskProgress, TaskDef
from pipeloom.pipeline import Pipeline
from pipeloom.protocols import Channel
from pipeloom.store.read.history import History
from pipeloom.store.write.handler_connection import HandlerAccessError, HandlerConnection
from pipeloom.tui.history.columns import _run_took
from pipeloom.tui.history.queries import RunItem
from pipeloom.tui.table.columns import RenderContext


@pytest.mark.slow
def test_ten_thousand_races_of_cancel_and_end_have_one_end_each(bench: Bench) -> None:
    def worker(task: TaskDef, q: Channel) -> None:
        if task.task_id % 3 == 0:
            q.put(MsgTaskProgress(task.task_id, 1, 2))

    engine = bench.engine(worker, 10_000, workers=4, durability="normal")
    over = threading.Event()
    refusals: list[str] = []

    def interfere(seed: int) -> None:
        chance = random.Random(seed)
        while not over.is_set():
            low = chance.randrange(1, 10_000)
            result = engine.cancel(range(low, min(low + 20, 10_001)))
            refusals.extend(map(refusal_text, result.refused.values()))

    threads = [threading.Thread(target=interfere, args=(seed,)) for seed in range(3)]
    engine.start()
    for thread in threads:
        thread.start()
    assert engine.wait(100)
    over.set()
    for thread in threads:
        thread.join()
    engine.close()
    counts = dict(bench.rows("SELECT status, count(*) FROM task_runs GROUP BY 1"))
    assert sum(counts.values()) == 10_000
    assert set(counts) <= {"done", "cancelled"}
    assert min(counts.values()) > 10, "the race was too one-sided to prove anything"
    assert set(refusals) <= {"it has ended already: done", "it has ended already: cancelled"}
    ends: dict[int, set[str]] = {}
    for batch in bench.recorder.batches:
        for row in batch.attempts:
            if row.finished_at:
                ends.setdefault(row.id, set()).add(row.status)
    assert all(len(statuses) == 1 for statuses in ends.values())


def test_clicking_retry_from_several_threads_makes_one_attempt(bench: Bench) -> None:
    engine = bench.engine(lambda task, q: None, 20)
    engine.start()
    assert engine.wait(20)
    start = threading.Barrier(4)

    def click() -> None:
        start.wait()
        for attempt_id in range(1, 21):
            engine.retry([attempt_id])

    threads = [threading.Thread(target=click) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert engine.wait(20)
    assert bench.rows("SELECT DISTINCT n FROM (SELECT count(*) n FROM task_runs GROUP BY task_id)") == [(2,)]


def test_tasks_that_wait_for_each_other_do_not_keep_the_program(bench: Bench, gate: Gate) -> None:
    locks = threading.Lock(), threading.Lock()
    both = threading.Barrier(2)

    def worker(task: TaskDef, q: Channel) -> None:
        first, second = locks if task.task_id == 1 else locks[::-1]
        with first:
            both.wait()
            gate.pass_through() if task.task_id == 1 else None
            second.acquire()

    engine = bench.engine(worker, 2, workers=2)
    engine.start()
    gate.await_arrival()
    gate.open()
    engine.close(0.0)
    assert bench.rows("SELECT DISTINCT status FROM task_runs") == [("interrupted",)]


def test_a_task_that_changes_the_folder_does_not_move_the_file(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    bench.path = Path("etl.db")
    engine = bench.run(lambda task, q: os.chdir(elsewhere), 3, workers=1)
    assert engine.db_path == tmp_path / "etl.db"
    assert list(elsewhere.iterdir()) == []
    bench.path = tmp_path / "etl.db"
    assert bench.rows("SELECT status, count(*) FROM task_runs GROUP BY 1") == [("done", 3)]


def test_a_name_is_only_a_name(bench: Bench) -> None:
    names = ["", "   ", "../../etc/passwd", "same", "same", "x" * 1_000_000, "'; DROP TABLE task_runs; --", "\udcff"]
    bench.run(lambda task, q: None, [TaskDef(number, name) for number, name in enumerate(names)])
    stored = [name for (name,) in bench.rows("SELECT name FROM task_runs ORDER BY id")]
    assert stored[:5] == names[:5]
    assert len(stored[5]) <= 65_536
    assert stored[6:] == [names[6], "\\udcff"]
    assert [path.name for path in bench.path.parent.iterdir() if "passwd" in path.name] == []


def test_a_clock_that_jumps_leaves_durations_and_order_alone(bench: Bench, gate: Gate) -> None:
    def worker(task: TaskDef, q: Channel) -> None:
        gate.pass_through()

    engine = bench.engine(worker, 2, workers=1)
    engine.start()
    gate.await_arrival()
    bench.clock._monotonic += 7.0
    bench.clock._now -= timedelta(days=1)
    gate.open()
    assert engine.wait(20)
    rows = bench.rows("SELECT task_id, duration_s, started_at > finished_at FROM task_runs ORDER BY id")
    assert rows == [(1, 7.0, 1), (2, 0.0, 0)]


@pytest.mark.parametrize("jump", [timedelta(days=-1), timedelta(hours=3)], ids=["back", "ahead"])
def test_a_clock_that_jumps_leaves_the_time_of_the_run_alone(bench: Bench, gate: Gate, jump: timedelta) -> None:
    def worker(task: TaskDef, q: Channel) -> None:
        gate.pass_through()

    engine = bench.engine(worker, 1)
    engine.start()
    gate.await_arrival()
    bench.clock._monotonic += 7.0
    bench.clock._now += jump
    gate.open()
    assert engine.wait(20)
    bench.clock._monotonic += 100.0
    with History(bench.path) as history:
        (run,) = history.runs()
    shown = _run_took(RunItem(run), RenderContext(10, 0.0, ascii_only=True, style=lambda _name: Style())).plain
    assert (engine.summary().elapsed_s, run.took_s(), shown.strip()) == (7.0, 7.0, "7.0s")
    assert bench.rows("SELECT julianday(finished_at) > julianday(started_at) FROM pipeline_runs") == [(1,)]


@pytest.mark.parametrize("jump", [timedelta(days=-1), timedelta(hours=3)], ids=["back", "ahead"])
def test_a_clock_that_jumps_leaves_the_time_of_a_run_that_was_killed_alone(
    bench: Bench, gate: Gate, jump: timedelta
) -> None:
    def worker(task: TaskDef, q: Channel) -> None:
        gate.pass_through()
        q.put(MsgTaskProgress(task.task_id, 1, 2, "half of it"))
        second.pass_through()

    second = Gate()
    engine = bench.engine(worker, 1)
    engine.start()
    gate.await_arrival()
    bench.clock._monotonic += 7.0
    bench.clock._now += jump
    gate.open()
    bench.recorder.wait_until(
        lambda: any(row.message == "half of it" for batch in bench.recorder.batches for row in batch.attempts)
    )
    with History(bench.path) as history:
        (run,) = history.runs()
    second.open()
    assert run.took_s() == 7.0
    assert engine.wait(20)


def test_the_time_between_an_end_and_a_retry_is_no_time_of_the_run(bench: Bench) -> None:
    takes = [3.0, 2.0, 1.0]

    def worker(task: TaskDef, q: Channel) -> None:
        bench.clock._monotonic += (took := takes.pop(0))
        bench.clock._now += timedelta(seconds=took)

    engine = bench.engine(worker, 1)
    engine.start()
    assert engine.wait(20)
    for _ in range(2):
        bench.clock._monotonic += 3600.0
        bench.clock._now += timedelta(hours=1)
        with History(bench.path) as history:
            (run,) = history.runs()
        assert run.took_s(bench.clock.now().timestamp()) == engine.summary().elapsed_s
        engine.retry([max(attempt_id for (attempt_id,) in bench.rows("SELECT id FROM task_runs"))])
        assert engine.wait(20)
    with History(bench.path) as history:
        (run,) = history.runs()
    assert (engine.summary().elapsed_s, run.took_s(), run.idle_s) == (6.0, 6.0, 7200.0)


def test_a_handler_that_takes_too_long_fails_its_message_alone(bench: Bench) -> None:
    class Endless:
        pass

    pipeline = Pipeline("p", [], print)
    errors: list[BaseException] = []

    @pipeline.handler(Endless, timeout=0.05)
    def search(conn: HandlerConnection, msg: Endless) -> None:
        try:
            conn.execute(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT max(i) FROM n"
            ).fetchone()
        except BaseException as error:
            errors.append(error)
            raise

    def worker(task: TaskDef, q: Channel) -> None:
        if task.task_id == 1:
            q.put(Endless())

    engine = bench.engine(worker, 2, pipeline=pipeline)
    engine.start()
    assert engine.wait(20)
    assert isinstance(errors[0], HandlerAccessError | sqlite3.OperationalError)
    assert bench.rows("SELECT status, error_type FROM task_runs ORDER BY id") == [
        ("error", "HandlerAccessError"),
        ("done", None),
    ]


def test_a_reader_that_holds_its_transaction_lets_the_log_grow_and_that_is_told(bench: Bench, gate: Gate) -> None:
    class Blob:
        pass

    pipeline = Pipeline("p", [], print)
    pipeline.schema(lambda conn: conn.execute("CREATE TABLE IF NOT EXISTS blobs (data)"))
    pipeline.handler(Blob)(lambda conn, msg: conn.execute("INSERT INTO blobs VALUES (zeroblob(1000000))"))

    def worker(task: TaskDef, q: Channel) -> None:
        gate.pass_through()
        for _ in range(10):
            q.put(Blob())

    engine = bench.engine(worker, pipeline=pipeline)
    engine.start()
    gate.await_arrival()
    bench.recorder.wait_for_status("running")
    reader = sqlite3.connect(bench.path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM task_runs").fetchone()
    gate.open()
    assert engine.wait(20)
    assert bench.recorder.batches[-1].wal_bytes > 10_000_000
    reader.close()
    engine.close()
    assert not bench.path.with_name("etl.db-wal").exists()


def test_a_damaged_file_is_refused_or_ends_the_run_and_is_never_acknowledged_wrongly(
    bench: Bench, tmp_path: Path
) -> None:
    bench.run(lambda task, q: q.put(MsgTaskProgress(task.task_id, 1, 2, "x" * 500)), 200)
    sound = bench.path.read_bytes()
    chance, refused = random.Random(21), 0
    for round_ in range(200):
        damaged = bytearray(sound)
        page = chance.randrange(len(damaged) // 4096) * 4096
        # In a page's first bytes is its structure, in the others mostly text.
        damaged[page + chance.randrange(chance.choice([16, 4096]))] ^= 1 << chance.randrange(8)
        bench.path = tmp_path / f"damaged-{round_}.db"
        bench.path.write_bytes(damaged)
        engine = bench.engine(lambda task, q: None, 3)
        try:
            engine.start()
        except PipeloomError as error:
            refused += str(bench.path) in str(error)
            continue
        assert engine.wait(20)
        engine.close()
        if engine.failure is not None:
            assert engine.summary().unsaved
            continue
        found = bench.rows("SELECT status FROM task_runs WHERE run_id=?", engine.run_id)
        assert found == [("done",)] * 3
    assert 20 < refused < 180, f"{refused} of 200 were refused: too one-sided to prove anything"


def test_what_another_program_did_to_a_row_meanwhile_is_what_is_shown(bench: Bench, gate: Gate) -> None:
    def worker(task: TaskDef, q: Channel) -> None:
        gate.pass_through()

    engine = bench.engine(worker, 2, workers=2)
    engine.start()
    gate.await_arrival(2)
    bench.recorder.wait_for_status("running", 2)
    other = sqlite3.connect(bench.path)
    other.execute("UPDATE task_runs SET status='cancelled', message='by hand' WHERE task_id=1")
    other.commit()
    other.close()
    gate.open()
    assert engine.wait(20)
    assert bench.recorder.wait_for_status("cancelled", 1).message == "by hand"
    assert bench.rows() == [(1, 1, "cancelled"), (2, 1, "done")]
