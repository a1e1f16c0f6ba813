"""The home screen over 200 files: a look at each, by itself and in threads; the program as a user starts it.

.venv/bin/python tests/benchmarks/bench_home.py
"""

from __future__ import annotations

import os
import pty
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from pipeloom import Pipeline, TaskDef, run_pipeline
from pipeloom.home.known import KnownFile
from pipeloom.home.look import look
from pipeloom.tui.home.reader import SummaryReader
from pipeloom.user_state import UserRecords

FILES, RUNS, TASKS = 200, 12, 100


def make(folder: Path) -> list[Path]:
    pipeline = Pipeline("p", [TaskDef(number, f"t{number}") for number in range(TASKS)], lambda task, q: None)
    first = folder / "0.db"
    for _ in range(RUNS):
        run_pipeline(first, pipeline, ui="none")
    paths = [first, *(folder / f"{number}.db" for number in range(1, FILES))]
    for path in paths[1:]:
        shutil.copy(first, path)
    return paths


def timed(name: str, call: Callable[[], object]) -> None:
    wall, processor = time.perf_counter(), time.process_time()
    call()
    print(f"{name:34} {time.perf_counter() - wall:6.2f} s, {time.process_time() - processor:.2f} s of the processor")


def in_threads(files: list[KnownFile]) -> None:
    found: list[object] = []
    looking = SummaryReader(lambda: None)
    looking.begin(files)
    while len(found) < len(files):
        time.sleep(0.002)
        found += looking.take()


def program() -> None:
    """Start `pipeloom-tui` on a terminal, and wait until the counts of all rows on the screen are there."""
    began = time.perf_counter()
    child, terminal = pty.fork()
    if child == 0:
        os.execve(
            sys.executable,
            [sys.executable, "-c", "from pipeloom.cli import tui_main; tui_main()"],
            {**os.environ, "TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40"},
        )
    told, first = b"", 0.0
    while told.count("✓100".encode()) < 15:
        told += os.read(terminal, 65536)
        if not first and b"200 files" in told:
            first = time.perf_counter() - began
    print(f"{'the program: rows, then their content':34} {first:6.2f} s, {time.perf_counter() - began:.2f} s")
    os.write(terminal, b"q")
    with_end = b""
    while True:
        try:
            with_end = os.read(terminal, 65536)
        except OSError:
            break
        if not with_end:
            break
    os.waitpid(child, 0)


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        os.environ["XDG_STATE_HOME"] = f"{name}/state"
        paths = make(Path(name))
        files = [KnownFile(path) for path in paths]
        now = datetime.now(UTC).isoformat()
        UserRecords("pipelines").change(lambda known: known.update({str(path): {"used": now} for path in paths}))
        print(f"{FILES} files of {RUNS} runs of {TASKS} tasks")
        timed("one after the other", lambda: [look(file) for file in files])
        timed("in threads, as the screen does", lambda: in_threads(files))
        for _ in range(3):
            program()


if __name__ == "__main__":
    main()
