"""Programs that tasks in threads have started, and that nothing ends: they are named."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from tests.engine.conftest import Bench, Gate

from pipeloom.engine.executors.children import of_program
from pipeloom.messages import TaskDef
from pipeloom.protocols import Channel

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="the system does not tell which thread has started what"
)


def long_child() -> subprocess.Popen[bytes]:
    """Start a program, and wait until the system knows its command line."""
    child = subprocess.Popen(["sleep", "600"])
    while b"600" not in Path(f"/proc/{child.pid}/cmdline").read_bytes():
        os.sched_yield()
    return child


def test_a_program_that_outlives_the_time_limit_of_its_task_is_named(bench: Bench, gate: Gate) -> None:
    started: list[subprocess.Popen[bytes]] = []

    def work(task: TaskDef, q: Channel) -> None:
        if task.task_id == 2:
            q.sleep(600)
        subprocess.run(["true"], check=True)
        started.append(long_child())
        gate.pass_through()
        started[0].wait()

    engine = bench.engine(work, [TaskDef(1, "a", timeout=30), TaskDef(2, "b", timeout=30)], workers=2)
    engine.start()
    gate.await_arrival()
    bench.clock.advance(31)
    row = bench.recorder.wait_for_status("cancelling", 1)
    name = f"process {started[0].pid} (sleep 600)"
    assert row.message == f"time limit of 30 s reached; waits for {name}"
    assert bench.recorder.wait_for_status("error", 2).message == "time limit of 30 s reached"
    gate.open()
    started[0].kill()
    assert engine.wait(20)


def test_a_program_that_is_left_by_a_task_that_was_stopped_is_in_its_log(bench: Bench, gate: Gate) -> None:
    started: list[subprocess.Popen[bytes]] = []

    def work(task: TaskDef, q: Channel) -> None:
        started.append(long_child())
        gate.pass_through()
        q.sleep(600)

    engine = bench.engine(work)
    engine.start()
    gate.await_arrival()
    engine.cancel()
    gate.open()
    assert engine.wait(20)
    try:
        assert bench.rows("SELECT text FROM task_logs") == [(f"Left behind: process {started[0].pid} (sleep 600).",)]
    finally:
        started[0].kill()
        started[0].wait()


def test_a_program_that_is_about_to_end_is_not_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between its last instruction and its end the kernel takes its memory: it has no command line, and still runs."""
    monkeypatch.setattr(psutil.Process, "status", lambda _: psutil.STATUS_RUNNING)
    monkeypatch.setattr(psutil.Process, "cmdline", lambda _: [])
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    try:
        assert not any(str(child.pid) in phrase for phrase in of_program())
    finally:
        child.wait()
