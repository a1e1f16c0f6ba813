"""Loads against the same without what they need: `python tests/benchmarks/bench_loads.py [found] [state] [coroutines]`.

Whole calls of `run_pipeline`, measured in turn; each figure is the median of the tries:

- tasks that a task finds, against the same tasks given as a list;
- a state with every message, against the same messages without, for pages of a few sizes;
- 5,000 coroutines that ask a local server, which answers after 200 ms, against `asyncio.gather` over the same client; what a cancel of
  one of them takes, and what memory they need.
"""

from __future__ import annotations

import asyncio
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from pipeloom import Pipeline, TaskDef, run_pipeline
from pipeloom.engine.engine import Engine
from pipeloom.engine.options import EngineOptions
from pipeloom.engine.writer.sink import CommitBatch
from pipeloom.status import Status

TRIES = 3
TASKS = 20_000
MESSAGES = 20_000
PAGES = (1, 10, 100)
"""Rows of a message."""
COROUTINES = 5_000
ANSWER_S = 0.2
CANCELS = 50
PORT = 18_431


@dataclass(frozen=True)
class Row:
    """One row."""

    task: str
    number: int


def pipeline_of(tasks: list[TaskDef], work: Callable[..., Any], **more: Any) -> Pipeline:
    """Return a pipeline that stores rows."""
    pipeline = Pipeline("bench", tasks, work, **more)

    @pipeline.schema
    def create(conn: Any) -> None:
        conn.execute("CREATE TABLE IF NOT EXISTS rows (task, number)")

    @pipeline.handler(Row)
    def store(conn: Any, msg: Row) -> None:
        conn.execute("INSERT INTO rows VALUES (?, ?)", (msg.task, msg.number))

    return pipeline


def seconds_of(make: Callable[[], Pipeline], done: int) -> float:
    """Return the seconds of a run, its list included."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        summary = run_pipeline(Path(folder) / "etl.db", make(), ui="none")
        took = time.perf_counter() - began
    assert summary.counts == {"done": done}, summary
    return took


def compare(title: str, **measures: Callable[[], float]) -> None:
    """Measure in turn and show the ratio of the first to the second."""
    took: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(TRIES):
        for name, measure in measures.items():
            took[name].append(measure())
    (first, mine), (second, other) = ((name, statistics.median(seconds)) for name, seconds in took.items())
    print(f"{title}: {first} {mine:.2f} s, {second} {other:.2f} s: {other / mine:.2f}x of its speed", flush=True)


# -- tasks that a task finds ---------------------------------------------------------------------------------------------


def crawl(task: TaskDef, q: Any) -> None:
    """Find the tasks, a thousand at a time."""
    if task.task_id == "seed":
        for first in range(0, TASKS - 1, 1_000):
            q.put(*(TaskDef(f"page-{number}") for number in range(first, min(first + 1_000, TASKS - 1))))


def found() -> Pipeline:
    """Return a pipeline of one task, which finds the others."""
    return pipeline_of([TaskDef("seed")], crawl)


def listed() -> Pipeline:
    """Return a pipeline that lists all tasks."""
    return pipeline_of([TaskDef(f"page-{number}") for number in range(TASKS)], crawl)


# -- state with every message ----------------------------------------------------------------------------------------------


def load(rows: int, *, keeps_state: bool) -> Callable[[], Pipeline]:
    """Return what makes a pipeline whose tasks put pages of some rows, and where they are with each or not."""

    def make() -> Pipeline:
        def work(task: TaskDef, q: Any) -> None:
            for page in range(MESSAGES // 4):
                records = [(page, number, task.name) for number in range(rows)]
                if keeps_state:
                    q.put(lines.rows(records), state={"page": page})
                else:
                    q.put(lines.rows(records))

        pipeline = pipeline_of([TaskDef(f"load-{number}") for number in range(4)], work)
        lines = pipeline.table("lines", {"page": int, "number": int, "task": str})
        return pipeline

    return make


# -- coroutines ------------------------------------------------------------------------------------------------------------


async def serve() -> None:
    """Answer each line after `ANSWER_S`."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = await reader.readline()
        await asyncio.sleep(ANSWER_S)
        writer.write(line)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", PORT, backlog=COROUTINES)
    print("ready", flush=True)
    await server.serve_forever()


async def asked(name: str) -> bytes:
    """Return the server's answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
    writer.write(name.encode() + b"\n")
    line = await reader.readline()
    writer.close()
    return line


async def ask(task: TaskDef, q: Any) -> None:
    """Ask the server."""
    await asked(task.name)


def by_pipeloom() -> float:
    """Return the seconds that a run takes whose coroutines are all at work."""
    tasks = [TaskDef(number, f"task-{number}") for number in range(COROUTINES)]
    return seconds_of(lambda: pipeline_of(tasks, ask, workers=COROUTINES), COROUTINES)


def by_gather() -> float:
    """Return the seconds that bare coroutines take."""

    async def all_of_them() -> None:
        await asyncio.gather(*(asked(f"task-{number}") for number in range(COROUTINES)))

    began = time.perf_counter()
    asyncio.run(all_of_them())
    return time.perf_counter() - began


class Ends:
    """A sink that knows when attempts have ended."""

    def __init__(self) -> None:
        self.statuses: dict[int, Status] = {}
        self.changed = threading.Condition()

    def committed(self, batch: CommitBatch) -> None:
        """Note the statuses of attempts."""
        with self.changed:
            self.statuses.update((row.id, row.status) for row in batch.attempts)
            self.changed.notify_all()

    def writer_waiting(self, reason: str | None) -> None:
        """Do nothing."""

    def writer_failed(self, error: BaseException) -> None:
        """Do nothing."""

    def wait_for(self, condition: Callable[[], object]) -> None:
        """Wait for a commit that makes the condition true."""
        with self.changed:
            assert self.changed.wait_for(condition, 120)


async def sleep_long(task: TaskDef, q: Any) -> None:
    """Sleep until cancelled."""
    await q.sleep(600)


def cancels() -> None:
    """Show what a cancel takes while `COROUTINES` sleep, from the call to the commit."""
    with tempfile.TemporaryDirectory() as folder:
        tasks = [TaskDef(number, f"task-{number}") for number in range(COROUTINES)]
        pipeline = pipeline_of(tasks, sleep_long, workers=COROUTINES)
        before = psutil.Process().memory_info().rss
        engine, ends = Engine(Path(folder) / "etl.db", pipeline, EngineOptions()), Ends()
        engine.add_sink(ends)
        engine.start()
        ends.wait_for(lambda: list(ends.statuses.values()).count(Status.RUNNING) == COROUTINES)
        needed = psutil.Process().memory_info().rss - before
        took = []
        for attempt_id in list(ends.statuses)[: CANCELS * 7 : 7]:
            began = time.perf_counter()
            engine.cancel([attempt_id])
            ends.wait_for(lambda asked=attempt_id: ends.statuses[asked] is Status.CANCELLED)  # type: ignore[misc]
            took.append((time.perf_counter() - began) * 1000)
        print(
            f"cancel of one of {COROUTINES:,} coroutines: p50 {statistics.median(took):.1f} ms, max {max(took):.1f} ms"
        )
        print(f"memory of {COROUTINES:,} coroutines above what was there before: {needed >> 20} MiB", flush=True)
        engine.close(10)


def main() -> None:
    """Measure what is named, or everything."""
    chosen = set(sys.argv[1:]) or {"found", "state", "coroutines"}
    if "coroutines" in chosen:
        cancels()
    if "found" in chosen:
        compare(f"{TASKS:,} tasks", found=lambda: seconds_of(found, TASKS), listed=lambda: seconds_of(listed, TASKS))
    if "state" in chosen:
        for rows in PAGES:
            compare(
                f"{MESSAGES:,} messages of {rows} rows",
                with_state=partial(seconds_of, load(rows, keeps_state=True), 4),
                without=partial(seconds_of, load(rows, keeps_state=False), 4),
            )
    if "coroutines" in chosen:
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        with subprocess.Popen([sys.executable, __file__, "serve"], stdout=subprocess.PIPE) as server:
            assert server.stdout is not None
            server.stdout.readline()
            compare(f"{COROUTINES:,} coroutines", pipeloom=by_pipeloom, gather=by_gather)
            server.kill()


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
        asyncio.run(serve())
    else:
        main()
