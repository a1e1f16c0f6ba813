"""Imports a file of pipeloom 0.0.x, whose `task_runs` has a row per task and eight columns."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from pipeloom.fingerprints import fingerprint
from pipeloom.status import FINAL, RunStatus, Status, run_status
from pipeloom.store.rows import AttemptRow, RunRow
from pipeloom.store.schema import run_steps, transaction
from pipeloom.store.write.ledger import Ledger
from pipeloom.times import now_stamp, valid_stamp

OLD_TABLE: Final = "pipeloom_0_0_task_runs"
_PIPELINE: Final = "imported"
_COLUMNS: Final = ("id", "name", "status", "progress", "message", "started_at", "finished_at", "result")
_FAILURES: Final = frozenset({"error", "failed", "failure"})
_RUN_ID: Final = 1


def import_legacy(connection: sqlite3.Connection) -> None:
    """Turn the file's rows into attempts 1 of one run, in the tables of today; all or nothing.

    The old table is dropped: the caller has made a copy of the file.
    """
    connection.execute("PRAGMA legacy_alter_table=ON")  # the user's views keep referring to task_runs
    with transaction(connection):
        connection.execute(f"ALTER TABLE task_runs RENAME TO {OLD_TABLE}")
        _drop_indexes(connection)
        run_steps(connection, 0)
        _copy(connection)
        connection.execute(f"DROP TABLE {OLD_TABLE}")


def _drop_indexes(connection: sqlite3.Connection) -> None:
    """Drop the indexes of the old table, whose names today's indexes need."""
    named = connection.execute(
        "SELECT name FROM sqlite_schema WHERE type='index' AND tbl_name=? AND sql IS NOT NULL", (OLD_TABLE,)
    ).fetchall()
    for (name,) in named:
        quoted = name.replace('"', '""')
        connection.execute(f'DROP INDEX "{quoted}"')


def _copy(connection: sqlite3.Connection) -> None:
    ledger = Ledger(connection)
    first, last = connection.execute(f"SELECT min(started_at), max(finished_at) FROM {OLD_TABLE}").fetchone()
    began = _stamp(first) or now_stamp()
    ledger.insert_run(
        RunRow(
            0, _PIPELINE, RunStatus.DONE, began, heartbeat_at=_stamp(last) or began, finished_at=_stamp(last) or began
        )
    )
    ends: set[Status] = set()
    for rows in _rows(connection):
        ledger.insert_attempts(rows)
        ends.update(row.status for row in rows)
    connection.execute("UPDATE pipeline_runs SET status = ? WHERE id = ?", (run_status(ends), _RUN_ID))


def _rows(connection: sqlite3.Connection, size: int = 2_000) -> Iterator[list[AttemptRow]]:
    cursor = connection.execute(f"SELECT {', '.join(_COLUMNS)} FROM {OLD_TABLE} ORDER BY id")
    while chunk := cursor.fetchmany(size):
        yield [_row(*values) for values in chunk]


def _row(
    number: int, name: Any, status: Any, progress: Any, message: Any, started: Any, finished: Any, result: Any
) -> AttemptRow:
    known = _status(status)
    text = _text(message)
    failed = known is Status.ERROR
    word = text.partition(":")[0]
    error_type = word if failed and word.isidentifier() else None
    return AttemptRow(
        id=number,
        run_id=_RUN_ID,
        task_id=number,
        attempt=1,
        name=_text(name),
        status=known,
        progress=1.0 if known is Status.DONE else _share(progress),
        message=text,
        queued_at=_stamp(started),
        started_at=_stamp(started),
        finished_at=_stamp(finished),
        duration_s=_duration(_stamp(started), _stamp(finished)),
        result=_json(result),
        error_type=error_type,
        error=text if failed and text else None,
        fingerprint=fingerprint(error_type, text, text) if failed else None,
    )


def _status(value: Any) -> Status:
    """Return the status of today; a task that had not ended was interrupted."""
    word = str(value).lower()
    if word in _FAILURES:
        return Status.ERROR
    return Status(word) if word in FINAL else Status.INTERRUPTED


def _text(value: Any) -> str:
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else "" if value is None else str(value)
    return text.replace("\0", "\u2400")


def _share(value: Any) -> float | None:
    if not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return min(max(float(value), 0.0), 1.0)


def _stamp(value: Any) -> str | None:
    """Return a time in today's form; one without an offset is read as UTC."""
    if not isinstance(value, str):
        return None
    return valid_stamp(value) or valid_stamp(f"{value}+00:00")


def _duration(started: str | None, finished: str | None) -> float | None:
    if started is None or finished is None:
        return None
    return max(0.0, (datetime.fromisoformat(finished) - datetime.fromisoformat(started)).total_seconds())


def _json(value: Any) -> str | None:
    if value is None:
        return None
    text = _text(value)
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return json.dumps(text, ensure_ascii=False)
    return text
