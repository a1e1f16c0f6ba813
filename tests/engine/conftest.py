"""What the engine's tests share: gates instead of sleeps, a clock that is told the time, a sink that remembers."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pipeloom.engine.commands import CommandResult
from pipeloom.engine.engine import Engine
from pipeloom.engine.options import EngineOptions
from pipeloom.engine.refusal_text import refusal_text
from pipeloom.engine.writer.sink import CommitBatch
from pipeloom.messages import TaskDef, TaskLike
from pipeloom.pipeline import Pipeline, WorkerFn
from pipeloom.store.rows import AttemptRow

if TYPE_CHECKING:
    from pipeloom.engine.executors.dask.cluster import Cluster

PATIENCE_S = 120.0


def refusals(result: CommandResult) -> dict[int, str]:
    """What a command refused, in words."""
    return {attempt_id: refusal_text(refusal) for attempt_id, refusal in result.refused.items()}


class Gate:
    """Lets a worker say that it has arrived, and the test say when it may go on."""

    def __init__(self) -> None:
        self._arrived = threading.Semaphore(0)
        self._open = threading.Event()

    def pass_through(self) -> None:
        self._arrived.release()
        assert self._open.wait(PATIENCE_S), "nobody opened the gate"

    def await_arrival(self, count: int = 1) -> None:
        for _ in range(count):
            assert self._arrived.acquire(timeout=PATIENCE_S), "nobody arrived at the gate"

    def open(self) -> None:
        self._open.set()


class ManualClock:
    """Stands still until `advance`."""

    def __init__(self) -> None:
        self._now = datetime(2026, 8, 1, 12, 0, 0, tzinfo=UTC)
        self._monotonic = 1000.0
        self._waiting: set[threading.Condition] = set()

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def wait(self, condition: threading.Condition, timeout_s: float | None) -> None:
        self._waiting.add(condition)
        condition.wait(None if timeout_s is None else 0.05)

    def advance(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)
        self._monotonic += seconds
        for condition in list(self._waiting):
            with condition:
                condition.notify_all()


class Recorder:
    """A sink that keeps every batch and lets a test wait for what it looks for."""

    def __init__(self) -> None:
        self.batches: list[CommitBatch] = []
        self.waiting: list[str | None] = []
        self.failures: list[BaseException] = []
        self._changed = threading.Condition()

    def committed(self, batch: CommitBatch) -> None:
        with self._changed:
            self.batches.append(batch)
            self._changed.notify_all()

    def writer_waiting(self, reason: str | None) -> None:
        with self._changed:
            self.waiting.append(reason)
            self._changed.notify_all()

    def writer_failed(self, error: BaseException) -> None:
        with self._changed:
            self.failures.append(error)
            self._changed.notify_all()

    def wait_until(self, condition: Callable[[], object]) -> None:
        with self._changed:
            assert self._changed.wait_for(condition, PATIENCE_S), "it did not come to that"

    def wait_for_news(self, timeout_s: float) -> None:
        with self._changed:
            self._changed.wait(timeout_s)

    def states(self, task_id: int | str = 1) -> list[str]:
        """The statuses that a task was seen in, without repetitions."""
        seen: list[str] = []
        for row in (row for batch in self.batches for row in batch.attempts if row.task_id == task_id):
            if not seen or seen[-1] != row.status:
                seen.append(str(row.status))
        return seen

    def wait_for_status(self, status: str, task_id: int | str = 1, attempt: int = 1) -> AttemptRow:
        def found() -> AttemptRow | None:
            rows = (row for batch in self.batches for row in batch.attempts)
            return next(
                (row for row in rows if (row.task_id, row.attempt, row.status) == (task_id, attempt, status)), None
            )

        self.wait_until(found)
        row = found()
        assert row is not None
        return row


class Bench:
    """Builds engines over one file and closes what a test leaves open."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = ManualClock()
        self.recorder = Recorder()
        self.engines: list[Engine] = []

    def engine(
        self, worker: WorkerFn, tasks: int | Sequence[TaskLike] = 1, *, pipeline: Pipeline | None = None, **options: Any
    ) -> Engine:
        listed = (
            [TaskDef(number, f"task-{number}") for number in range(1, tasks + 1)] if isinstance(tasks, int) else tasks
        )
        made = pipeline or Pipeline("bench", listed, worker)
        if pipeline is not None:
            made.worker_fn = worker
            made.tasks = listed if made.tasks.function is None else made.tasks
        engine = Engine(self.path, made, EngineOptions(**options), clock=self.clock, random=lambda: 0.0)
        engine.add_sink(self.recorder)
        self.engines.append(engine)
        return engine

    def run(self, worker: WorkerFn, tasks: int | Sequence[TaskLike] = 1, **options: Any) -> Engine:
        engine = self.engine(worker, tasks, **options)
        engine.start()
        assert engine.wait(PATIENCE_S), "the run did not end"
        engine.close()
        return engine

    def rows(self, sql: str = "SELECT task_id, attempt, status FROM task_runs ORDER BY id", *values: Any) -> list[Any]:
        connection = sqlite3.connect(self.path)
        try:
            return connection.execute(sql, values).fetchall()
        finally:
            connection.close()

    def one(self, column: str, task_id: int | str = 1, attempt: int = 1) -> Any:
        sql = f"SELECT {column} FROM task_runs WHERE task_id=? AND attempt=?"
        return self.rows(sql, task_id, attempt)[0][0]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path / "etl.db")
    yield made
    for engine in made.engines:
        engine.close(0.0)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A cluster of two worker processes: it is slow to start, so the tests of a file are all clients of the same one."""
    from pipeloom.engine.executors.dask.cluster import Cluster

    made = Cluster(None, 2)
    yield made
    made.close()


@pytest.fixture
def gate() -> Iterator[Gate]:
    made = Gate()
    yield made
    made.open()
