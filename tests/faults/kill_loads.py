"""Kills loads that go on where they ended, that find their tasks, or that are atomic, and compares rows with an oracle.

    python tests/faults/kill_loads.py --load pages --executor thread --kills 200
    python tests/faults/kill_loads.py --load found --tasks 100000 --kills 50
    python tests/faults/kill_loads.py --load atomic --kills 200

Each kill is a SIGKILL at a random moment of `pipeloom run --resume`; the last run of a file comes to its end. The tables have
no key: a row that is stored twice is there twice.
"""

from __future__ import annotations

import argparse
import random
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

WORKERS = 4
HEAD = """
import os
from dataclasses import dataclass
from pipeloom import Pipeline, TaskDef

@dataclass(frozen=True)
class Row:
    task: int
    page: int

def note(*what):
    with open("fetched", "ab", buffering=0) as file:
        file.write(b"%d %d\\n" % what)
"""
TAIL = """
@pipeline.schema
def create(conn):
    conn.execute("CREATE TABLE IF NOT EXISTS rows (task, page)")

@pipeline.handler(Row)
def store(conn, msg):
    conn.execute("INSERT INTO rows VALUES (?, ?)", (msg.task, msg.page))
"""
PAGES = """
{define} work(task, q):
    for page in range(q.state.get("page", 0), {pages}):
        {wait}q.sleep({pace})
        note(task.task_id, page)
        {wait}q.put(Row(task.task_id, page), state={{"page": page + 1}})

pipeline = Pipeline("pages", [TaskDef(n) for n in range({tasks})], work, workers={workers}, executor={executor!r})
"""
FOUND = """
def work(task, q):
    if not q.state:
        note(task.task_id, 0)
        children = range(task.task_id * 3 + 1, min(task.task_id * 3 + 4, {tasks}))
        q.put(Row(task.task_id, 0), *(TaskDef(n) for n in children), state={{"stored": True}})

pipeline = Pipeline("found", [TaskDef(0)], work, workers={workers}, executor={executor!r})
"""
ATOMIC = """
from pipeloom.engine.run import held_back
held_back.MEMORY = 10_000

{define} work(task, q):
    note(task.task_id, 0)
    for page in range({pages}):
        {wait}q.put(Row(task.task_id, page))

pipeline = Pipeline(
    "atomic", [TaskDef(n) for n in range({tasks})], work, workers={workers}, executor={executor!r}, atomic=True
)
"""
SOURCES = {"pages": PAGES, "found": FOUND, "atomic": ATOMIC}
RUN = [sys.executable, "-c", "from pipeloom.cli import run_main; run_main()", "run", "etl.db", "load.py", "--resume"]


@dataclass(frozen=True)
class Load:
    """What is run: `pages` of each of so many tasks, or so many tasks that are found from one."""

    kind: str
    executor: str = "thread"
    tasks: int = 20
    pages: int = 200
    pace_s: float = 0.02

    def source(self) -> str:
        """Return the pipeline's file."""
        is_async = self.executor == "async"
        body = SOURCES[self.kind].format(
            define="async def" if is_async else "def",
            wait="await " if is_async else "",
            tasks=self.tasks,
            pages=self.pages,
            pace=self.pace_s,
            workers=WORKERS,
            executor=self.executor,
        )
        return HEAD + body + TAIL

    def rows(self) -> set[tuple[int, int]]:
        """Return the rows that there must be, once each."""
        pages = 1 if self.kind == "found" else self.pages
        return {(task, page) for task in range(self.tasks) for page in range(pages)}


@dataclass
class Report:
    """What happened."""

    kills: int = 0
    files: int = 0
    fetched_again: int = 0
    """Pages that were fetched more than once."""
    faults: list[str] = field(default_factory=list)


def campaign(load: Load, kills: int, folder: Path, *, seed: int, wait_s: tuple[float, float]) -> Report:
    """Kill that often, after a time between `wait_s`, over as many files as it takes."""
    chance, report = random.Random(seed), Report()
    while report.kills < kills or not report.files:
        report.files += 1
        place = folder / f"file-{report.files}"
        place.mkdir()
        (place / "load.py").write_text(load.source(), encoding="utf-8")
        while report.kills < kills and _is_killed(place, chance.uniform(*wait_s)):
            report.kills += 1
        _look(place, report)
        code = subprocess.run(RUN, cwd=place, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
        if code.returncode:
            report.faults.append(f"{place.name}: exit code {code.returncode}: {code.stderr[-300:].decode()}")
        _judge(load, place, report)
    return report


def _is_killed(place: Path, after_s: float) -> bool:
    process = subprocess.Popen(RUN, cwd=place, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    killer = threading.Timer(after_s, process.kill)
    killer.start()
    code = process.wait()
    killer.cancel()
    return code < 0


def _look(place: Path, report: Report) -> None:
    if (place / "etl.db").exists():
        connection = sqlite3.connect(place / "etl.db")
        if connection.execute("PRAGMA integrity_check").fetchall() != [("ok",)]:
            report.faults.append(f"{place.name}: the file is corrupt")
        connection.close()


def _judge(load: Load, place: Path, report: Report) -> None:
    connection = sqlite3.connect(place / "etl.db")
    stored = Counter(connection.execute("SELECT task, page FROM rows").fetchall())
    done = Counter(task for (task,) in connection.execute("SELECT task_id FROM task_runs WHERE status='done'"))
    open_rows = connection.execute(
        "SELECT count(*) FROM task_runs WHERE status NOT IN ('done','error','cancelled','interrupted')"
    ).fetchone()[0]
    connection.close()
    wanted = load.rows()
    twice = [row for row, number in stored.items() if number > 1]
    for what, rows in (
        ("missing", wanted - stored.keys()),
        ("not asked for", stored.keys() - wanted),
        ("twice", twice),
    ):
        if rows:
            report.faults.append(f"{place.name}: {len(rows)} rows are {what}, such as {sorted(rows)[:3]}")
    for what, tasks in (
        ("not done", set(range(load.tasks)) - done.keys()),
        ("done more than once", {task for task, number in done.items() if number > 1}),
    ):
        if tasks:
            report.faults.append(f"{place.name}: {len(tasks)} tasks are {what}, such as {sorted(tasks)[:3]}")
    if open_rows:
        report.faults.append(f"{place.name}: {open_rows} attempts are left open")
    if left := sorted(path.name for path in place.glob("etl.db.held-*")):
        report.faults.append(f"{place.name}: {left} are left")
    fetched = Counter((place / "fetched").read_text(encoding="ascii").splitlines())
    report.fetched_again += sum(fetched.values()) - len(fetched)


def main() -> int:
    """Run from a shell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--load", choices=tuple(SOURCES), default="pages")
    parser.add_argument("--executor", choices=("thread", "process", "dask", "async"), default="thread")
    parser.add_argument("--tasks", type=int, default=20)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    slow = {"dask": (2.0, 6.0), "process": (0.5, 1.8)}
    wait_s = (0.5, 4.0) if arguments.load == "found" else slow.get(arguments.executor, (0.3, 1.2))
    with tempfile.TemporaryDirectory() as folder:
        report = campaign(
            Load(
                arguments.load, arguments.executor, arguments.tasks, pages=5_000 if arguments.load == "atomic" else 200
            ),
            arguments.kills,
            Path(folder),
            seed=arguments.seed,
            wait_s=wait_s,
        )
    again = report.fetched_again / max(1, report.kills * WORKERS)
    print(f"{report.kills} kills, {report.files} files; pages fetched again: {again:.2f} for each worker and kill")
    print("\n".join(report.faults) or "no fault")
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main())
