"""What the screen costs a run: 20,000 short tasks in the cockpit against the same without a screen.

`python tests/benchmarks/bench_cost.py` prints the wall time of both, by the file's own account, and their ratio.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
import tempfile
from datetime import datetime
from pathlib import Path
from statistics import median

from screen_probe import Probe

HERE = Path(__file__).resolve().parent
TASKS = 20_000
GOAL = 1.15
TRIES = 3


def took(folder: Path) -> float | None:
    """Return the seconds from the start of the run to its end, or None when it has not ended."""
    with contextlib.closing(sqlite3.connect(f"file:{folder / 'etl.db'}?mode=ro", uri=True)) as connection:
        started, finished = connection.execute("SELECT started_at, finished_at FROM pipeline_runs").fetchone()
    if finished is None:
        return None
    return (datetime.fromisoformat(finished) - datetime.fromisoformat(started)).total_seconds()


def headless() -> float:
    with tempfile.TemporaryDirectory() as name:
        code = "from pipeloom.cli import run_main; run_main()"
        subprocess.run(
            [sys.executable, "-c", code, "run", "etl.db", str(HERE / "screen_jobs.py"), "--json"],
            cwd=name,
            env={**os.environ, "BENCH_TASKS": str(TASKS), "BENCH_WORK": "short"},
            stdout=subprocess.DEVNULL,
            check=True,
        )
        return took(Path(name)) or 0.0


def cockpit() -> float:
    with tempfile.TemporaryDirectory() as name:
        code = "from pipeloom.cli import tui_main; tui_main()"
        command = ("-c", code, "etl.db", HERE / "screen_jobs.py")
        probe = Probe(Path(name), *command, cursor="#262a3f", BENCH_TASKS=str(TASKS), BENCH_WORK="short")
        try:
            probe.wait_for(b"task-0")
            while (seconds := took(Path(name))) is None:
                probe.watch(0.5)
            return seconds
        finally:
            probe.kill()


def main() -> None:
    pairs = [(headless(), cockpit()) for _ in range(TRIES)]
    without, with_screen = (median(times) for times in zip(*pairs, strict=True))
    print(f"{TASKS:,} tasks: {without:.2f} s without a screen, {with_screen:.2f} s with it")
    print(f"{with_screen / without:.2f}x (at most {GOAL}x)")


if __name__ == "__main__":
    main()
