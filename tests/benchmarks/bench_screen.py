"""The real program in a pseudo-terminal: first paint, and key to paint, idle and under load.

`python tests/benchmarks/bench_screen.py [--keys 300]` prints a table of figures and their ratios against the goals. The idle
value that latencies are held against is that of the same program with as many tasks, of which four wait.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from screen_probe import Latency, Probe

HERE = Path(__file__).resolve().parent
CURSOR = "#262a3f"
"""The cursor's colour in the dark theme, and in the baseline."""
COCKPIT = ("-c", "from pipeloom.cli import tui_main; tui_main()", "etl.db", HERE / "screen_jobs.py")
DATATABLE = (HERE / "screen_datatable.py",)


@dataclass(frozen=True)
class Figures:
    """What one program showed."""

    frame_s: float
    row_s: float
    memory_mib: float
    latency: Latency


@contextmanager
def program(command: tuple[object, ...], tasks: int, work: str, **environment: str) -> Iterator[Probe]:
    with tempfile.TemporaryDirectory() as folder:
        probe = Probe(Path(folder), *command, cursor=CURSOR, BENCH_TASKS=str(tasks), BENCH_WORK=work, **environment)
        try:
            yield probe
        finally:
            probe.kill()


def measure(
    name: str, command: tuple[object, ...], tasks: int, work: str, keys: int, *options: str, **environment: str
) -> Figures:
    with program((*command, *options), tasks, work, **environment) as probe:
        frame = probe.wait_for(b"Progress")
        row = probe.wait_for(b"task-0")
        probe.watch(3.0)
        probe.press(b"\x1b[F", 1.0)  # the end of the queue: those who have ended come below it
        probe.press(b"kkkkk", 1.0)
        figures = Figures(frame, row, probe.memory_mib(), probe.latency(keys))
    latency = figures.latency
    print(
        f"{name:<40}{tasks:>9,}{frame:>9.2f}{row:>9.2f}{figures.memory_mib:>9.0f}"
        f"{latency.p50:>8.0f}{latency.p95:>8.0f}{latency.worst:>8.0f}",
        flush=True,
    )
    return figures


def firsts(*sizes: int) -> list[tuple[float, float]]:
    """Return the seconds to the first frame and row with so many tasks, in turn: a single one depends on the disk."""
    seconds: list[list[tuple[float, float]]] = [[] for _ in sizes]
    for _ in range(5):
        for taken, tasks in zip(seconds, sizes, strict=True):
            with program(COCKPIT, tasks, "talk") as probe:
                taken.append((probe.wait_for(b"Progress"), probe.wait_for(b"task-0")))
    return [(median(frame for frame, _ in taken), median(row for _, row in taken)) for taken in seconds]


def ratio(name: str, value: float, goal: float) -> None:
    print(f"{name:<66}{value:>8.2f}x (at most {goal}x)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=300)
    parser.add_argument("--baseline", action="store_true", help="measure Textual's DataTable too; takes minutes")
    options = parser.parse_args()
    keys = options.keys
    print(f"{'':<40}{'tasks':>9}{'frame s':>9}{'row s':>9}{'MiB':>9}{'p50 ms':>8}{'p95 ms':>8}{'worst':>8}")
    small = measure("pipeloom, idle", COCKPIT, 100, "idle", keys)
    idle = measure("pipeloom, idle", COCKPIT, 100_000, "idle", keys)
    talk = measure("pipeloom, 10,000 messages/s", COCKPIT, 100_000, "talk", keys)
    threads = measure("pipeloom, 4 threads compute", COCKPIT, 100_000, "compute", keys)
    processes = measure("pipeloom, 4 processes compute", COCKPIT, 100_000, "compute", keys, "--executor", "process")
    grow = measure("pipeloom, 2,000 tasks/s are found", COCKPIT, 100_000, "grow", keys)
    if options.baseline:
        measure("DataTable, idle", DATATABLE, 100, "idle", keys)
        measure("DataTable, idle", DATATABLE, 100_000, "idle", keys)
        measure("DataTable, 10,000 messages/s", DATATABLE, 100_000, "talk", keys)
    few, many = firsts(100, 100_000)
    for what, one, other in zip(("frame", "row"), few, many, strict=True):
        ratio(f"first {what} under 10,000 messages/s, 100,000 tasks against 100", other / one, 1.5)
    for name, loaded, goal in (
        ("10,000 messages/s", talk, 2.5),
        ("4 computing threads", threads, 4),
        ("2,000 tasks/s are found", grow, 4),
        ("4 computing processes", processes, 1.5),
    ):
        ratio(f"key to paint p95, {name}, against idle", loaded.latency.p95 / idle.latency.p95, goal)
    print(f"{'worst stall under 10,000 messages/s':<66}{talk.latency.worst:>6.0f} ms (under 250 ms)")
    print(f"{'memory, 100,000 tasks above 100':<66}{idle.memory_mib - small.memory_mib:>6.0f} MiB (at most 100 MB)")


if __name__ == "__main__":
    main()
