"""No-op tasks a second against a bare `ThreadPoolExecutor`: `python tests/benchmarks/bench_tasks.py`."""

from __future__ import annotations

import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

from pipeloom.engine.engine import Engine
from pipeloom.engine.options import EngineOptions
from pipeloom.messages import TaskDef
from pipeloom.pipeline import Pipeline
from pipeloom.protocols import Channel

WORKERS = 4
GOAL = 0.25


def nothing(_task: TaskDef, _q: Channel | None = None) -> None:
    """Do nothing."""


def bare(tasks: list[TaskDef]) -> float:
    began = time.perf_counter()
    with ThreadPoolExecutor(WORKERS) as pool:
        for future in [pool.submit(nothing, task) for task in tasks]:
            future.result()
    return len(tasks) / (time.perf_counter() - began)


def ours(tasks: list[TaskDef]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        engine = Engine(Path(folder) / "etl.db", Pipeline("bench", tasks, nothing), EngineOptions(workers=WORKERS))
        engine.start()
        engine.wait()
        rate = len(tasks) / (time.perf_counter() - began)
        engine.close()
        assert engine.summary().ok
        return rate


def main() -> None:
    print(f"{'tasks':>8}{'ThreadPoolExecutor/s':>22}{'pipeloom/s':>12}{'ratio':>8}{'goal':>8}")
    for count in (2_000, 20_000, 200_000):
        tasks = [TaskDef(number, f"task-{number}") for number in range(count)]
        pairs = [(bare(tasks), ours(tasks)) for _ in range(5 if count < 100_000 else 1)]
        pool, engine = (median(rates) for rates in zip(*pairs, strict=True))
        print(f"{count:>8,}{pool:>22,.0f}{engine:>12,.0f}{engine / pool:>7.2f}x{GOAL:>7}x")


if __name__ == "__main__":
    main()
