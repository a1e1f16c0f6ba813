"""A program that has no descriptor left waits for one: nothing is lost, and nothing is stored twice."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.engine.conftest import Gate, Recorder

from pipeloom.engine.engine import Engine
from pipeloom.messages import MsgTaskProgress, TaskDef
from pipeloom.pipeline import Pipeline
from pipeloom.store.file.identity import FileIdentity


@contextmanager
def no_descriptors() -> Iterator[None]:
    """Let the system refuse every further file in this block."""
    usual = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, usual[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, usual)


def test_a_file_that_cannot_be_looked_into_now_is_waited_for(db_path: Path) -> None:
    gate, recorder = Gate(), Recorder()

    def work(task: Any, q: Any) -> None:
        gate.pass_through()
        q.put(MsgTaskProgress(task.task_id, 1, 1, "all of it"))

    engine = Engine(db_path, Pipeline("few", [TaskDef(1, "one")], work))
    engine.add_sink(recorder)
    engine.start()
    gate.await_arrival()
    recorder.wait_for_status("running")
    with no_descriptors():
        os.utime(db_path)  # what has changed the file is looked into
        gate.open()
        recorder.wait_until(lambda: any(recorder.waiting) or recorder.failures)
    assert engine.wait(20)
    engine.close()
    assert recorder.failures == []
    assert engine.summary().counts == {"done": 1}


def test_a_commit_is_not_repeated_because_the_file_cannot_be_looked_into(
    db_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder()
    check = FileIdentity.check

    def checked(self: FileIdentity, *, committed: bool = False) -> None:
        if not committed:
            check(self)
            return
        os.utime(db_path)
        with no_descriptors():
            check(self, committed=True)

    monkeypatch.setattr(FileIdentity, "check", checked)
    engine = Engine(db_path, Pipeline("few", [TaskDef(n, f"{n}") for n in range(5)], lambda task, q: None))
    engine.add_sink(recorder)
    engine.start()
    assert engine.wait(20)
    engine.close()
    assert recorder.failures == []
    assert [reason for reason in recorder.waiting if reason] == []
    assert engine.summary().counts == {"done": 5}
