"""The packaged demonstration: forty tasks of mixed length, of which some fail and some need a second try."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from pipeloom.messages import MsgTaskFinished, MsgTaskLog, MsgTaskProgress, TaskDef
from pipeloom.pipeline import Pipeline, RetryPolicy

_SOURCES = ("orders", "customers", "invoices", "stock", "clicks")
_BROKEN = {7: "temp_max", 23: "customer_id"}
_REFUSED = 31
_FLAKY = {4, 12, 18, 27, 36}


@dataclass(frozen=True)
class MsgDemoRows:
    """Rows for the table `demo_rows`."""

    rows: list[tuple[str, int, int]]


class TooManyRequestsError(Exception):
    """The answer of an API that is called too often."""


def _tasks() -> list[TaskDef]:
    pick = random.Random(2026)  # noqa: S311 - the same forty tasks every time
    return [
        TaskDef(
            number,
            f"{_SOURCES[(number - 1) % 5]}-2026-{(number - 1) // 5 + 1:02}",
            steps=(steps := pick.randint(4, 24)),
            params={"rows": steps * 250, "seconds": round(pick.uniform(0.5, 8.0), 1)},
        )
        for number in range(1, 41)
    ]


def load(task: TaskDef, q: Any) -> None:
    """Pretend to extract, transform and load; some tasks fail as real ones do."""
    pause = float(task.params["seconds"]) / task.steps
    loaded = 0
    for step in range(1, task.steps + 1):
        q.sleep(pause)
        _stumble(task, step, q.attempt)
        rows = [(task.name, step, index) for index in range(250)]
        q.put(MsgDemoRows(rows))
        loaded += len(rows)
        q.put(MsgTaskProgress(task.task_id, step, task.steps, f"loaded {loaded:,} rows"))
    q.put(MsgTaskLog(task.task_id, f"loaded {loaded:,} rows in {task.steps} batches"))
    q.put(MsgTaskFinished(task.task_id, "done", "", message=f"{loaded:,} rows loaded", result={"rows": loaded}))


def _stumble(task: TaskDef, step: int, attempt: int) -> None:
    number = int(task.task_id)
    if step * 2 < task.steps:
        return
    if number in _BROKEN:
        row: dict[str, float] = {"temp_min": 7.2}
        row[_BROKEN[number]]
    if number == _REFUSED:
        raise TooManyRequestsError("HTTP 429 from api.example.com: try again in 60 s")
    if number in _FLAKY and attempt == 1:
        raise ConnectionResetError("connection reset by peer")


demo = Pipeline("demo", _tasks(), load, retry=RetryPolicy(retries=2, backoff=2, retry_on=(ConnectionError,)))


@demo.schema
def create_table(conn: Any) -> None:
    """Create the table that the rows go to."""
    conn.execute(
        "CREATE TABLE IF NOT EXISTS demo_rows (name TEXT, batch INTEGER, row INTEGER, UNIQUE (name, batch, row))"
    )


@demo.handler(MsgDemoRows)
def insert_rows(conn: Any, msg: MsgDemoRows) -> None:
    """Insert the rows; those of an earlier attempt are kept."""
    conn.executemany("INSERT OR IGNORE INTO demo_rows VALUES (?, ?, ?)", msg.rows)
