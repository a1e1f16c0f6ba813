"""What the engine makes of what a worker says, and of what it forgets to say."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import pytest
from tests.engine.conftest import Bench, Gate

from pipeloom.engine.engine import Engine
from pipeloom.errors import MessageError, TaskCancelled, UsageError
from pipeloom.messages import MsgTaskFinished, MsgTaskLog, MsgTaskProgress, MsgTaskStarted, TaskDef
from pipeloom.pipeline import Channel, Pipeline


def test_a_worker_that_says_nothing_is_started_and_done(bench: Bench) -> None:
    bench.run(lambda task, q: None)
    assert bench.rows(
        "SELECT status, progress, started_at IS NOT NULL, finished_at IS NOT NULL, worker FROM task_runs"
    ) == [("done", 1.0, 1, 1, "worker-1")]


def test_task_id_0_is_as_good_as_any_other(bench: Bench) -> None:
    bench.run(lambda task, q: q.put(MsgTaskProgress(0, 1, 1)), [TaskDef(0, "zero")])
    assert bench.rows() == [(0, 1, "done")]


def test_text_ids_are_kept_as_text(bench: Bench) -> None:
    bench.run(lambda task, q: None, [TaskDef("1", "text"), TaskDef(1, "number")])
    assert bench.rows("SELECT task_id FROM task_runs ORDER BY id") == [("1",), (1,)]


def test_any_object_with_an_id_and_a_name_is_a_task(bench: Bench) -> None:
    bench.run(lambda task, q: None, [SimpleNamespace(task_id=7, name="seven")])
    assert bench.one("name", 7) == "seven"


def test_an_exception_becomes_an_error_with_type_message_and_the_users_traceback(bench: Bench) -> None:
    def load_month(task: TaskDef, q: Channel) -> None:
        q.put(MsgTaskProgress(task.task_id, 1, 4, "extracted"))
        raise KeyError("temp_max")

    bench.run(load_month)
    status, progress, message, error_type, error = bench.rows(
        "SELECT status, progress, message, error_type, error FROM task_runs"
    )[0]
    assert (status, progress, message, error_type) == ("error", 0.25, "KeyError: 'temp_max'", "KeyError")
    assert "in load_month" in error
    assert "runner.py" not in error


@pytest.mark.parametrize(
    "error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit(), MemoryError(), BaseException("x")]
)
def test_no_exception_of_a_worker_takes_its_thread_along(bench: Bench, error: BaseException) -> None:
    def worker(task: TaskDef, q: Channel) -> None:
        if task.task_id == 1:
            raise error

    bench.run(worker, 2, workers=1)
    assert bench.rows() == [(1, 1, "error"), (2, 1, "done")]
    assert bench.one("error_type") == type(error).__name__


def test_an_exception_that_cannot_be_printed_still_ends_its_attempt(bench: Bench) -> None:
    class BrokenError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

        __repr__ = __str__

    def worker(task: TaskDef, q: Channel) -> None:
        raise BrokenError

    bench.run(worker)
    assert bench.rows("SELECT status, error_type FROM task_runs") == [("error", "BrokenError")]


def test_a_very_long_chain_of_causes_still_ends_its_attempt(bench: Bench) -> None:
    def worker(task: TaskDef, q: Channel) -> None:
        error: Exception = ValueError("root")
        for _ in range(5000):
            link = ValueError("link")
            link.__cause__, error = error, link
        raise error

    bench.run(worker)
    assert bench.one("status") == "error"


def test_the_worker_is_believed_when_it_says_how_it_ended(bench: Bench) -> None:
    def worker(task: TaskDef, q: Channel) -> None:
        status = {1: "done", 2: "error", 3: "cancelled"}[int(task.task_id)]
        q.put(MsgTaskFinished(task.task_id, status, "2026-08-01T10:00:00+02:00", message="so it is", result={"n": 3}))

    bench.run(worker, 3)
    assert bench.rows("SELECT status, message, finished_at FROM task_runs ORDER BY id") == [
        (status, "so it is", "2026-08-01T08:00:00.000000+00:00") for status in ("done", "error", "cancelled")
    ]
    assert json.loads(bench.one("result")) == {"n": 3}


def test_what_comes_after_finished_is_ignored_and_counted(bench: Bench) -> None:
    def worker(task: TaskDef, q: Channel) -> None:
        q.put(MsgTaskFinished(task.task_id, "done", datetime.now(UTC).isoformat(), message="first"))
        q.put(MsgTaskProgress(task.task_id, 1, 4, "late"))
        q.put(MsgTaskFinished(task.task_id, "error", datetime.now(UTC).isoformat(), message="second"))

    engine = bench.run(worker)
    assert bench.rows("SELECT status, progress, message FROM task_runs") == [("done", 1.0, "first")]
    assert engine.summary().late == 2


def test_what_a_leaked_thread_publishes_after_the_end_changes_nothing(bench: Bench, gate: Gate) -> None:
    channels: list[Any] = []

    def worker(task: TaskDef, q: Channel) -> None:
        channels.append(q)
        if task.task_id == 2:
            gate.pass_through()

    engine = bench.engine(worker, 2, workers=1)
    engine.start()
    gate.await_arrival()
    channels[0].put(MsgTaskProgress(1, 1, 4, "late"))
    gate.open()
    assert engine.wait(20)
    assert (bench.one("message"), engine.summary().late) == ("", 1)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("2026-08-01T12:00:00Z", "2026-08-01T12:00:00.000000+00:00"),
        ("2026-08-01T12:00:00.5+02:00", "2026-08-01T10:00:00.500000+00:00"),
        ("2026-08-01T12:00:00", None),
        ("yesterday", None),
        (17, None),
    ],
)
def test_a_valid_start_time_is_kept_and_an_invalid_one_replaced(bench: Bench, given: Any, kept: str | None) -> None:
    bench.run(lambda task, q: q.put(MsgTaskStarted(task.task_id, task.name, given)))
    assert bench.one("started_at") == (kept or "2026-08-01T12:00:00.000000+00:00")


class Sly(float):
    """A number that harms whoever counts with it."""

    def __truediv__(self, other: object) -> Any:
        raise RuntimeError("boom")


class SlyText(str):
    __slots__ = ()

    def isascii(self) -> Any:
        raise RuntimeError("boom")


def test_texts_and_numbers_with_ideas_of_their_own_reach_the_writer_as_plain_ones(bench: Bench) -> None:
    def worker(task: TaskDef, q: Channel) -> None:
        q.put(MsgTaskStarted(task.task_id, SlyText("x"), SlyText("2026-08-01T12:00:00Z")))
        q.put(MsgTaskProgress(task.task_id, Sly(1), Sly(2), SlyText("half")))
        q.put(MsgTaskLog(task.task_id, SlyText("line"), SlyText("info")))
        q.put(MsgTaskFinished(task.task_id, SlyText("done"), SlyText(""), SlyText("all"), {"n": Sly(3)}))

    bench.run(worker, [TaskDef(1, SlyText("sly"))])
    assert bench.rows("SELECT name, status, step, message, result FROM task_runs") == [
        ("sly", "done", 1.0, "all", '{"n": 3.0}')
    ]


@pytest.mark.parametrize(
    ("step", "total", "progress"),
    [
        (1, 4, 0.25),
        (0, 0, None),
        (5, 0, None),
        (50, 10, 1.0),
        (-5, 10, 0.0),
        (float("nan"), 10, None),
        (float("inf"), 10, None),
        pytest.param(10**400, 10**401, 0.1, id="huge"),
        pytest.param(10**400, 3, None, id="huge-of-3"),
        (None, 3, None),
        (3, None, None),
        (True, True, 1.0),
        (Fraction(1, 4), Fraction(1, 2), 0.5),
        pytest.param(Fraction(10**400), 5e-324, None, id="fraction"),
        (Sly(1), Sly(2), 0.5),
    ],
)
def test_every_number_makes_a_progress_between_0_and_1_or_none(
    bench: Bench, gate: Gate, step: Any, total: Any, progress: float | None
) -> None:
    def worker(task: TaskDef, q: Channel) -> None:
        q.put(MsgTaskProgress(task.task_id, step, total, "there"))
        gate.pass_through()

    engine = bench.engine(worker)
    engine.start()
    bench.recorder.wait_until(
        lambda: any(row.message == "there" for batch in bench.recorder.batches for row in batch.attempts)
    )
    assert bench.one("progress") == progress
    gate.open()
    engine.wait(20)


@pytest.mark.parametrize(
    "message",
    [
        MsgTaskProgress(1, "a", 3),  # type: ignore[arg-type]
        MsgTaskProgress(1, 1, [3]),  # type: ignore[arg-type]
        MsgTaskProgress(1, 1, 3, 5),  # type: ignore[arg-type]
        MsgTaskProgress(2, 1, 3),
        MsgTaskProgress("1", 1, 3),
        MsgTaskProgress(1, 1, 3, "x" * (2 << 20)),
        MsgTaskFinished(1, "banana", "2026-08-01T12:00:00Z"),
        MsgTaskFinished(1, "running", "2026-08-01T12:00:00Z"),
        MsgTaskLog(1, "x" * (2 << 20)),
        object(),
        None,
    ],
    ids=range(11),
)
def test_a_message_that_cannot_be_kept_is_an_error_of_its_own_attempt_alone(bench: Bench, message: Any) -> None:
    raised: list[MessageError] = []

    def worker(task: TaskDef, q: Channel) -> None:
        if task.task_id == 1:
            try:
                q.put(message)
            except MessageError as error:
                raised.append(error)
                raise

    bench.run(worker, 2)
    assert raised
    assert bench.rows("SELECT status, error_type FROM task_runs ORDER BY id") == [
        ("error", "MessageError"),
        ("done", None),
    ]


@pytest.mark.parametrize("result", [float("nan"), object(), [1, {2: 3}], 10**5000, "\udcff\0"], ids=list("abcde"))
def test_a_result_that_json_cannot_hold_does_not_change_how_the_attempt_ended(bench: Bench, result: Any) -> None:
    bench.run(lambda task, q: q.put(MsgTaskFinished(task.task_id, "done", "", result=result)))
    assert bench.one("status") == "done"


def test_lone_surrogates_and_nul_are_kept_in_readable_form(bench: Bench) -> None:
    bench.run(lambda task, q: q.put(MsgTaskProgress(task.task_id, 1, 1, "a\udcff\0b")), [TaskDef(1, "n\udcff\0")])
    assert bench.rows("SELECT message, name FROM task_runs") == [("a\\udcff␀b", "n\\udcff␀")]


def test_progress_that_was_shown_never_goes_back(bench: Bench, gate: Gate) -> None:
    def worker(task: TaskDef, q: Channel) -> None:
        q.put(MsgTaskProgress(task.task_id, 3, 4, "far"))
        gate.pass_through()
        q.put(MsgTaskProgress(task.task_id, 1, 4, "back"))
        raise ValueError

    engine = bench.engine(worker)
    engine.start()
    bench.recorder.wait_until(
        lambda: any(row.message == "far" for batch in bench.recorder.batches for row in batch.attempts)
    )
    gate.open()
    assert engine.wait(20)
    assert bench.rows("SELECT progress, step FROM task_runs") == [(0.75, 1.0)]


def test_log_lines_are_kept_with_their_level(bench: Bench) -> None:
    bench.run(lambda task, q: q.put(MsgTaskLog(task.task_id, "row 14: empty", "warning")))
    assert bench.rows("SELECT level, text FROM task_logs") == [("WARNING", "row 14: empty")]


def test_a_task_that_cancels_itself_is_cancelled(bench: Bench) -> None:
    def worker(task: TaskDef, q: Channel) -> None:
        raise TaskCancelled

    bench.run(worker)
    assert bench.one("status") == "cancelled"


def test_params_are_kept_as_json(bench: Bench) -> None:
    bench.run(lambda task, q: None, [TaskDef(1, "a", params={"month": "2012-05", "path": bench.path.parent})])
    assert json.loads(bench.one("params"))["month"] == "2012-05"


@pytest.mark.parametrize(
    ("tasks", "words"),
    [
        ([TaskDef(1, "a"), TaskDef(2, "b"), TaskDef(1, "c")], "more than once: 1"),
        ([SimpleNamespace(task_id=1)], "no name"),
        ([SimpleNamespace(name="x")], "no task_id"),
        ([TaskDef(True, "x")], "no task_id"),
        ([TaskDef(2**63, "x")], "64-bit"),
        (17, "must be a list"),
    ],
)
def test_misuse_is_refused_before_anything_is_written(bench: Bench, tasks: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Engine(bench.path, Pipeline("p", tasks, print))
    assert not list(bench.path.parent.iterdir())


@pytest.mark.parametrize(
    "options", [{"workers": 0}, {"workers": True}, {"durability": "none"}, {"timeout": -1}, {"grace_s": -1}]
)
def test_options_that_cannot_be_are_refused(bench: Bench, options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        bench.engine(lambda task, q: None, **options)


def test_a_run_without_tasks_ends_at_once(bench: Bench) -> None:
    engine = bench.run(lambda task, q: None, [])
    assert engine.summary().counts == {}
    assert bench.rows("SELECT status FROM pipeline_runs") == [("done",)]


def test_a_subclass_of_a_lifecycle_message_counts_as_that_message(bench: Bench) -> None:
    class MsgRead(MsgTaskProgress):
        pass

    bench.run(lambda task, q: q.put(MsgRead(task.task_id, 1, 4, "read")))
    assert bench.rows("SELECT step, message FROM task_runs") == [(1.0, "read")]
