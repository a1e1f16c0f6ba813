"""Counts the system calls that take data to the disk, against the transactions that the file has committed.

    python tests/faults/fsyncs.py

`full` has to sync at least once for each commit; `normal` must not pretend to.
"""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

PIPELINE = """
from pipeloom import MsgTaskProgress, Pipeline, TaskDef

def work(task, q):
    for number in range(10):
        q.sleep(0.02)
        q.put(MsgTaskProgress(task.task_id, number + 1, 10))

pipeline = Pipeline("synced", [TaskDef(n, f"task-{n}") for n in range(12)], work, workers=3)
"""
RUN = [sys.executable, "-c", "from pipeloom.cli import run_main; run_main()", "run", "etl.db", "synced.py"]


@dataclass(frozen=True)
class Count:
    """What one run did."""

    commits: int
    syncs: int


def count(durability: str, folder: Path) -> Count:
    """Run the pipeline under strace and count."""
    folder.mkdir()
    (folder / "synced.py").write_text(PIPELINE, encoding="utf-8")
    trace = ["strace", "-f", "-qq", "-e", "trace=fsync,fdatasync,sync_file_range", "-o", "trace"]
    subprocess.run(
        [*trace, *RUN, "--durability", durability],
        cwd=folder,
        check=True,
        stderr=subprocess.DEVNULL,
        env=dict(os.environ),
    )
    connection = sqlite3.connect(folder / "etl.db")
    try:
        (commits,) = connection.execute("SELECT commits FROM pipeline_runs").fetchone()
    finally:
        connection.close()
    calls = (folder / "trace").read_text(encoding="utf-8").splitlines()
    return Count(commits, sum(bool(re.search(r"sync\(\d+\) += 0", call)) for call in calls))


def main() -> int:
    """Run from a shell."""
    with tempfile.TemporaryDirectory() as folder:
        counts = {durability: count(durability, Path(folder) / durability) for durability in ("full", "normal")}
    for durability, found in counts.items():
        print(f"{durability:7} {found.commits:5} commits {found.syncs:5} syncs")
    return 0 if counts["full"].syncs >= counts["full"].commits else 1


if __name__ == "__main__":
    sys.exit(main())
