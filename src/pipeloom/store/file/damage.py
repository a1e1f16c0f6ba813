"""Errors of SQLite that mean that the file is damaged, or its file system no place for a write-ahead log."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from pipeloom.errors import DamagedFileError


def primary_code(error: sqlite3.Error) -> int | None:
    """Return SQLite's primary error code; None for errors of the Python module."""
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def is_damage(error: sqlite3.Error) -> bool:
    """Tell whether `error` means that the file is damaged."""
    return primary_code(error) in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def lacks_shared_memory(error: sqlite3.Error) -> bool:
    """Tell whether the file system has no memory that several programs share, as a write-ahead log needs."""
    return str(getattr(error, "sqlite_errorname", "")).startswith("SQLITE_IOERR_SHM")


def said(error: Exception) -> str:
    """Return what SQLite says, and what to do where that is no use alone."""
    if isinstance(error, sqlite3.Error) and lacks_shared_memory(error):
        return f"{error}: its file system shares no memory, which its log needs: copy it and its -wal to a local disk"
    return str(error)


def damaged(path: Path, reason: object) -> DamagedFileError:
    """Return the error for a damaged file."""
    return DamagedFileError(
        f"{path} is damaged ({reason}). Nothing was removed: `sqlite3 {path} .recover` may save what is in it."
    )
