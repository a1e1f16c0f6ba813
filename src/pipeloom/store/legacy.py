"""Imports a file of pipeloom 0.0.x, whose `task_runs` has a row per task and eight columns; or makes a copy to read."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import astuple, fields
from datetime import datetime
from typing import Any, Final

from pipeloom.status import FINAL, RunStatus, Status, run_status
from pipeloom.store.fingerprints import fingerprint
from pipeloom.store.rows import AttemptRow, RunRow
from pipeloom.store.schema import run_steps, transaction
from pipeloom.text import decoded
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
        _copy(connection, OLD_TABLE, connection)
        connection.execute(f"DROP TABLE {OLD_TABLE}")


def as_imported(connection: sqlite3.Connection) -> bytes:
    """Return the database that `import_legacy` would make of the file's rows; the file stays as it is."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as copy:
        with transaction(copy):
            run_steps(copy, 0)
            _copy(connection, "task_runs", copy)
        return copy.serialize()


def _drop_indexes(connection: sqlite3.Connection) -> None:
    """Drop the indexes of the old table, whose names today's indexes need."""
    named = connection.execute(
        "SELECT name FROM sqlite_schema WHERE type='index' AND tbl_name=? AND sql IS NOT NULL", (OLD_TABLE,)
    ).fetchall()
    for (name,) in named:
        quoted = name.replace('"', '""')
        connection.execute(f'DROP INDEX "{quoted}"')


def _copy(source: sqlite3.Connection, table: str, target: sqlite3.Connection) -> None:
    """Insert the rows of the old table as one run and its attempts."""
    with _lenient_texts(source):
        first, last = source.execute(f"SELECT min(started_at), max(finished_at) FROM {table}").fetchone()
        began = _stamp(first) or now_stamp()
        ended = _stamp(last) or began
        run = RunRow(_RUN_ID, _PIPELINE, RunStatus.DONE, began, heartbeat_at=ended, finished_at=ended)
        names = [field.name for field in fields(RunRow)]
        target.execute(_insert("pipeline_runs", names), astuple(run))
        ends: set[Status] = set()
        for rows in _rows(source, table):
            target.executemany(_insert("task_runs", AttemptRow._fields), rows)
            ends.update(row.status for row in rows)
        target.execute("UPDATE pipeline_runs SET status = ? WHERE id = ?", (run_status(ends), _RUN_ID))


@contextmanager
def _lenient_texts(source: sqlite3.Connection) -> Iterator[None]:
    """Read texts that are no UTF-8, too."""
    before, source.text_factory = source.text_factory, decoded
    try:
        yield
    finally:
        source.text_factory = before


def _insert(table: str, columns: Sequence[str]) -> str:
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"


def _rows(source: sqlite3.Connection, table: str, size: int = 2_000) -> Iterator[list[AttemptRow]]:
    cursor = source.execute(f"SELECT {', '.join(_COLUMNS)} FROM {table} ORDER BY id")
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
        result=None if result is None else _whole(result),
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


def _whole(value: Any) -> str:
    return decoded(value) if isinstance(value, bytes) else str(value)


def _text(value: Any) -> str:
    return "" if value is None else _whole(value).replace("\0", "\u2400")


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
