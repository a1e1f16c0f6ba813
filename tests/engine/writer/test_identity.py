"""The file and its write-ahead log are harmed while they are written: nothing more is acknowledged."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.engine.conftest import Bench, Gate, Recorder

from pipeloom.engine.writer.sink import CommitBatch
from pipeloom.messages import MsgTaskProgress, TaskDef
from pipeloom.pipeline import Pipeline
from pipeloom.protocols import Channel
from pipeloom.store.write.handler_connection import HandlerConnection


def replace(path: Path) -> None:
    other = path.with_name(f"other-{path.name}")
    other.write_bytes(path.read_bytes())
    other.replace(path)


def log_of(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def overwrite_header(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"nothing of a database" * 40)


def in_another_process(harm: Callable[[], object]) -> None:
    """Do harm without dropping the locks of this process: closing a database file here would."""
    child = os.fork()
    if not child:
        harm()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0


def in_sql(*statements: str) -> Callable[[Path], object]:
    def run(path: Path) -> None:
        connection = sqlite3.connect(path, isolation_level=None)
        for statement in statements:
            connection.execute(statement).fetchall()
        connection.close()

    return run


@dataclass(frozen=True)
class Row:
    text: str


class Loading:
    """Stores rows, is harmed, and goes on: one task that passes a gate between its messages."""

    def __init__(self, bench: Bench, gate: Gate, **options: bool) -> None:
        self.bench, self.gate = bench, gate

        def worker(task: TaskDef, q: Channel) -> None:
            for number in range(40):
                q.put(Row(f"{number}" * 4_000))
            q.put(MsgTaskProgress(task.task_id, 1, 2, "before"))
            gate.pass_through()
            q.put(Row("after the harm"))
            q.put(MsgTaskProgress(task.task_id, 2, 2, "after the harm"))

        pipeline = Pipeline("bench", [], worker)
        pipeline.schema(lambda conn: conn.execute("CREATE TABLE loaded (text)"))

        @pipeline.handler(Row)
        def load(conn: HandlerConnection, msg: Row) -> None:
            conn.execute("INSERT INTO loaded VALUES (?)", (msg.text,))

        self.engine = bench.engine(worker, pipeline=pipeline, **options)

    def harmed(self, harm: Callable[[Path], object], *, first: str = "") -> None:
        """Run to the end, with `harm` once what came before it is acknowledged."""
        self.engine.start()
        self.gate.await_arrival()
        self.bench.recorder.wait_until(lambda: "before" in self.messages())
        if first:
            in_another_process(lambda: in_sql(first)(self.bench.path))
        in_another_process(lambda: harm(self.bench.path))
        self.gate.open()
        assert self.engine.wait(20)
        self.engine.close(0.0)

    def messages(self) -> set[str]:
        return {row.message for batch in self.bench.recorder.batches for row in batch.attempts}


@pytest.mark.parametrize("wal", [False, True], ids=["rollback", "wal"])
@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda path: path.unlink(), "was deleted or moved"),
        (lambda path: path.rename(path.with_name("moved.db")), "was deleted or moved"),
        (replace, "was replaced by another file"),
        (lambda path: os.truncate(path, 0), "was emptied"),
        (lambda path: os.truncate(path, path.stat().st_size // 2), "is damaged"),
        (overwrite_header, "is damaged"),
    ],
    ids=["deleted", "moved", "replaced", "emptied", "cut", "header"],
)
def test_a_file_that_is_another_one_or_lacks_content_is_never_acknowledged(
    bench: Bench, gate: Gate, harm: Callable[[Path], object], words: str, wal: bool
) -> None:
    loading = Loading(bench, gate, wal=wal)
    loading.harmed(harm, first="PRAGMA wal_checkpoint")
    assert words in str(bench.recorder.failures[0])
    assert loading.engine.summary().unsaved > 0
    assert "after the harm" not in loading.messages()


@pytest.mark.parametrize(
    ("harm", "words", "kept"),
    [
        (Path.unlink, "was removed or replaced", 40),
        (replace, "was removed or replaced", 40),
        (lambda log: os.truncate(log, 0), "was cut short", 20),
        (lambda log: os.truncate(log, log.stat().st_size // 2), "was cut short", 20),
    ],
    ids=["removed", "replaced", "emptied", "cut"],
)
def test_a_write_ahead_log_that_is_harmed_ends_the_run_with_a_file_that_is_whole(
    bench: Bench, gate: Gate, harm: Callable[[Path], object], words: str, kept: int
) -> None:
    loading = Loading(bench, gate)
    loading.harmed(lambda path: harm(log_of(path)))
    assert words in str(bench.recorder.failures[0])
    assert "after the harm" not in loading.messages()
    assert bench.rows("PRAGMA integrity_check") == [("ok",)]
    if kept == 40:  # the writer still had the log open, and folded it into the file
        assert bench.rows("SELECT count(*) FROM loaded") == [(40,)]


@pytest.mark.parametrize(
    "use",
    [
        in_sql("PRAGMA wal_checkpoint(TRUNCATE)"),
        in_sql("DELETE FROM loaded", "VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"),
        in_sql("DELETE FROM loaded", "VACUUM", "CREATE TABLE more AS SELECT randomblob(99999)"),
        lambda path: path.with_name("link.db").hardlink_to(path),
    ],
    ids=["log emptied", "made smaller", "made smaller and larger", "linked"],
)
@pytest.mark.parametrize("wal", [False, True], ids=["rollback", "wal"])
def test_what_other_programs_may_do_to_the_file_stops_no_run(
    bench: Bench, gate: Gate, use: Callable[[Path], object], wal: bool
) -> None:
    loading = Loading(bench, gate, wal=wal)
    loading.harmed(use)
    assert bench.recorder.failures == []
    assert "after the harm" in loading.messages()
    assert bench.one("status") == "done"
    assert bench.rows("PRAGMA integrity_check") == [("ok",)]


def test_a_file_that_is_harmed_after_the_last_commit_is_no_success(bench: Bench) -> None:
    class AtTheEnd(Recorder):
        def committed(self, batch: CommitBatch) -> None:
            if batch.run is not None and batch.run.finished_at is not None:
                in_another_process(lambda: os.truncate(log_of(bench.path), 0))

    engine = bench.engine(lambda task, q: None)
    engine.add_sink(AtTheEnd())
    engine.start()
    assert engine.wait(20)
    engine.close()
    assert "was cut short" in str(engine.failure)
    assert bench.rows("PRAGMA integrity_check") == [("ok",)]
