"""Rows a second through `pipeline.table` and through a hand-written handler: `python tests/benchmarks/bench_tables.py`.

Whole calls of `run_pipeline`, rows made in the worker, measured in turn; each figure is the median of the tries. Beside
the clock's figure stands that of the processor's time, which other programs on the machine disturb less.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pipeloom import Pipeline, TaskDef, run_pipeline

TRIES = 5
BATCH = 1_000
Row = tuple[int, str, float]


@dataclass(frozen=True)
class Many:
    """A batch of rows."""

    rows: list[Row]


def made(first: int) -> list[Row]:
    """Return a batch of rows."""
    return [(number, f"name-{number}", number * 0.5) for number in range(first, first + BATCH)]


def tasks(rows: int) -> list[TaskDef]:
    """Return four tasks that make `rows` rows together."""
    return [TaskDef(n, f"task-{n}", params={"first": n * rows // 4, "end": (n + 1) * rows // 4}) for n in range(4)]


def by_hand(rows: int, key: str) -> Pipeline:
    """Return a pipeline with a handler and a schema helper of its own."""

    def load(task: TaskDef, q: Any) -> None:
        for first in range(task.params["first"], task.params["end"], BATCH):
            q.put(Many(made(first)))

    pipeline = Pipeline("by hand", tasks(rows), load)
    primary = f", PRIMARY KEY ({key})" if key else ""
    upsert = f" ON CONFLICT ({key}) DO UPDATE SET name=excluded.name, amount=excluded.amount" if key else ""

    @pipeline.schema
    def create(conn: Any) -> None:
        conn.execute(
            f"CREATE TABLE orders (id INTEGER NOT NULL, name TEXT NOT NULL, amount REAL NOT NULL{primary}) STRICT"
        )

    @pipeline.handler(Many)
    def insert(conn: Any, msg: Many) -> None:
        conn.executemany(f"INSERT INTO orders (id, name, amount) VALUES (?, ?, ?){upsert}", msg.rows)

    return pipeline


def by_table(rows: int, key: str, *, provenance: bool) -> Pipeline:
    """Return a pipeline that declares its table."""

    def load(task: TaskDef, q: Any) -> None:
        for first in range(task.params["first"], task.params["end"], BATCH):
            q.put(orders.rows(made(first)))

    pipeline = Pipeline("table", tasks(rows), load)
    orders = pipeline.table("orders", {"id": int, "name": str, "amount": float}, key or None, provenance=provenance)
    return pipeline


def rows_a_second(make: Callable[[], Pipeline], rows: int) -> tuple[float, float]:
    """Return the rows that a run stores in a second, by the clock and by the processor's time."""
    with tempfile.TemporaryDirectory() as folder:
        path, pipeline = Path(folder) / "etl.db", make()
        began, worked = time.perf_counter(), time.process_time()
        assert run_pipeline(path, pipeline, workers=4, ui="none").ok
        return rows / (time.perf_counter() - began), rows / (time.process_time() - worked)


def main(rows: int) -> None:
    """Measure each way in turn, with a key and without."""
    for key in ("", "id"):
        ways: dict[str, Callable[[], Pipeline]] = {
            "hand-written handler": partial(by_hand, rows, key),
            "table": partial(by_table, rows, key, provenance=True),
            "table, provenance=False": partial(by_table, rows, key, provenance=False),
        }
        figures: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        for _ in range(TRIES):
            for name, make in ways.items():
                figures[name].append(rows_a_second(make, rows))
        print(f"{rows:,} rows of {BATCH:,} a message, {'by key' if key else 'appended'}")
        middles = {
            name: [statistics.median(each) for each in zip(*found, strict=True)] for name, found in figures.items()
        }
        base = middles["hand-written handler"]
        for name, (clock, processor) in middles.items():
            print(
                f"  {name:24} {clock:10,.0f} rows/s  {clock / base[0]:.2f}x"
                f"   processor {processor:10,.0f} rows/s  {processor / base[1]:.2f}x"
            )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 400_000)
