"""Running again what an earlier run has left."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.engine.conftest import Bench, Gate

from pipeloom.engine.engine import Engine
from pipeloom.engine.run.resume import FAILED, NOT_DONE, Resume
from pipeloom.errors import TaskCancelled, UsageError
from pipeloom.messages import TaskDef
from pipeloom.pipeline import Pipeline, RetryPolicy
from pipeloom.protocols import Channel
from pipeloom.status import FINAL


def mixed(task: TaskDef, q: Channel) -> None:
    if task.name == "task-2":
        raise KeyError("temp_max")
    if task.name == "task-3":
        raise TaskCancelled


def fine(task: TaskDef, q: Channel) -> None:
    pass


def ran(bench: Bench, run_id: int) -> list[int]:
    return [row[0] for row in bench.rows("SELECT task_id FROM task_runs WHERE run_id=? ORDER BY id", run_id)]


def test_a_resumed_run_runs_only_what_is_not_done_and_names_its_parent(bench: Bench) -> None:
    bench.run(mixed, 4)
    engine = bench.run(fine, 5, resume=Resume())
    assert ran(bench, 2) == [2, 3, 5]  # task 5 is new
    assert bench.rows("SELECT parent_run_id FROM pipeline_runs ORDER BY id") == [(None,), (1,)]
    assert engine.summary().parent_run_id == 1


def test_what_was_cancelled_may_stay_so(bench: Bench) -> None:
    bench.run(mixed, 4)
    bench.run(fine, 4, resume=Resume(statuses=FAILED))
    assert ran(bench, 2) == [2]


def test_what_a_parent_has_done_is_not_done_again(bench: Bench) -> None:
    bench.run(mixed, 4)
    bench.run(lambda task, q: mixed(task, q) if task.task_id == 3 else None, 4, resume=Resume())
    assert ran(bench, 2) == [2, 3]
    bench.run(fine, 4, resume=Resume())
    assert ran(bench, 3) == [3]


def test_when_all_is_done_nothing_runs_and_the_run_says_so(bench: Bench) -> None:
    bench.run(fine, 2)
    engine = bench.run(fine, 2, resume=Resume())
    assert ran(bench, 2) == []
    assert engine.summary().ok
    assert bench.rows("SELECT status FROM pipeline_runs") == [("done",), ("done",)]


def test_without_an_earlier_run_of_this_pipeline_everything_runs(bench: Bench) -> None:
    bench.run(fine, 2, resume=Resume())
    assert ran(bench, 1) == [1, 2]
    other = bench.engine(fine, 2, resume=Resume())
    other.pipeline.name = "other"
    other.start()
    assert other.wait(20)
    assert ran(bench, 2) == [1, 2]


def test_tasks_of_any_earlier_run_can_be_run_again_by_name(bench: Bench) -> None:
    bench.run(fine, 3)
    bench.run(fine, 3)
    bench.run(fine, 3, resume=Resume(run_id=1, task_ids=frozenset({2}), statuses=FINAL))
    assert ran(bench, 3) == [2]
    assert bench.rows("SELECT parent_run_id FROM pipeline_runs WHERE id=3") == [(1,)]


def test_what_is_left_is_counted_before_anything_is_asked(bench: Bench) -> None:
    bench.run(mixed, 4)
    engine = bench.engine(fine, 4)
    earlier = engine.earlier()
    assert earlier is not None
    assert [earlier.count(engine.today, statuses) for statuses in (NOT_DONE, FAILED)] == [2, 1]


def test_a_run_with_other_parameters_is_not_resumed_unless_told(bench: Bench) -> None:
    def tasks(region: str) -> list[TaskDef]:
        return [TaskDef(f"{region}-{number}") for number in range(2)]

    def engine(region: str, **options: Any) -> Engine:
        return bench.engine(fine, pipeline=Pipeline("bench", tasks, fine), params={"region": region}, **options)

    first = engine("eu")
    first.start()
    first.close()
    with pytest.raises(UsageError, match=r"Run 1 had region=eu, and this one has region=us: leave -p out"):
        engine("us", resume=Resume()).start()
    earlier = first.earlier()
    assert earlier is not None
    with pytest.raises(UsageError, match="region=us"):
        earlier.count(engine("us").today, NOT_DONE)
    assert earlier.count(engine("us").again(1).today, FINAL) == 2
    told = engine("us", resume=Resume(other_params=True))
    told.start()
    told.wait()
    told.close()
    assert bench.rows("SELECT task_id FROM task_runs WHERE run_id=2 ORDER BY 1") == [("us-0",), ("us-1",)]


def test_the_due_time_of_a_retry_survives_the_end_of_the_program(bench: Bench) -> None:
    def fail(task: TaskDef, q: Channel) -> None:
        raise ValueError(q.attempt)

    retry = RetryPolicy(retries=3, backoff=60, jitter=0)
    engine = bench.engine(fail, 1, retry=retry)
    engine.start()
    bench.recorder.wait_for_status("retrying", attempt=2)
    due_at = bench.one("due_at", attempt=2)
    engine.close(0.0)
    assert bench.rows("SELECT attempt, status, due_at FROM task_runs WHERE attempt=2") == [(2, "interrupted", due_at)]

    bench.clock.advance(20)
    seen: list[int] = []
    engine = bench.engine(lambda task, q: seen.append(q.attempt), 1, retry=retry, resume=Resume())
    engine.start()
    bench.recorder.wait_until(lambda: bench.rows("SELECT 1 FROM task_runs WHERE run_id=2"))
    assert bench.rows("SELECT attempt, status, due_at FROM task_runs WHERE run_id=2") == [(2, "retrying", due_at)]
    bench.clock.advance(40)
    assert engine.wait(20)
    assert seen == [2]
    assert bench.rows("SELECT attempt, status FROM task_runs WHERE run_id=2") == [(2, "done")]


def test_a_retry_that_fell_due_meanwhile_runs_at_once(bench: Bench) -> None:
    def fail_first(task: TaskDef, q: Channel) -> None:
        if q.attempt == 1:
            raise ValueError

    retry = RetryPolicy(retries=3, backoff=60, jitter=0)
    engine = bench.engine(fail_first, 1, retry=retry)
    engine.start()
    bench.recorder.wait_for_status("retrying", attempt=2)
    engine.close(0.0)
    bench.clock.advance(3600)
    bench.run(fail_first, 1, retry=retry, resume=Resume())
    assert bench.rows("SELECT attempt, status FROM task_runs WHERE run_id=2") == [(2, "done")]


def test_giving_up_a_retry_says_so(bench: Bench) -> None:
    def fail(task: TaskDef, q: Channel) -> None:
        raise ValueError

    engine = bench.engine(fail, 1, retry=RetryPolicy(retries=3, backoff=60))
    engine.start()
    row = bench.recorder.wait_for_status("retrying", attempt=2)
    assert engine.cancel([row.id]).accepted == (row.id,)
    assert engine.wait(20)
    assert bench.rows("SELECT status, message FROM task_runs WHERE attempt=2") == [
        ("cancelled", "given up before its retry")
    ]


def test_a_run_whose_program_was_killed_is_resumed_from_its_rows(bench: Bench, gate: Gate, tmp_path: Path) -> None:
    """A copy of the file, taken while a task runs, is what a killed program leaves behind."""

    def worker(task: TaskDef, q: Channel) -> None:
        if task.task_id == 2:
            gate.pass_through()

    engine = bench.engine(worker, 3, workers=1, wal=False)
    engine.start()
    gate.await_arrival()
    bench.recorder.wait_for_status("running", 2)
    killed = tmp_path / "killed.db"
    shutil.copy(bench.path, killed)
    gate.open()
    engine.close()

    bench.path = killed
    bench.run(fine, 3, resume=Resume())
    assert bench.rows("SELECT task_id, status, error_type FROM task_runs WHERE run_id=1") == [
        (1, "done", None),
        (2, "interrupted", "ProcessDied"),
        (3, "interrupted", "ProcessDied"),
    ]
    assert ran(bench, 2) == [2, 3]
