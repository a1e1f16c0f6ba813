"""The smallest complete pipeline: a worker that publishes its own lifecycle, and a table of users.

pipeloom-tui users.db examples/seed.py
python examples/seed.py users.db
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeloom import Pipeline, run_pipeline, setup_logging
from pipeloom.messages import MsgTaskFinished, MsgTaskProgress, MsgTaskStarted, TaskDef

USERS_PER_TASK = 20


@dataclass(frozen=True)
class MsgUpsertUsersBatch:
    """Users to insert or to bring up to date."""

    rows: list[tuple[str, str, int]]  # (key, name, active)


def my_worker(task: TaskDef, q: Any) -> None:
    """Extract, transform and load a batch of users."""
    q.put(MsgTaskStarted(task.task_id, task.name, datetime.now(UTC).isoformat()))
    try:
        time.sleep(0.1)
        numbers = range(int(task.task_id) * USERS_PER_TASK, (int(task.task_id) + 1) * USERS_PER_TASK)
        q.put(MsgTaskProgress(task.task_id, 1, 3, "extracted"))

        time.sleep(0.1)
        rows = [(f"user-{number}", f"User {number}", number % 2) for number in numbers]
        q.put(MsgTaskProgress(task.task_id, 2, 3, "transformed"))

        time.sleep(0.1)
        q.put(MsgUpsertUsersBatch(rows))
        q.put(MsgTaskProgress(task.task_id, 3, 3, "loaded"))
        q.put(MsgTaskFinished(task.task_id, "done", datetime.now(UTC).isoformat()))
    except Exception as error:
        q.put(MsgTaskFinished(task.task_id, "error", datetime.now(UTC).isoformat(), message=str(error)))


pipeline = Pipeline("seed", [TaskDef(number, f"etl-{number}", steps=3) for number in range(1, 6)], my_worker)


@pipeline.schema
def create_users(conn: Any) -> None:
    """Create the table."""
    conn.execute("CREATE TABLE IF NOT EXISTS users (key TEXT PRIMARY KEY, name TEXT, active INTEGER)")
    conn.commit()


@pipeline.handler(MsgUpsertUsersBatch)
def upsert_users(conn: Any, msg: MsgUpsertUsersBatch) -> None:
    """Insert new users, bring known ones up to date."""
    conn.executemany(
        "INSERT INTO users(key, name, active) VALUES (?, ?, ?) "
        "ON CONFLICT(key) DO UPDATE SET name=excluded.name, active=excluded.active",
        msg.rows,
    )
    conn.commit()


if __name__ == "__main__":
    setup_logging(1, None)
    run_pipeline(Path(sys.argv[1] if len(sys.argv) > 1 else "users.db"), pipeline)
