"""Kills a run at random moments, again and again, and checks what the file says against what was acknowledged.

    python tests/faults/kill_cycles.py --cycles 200

A cycle starts `pipeloom run --resume --json`, notes what it acknowledges (a line is written only after its commit), kills
it with SIGKILL, and looks at the file. The notes are kept outside the file: they are the judge.
"""

from __future__ import annotations

import argparse
import json
import random
import sqlite3
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TASKS = 200
ROWS = 5
PIPELINE = f"""
from dataclasses import dataclass
from pipeloom import MsgTaskProgress, Pipeline, TaskDef

@dataclass(frozen=True)
class Loaded:
    task_id: int
    number: int

def work(task, q):
    for number in range({ROWS}):
        q.sleep(0.004)
        q.put(Loaded(task.task_id, number))
        q.put(MsgTaskProgress(task.task_id, number + 1, {ROWS}))

pipeline = Pipeline("killed", [TaskDef(n, f"task-{{n}}") for n in range({TASKS})], work, workers=4)

@pipeline.schema
def create(conn):
    conn.execute("CREATE TABLE IF NOT EXISTS loaded (task_id, number, UNIQUE (task_id, number))")

@pipeline.handler(Loaded)
def load(conn, msg):
    conn.execute("INSERT INTO loaded VALUES (?, ?) ON CONFLICT DO NOTHING", (msg.task_id, msg.number))
"""
RUN = [sys.executable, "-c", "from pipeloom.cli import run_main; run_main()", "run", "etl.db", "killed.py"]


@dataclass
class Report:
    """What happened in all cycles."""

    cycles: int = 0
    killed: int = 0
    acknowledged: int = 0
    interrupted: int = 0
    files: int = 0
    faults: list[str] = field(default_factory=list)


class Judge:
    """What one file has acknowledged, and whether the file still says so."""

    def __init__(self, folder: Path, report: Report) -> None:
        self.folder = folder
        self.report = report
        self.acknowledged: dict[int, dict[str, Any]] = {}
        """The last state of each attempt that was told to the outside."""
        (folder / "killed.py").write_text(PIPELINE, encoding="utf-8")

    def run(self, kill_after_s: float | None) -> bool:
        """Run, killing it after a while if asked to; returns whether it came to its end."""
        process = subprocess.Popen(
            [*RUN, "--resume", "--json"], cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        killer = None if kill_after_s is None else threading.Timer(kill_after_s, process.kill)
        if killer is not None:
            killer.start()
        assert process.stdout is not None
        for line in process.stdout:
            if line.endswith("\n"):  # the last line of a killed program may be cut off
                self._note(json.loads(line))
        process.stdout.close()
        code = process.wait()
        if killer is not None:
            killer.cancel()
        self.report.cycles += 1
        self.report.killed += code < 0
        self._check(ended=code >= 0)
        if code > 0:
            self._fault(f"exit code {code}")
        return code >= 0

    def _note(self, told: dict[str, Any]) -> None:
        if told["type"] == "attempt":
            self.acknowledged[told["id"]] = told
            self.report.acknowledged += 1

    def _check(self, *, ended: bool) -> None:
        path = self.folder / "etl.db"
        if not path.exists():
            return
        connection = sqlite3.connect(path)
        try:
            if connection.execute("PRAGMA integrity_check").fetchall() != [("ok",)]:
                self._fault("the file is corrupt")
            if connection.execute("SELECT count(*) FROM sqlite_schema WHERE name='task_runs'").fetchone()[0]:
                self._check_rows(connection, ended=ended)
        finally:
            connection.close()

    def _check_rows(self, connection: sqlite3.Connection, *, ended: bool) -> None:
        rows = {
            row[0]: row for row in connection.execute("SELECT id, run_id, task_id, status, progress FROM task_runs")
        }
        loaded: dict[int, int] = dict(
            connection.execute("SELECT task_id, count(*) FROM loaded GROUP BY 1").fetchall() if rows else ()
        )
        order = ["queued", "running", "cancelling", "done", "interrupted"]
        for attempt_id, told in self.acknowledged.items():
            row = rows.get(attempt_id)
            if row is None:
                self._fault(f"attempt {attempt_id} was acknowledged and is gone")
            elif order.index(row[3]) < order.index(told["status"]) or (told["status"] == "done" and row[3] != "done"):
                self._fault(f"attempt {attempt_id} was acknowledged as {told['status']} and is {row[3]}")
            elif (row[4] or 0.0) < (told["progress"] or 0.0):
                self._fault(f"attempt {attempt_id} was acknowledged at {told['progress']} and is at {row[4]}")
        for row in rows.values():
            if row[3] == "done" and loaded.get(row[2], 0) != ROWS:
                self._fault(f"task {row[2]} is done with {loaded.get(row[2], 0)} rows of {ROWS}")
        done = {told["task_id"]: attempt for attempt, told in self.acknowledged.items() if told["status"] == "done"}
        for row in rows.values():
            if row[0] > done.get(row[2], row[0]):
                self._fault(f"task {row[2]} was run again as attempt {row[0]} after {done[row[2]]} was done")
        self.report.interrupted = max(self.report.interrupted, sum(row[3] == "interrupted" for row in rows.values()))
        newest = connection.execute("SELECT max(id) FROM pipeline_runs").fetchone()[0]
        for row in rows.values():
            if row[3] in ("queued", "running", "cancelling") and (ended or row[1] != newest):
                self._fault(f"attempt {row[0]} of run {row[1]} was left {row[3]}")

    def _fault(self, what: str) -> None:
        self.report.faults.append(f"{self.folder.name}, cycle {self.report.cycles}: {what}")


def run_cycles(cycles: int, seed: int, folder: Path) -> Report:
    """Run that many cycles over as many files as it takes, each of them to its end."""
    chance, report = random.Random(seed), Report()
    while report.cycles < cycles:
        report.files += 1
        place = folder / f"file-{report.files}"
        place.mkdir()
        judge = Judge(place, report)
        while report.cycles < cycles - 1 and not judge.run(chance.uniform(0.2, 0.9)):
            pass
        judge.run(None)
    return report


def main() -> int:
    """Run from a shell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cycles", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report = run_cycles(arguments.cycles, arguments.seed, Path(folder))
    print(f"{report.cycles} cycles, {report.killed} killed, {report.files} files")
    print(f"{report.acknowledged:,} states acknowledged; at most {report.interrupted} interrupted attempts in a file")
    print("\n".join(report.faults) or "no fault")
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main())
