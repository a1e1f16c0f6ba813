"""Tasks with dependencies against the same tasks without: `python tests/benchmarks/bench_dependencies.py`.

100,000 no-op tasks, 200,000 edges; four layers, every task after the first layer behind a few of the layer before: near it
in the list, as an extract and its transform are, or anywhere. The processor's time is what counts on a machine that others
use, too.
"""

from __future__ import annotations

import random
import tempfile
import time
from pathlib import Path
from statistics import median

from pipeloom.engine.engine import Engine
from pipeloom.engine.options import EngineOptions
from pipeloom.messages import TaskDef
from pipeloom.pipeline import Pipeline
from pipeloom.protocols import Channel

TASKS, EDGES, LAYERS, WORKERS, PAIRS = 100_000, 200_000, 4, 4, 3
GOAL = 1.2


def nothing(_task: TaskDef, _q: Channel) -> None:
    """Do nothing."""


def alone() -> list[TaskDef]:
    return [TaskDef(number, f"task-{number}") for number in range(TASKS)]


def in_layers(near: int | None = None) -> list[TaskDef]:
    """Each task after the first layer comes behind tasks of the layer before, those at most `near` places away."""
    chance, wide = random.Random(17), TASKS // LAYERS
    edges = [set[int]() for _ in range(TASKS)]
    left = EDGES
    while left:
        task = chance.randrange(wide, TASKS)
        layer, place = divmod(task, wide)
        low, high = (0, wide) if near is None else (max(0, place - near), min(wide, place + near + 1))
        source = (layer - 1) * wide + chance.randrange(low, high)
        if source not in edges[task]:
            edges[task].add(source)
            left -= 1
    return [TaskDef(number, f"task-{number}", after=tuple(edges[number])) for number in range(TASKS)]


def run(tasks: list[TaskDef]) -> tuple[float, float]:
    """Return the seconds from the list of tasks to the end of the run: by the clock, and of the processor."""
    with tempfile.TemporaryDirectory() as folder:
        began, worked = time.perf_counter(), time.process_time()
        engine = Engine(Path(folder) / "etl.db", Pipeline("bench", tasks, nothing), EngineOptions(workers=WORKERS))
        engine.start()
        engine.wait()
        took = time.perf_counter() - began, time.process_time() - worked
        engine.close()
        assert engine.summary().ok
        return took


def main() -> None:
    graphs = {"near": in_layers(20), "random": in_layers()}
    plain = alone()
    ratios: dict[str, list[tuple[float, float]]] = {name: [] for name in graphs}
    print(f"{'graph':>8}{'without':>10}{'with':>10}{'ratio':>8}{'processor':>12}{'ratio':>8}")
    for _ in range(PAIRS):
        one_s, one_cpu_s = run(plain)
        for name, tasks in graphs.items():
            other_s, other_cpu_s = run(tasks)
            clock, processor = other_s / one_s, other_cpu_s / one_cpu_s
            ratios[name].append((clock, processor))
            print(f"{name:>8}{one_s:>9.2f}s{other_s:>9.2f}s{clock:>7.2f}x{other_cpu_s:>11.2f}s{processor:>7.2f}x")
    for name, pairs in ratios.items():
        clock, processor = (median(column) for column in zip(*pairs, strict=True))
        print(f"{name}: median {clock:.2f}x by the clock, {processor:.2f}x of the processor; goal {GOAL}x")


if __name__ == "__main__":
    main()
