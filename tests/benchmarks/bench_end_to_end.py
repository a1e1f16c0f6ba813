"""The whole engine against its bare parts, as a user meets it: `python tests/benchmarks/bench_end_to_end.py`.

Every figure is of a whole call, work made inside the clock: `run_pipeline(..., ui="none")` from its start to its end,
with its file. Those that belong together are measured in turn, and each figure is the median of three.

"Original" is the algorithm that pipeloom 0.0.7 had: a thread pool, one bounded queue, and a writer that commits each message.
"""

from __future__ import annotations

import queue
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pipeloom import MsgTaskProgress, Pipeline, TaskDef, run_pipeline
from pipeloom.tables.table import Table

WORKERS = 4
TRIES = 3
BATCH = 1_000
Measure = Callable[[], float]


@dataclass(frozen=True)
class One:
    """One row."""

    number: int


@dataclass(frozen=True)
class Many:
    """A batch of rows."""

    rows: list[tuple[int, str, float]]


NUMBERS = Table("numbers", {"number": int})


# -- worker functions: of a module, so that worker processes find them ---------------------------------------------------


def noop(task: TaskDef, q: Any) -> None:
    pass


def progress(task: TaskDef, q: Any) -> None:
    number, total = task.task_id, task.params["messages"]
    for step in range(total):
        q.put(MsgTaskProgress(number, step, total, "loading"))


def one_row_each(task: TaskDef, q: Any) -> None:
    for number in range(task.params["messages"]):
        q.put(One(number))


def one_table_row_each(task: TaskDef, q: Any) -> None:
    for number in range(task.params["messages"]):
        q.put(NUMBERS.rows((number,)))


def batches(task: TaskDef, q: Any) -> None:
    for first in range(0, task.params["rows"], BATCH):
        q.put(Many(made(first)))


def made(first: int) -> list[tuple[int, str, float]]:
    return [(number, f"name-{number}", number * 0.5) for number in range(first, first + BATCH)]


def insert_one(connection: sqlite3.Connection, msg: One) -> None:
    connection.execute("INSERT INTO one VALUES (?)", (msg.number,))


def insert_many(connection: sqlite3.Connection, msg: Many) -> None:
    connection.executemany("INSERT INTO many VALUES (?, ?, ?)", msg.rows)


def schema(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE IF NOT EXISTS one (number INTEGER)")
    connection.execute("CREATE TABLE IF NOT EXISTS many (number INTEGER, name TEXT, half REAL)")


# -- pipeloom --------------------------------------------------------------------------------------------------------------


def pipeloom(
    work: Callable[..., None],
    tasks: int,
    *,
    workers: int = WORKERS,
    executor: Literal["thread", "process"] = "thread",
    **params: Any,
) -> float:
    """Return the seconds that a run takes."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        pipeline = Pipeline(
            "bench",
            [TaskDef(number, "task", params=params) for number in range(tasks)],
            work,
            workers=workers,
            handlers={One: insert_one, Many: insert_many},
            schemas=[schema],
        )
        pipeline.table(NUMBERS.name, NUMBERS.mapping)
        summary = run_pipeline(Path(folder) / "etl.db", pipeline, ui="none", executor=executor)
        took = time.perf_counter() - began
        assert summary.counts == {"done": tasks}, summary
        return took


# -- bare parts ------------------------------------------------------------------------------------------------------------


def in_threads(work: Callable[[int], object], threads: int) -> float:
    began = time.perf_counter()
    running = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return time.perf_counter() - began


def messages_made(messages: int) -> float:
    """Return the seconds that `WORKERS` threads take to make `messages` each, and to do nothing with them."""

    def make(number: int) -> None:
        for step in range(messages):
            MsgTaskProgress(number, step, messages, "loading")

    return in_threads(make, WORKERS)


def through_a_queue(messages: int) -> float:
    """Return the seconds that `WORKERS` threads take to put `messages` each into a queue which another thread reads."""
    between: queue.Queue[Any] = queue.Queue(10_000)

    def read() -> None:
        for _ in range(WORKERS * messages):
            between.get()

    def make(number: int) -> None:
        for step in range(messages):
            between.put(MsgTaskProgress(number, step, messages, "loading"))

    reader = threading.Thread(target=read)
    reader.start()
    took = in_threads(make, WORKERS)
    began = time.perf_counter()
    reader.join()
    return took + time.perf_counter() - began


def bare_pool(tasks: int) -> float:
    began = time.perf_counter()
    with ThreadPoolExecutor(WORKERS) as pool:
        for future in [pool.submit(noop, TaskDef(number, "task"), None) for number in range(tasks)]:
            future.result()
    return time.perf_counter() - began


def original(messages_of: Callable[[int], Iterable[tuple[str, tuple[Any, ...]]]], tasks: int) -> float:
    """Return the seconds of a pool whose workers put statements into a bounded queue; each is a commit of its own."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        between: queue.Queue[Any] = queue.Queue(1_000)
        connection = sqlite3.connect(Path(folder) / "etl.db", check_same_thread=False, isolation_level=None)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("CREATE TABLE task_runs (task_id INTEGER PRIMARY KEY, status TEXT, step REAL, message TEXT)")
        connection.execute("CREATE TABLE one (number INTEGER)")

        def write() -> None:
            while (entry := between.get()) is not None:
                connection.execute("BEGIN")
                connection.execute(*entry)
                connection.execute("COMMIT")

        def run(number: int) -> None:
            between.put(("INSERT OR REPLACE INTO task_runs VALUES (?, 'running', 0, '')", (number,)))
            for entry in messages_of(number):
                between.put(entry)
            between.put(("UPDATE task_runs SET status = 'done' WHERE task_id = ?", (number,)))

        writer = threading.Thread(target=write)
        writer.start()
        with ThreadPoolExecutor(WORKERS) as pool:
            list(pool.map(run, range(tasks)))
        between.put(None)
        writer.join()
        connection.close()
        return time.perf_counter() - began


def raw_executemany(rows: int) -> float:
    """Return the seconds that one thread takes to make `rows` and to insert them, with a commit for each batch."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        connection = sqlite3.connect(Path(folder) / "etl.db", isolation_level=None)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        schema(connection)
        for first in range(0, rows, BATCH):
            connection.execute("BEGIN")
            insert_many(connection, Many(made(first)))
            connection.execute("COMMIT")
        connection.close()
        return time.perf_counter() - began


# -- the table -------------------------------------------------------------------------------------------------------------


def rates(work: int, **measures: Measure) -> dict[str, float]:
    """Measure in turn and return the median of each: `work` a second."""
    took: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(TRIES):
        for name, measure in measures.items():
            took[name].append(measure())
    return {name: work / statistics.median(seconds) for name, seconds in took.items()}


def show(title: str, found: dict[str, float], *, against: tuple[str, ...]) -> None:
    print(f"\n{title}")
    for name, rate in found.items():
        print(f"  {name:<28}{rate:>12,.0f}/s")
    for name in against:
        print(f"  pipeloom is {found['pipeloom'] / found[name]:.2f}x of {name}")


def updates(messages: int) -> Callable[[int], Iterable[tuple[str, tuple[Any, ...]]]]:
    def made_by(number: int) -> Iterable[tuple[str, tuple[Any, ...]]]:
        for step in range(messages):
            yield "UPDATE task_runs SET step = ?, message = ? WHERE task_id = ?", (step, "loading", number)

    return made_by


def inserts(messages: int) -> Callable[[int], Iterable[tuple[str, tuple[Any, ...]]]]:
    def made_by(_number: int) -> Iterable[tuple[str, tuple[Any, ...]]]:
        return (("INSERT INTO one VALUES (?)", (step,)) for step in range(messages))

    return made_by


def main() -> None:
    scale = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    each, small, tasks = int(100_000 * scale), int(5_000 * scale), int(20_000 * scale)
    found = rates(
        WORKERS * each,
        pipeloom=lambda: pipeloom(progress, WORKERS, messages=each),
        making=lambda: messages_made(each),
        queue=lambda: through_a_queue(each),
        original=lambda: original(updates(small), WORKERS) * each / small,
    )
    show(f"progress messages, {WORKERS} threads", found, against=("making", "queue", "original"))
    found = rates(
        8 * each,
        pipeloom=lambda: pipeloom(progress, 8, workers=8, messages=each),
        one=lambda: pipeloom(progress, 1, workers=1, messages=8 * each),
    )
    show("progress messages, 8 threads against 1", found, against=("one",))
    found = rates(
        tasks,
        pipeloom=lambda: pipeloom(noop, tasks),
        pool=lambda: bare_pool(tasks),
        original=lambda: original(lambda _: (), tasks),
    )
    show("tasks that do nothing", found, against=("pool", "original"))
    found = rates(
        WORKERS * each,
        pipeloom=lambda: pipeloom(one_row_each, WORKERS, messages=each),
        table=lambda: pipeloom(one_table_row_each, WORKERS, messages=each),
        original=lambda: original(inserts(small), WORKERS) * each / small,
    )
    show("messages that insert one row each, by a handler and into a declared table", found, against=("original",))
    rows = int(400_000 * scale)
    found = rates(
        WORKERS * rows,
        pipeloom=lambda: pipeloom(batches, WORKERS, rows=rows),
        processes=lambda: pipeloom(batches, WORKERS, rows=rows, executor="process"),
        raw=lambda: raw_executemany(WORKERS * rows),
    )
    show(f"rows, {BATCH:,} to a message", found, against=("raw",))
    print(f"  processes are {found['processes'] / found['raw']:.2f}x of raw")


if __name__ == "__main__":
    main()
