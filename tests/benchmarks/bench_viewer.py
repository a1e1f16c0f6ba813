"""What a viewer costs the writer, what it misses, and how fast requests arrive: `python tests/benchmarks/bench_viewer.py`.

A busy run of 20,000 tasks in one process; viewers in others come and go every few seconds. Prints the writer's commit
latency with and without a viewer and their ratio, the largest write-ahead log, what the last viewer has missed at the
end, the round trip of requests, and what a viewer costs while nothing happens. `--minutes 10` for the whole time.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import resource
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median, quantiles

from pipeloom.engine.control.client import ControlClient
from pipeloom.engine.engine import Engine
from pipeloom.engine.options import EngineOptions
from pipeloom.engine.writer.sink import CommitBatch
from pipeloom.messages import MsgTaskProgress, TaskDef
from pipeloom.pipeline import Pipeline
from pipeloom.protocols import Channel
from pipeloom.store.rows import AttemptRow, RunRow
from pipeloom.tui.session.bridge import UiSink
from pipeloom.tui.session.file_monitor import FileMonitor

TASKS = 20_000
STEPS = 100
"""So many tasks of so many steps are not through before 30 minutes."""
PHASE_S = 5.0
IDLE_S = 10.0
LATENCY_GOAL = 1.10
ARRIVAL_GOAL_S = 0.5


class Commits:
    """Remembers when each commit was, what it took and how large the write-ahead log was."""

    def __init__(self) -> None:
        self.seen: list[tuple[float, float, int]] = []

    def committed(self, batch: CommitBatch) -> None:
        self.seen.append((time.monotonic(), batch.took_s, batch.wal_bytes))

    def writer_waiting(self, reason: str | None) -> None:
        pass

    def writer_failed(self, error: BaseException) -> None:
        pass


def work(task: TaskDef, q: Channel) -> None:
    for step in range(STEPS):
        q.put(MsgTaskProgress(task.task_id, step, STEPS, "loading"))
        q.sleep(0.004)


def await_file(path: Path) -> None:
    pause = threading.Event()
    while not path.exists():
        pause.wait(0.01)


def own(folder: Path) -> None:
    """Run until told to close; then write down what every commit took."""
    tasks = [TaskDef(number, f"task-{number}") for number in range(1, TASKS + 1)]
    engine = Engine(folder / "etl.db", Pipeline("bench", tasks, work, workers=4), EngineOptions())
    commits = Commits()
    engine.add_sink(commits)
    engine.start()
    (folder / "started").touch()
    await_file(folder / "close")
    engine.close(1.0)
    (folder / "commits.json").write_text(json.dumps(commits.seen))


def view(folder: Path, name: str) -> None:
    """Follow as the screen does until told to stop; then write down what is known, and what an idle viewer costs."""
    sink = UiSink(lambda _message: True)
    monitor = FileMonitor(folder / "etl.db", lambda _message: True, sink, recovers=False)
    known: dict[int, AttemptRow] = {}
    run: RunRow | None = None
    monitor.start()
    (folder / f"{name}-started").touch()
    pause = threading.Event()
    while not (folder / f"{name}-stop").exists():
        pause.wait(0.05)
        delivery = sink.mailbox.drain()
        known |= {row.id: row for row in delivery.attempts}
        run = delivery.run or run
    cost = 0.0
    if run is not None and run.finished_at is not None:
        before = resource.getrusage(resource.RUSAGE_SELF)
        pause.wait(IDLE_S)
        after = resource.getrusage(resource.RUSAGE_SELF)
        cost = (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / IDLE_S
    states = {row.id: [row.status, row.progress, row.message] for row in known.values()}
    (folder / f"{name}.json").write_text(json.dumps({"states": states, "idle": cost}))


@contextlib.contextmanager
def process(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    started = subprocess.Popen([sys.executable, __file__, "--folder", str(folder), *arguments], env=dict(os.environ))
    try:
        yield started
    finally:
        started.kill()
        started.wait()


@contextlib.contextmanager
def viewer(folder: Path, name: str) -> Iterator[None]:
    with process(folder, "--view", name) as started:
        await_file(folder / f"{name}-started")
        yield
        (folder / f"{name}-stop").touch()
        started.wait(IDLE_S + 30)


def round_trips(client: ControlClient, seconds: float) -> list[float]:
    """Return what requests took, one after the other at odd moments, for so long."""
    took, until = [], time.monotonic() + seconds
    while time.monotonic() < until:
        began = time.monotonic()
        client.load()
        took.append(time.monotonic() - began)
        time.sleep(random.uniform(0.1, 0.6))
    return took


def measure(folder: Path, minutes: float) -> None:
    path = folder / "etl.db"
    phases: list[tuple[float, float, bool]] = []
    with process(folder, "--own") as owner:
        await_file(folder / "started")
        client = ControlClient(path, 1)
        took: list[float] = []
        for number in range(max(2, round(minutes * 60 / PHASE_S))):
            watched = bool(number % 2)
            with viewer(folder, f"v{number}") if watched else contextlib.nullcontext():
                time.sleep(2)  # the viewer reads all that there is
                began = time.monotonic()
                time.sleep(PHASE_S)
                phases.append((began, time.monotonic(), watched))
        with viewer(folder, "one"), viewer(folder, "two"):
            took = round_trips(client, PHASE_S)
            client.cancel(range(1, TASKS + 1))
            deadline = time.monotonic() + 60
            while running(path) and time.monotonic() < deadline:
                time.sleep(0.1)
            time.sleep(1)  # four polls
        (folder / "close").touch()
        owner.wait(60)
    report(folder, phases, took)


def running(path: Path) -> bool:
    with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        return bool(connection.execute("SELECT 1 FROM pipeline_runs WHERE status = 'running'").fetchall())


def report(folder: Path, phases: list[tuple[float, float, bool]], took: list[float]) -> None:
    commits = json.loads((folder / "commits.json").read_text())
    print(
        f"{TASKS:,} tasks, {len(commits):,} commits, largest write-ahead log {max(c[2] for c in commits) / 1e6:.1f} MB"
    )
    by_phase: dict[bool, list[list[float]]] = {True: [], False: []}
    for began, ended, watched in phases:
        by_phase[watched].append([c[1] * 1000 for c in commits if began <= c[0] <= ended])
    for name, of in (("p50", median), ("p95", lambda values: quantiles(values, n=20)[-1])):
        without, with_one = (median(of(phase) for phase in by_phase[watched]) for watched in (False, True))
        ratio = f"{with_one / without:.2f}x (at most {LATENCY_GOAL}x)"
        print(f"commit {name}: {without:.2f} ms without a viewer, {with_one:.2f} ms with one: {ratio}")
    with contextlib.closing(sqlite3.connect(folder / "etl.db")) as connection:
        rows = connection.execute("SELECT id, status, progress, message FROM task_runs").fetchall()
    there = {str(one): list(rest) for one, *rest in rows}
    for name in ("one", "two"):
        seen = json.loads((folder / f"{name}.json").read_text())
        missed = sum(seen["states"].get(one) != state for one, state in there.items())
        print(f"viewer {name}: missed {missed} of {len(there):,}; idle it takes {seen['idle'] * 100:.2f} % of a core")
    print(
        f"{len(took)} requests: round trip p50 {median(took) * 1000:.0f} ms, longest {max(took) * 1000:.0f} ms "
        f"(at most {ARRIVAL_GOAL_S * 1000:.0f} ms)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="What a viewer costs, misses, and how fast requests arrive.")
    parser.add_argument("--minutes", type=float, default=1.0)
    for hidden in ("--folder", "--view"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    parser.add_argument("--own", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.own:
        own(Path(given.folder))
    elif given.view:
        view(Path(given.folder), given.view)
    else:
        with tempfile.TemporaryDirectory() as folder:
            measure(Path(folder), given.minutes)


if __name__ == "__main__":
    main()
