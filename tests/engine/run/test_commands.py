"""Cancel, retry, time limits, pause, workers, closing."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import pytest
from tests.engine.conftest import Bench, Gate, Recorder, refusals

from pipeloom.engine.attempt import Outcome
from pipeloom.engine.commands import CommandResult
from pipeloom.engine.run.executor_events import ExecutorEvents
from pipeloom.engine.writer.sink import CommitBatch
from pipeloom.errors import FileBusyError
from pipeloom.messages import MsgTaskFinished, MsgTaskProgress, TaskDef
from pipeloom.pipeline import Pipeline, RetryPolicy
from pipeloom.protocols import Channel


def first(result: CommandResult) -> int:
    return int(result.accepted[0])


def test_cancelling_a_queued_task_ends_it_at_once_and_it_never_runs(bench: Bench, gate: Gate) -> None:
    ran: list[int] = []

    def worker(task: TaskDef, q: Channel) -> None:
        ran.append(task.task_id)  # type: ignore[arg-type]
        gate.pass_through()

    engine = bench.engine(worker, 2, workers=1)
    engine.start()
    gate.await_arrival()
    queued = bench.recorder.wait_for_status("queued", 2)
    assert engine.cancel([queued.id]).accepted == (queued.id,)
    bench.recorder.wait_for_status("cancelled", 2)
    gate.open()
    assert engine.wait(20)
    assert (ran, bench.rows()) == ([1], [(1, 1, "done"), (2, 1, "cancelled")])


def test_a_running_task_is_cancelling_first_and_cancelled_when_its_next_put_has_raised(
    bench: Bench, gate: Gate
) -> None:
    def worker(task: TaskDef, q: Channel) -> None:
        gate.pass_through()
        try:
            q.put(MsgTaskProgress(task.task_id, 1, 2))
        except Exception:
            pytest.fail("a worker's `except Exception` must not see the cancellation")

    engine = bench.engine(worker)
    engine.start()
    gate.await_arrival()
    row = bench.recorder.wait_for_status("running")
    engine.cancel([row.id])
    bench.recorder.wait_for_status("cancelling")
    gate.open()
    assert engine.wait(20)
    assert bench.recorder.states()[-3:] == ["running", "cancelling", "cancelled"]


def test_work_that_was_finished_when_cancel_came_is_done(bench: Bench, gate: Gate) -> None:
    def worker(task: TaskDef, q: Channel) -> None:
        gate.pass_through()
        q.put(MsgTaskFinished(task.task_id, "done", "2026-08-01T12:00:00Z", "all loaded"))

    engine = bench.engine(worker)
    engine.start()
    gate.await_arrival()
    engine.cancel()
    gate.open()
    assert engine.wait(20)
    assert bench.rows("SELECT status, message FROM task_runs") == [("done", "all loaded")]


def test_a_sleeping_task_wakes_up_when_it_is_cancelled(bench: Bench, gate: Gate) -> None:
    def worker(task: TaskDef, q: Channel) -> None:
        gate.pass_through()
        q.sleep(1000)

    engine = bench.engine(worker)
    engine.start()
    gate.await_arrival()
    gate.open()
    engine.cancel()
    assert engine.wait(20)
    assert bench.one("status") == "cancelled"


def test_on_cancel_is_called_once_from_another_thread(bench: Bench, gate: Gate) -> None:
    called: list[str] = []
    released = threading.Event()

    def worker(task: TaskDef, q: Channel) -> None:
        def stop() -> None:
            called.append(threading.current_thread().name)
            released.set()

        q.on_cancel(stop)
        gate.pass_through()
        assert released.wait(20)

    engine = bench.engine(worker)
    engine.start()
    gate.await_arrival()
    gate.open()
    engine.cancel()
    engine.cancel()
    assert engine.wait(20)
    assert called == ["pipeloom-cancel-1"]


def test_cancel_is_idempotent_and_says_why_it_refuses(bench: Bench) -> None:
    engine = bench.run(lambda task, q: None)
    assert refusals(engine.cancel([1, 99])) == {
        1: "it has ended already: done",
        99: "it is not an attempt of this run",
    }


def test_a_worker_blocked_by_a_full_queue_wakes_up_when_it_is_cancelled(bench: Bench, gate: Gate) -> None:
    """The handler holds the writer, so the queue stays full until the end of the test."""

    class Hold:
        pass

    @dataclass(frozen=True)
    class Row:
        number: int

    pipeline = Pipeline("p", [], print)
    pipeline.handler(Hold)(lambda conn, msg: gate.pass_through())
    pipeline.handler(Row)(lambda conn, msg: None)
    filled = threading.Event()

    def worker(task: TaskDef, q: Channel) -> None:
        if task.task_id == 1:
            q.put(Hold())
            return
        for number in range(20_000):
            if number == 9_000:
                filled.set()
            q.put(Row(number))

    engine = bench.engine(worker, 2, pipeline=pipeline, workers=2)
    engine.start()
    gate.await_arrival()
    assert filled.wait(20)
    engine.cancel([2])
    engine.cancel([2])
    closing = threading.Thread(target=engine.close, args=(20,))
    closing.start()
    with engine._parts.run.worker_back:
        assert engine._parts.run.worker_back.wait_for(lambda: engine._parts.run.busy == 0, 20), (
            "the worker is still blocked"
        )
    gate.open()
    closing.join()
    assert bench.rows() == [(1, 1, "done"), (2, 1, "cancelled")]


def test_a_retry_is_a_new_row_and_the_failed_one_keeps_its_error(bench: Bench) -> None:
    def worker(task: TaskDef, q: Channel) -> None:
        if q.attempt == 1:
            q.put(MsgTaskProgress(task.task_id, 1, 2, "half"))
            raise KeyError("temp_max")

    engine = bench.engine(worker)
    engine.start()
    assert engine.wait(20)
    assert bench.rows("SELECT status, finished_at IS NOT NULL FROM pipeline_runs") == [("error", 1)]
    assert first(engine.retry([1])) == 2
    assert engine.wait(20)
    assert bench.rows("SELECT id, attempt, status, message, progress FROM task_runs") == [
        (1, 1, "error", "KeyError: 'temp_max'", 0.5),
        (2, 2, "done", "", 1.0),
    ]
    assert bench.rows("SELECT status FROM pipeline_runs") == [("done",)]


def test_a_retry_while_the_end_of_the_run_is_being_written_opens_the_run_again(bench: Bench, gate: Gate) -> None:
    def worker(task: TaskDef, q: Channel) -> None:
        if q.attempt == 2:
            gate.pass_through()

    class RetriesAtOnce(Recorder):
        """Hears of the end of the attempt when that of the run is in the writer's queue, and not on disk."""

        def committed(self, batch: CommitBatch) -> None:
            if any(row.status == "done" and row.attempt == 1 for row in batch.attempts):
                engine.retry([1])

    engine = bench.engine(worker)
    engine.add_sink(RetriesAtOnce())
    engine.start()
    gate.await_arrival()
    bench.recorder.wait_for_status("running", attempt=2)
    assert bench.rows("SELECT status, finished_at FROM pipeline_runs") == [("running", None)]
    gate.open()
    assert engine.wait(20)
    assert bench.rows("SELECT status, finished_at IS NOT NULL FROM pipeline_runs") == [("done", 1)]


def test_a_retry_twice_in_a_row_makes_one_attempt(bench: Bench, gate: Gate) -> None:
    def worker(task: TaskDef, q: Channel) -> None:
        if q.attempt == 2:
            gate.pass_through()
        raise ValueError

    engine = bench.engine(worker)
    engine.start()
    assert engine.wait(20)
    assert engine.retry([1, 1]).accepted == (2,)
    assert refusals(engine.retry([1])) == {1: "it has been retried already"}
    gate.await_arrival()
    assert refusals(engine.retry([2])) == {2: "it has not ended yet"}
    gate.open()
    assert engine.wait(20)
    assert len(bench.rows()) == 2


def test_errors_are_retried_as_the_policy_says_with_their_due_time_stored(bench: Bench) -> None:
    def worker(task: TaskDef, q: Channel) -> None:
        if q.attempt < 3:
            raise OSError("flaky")

    engine = bench.engine(worker, retry=RetryPolicy(retries=2, backoff=10, factor=3))
    engine.start()
    assert bench.recorder.wait_for_status("retrying", attempt=2).due_at == "2026-08-01T12:00:10.000000+00:00"
    bench.clock.advance(10)
    assert bench.recorder.wait_for_status("retrying", attempt=3).due_at == "2026-08-01T12:00:40.000000+00:00"
    bench.clock.advance(30)
    assert engine.wait(20)
    assert bench.rows("SELECT attempt, status, due_at FROM task_runs") == [
        (1, "error", None),
        (2, "error", None),
        (3, "done", None),
    ]


def test_waiting_for_a_retry_frees_the_slot(bench: Bench) -> None:
    def worker(task: TaskDef, q: Channel) -> None:
        if task.task_id == 1 and q.attempt == 1:
            raise OSError

    engine = bench.engine(worker, 2, workers=1, retry=RetryPolicy(retries=1, backoff=60))
    engine.start()
    bench.recorder.wait_for_status("done", 2)
    retrying = bench.recorder.wait_for_status("retrying", 1, 2)
    assert bench.one("status", 1, 2) == "retrying"
    assert engine.retry([retrying.id]).accepted == (retrying.id,)
    assert engine.wait(20)


def test_only_errors_that_the_policy_names_are_retried(bench: Bench) -> None:
    def worker(task: TaskDef, q: Channel) -> None:
        raise KeyError if task.task_id == 1 else OSError

    bench.run(worker, 2, retry=RetryPolicy(retries=1, backoff=0, retry_on=("OSError",)))
    assert bench.rows() == [(1, 1, "error"), (2, 1, "error"), (2, 2, "error")]


def test_cancelled_work_is_never_retried_by_itself(bench: Bench, gate: Gate) -> None:
    def worker(task: TaskDef, q: Channel) -> None:
        gate.pass_through()
        q.raise_if_cancelled()

    engine = bench.engine(worker, retry=RetryPolicy(retries=5))
    engine.start()
    gate.await_arrival()
    engine.cancel()
    gate.open()
    assert engine.wait(20)
    assert bench.rows() == [(1, 1, "cancelled")]


def test_a_time_limit_stops_the_task_as_a_timeout_error(bench: Bench, gate: Gate) -> None:
    def worker(task: TaskDef, q: Channel) -> None:
        gate.pass_through()
        q.sleep(1000)

    engine = bench.engine(worker, [TaskDef(1, "slow", timeout=5)])
    engine.start()
    gate.await_arrival()
    gate.open()
    bench.recorder.wait_for_status("running")
    bench.clock.advance(4.9)
    assert not engine.wait(0)
    bench.clock.advance(0.2)
    assert engine.wait(20)
    assert bench.rows("SELECT status, error_type, message FROM task_runs") == [
        ("error", "TimeoutError", "time limit of 5 s reached")
    ]


def test_pause_stops_dispatch_only(bench: Bench, gate: Gate) -> None:
    def worker(task: TaskDef, q: Channel) -> None:
        gate.pass_through()

    engine = bench.engine(worker, 3, workers=1)
    engine.start()
    gate.await_arrival()
    engine.pause()
    gate.open()
    bench.recorder.wait_for_status("done", 1)
    assert (engine.load().busy, engine.load().paused, engine.load().waiting) == (0, True, 2)
    engine.resume()
    assert engine.wait(20)


def test_lowering_the_workers_interrupts_nothing(bench: Bench, gate: Gate) -> None:
    def worker(task: TaskDef, q: Channel) -> None:
        gate.pass_through()

    engine = bench.engine(worker, 8, workers=6)
    engine.start()
    gate.await_arrival(6)
    assert engine.set_workers(4) == 4
    assert (engine.load().busy, engine.load().workers) == (6, 4)
    gate.open()
    assert engine.wait(20)
    assert engine.summary().counts == {"done": 8}


def test_closing_interrupts_what_waits_and_what_runs(bench: Bench, gate: Gate) -> None:
    def worker(task: TaskDef, q: Channel) -> None:
        gate.pass_through()
        q.sleep(1000)

    engine = bench.engine(worker, 2, workers=1)
    engine.start()
    gate.await_arrival()
    gate.open()
    engine.close(20, reason="stopped by the user")
    assert bench.rows("SELECT status, message FROM task_runs") == [("interrupted", "stopped by the user")] * 2
    assert bench.rows("SELECT status, finished_at IS NOT NULL FROM pipeline_runs") == [("interrupted", 1)]
    engine.close()


def test_a_worker_that_never_comes_back_does_not_hold_up_closing(bench: Bench, gate: Gate) -> None:
    engine = bench.engine(lambda task, q: gate.pass_through())
    engine.start()
    gate.await_arrival()
    engine.close(0)
    assert bench.rows("SELECT status, message FROM task_runs") == [
        ("interrupted", "the program was closed; it did not stop within 0 s")
    ]


def test_an_abandoned_worker_keeps_its_slot_until_it_comes_back(bench: Bench, gate: Gate) -> None:
    engine = bench.engine(lambda task, q: gate.pass_through() if task.task_id == 1 else None, 2, workers=1)
    engine.start()
    gate.await_arrival()
    assert engine.abandon([1]).refused
    engine.cancel([1])
    assert engine.abandon([1]).accepted == (1,)
    bench.recorder.wait_for_status("cancelled")
    assert (engine.load().busy, engine.load().lost) == (1, 1)
    gate.open()
    assert engine.wait(20)
    assert bench.rows() == [(1, 1, "cancelled"), (2, 1, "done")]
    assert engine.load().lost == 0


def test_a_second_engine_on_the_same_file_is_refused_and_told_who_owns_it(bench: Bench, gate: Gate) -> None:
    engine = bench.engine(lambda task, q: gate.pass_through())
    engine.start()
    with pytest.raises(FileBusyError, match=r"in use by pipeloom process \d+"):
        bench.engine(lambda task, q: None).start()
    gate.open()
    assert engine.wait(20)
    engine.close()
    bench.run(lambda task, q: None)
    assert len(bench.rows("SELECT 1 FROM pipeline_runs")) == 2


def test_a_bug_in_the_engines_own_threads_ends_the_run_and_is_told(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = bench.engine(lambda task, q: None, 3)
    bug = TypeError("a bug of ours")

    def fail(events: ExecutorEvents, attempt_id: int, outcome: Outcome) -> None:
        raise bug

    monkeypatch.setattr(ExecutorEvents, "ended", fail)
    engine.start()
    assert engine.wait(20)
    assert (engine.failure, bench.recorder.failures[0]) == (bug, bug)
    engine.close(0)
