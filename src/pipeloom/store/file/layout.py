"""The tables that pipeloom makes in a file, and with which SQLite."""

from __future__ import annotations

import sqlite3

from pipeloom.store.schema import SCHEMA_VERSION, expected_columns


def tables() -> dict[str, list[str]]:
    """Return the columns of each table."""
    return dict(expected_columns())


def version() -> int:
    """Return the number of the schema that this version writes."""
    return SCHEMA_VERSION


def sqlite_version() -> str:
    """Return the version of SQLite that is in use."""
    return sqlite3.sqlite_version
