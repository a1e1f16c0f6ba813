"""The executors side by side, and bare Dask beside them: `python tests/benchmarks/bench_executors.py`.

Tasks that do nothing and messages of one producer that does nothing else, through the whole engine into a file; the time
from a cancel to the end of the attempt, in the executor alone.
"""

from __future__ import annotations

import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from distributed import Client, LocalCluster

from pipeloom.engine.attempt import Attempt, Outcome
from pipeloom.engine.engine import Engine
from pipeloom.engine.executors import ExecutorName, make_executor
from pipeloom.engine.options import EngineOptions
from pipeloom.engine.writer.sink import CommitBatch
from pipeloom.messages import MsgTaskProgress, TaskDef
from pipeloom.pipeline import Pipeline, WorkerFn
from pipeloom.protocols import Channel

WORKERS = 2
TASKS = {"thread": 20_000, "process": 5_000, "dask": 3_000}
MESSAGES = 200_000
CANCELS = 15
ROWS = 1_000_000
BATCH = 500
NAMES: tuple[ExecutorName, ...] = ("thread", "process", "dask")


@dataclass(frozen=True, slots=True)
class Rows:
    """Many rows."""

    rows: list[tuple[int, str, float]]


@dataclass(frozen=True, slots=True)
class Row:
    """A domain message."""

    number: int
    city: str
    value: float


def nothing(_task: TaskDef, _q: Channel | None = None) -> None:
    """Do nothing."""


def progress(task: TaskDef, q: Channel) -> None:
    """Tell progress as fast as it goes."""
    for step in range(MESSAGES):
        q.put(MsgTaskProgress(task.task_id, step, MESSAGES, "transformed"))


def rows(task: TaskDef, q: Channel) -> None:
    """Publish rows as fast as it goes, each as a message."""
    for number in range(MESSAGES):
        q.put(Row(number, "seattle", 3.4))


def batches(task: TaskDef, q: Channel) -> None:
    """Publish rows as fast as it goes, many to a message."""
    for number in range(0, ROWS, BATCH):
        q.put(Rows([(place, "seattle", 3.4) for place in range(number, number + BATCH)]))


def compute(task: TaskDef, q: Channel) -> None:
    """Compute until asked to stop."""
    q.put(MsgTaskProgress(task.task_id, 0, 1))
    while not q.cancelled:
        sum(range(1000))
    q.raise_if_cancelled()


def bare_map() -> float:
    """Return the tasks a second of Dask's own `client.map`."""
    with (
        LocalCluster(
            n_workers=WORKERS, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0"
        ) as cluster,
        Client(cluster) as client,
    ):
        count = TASKS["dask"]
        began = time.perf_counter()
        client.gather(client.map(nothing, range(count), pure=False))
        return count / (time.perf_counter() - began)


def tasks_per_s(name: ExecutorName) -> float:
    """Return the no-op tasks a second, from the first that was handed out to the last that is on disk."""
    return run(name, nothing, TASKS[name], TASKS[name])


def run(name: ExecutorName, work: WorkerFn, tasks: int, things: int, workers: int = WORKERS) -> float:
    """Return how many things a second came of it."""
    with tempfile.TemporaryDirectory() as folder:
        listed = [TaskDef(number, f"task-{number}") for number in range(tasks)]
        pipeline = Pipeline("bench", listed, work)
        pipeline.schema(lambda conn: conn.execute("CREATE TABLE rows (number, city, value)"))
        pipeline.handler(Row)(
            lambda conn, msg: conn.execute("INSERT INTO rows VALUES (?, ?, ?)", (msg.number, msg.city, msg.value))
        )
        pipeline.handler(Rows)(lambda conn, msg: conn.executemany("INSERT INTO rows VALUES (?, ?, ?)", msg.rows))
        engine = Engine(Path(folder) / "etl.db", pipeline, EngineOptions(workers=workers, executor=name))
        watch = Watch()
        engine.add_sink(watch)
        engine.start()
        began = time.perf_counter()
        engine.wait()
        took = time.perf_counter() - began
        engine.close()
        assert engine.summary().ok, engine.summary()
        return things / took


class Watch:
    """A sink that does nothing."""

    def committed(self, batch: CommitBatch) -> None: ...

    def writer_waiting(self, reason: str | None) -> None: ...

    def writer_failed(self, error: BaseException) -> None: ...


class Stopwatch:
    """A `Reports` that knows when an attempt has begun to speak and when it has ended."""

    def __init__(self) -> None:
        self.spoke = threading.Event()
        self.over = threading.Event()

    def started(self, attempt_id: int, worker: str) -> None: ...

    def message(self, attempt_id: int, msg: object) -> None:
        self.spoke.set()

    def ended(self, attempt_id: int, outcome: Outcome) -> None:
        self.over.set()

    def broken(self, error: BaseException) -> None:
        raise error

    def has_room(self, attempt_id: int) -> bool:
        return True

    def slots_changed(self) -> None: ...

    def lost(self, reason: str) -> None: ...


def cancel_s(name: ExecutorName) -> float:
    """Return the median of the seconds between a cancel and the end of a task that computes."""
    reports, took = Stopwatch(), []
    executor = make_executor(name, WORKERS)
    executor.start(reports)
    for number in range(CANCELS):
        reports.spoke.clear()
        reports.over.clear()
        executor.submit(Attempt(number, 1, TaskDef(number, "a"), compute, frozenset()))
        assert reports.spoke.wait(30)
        began = time.perf_counter()
        executor.cancel([number])
        assert reports.over.wait(30)
        took.append(time.perf_counter() - began)
    executor.shutdown(1.0)
    return median(took)


PUBLISHERS = ((progress, MESSAGES), (rows, MESSAGES), (batches, ROWS))


def main() -> None:
    """Print one table."""
    bare = median(bare_map() for _ in range(3))
    print(f"{WORKERS} workers\n{'':>18}{'tasks/s':>10}{'progress/s':>12}{'row msgs/s':>12}{'rows/s':>12}{'cancel':>12}")
    found = {}
    for name in NAMES:
        found[name] = median(tasks_per_s(name) for _ in range(3))
        told, kept, many = (run(name, work, 1, things) for work, things in PUBLISHERS)
        stop_ms = cancel_s(name) * 1000
        print(f"{name:>18}{found[name]:>10,.0f}{told:>12,.0f}{kept:>12,.0f}{many:>12,.0f}{stop_ms:>9.1f} ms")
    print(f"{'bare client.map':>18}{bare:>10,.0f}")
    for workers in (2, 4):
        told = run("dask", progress, workers, workers * MESSAGES, workers)
        print(f"{f'dask, {workers} producers':>18}{'':>10}{told:>12,.0f}")
    print(
        f"dask: {found['dask'] / bare:.2f}x of bare client.map (goal 0.3x); 40,000 messages/s and 200 ms are the goals"
    )


if __name__ == "__main__":
    main()
