"""The file is deleted, replaced or emptied while it is being written: nothing more is acknowledged."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.engine.conftest import Bench, Gate

from pipeloom.messages import MsgTaskProgress, TaskDef
from pipeloom.pipeline import Channel


def replace(path: Path) -> None:
    other = path.with_name("other.db")
    other.write_bytes(path.read_bytes())
    other.replace(path)


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda path: path.unlink(), "was deleted or moved"),
        (lambda path: path.rename(path.with_name("moved.db")), "was deleted or moved"),
        (replace, "was replaced by another file"),
        (lambda path: path.with_name("link.db").hardlink_to(path), "hard links"),
        (lambda path: os.truncate(path, 0), "was emptied"),
    ],
    ids=["deleted", "moved", "replaced", "linked", "emptied"],
)
def test_a_file_that_is_another_one_is_never_acknowledged(
    bench: Bench, gate: Gate, harm: Callable[[Path], object], words: str
) -> None:
    def worker(task: TaskDef, q: Channel) -> None:
        gate.pass_through()
        q.put(MsgTaskProgress(task.task_id, 1, 2, "after the harm"))

    engine = bench.engine(worker, wal=False)
    engine.start()
    gate.await_arrival()
    bench.recorder.wait_for_status("running")
    harm(bench.path)
    gate.open()
    bench.recorder.wait_until(lambda: bench.recorder.failures)
    assert words in str(bench.recorder.failures[0])
    assert engine.wait(20)
    engine.close(0.0)
    assert engine.summary().unsaved > 0
    assert not [row for batch in bench.recorder.batches for row in batch.attempts if row.message == "after the harm"]
