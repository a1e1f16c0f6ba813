"""A write-ahead log that was left by another file: SQLite would fold it into a backup that was restored beside it."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any, Final

from pipeloom.errors import StoreError
from pipeloom.store.file.kind import open_reader

_GAP_S: Final = 10.0
"""Seconds: while a run has the file open, its log is written at every heartbeat."""
_CONTENT: Final = (
    "PRAGMA page_count",
    "PRAGMA schema_version",
    "PRAGMA freelist_count",
    "SELECT max(id), sum(commits) FROM pipeline_runs",
    "SELECT max(id) FROM task_runs",
)


def has_content_in_log(path: Path) -> bool:
    """Tell whether a write-ahead log with content is beside the file."""
    try:
        return os.stat(_log_of(path)).st_size > 0  # noqa: PTH116 - a path as text
    except OSError:
        return False


def check_log(path: Path) -> None:
    """Raise `StoreError` when the file was written long after the log beside it, which yet has other content.

    A checkpoint, which writes the file last, leaves nothing in the log that the file does not have.
    """
    if not has_content_in_log(path):
        return
    log = Path(_log_of(path))
    if path.stat().st_mtime - log.stat().st_mtime < _GAP_S or _content(path, immutable=True) == _content(path):
        return
    raise StoreError(
        f"{path} is newer than {log.name}, which has other content: a backup was restored beside an old log? "
        f"Nothing was changed. If so, remove {log.name} and {path.name}-shm; if not, "
        f"`sqlite3 {path} 'PRAGMA wal_checkpoint'` folds it in."
    )


def _content(path: Path, *, immutable: bool = False) -> list[Any]:
    """Return numbers that differ when the content does, for the file with its log or, `immutable`, without it."""
    reader = open_reader(path, immutable=immutable)
    try:
        return [_answer(reader, sql) for sql in _CONTENT]
    finally:
        reader.close()


def _answer(reader: sqlite3.Connection, sql: str) -> Any:
    try:
        return reader.execute(sql).fetchone()
    except sqlite3.Error:
        return None


def _log_of(path: Path) -> str:
    return f"{os.path.realpath(path)}-wal"
