"""What is called at the end of a run, and what becomes of its troubles."""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any, cast

import psutil
import pytest
from tests.engine.conftest import PATIENCE_S, Bench, Gate

from pipeloom import Pipeline, RunSummary, TaskDef
from pipeloom.engine.hooks.at_end import run_command
from pipeloom.engine.hooks.calls import LINES, HookError
from pipeloom.errors import UsageError
from pipeloom.status import Status


def nothing(task: TaskDef, q: Any) -> None:
    return


def fails(task: TaskDef, q: Any) -> None:
    raise KeyError("temp_max")


def lines(bench: Bench) -> list[tuple[str, str]]:
    return [(level, text.split("\n")[0]) for level, text in bench.rows("SELECT level, text FROM run_logs ORDER BY seq")]


@pytest.fixture
def pipeline() -> Pipeline:
    return Pipeline("bench")


def test_a_function_gets_the_summary_after_the_last_commit(bench: Bench, pipeline: Pipeline) -> None:
    seen: list[tuple[RunSummary, list[Any], str]] = []

    @pipeline.on_end
    def note(summary: RunSummary) -> None:
        seen.append((summary, bench.rows("SELECT status FROM pipeline_runs"), threading.current_thread().name))

    engine = bench.run(nothing, 2, pipeline=pipeline)
    ((summary, on_disk, thread),) = seen
    assert (summary.counts, on_disk, thread) == ({Status.DONE: 2}, [("done",)], "pipeloom-hook-note")
    assert engine.summary() == summary
    assert lines(bench) == []


def test_the_summary_is_json(bench: Bench, pipeline: Pipeline) -> None:
    engine = bench.run(fails, [TaskDef("a", "bad")], pipeline=pipeline)
    given = engine.summary().as_dict()
    assert json.loads(json.dumps(given)) == given
    assert (given["status"], given["exit_code"], given["counts"]) == ("error", 1, {"error": 1})
    assert given["failed"] == [{"task_id": "a", "name": "bad", "error": "KeyError: 'temp_max'"}]


@pytest.mark.parametrize("error", [ValueError("no network"), SystemExit(3), KeyboardInterrupt()], ids=repr)
def test_what_a_function_raises_is_a_line_in_the_log_of_the_run(
    bench: Bench, pipeline: Pipeline, error: BaseException
) -> None:
    after: list[int] = []

    @pipeline.on_end
    def bad(summary: RunSummary) -> None:
        raise error

    pipeline.on_end(lambda summary: after.append(summary.run_id))
    engine = bench.run(nothing, pipeline=pipeline)
    told = f"bad: {type(error).__name__}: {error}".removesuffix(": ")
    assert lines(bench) == [("ERROR", told)]
    assert "in bad" in bench.rows("SELECT text FROM run_logs")[0][0]
    assert (engine.summary().exit_code, bench.rows("SELECT status FROM pipeline_runs")) == (0, [("done",)])
    assert engine.summary().hook_errors == (told,)
    assert after == [1]


def test_a_function_that_does_not_return_is_not_waited_for(bench: Bench, pipeline: Pipeline, gate: Gate) -> None:
    @pipeline.on_end(timeout=20)
    def slow(summary: RunSummary) -> None:
        gate.pass_through()
        raise ValueError("too late to be told")

    engine = bench.engine(nothing, pipeline=pipeline)
    engine.start()
    gate.await_arrival()
    bench.clock.advance(19.9)
    assert not engine.wait(0.1)
    bench.clock.advance(0.2)
    assert engine.wait(PATIENCE_S)
    gate.open()
    for thread in threading.enumerate():
        if thread.name == "pipeloom-hook-slow":
            thread.join(PATIENCE_S)
    engine.close()
    assert lines(bench) == [("ERROR", "slow: it did not return within 20 s, and is not waited for")]


def test_a_function_gets_the_grace_when_the_program_is_closed(bench: Bench, pipeline: Pipeline, gate: Gate) -> None:
    pipeline.on_end(lambda summary: gate.pass_through())
    engine = bench.engine(nothing, pipeline=pipeline, grace_s=3)
    engine.start()
    gate.await_arrival()
    closing = threading.Thread(target=engine.close)
    closing.start()
    while closing.is_alive():
        bench.clock.advance(0.5)
        closing.join(0.02)
    assert len(lines(bench)) == 1
    assert "did not return within" in lines(bench)[0][1]


def test_a_run_that_is_stopped_has_its_end_too(bench: Bench, pipeline: Pipeline, gate: Gate) -> None:
    seen: list[RunSummary] = []
    pipeline.on_end(seen.append)
    engine = bench.engine(lambda task, q: q.sleep(3600), 2, pipeline=pipeline, workers=1)
    engine.start()
    bench.recorder.wait_for_status("running")
    engine.close()
    assert [one.counts for one in seen] == [{Status.INTERRUPTED: 2}]


def test_each_end_of_a_run_that_is_taken_up_again_is_told(bench: Bench, pipeline: Pipeline) -> None:
    seen: list[tuple[int, dict[Status, int]]] = []
    pipeline.on_end(lambda summary: seen.append((summary.run_id, summary.counts)))
    good = threading.Event()

    def work(task: TaskDef, q: Any) -> None:
        if not good.is_set():
            raise ValueError

    engine = bench.engine(work, pipeline=pipeline)
    engine.start()
    assert engine.wait(PATIENCE_S)
    assert engine.let_go()
    good.set()
    engine.retry([1])
    assert engine.wait(PATIENCE_S)
    engine.close()
    assert seen == [(1, {Status.ERROR: 1}), (1, {Status.DONE: 1})]


def test_the_file_is_kept_while_a_function_may_have_something_to_tell(
    bench: Bench, pipeline: Pipeline, gate: Gate
) -> None:
    @pipeline.on_end
    def bad(summary: RunSummary) -> None:
        gate.pass_through()
        raise ValueError("kept")

    engine = bench.engine(nothing, pipeline=pipeline)
    engine.start()
    gate.await_arrival()
    letting = threading.Thread(target=engine.let_go)
    letting.start()
    letting.join(0.05)
    assert letting.is_alive()
    gate.open()
    letting.join(PATIENCE_S)
    assert engine.has_let_go
    assert lines(bench) == [("ERROR", "bad: ValueError: kept")]


def test_what_a_function_prints_and_logs_is_in_the_log_of_the_run(bench: Bench, pipeline: Pipeline) -> None:
    @pipeline.on_end
    def chatty(summary: RunSummary) -> None:
        print("sent to #etl")
        logging.getLogger("chat").warning("slow answer")

    @pipeline.on_end
    def flood(summary: RunSummary) -> None:
        for number in range(LINES + 500):
            print(number)

    bench.run(nothing, pipeline=pipeline)
    found = lines(bench)
    assert found[:2] == [("STDOUT", "sent to #etl"), ("WARNING", "slow answer")]
    assert len(found) <= LINES + 3


def test_it_is_called_in_the_program_alone_not_in_its_workers(bench: Bench, tmp_path: Path) -> None:
    from tests.jobs import hooked

    (tmp_path / "seen").touch()
    os.environ["PIPELOOM_TEST_SEEN"] = str(tmp_path / "seen")
    try:
        bench.run(hooked.work, 2, pipeline=hooked.pipeline, executor="process", workers=2)
    finally:
        del os.environ["PIPELOOM_TEST_SEEN"]
    assert (tmp_path / "seen").read_text(encoding="utf-8") == f"{os.getpid()}\n"


def test_a_writer_that_has_failed_is_told_too(bench: Bench, pipeline: Pipeline, gate: Gate) -> None:
    seen: list[RunSummary] = []
    pipeline.on_end(seen.append)
    engine = bench.engine(lambda task, q: gate.pass_through(), pipeline=pipeline)
    engine.start()
    gate.await_arrival()
    bench.path.unlink()
    gate.open()
    assert engine.wait(PATIENCE_S)
    engine.close()
    assert [(one.exit_code, one.unsaved > 0) for one in seen] == [(4, True)]


@pytest.mark.parametrize("timeout", [0, -1, "3", float("nan"), True])
def test_a_time_limit_is_a_number_of_seconds(pipeline: Pipeline, timeout: Any) -> None:
    with pytest.raises(UsageError, match="timeout must be a number of seconds above 0"):
        pipeline.on_end(timeout=timeout)


def test_what_does_not_run_when_it_is_called_is_refused(pipeline: Pipeline) -> None:
    async def wrong(summary: RunSummary) -> None: ...

    for function in (wrong, 5):
        with pytest.raises(UsageError, match="not `async def`"):
            pipeline.on_end(cast("Any", function))


def is_alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


# -- the command of the settings ---------------------------------------------------------------------------------------


def script(folder: Path, text: str) -> list[str]:
    (folder / "script.py").write_text(text, encoding="utf-8")
    return [sys.executable, str(folder / "script.py"), str(folder / "seen")]


READS = "import json, sys\nopen(sys.argv[1], 'w').write(json.load(sys.stdin)['pipeline'])\n"


@pytest.mark.parametrize(("work", "called"), [(fails, True), (nothing, False)])
@pytest.mark.parametrize("shell", [True, False], ids=["line", "list"])
def test_a_command_is_run_when_tasks_have_failed(bench: Bench, work: Any, called: bool, shell: bool) -> None:
    command = script(bench.path.parent, READS)
    engine = bench.run(work, on_failure=" ".join(command) if shell else command)
    seen = bench.path.with_name("seen")
    assert seen.exists() is called
    assert engine.summary().hook_errors == ()
    assert not called or seen.read_text(encoding="utf-8") == "bench"


def test_a_run_that_the_user_has_stopped_is_no_failure(bench: Bench) -> None:
    engine = bench.engine(lambda task, q: q.sleep(3600), on_failure=script(bench.path.parent, READS))
    engine.start()
    bench.recorder.wait_for_status("running")
    engine.close()
    assert not bench.path.with_name("seen").exists()


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["/no/such/program"], "the command could not be started: No such file or directory"),
        ("echo first; echo no route; exit 3", "the command ended with code 3: no route"),
        ("kill -9 $$", "the command ended by SIGKILL"),
    ],
    ids=str,
)
def test_a_command_that_fails_is_a_line_in_the_log_of_the_run(bench: Bench, command: Any, told: str) -> None:
    engine = bench.run(fails, on_failure=command)
    assert lines(bench) == [("ERROR", f"[notify] on_failure: {told}")]
    assert engine.summary().exit_code == 1


def test_a_command_that_does_not_end_is_killed_with_its_children(bench: Bench) -> None:
    summary = bench.run(fails).summary()
    with pytest.raises(HookError, match=r"did not end within 0.5 s, and was killed"):
        run_command("sleep 600 & echo $! > pid; wait".replace("pid", str(bench.path.with_name("pid"))), summary, 0.5)
    pid = int(bench.path.with_name("pid").read_text(encoding="utf-8"))
    deadline = time.monotonic() + PATIENCE_S
    while is_alive(pid):
        assert time.monotonic() < deadline, "it was left behind"


def test_a_command_that_leaves_a_child_behind_is_over_when_it_has_ended(bench: Bench) -> None:
    run_command("sleep 5 &", bench.run(fails).summary(), 3.0)


def test_tasks_can_be_run_again_while_a_function_goes_on(bench: Bench, pipeline: Pipeline, gate: Gate) -> None:
    pipeline.on_end(lambda summary: gate.pass_through())
    engine = bench.engine(nothing, pipeline=pipeline)
    engine.start()
    gate.await_arrival()
    assert bench.rows("SELECT status FROM pipeline_runs") == [("done",)]
    assert engine.retry([1]).accepted == (2,)
    gate.open()
    assert engine.wait(PATIENCE_S)
    assert bench.rows("SELECT attempt, status FROM task_runs") == [(1, "done"), (2, "done")]
