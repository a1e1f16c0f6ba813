"""The disk fails at the moment of the COMMIT: the file itself is asked what it holds."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import pytest
from tests.engine.conftest import Bench, Gate

from pipeloom.messages import TaskDef
from pipeloom.pipeline import Pipeline
from pipeloom.protocols import Channel
from pipeloom.store.write.handler_connection import HandlerConnection


@dataclass(frozen=True)
class Loaded:
    number: int


def trouble(code: int) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = code
    return error


class FailingCommits(sqlite3.Connection):
    """A connection to a disk that fails when it is told to, with or without having written."""

    next_commits: Iterator[str] = iter(())
    broken = False

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        what = next(self.next_commits, "") if sql.startswith("COMMIT") else ""
        if what == "written":
            super().execute(sql, *values)
        if what:
            FailingCommits.broken = what == "gone"
            raise trouble(sqlite3.SQLITE_IOERR_FSYNC)
        if FailingCommits.broken and sql.startswith("PRAGMA journal_mode"):
            raise trouble(sqlite3.SQLITE_IOERR_READ)
        return super().execute(sql, *values)


class FailCommits(Protocol):
    """Makes the next commits fail."""

    def __call__(self, *commits: str) -> None: ...


@pytest.fixture
def fail_commits(monkeypatch: pytest.MonkeyPatch) -> FailCommits:
    monkeypatch.setattr(
        "pipeloom.store.write.connect.sqlite3.connect", partial(sqlite3.connect, factory=FailingCommits)
    )
    monkeypatch.setattr(FailingCommits, "broken", False)

    def fail(*commits: str) -> None:
        monkeypatch.setattr(FailingCommits, "next_commits", iter(commits))

    return fail


@pytest.fixture
def loading() -> Pipeline:
    pipeline = Pipeline("bench", [], lambda task, q: None)
    pipeline.schema(lambda conn: conn.execute("CREATE TABLE known (number PRIMARY KEY)"))
    pipeline.schema(lambda conn: conn.execute("INSERT INTO known VALUES (0), (1), (2), (3), (4)"))
    pipeline.schema(lambda conn: conn.execute("CREATE TABLE loaded (number REFERENCES known)"))

    @pipeline.handler(Loaded)
    def load(conn: HandlerConnection, msg: Loaded) -> None:
        with pytest.raises(sqlite3.IntegrityError):
            conn.execute("INSERT INTO loaded VALUES (?)", (msg.number + 100,))
        conn.execute("INSERT INTO loaded VALUES (?)", (msg.number,))

    return pipeline


@pytest.mark.parametrize("failures", [["written"], ["lost"], ["lost", "written"], ["written", "", "lost", "lost"]])
def test_a_commit_that_failed_is_neither_lost_nor_done_twice(
    bench: Bench, gate: Gate, loading: Pipeline, fail_commits: FailCommits, failures: list[str]
) -> None:
    def worker(task: TaskDef, q: Channel) -> None:
        gate.pass_through()
        for number in range(5):
            q.put(Loaded(number))

    engine = bench.engine(worker, pipeline=loading)
    engine.start()
    gate.await_arrival()
    bench.recorder.wait_for_status("running")
    fail_commits(*failures)
    gate.open()
    assert engine.wait(20)
    engine.close()
    assert bench.rows("SELECT number FROM loaded") == [(number,) for number in range(5)]
    assert bench.one("status") == "done"
    assert bench.recorder.waiting[0] == "disk I/O error"
    assert bench.recorder.waiting[-1] is None
    assert engine.summary().unsaved == 0


def test_without_tables_of_ours_in_the_file_it_cannot_tell_and_that_is_said(
    bench: Bench, gate: Gate, loading: Pipeline, fail_commits: FailCommits
) -> None:
    def worker(task: TaskDef, q: Channel) -> None:
        gate.pass_through()
        q.put(Loaded(1))

    engine = bench.engine(worker, pipeline=loading, store_task_status=False)
    engine.start()
    gate.await_arrival()
    bench.recorder.wait_for_status("running")
    fail_commits("lost")
    gate.open()
    bench.recorder.wait_until(lambda: bench.recorder.failures)
    assert "it is not known whether the last changes were saved" in str(bench.recorder.failures[0])
    engine.close(0.0)
    assert engine.summary().unsaved > 0


def test_a_disk_that_is_gone_is_asked_again_until_the_program_is_closed(
    bench: Bench, gate: Gate, loading: Pipeline, fail_commits: FailCommits
) -> None:
    def worker(task: TaskDef, q: Channel) -> None:
        gate.pass_through()
        q.put(Loaded(1))

    engine = bench.engine(worker, pipeline=loading)
    engine.start()
    gate.await_arrival()
    bench.recorder.wait_for_status("running")
    fail_commits("gone")
    gate.open()
    bench.recorder.wait_until(lambda: len(bench.recorder.waiting) > 1)
    engine.close(0.0)
    assert "could not be written" in str(bench.recorder.failures[0])
    assert engine.summary().unsaved > 0


def test_a_disk_that_fails_before_the_run_is_in_the_file_starts_nothing(
    bench: Bench, loading: Pipeline, fail_commits: FailCommits
) -> None:
    from pipeloom.errors import StoreError

    ran: list[int] = []
    engine = bench.engine(lambda task, q: ran.append(1), pipeline=loading)
    fail_commits("", "lost")
    with pytest.raises(StoreError, match="cannot be written"):
        engine.start()
    assert ran == []
