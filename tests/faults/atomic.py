"""Runs atomic tasks of which a tenth fails at its end, while another connection reads, and one task of hundreds of MiB.

    python tests/faults/atomic.py --tasks 500 --mib 200

The reader looks a hundred times a second: a task has all of its rows, or none; one that fails never has any.
"""

from __future__ import annotations

import argparse
import sqlite3
import sys
import tempfile
import threading
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil

from pipeloom import Pipeline, TaskDef, run_pipeline

PAGES: Final = 20
ROWS: Final = 50
"""Rows of a page."""
EVERY_S: Final = 0.01
MIB: Final = 1 << 20
MORE_MIB: Final = 64
"""Memory that a large task may need above that of one that is not atomic."""


@dataclass
class Report:
    """What was seen."""

    looks: int = 0
    """Of the reader."""
    faults: list[str] = field(default_factory=list)


def fails(number: int) -> bool:
    """Tell whether a task is one of the tenth that fails."""
    return number % 10 == 3


def pipeline_of(tasks: int) -> Pipeline:
    """Return a pipeline of atomic tasks."""

    def work(task: TaskDef, q: Any) -> None:
        for page in range(PAGES):
            q.put(rows.rows((task.task_id, page, number) for number in range(ROWS)))
        if fails(int(task.task_id)):
            raise ValueError("at the end")

    pipeline = Pipeline("atomic", [TaskDef(number) for number in range(tasks)], work, atomic=True)
    rows = pipeline.table("rows", {"task": int, "page": int, "number": int})
    return pipeline


def halves(path: Path) -> list[str]:
    """Return what is wrong with the rows that a reader sees now."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        try:
            counts = connection.execute("SELECT task, count(*) FROM rows GROUP BY task").fetchall()
        except sqlite3.OperationalError:  # the table is not there yet
            return []
    return [f"task {task} has {count} rows" for task, count in counts if fails(task) or count != PAGES * ROWS]


def read_beside(tasks: int, folder: Path) -> Report:
    """Run the tasks and look at the rows meanwhile."""
    report, over, path = Report(), threading.Event(), folder / "etl.db"

    def look() -> None:
        while not over.wait(EVERY_S):
            if path.exists():
                report.looks += 1
                report.faults += halves(path)

    reader = threading.Thread(target=look)
    reader.start()
    summary = run_pipeline(path, pipeline_of(tasks), ui="none")
    over.set()
    reader.join()
    report.faults += halves(path)
    failed = sum(map(fails, range(tasks)))
    if summary.counts != {"done": tasks - failed, "error": failed}:
        report.faults.append(f"the run ended as {summary.counts}")
    return report


def peak_mib(size_mib: int, folder: Path, *, atomic: bool) -> float:
    """Return the most memory, in MiB above what was there before, of a run whose one task puts `size_mib`."""
    block = "x" * 1000

    def work(_task: TaskDef, q: Any) -> None:
        for _ in range(size_mib):
            q.put(texts.rows((block,) for _ in range(MIB // len(block))))

    pipeline = Pipeline("large", [TaskDef("large")], work, atomic=atomic)
    texts = pipeline.table("texts", {"text": str})
    process, over, peak = psutil.Process(), threading.Event(), [0]
    before = process.memory_info().rss

    def look() -> None:
        while not over.wait(EVERY_S):
            peak[0] = max(peak[0], process.memory_info().rss)

    looking = threading.Thread(target=look)
    looking.start()
    summary = run_pipeline(folder / f"large-{atomic}.db", pipeline, ui="none")
    over.set()
    looking.join()
    assert summary.counts == {"done": 1}, summary
    return float(peak[0] - before) / MIB


def main() -> None:
    """Run what the arguments ask for; exits with 1 when something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=500)
    parser.add_argument("--mib", type=int, default=200)
    arguments = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        report = read_beside(arguments.tasks, Path(name))
        plain = peak_mib(arguments.mib, Path(name), atomic=False)
        atomic = peak_mib(arguments.mib, Path(name), atomic=True)
    if atomic > plain + MORE_MIB:
        report.faults.append(f"a task of {arguments.mib} MiB needs {atomic:.0f} MiB, {plain:.0f} when it is not atomic")
    print(
        f"{arguments.tasks} tasks, {report.looks} looks; {arguments.mib} MiB: {atomic:.0f} MiB of memory, {plain:.0f} when "
        f"not atomic; {time.monotonic() - began:.0f} s; faults: {report.faults[:5] or 'none'}"
    )
    sys.exit(bool(report.faults))


if __name__ == "__main__":
    main()
