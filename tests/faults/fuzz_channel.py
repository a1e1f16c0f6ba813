"""Sends any number of messages of every kind through the channel of a real run, good ones and bad ones.

    python tests/faults/fuzz_channel.py --messages 1000000

Each worker remembers outside the file what was accepted. Afterwards every accepted row must be in the file exactly once,
every attempt must have ended as its worker left it, and every bad message must have been refused in its own call or
have failed its own attempt.
"""

from __future__ import annotations

import argparse
import math
import random
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

from pipeloom import (
    MsgTaskFinished,
    MsgTaskLog,
    MsgTaskProgress,
    MsgTaskStarted,
    Pipeline,
    TaskDef,
    run_pipeline,
)
from pipeloom.errors import MessageError
from pipeloom.protocols import Channel

PER_TASK = 400
LONG = "x" * 10_000_000
TEXTS = [
    "",
    "plain",
    "[/]",
    "[red]x",
    "\x1b[2J",
    "a\0b",
    "\udcff lone",
    "e" + "\u0301" * 500,
    "שלום",
    "👩‍👩‍👧",
    "\r\n\t",
    "x" * 70_000,
]
NUMBERS = [
    0,
    1,
    -1,
    0.5,
    math.nan,
    math.inf,
    -math.inf,
    10**400,
    -(10**400),
    2**63,
    True,
    None,
    Fraction(1, 3),
    1e308,
    5e-324,
]
NO_NUMBERS = ["a", [], {}, 1j, b"1", object(), Decimal(1), int]


@dataclass(frozen=True)
class Row:
    task_id: int
    number: int
    value: Any


@dataclass(frozen=True)
class Unknown:
    text: str


class Hostile(MsgTaskProgress):
    """Breaks whoever looks at it."""

    def __getattribute__(self, name: str) -> Any:
        if name in ("step", "total", "message"):
            raise RuntimeError("boom")
        return super().__getattribute__(name)


@dataclass
class Report:
    """What was sent and what came of it."""

    sent: dict[int, Counter[str]] = field(default_factory=dict)
    rows: dict[int, int] = field(default_factory=dict)
    """Rows accepted of each task."""
    ends: dict[int, str] = field(default_factory=dict)
    """How each attempt has to end: its status, or the type of its error."""
    seconds: float = 0.0
    faults: list[str] = field(default_factory=list)


Make = Callable[[Any, int], Any]


def _progress(chance: Any, task_id: int) -> MsgTaskProgress:
    return MsgTaskProgress(task_id, chance.choice(NUMBERS), chance.choice(NUMBERS), chance.choice([None, *TEXTS]))


TAKEN: list[Make] = [
    _progress,
    _progress,
    _progress,
    lambda chance, task_id: MsgTaskLog(task_id, chance.choice(TEXTS), chance.choice(["info", "\udcff", "x" * 50, ""])),
    lambda chance, task_id: MsgTaskStarted(
        task_id, chance.choice(TEXTS), chance.choice(["", "now", "2026-08-01T12:00:00Z"])
    ),
]
REFUSED: list[Make] = [
    lambda chance, task_id: chance.choice([None, 7, "text", b"", [], {}, object(), int, Row, ValueError("x"), ...]),
    lambda chance, task_id: Unknown(chance.choice(TEXTS)),
    lambda chance, task_id: MsgTaskProgress(
        chance.choice([-1, task_id + 1, float(task_id), str(task_id), None, True]), 1, 2
    ),
    lambda chance, task_id: MsgTaskProgress(task_id, chance.choice(NO_NUMBERS), 2),
    lambda chance, task_id: MsgTaskProgress(task_id, 1, 2, chance.choice([1, b"x", [], LONG])),
    lambda chance, task_id: MsgTaskLog(task_id, chance.choice([None, 1, LONG])),
    lambda chance, task_id: MsgTaskFinished(task_id, chance.choice(["banana", "", "queued", None, 1, "\udcff"]), ""),
    lambda chance, task_id: Row(task_id, 0, LONG),
]
POISON: list[tuple[Any, str]] = [("\udcff", "UnicodeEncodeError"), (2**63, "OverflowError"), ([], ""), (object(), "")]
"""What the user's own handler cannot bind, and the error where every SQLite raises the same."""


class Fuzz:
    """One run."""

    def __init__(self, messages: int, seed: int) -> None:
        self.seed = seed
        self.report = Report()
        self.tasks = [TaskDef(number, f"fuzz {number}") for number in range(2, messages // PER_TASK + 2)]

    def work(self, task: TaskDef, q: Channel) -> None:
        task_id = int(task.task_id)
        chance, sent = random.Random(f"{self.seed} {task_id}"), Counter[str]()
        accepted = 0
        try:
            for _ in range(PER_TASK - 2):
                kind = chance.random()
                if kind < 0.4:
                    q.put(Row(task_id, accepted, chance.choice([None, 1, -1.5, "text", b"blob"])))
                    accepted += 1
                    sent["row"] += 1
                elif kind < 0.8:
                    q.put(chance.choice(TAKEN)(chance, task_id))
                    sent["taken"] += 1
                else:
                    self._refused(q, chance, task_id)
                    sent["refused"] += 1
            self._leave(q, chance, task_id, sent)
        finally:
            self.report.rows[task_id] = accepted
            self.report.sent[task_id] = sent

    def _refused(self, q: Channel, chance: random.Random, task_id: int) -> None:
        bad = chance.choice(REFUSED)(chance, task_id)
        try:
            q.put(bad)
        except MessageError as error:
            if not str(error):
                self.report.faults.append(f"task {task_id}: {type(bad).__name__} was refused without a word")
        else:
            self.report.faults.append(f"task {task_id}: {bad!r:.80} was taken")

    def _leave(self, q: Channel, chance: random.Random, task_id: int, sent: Counter[str]) -> None:
        ends = self.report.ends
        way = chance.randrange(5)
        sent["last"] += 2
        if way == 0:
            value, ends[task_id] = chance.choice(POISON)
            ends[task_id] = ends[task_id] or "error"
            q.put(Row(task_id, -1, value))
        elif way == 1:
            ends[task_id] = "MessageError"
            q.put(Unknown("not caught"))
        elif way == 2:
            ends[task_id] = "RuntimeError"
            q.put(Hostile(task_id, 1, 2))
        elif way == 3:
            ends[task_id] = chance.choice(["done", "error", "cancelled"])
            result = chance.choice([None, math.nan, object(), 2**80, LONG, {"a": "\udcff"}])
            q.put(MsgTaskFinished(task_id, ends[task_id], "", chance.choice(TEXTS), result))
            q.put(Row(task_id, -1, "late"))
        else:
            ends[task_id] = "done"

    def run(self, path: Path, workers: int = 8) -> Report:
        """Run it all and judge the file."""
        pipeline = Pipeline("fuzz", self.tasks, self.work, workers=workers)
        pipeline.schema(
            lambda conn: conn.execute("CREATE TABLE fuzz (task_id, number, value, UNIQUE (task_id, number))")
        )
        pipeline.handler(Row)(
            lambda conn, msg: conn.execute("INSERT INTO fuzz VALUES (?, ?, ?)", (msg.task_id, msg.number, msg.value))
        )
        begin = time.perf_counter()
        summary = run_pipeline(path, pipeline, durability="normal", ui="none")
        self.report.seconds = time.perf_counter() - begin
        if summary.unsaved:
            self.report.faults.append(f"{summary.unsaved} entries were not saved")
        self._judge(path)
        return self.report

    def _judge(self, path: Path) -> None:
        report = self.report
        connection = sqlite3.connect(path)
        try:
            stored = dict(connection.execute("SELECT task_id, count(*) FROM fuzz WHERE number >= 0 GROUP BY 1"))
            rest = connection.execute("SELECT count(*) FROM fuzz WHERE number < 0").fetchone()[0]
            ends = connection.execute("SELECT task_id, status, error_type, error FROM task_runs").fetchall()
        finally:
            connection.close()
        if rest:
            report.faults.append(f"{rest} poisoned or late rows are in the file")
        for task in self.tasks:
            task_id = int(task.task_id)
            if stored.get(task_id, 0) != report.rows[task_id]:
                report.faults.append(
                    f"task {task_id}: {stored.get(task_id, 0)} rows of {report.rows[task_id]} accepted"
                )
        if len(ends) != len(self.tasks):
            report.faults.append(f"{len(ends)} attempts for {len(self.tasks)} tasks")
        for task_id, status, error_type, error in ends:
            if report.ends[task_id] not in (status, error_type) or (status == "error" and not error):
                report.faults.append(f"task {task_id} is {status} ({error_type}), not {report.ends[task_id]}")


def main() -> int:
    """Run from a shell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report = Fuzz(arguments.messages, arguments.seed).run(Path(folder) / "fuzz.db")
    sent = sum(report.sent.values(), Counter[str]())
    print(f"{sent.total():,} messages in {report.seconds:.0f} s: {dict(sent)}")
    print("\n".join(report.faults[:50]) or "no fault")
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main())
