"""Errors of SQLite that mean that the file is damaged."""

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


def damaged(path: Path, reason: object) -> DamagedFileError:
    """Return the error for a damaged file."""
    return DamagedFileError(
        f"{path} is damaged ({reason}). Nothing was removed: `sqlite3 {path} .recover` may save what is in it."
    )
