"""The writer against a commit for each message, in one process: `python tests/benchmarks/bench_writer.py`.

Prints messages a second of both and their ratio, at both levels of durability, at 1x and 10x the work.
"""

from __future__ import annotations

import sqlite3
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from pipeloom.engine.clock import SYSTEM_CLOCK
from pipeloom.engine.events import Started, Submitted
from pipeloom.engine.writer.inbox import Inbox
from pipeloom.engine.writer.writer import MAX_BATCH, Writer
from pipeloom.messages import MsgTaskProgress
from pipeloom.status import RunStatus, Status
from pipeloom.store.rows import AttemptRow, RunRow
from pipeloom.store.write.connect import Durability, close_writer, open_writer
from pipeloom.times import stamp

ATTEMPTS = 8
GOAL = {"normal": 10, "full": 50}


def best_of(tries: int, measure: Callable[[], float]) -> float:
    return max(measure() for _ in range(tries))


def commit_per_message(durability: Durability, messages: int) -> float:
    """Return messages a second of the plainest loop: begin, update one row, commit."""
    with tempfile.TemporaryDirectory() as folder:
        connection = open_writer(Path(folder) / "etl.db", durability=durability)
        for number in range(1, ATTEMPTS + 1):
            connection.execute(
                "INSERT INTO task_runs (id, run_id, task_id, attempt, name, status) VALUES (?, 1, ?, 1, 'task', 'running')",
                (number, number),
            )
        began = time.perf_counter()
        for step in range(messages):
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(
                "UPDATE task_runs SET progress=?, step=?, total=?, message=? WHERE id=? AND status='running'",
                (step / messages, step, messages, "loading", step % ATTEMPTS + 1),
            )
            connection.execute("COMMIT")
        rate = messages / (time.perf_counter() - began)
        close_writer(connection)
        return rate


def group_commit(durability: Durability, messages: int) -> float:
    """Return messages a second of pipeloom's writer, from the first message in its queue to the last commit."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "etl.db"
        inbox = Inbox(capacity=messages + 100)
        writer = Writer(
            path,
            lambda: open_writer(path, durability=durability),
            inbox,
            SYSTEM_CLOCK,
            handlers={},
            schemas=(),
            sinks=(),
            on_rejected=lambda _id, _why: None,
            keep_lock=lambda: None,
        )
        now = stamp(SYSTEM_CLOCK.now())
        writer.start(RunRow(0, "bench", RunStatus.RUNNING, now))
        ids = range(1, ATTEMPTS + 1)
        inbox.put_now((0, Submitted(tuple(AttemptRow(n, 1, n, 1, "task", Status.QUEUED) for n in ids))))
        inbox.put_now(*((number, Started(now, "worker-1")) for number in ids))
        entries = [
            (step % ATTEMPTS + 1, MsgTaskProgress(step % ATTEMPTS + 1, step, messages, "loading"))
            for step in range(messages)
        ]
        began = time.perf_counter()
        inbox.put_now(*entries)
        writer.stop(60)
        rate = messages / (time.perf_counter() - began)
        connection = sqlite3.connect(path)
        (last,) = connection.execute("SELECT max(step) FROM task_runs").fetchone()
        connection.close()
        assert last == messages - 1, "the last message is not in the file"
        return rate


def main() -> None:
    print(f"writer: {ATTEMPTS} attempts, batches of up to {MAX_BATCH:,}\n")
    print(f"{'synchronous':<12}{'work':>6}{'commit each/s':>16}{'pipeloom/s':>14}{'ratio':>9}{'goal':>8}")
    levels: tuple[Durability, ...] = ("normal", "full")
    for durability in levels:
        for work in (1, 10):
            plain = best_of(3, partial(commit_per_message, durability, 2_000 * work))
            ours = best_of(3, partial(group_commit, durability, 100_000 * work))
            print(f"{durability:<12}{work:>5}x{plain:>16,.0f}{ours:>14,.0f}{ours / plain:>8.1f}x{GOAL[durability]:>7}x")


if __name__ == "__main__":
    main()
