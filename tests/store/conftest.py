"""Real files for the tests of the store."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

import pytest

from pipeloom.store.rows import AttemptRow
from pipeloom.store.write.connect import close_writer, open_writer
from pipeloom.store.write.ledger import Ledger

NEWER = ("DROP VIEW pipeloom_schema", "CREATE VIEW pipeloom_schema AS SELECT 99 AS version")
"""Turns a file into one of a newer schema."""


class MakeFile(Protocol):
    """Makes a pipeloom file with the given attempts."""

    def __call__(self, rows: Iterable[AttemptRow] = (), name: str = "etl.db", sql: Iterable[str] = ()) -> Path: ...


class MakeSqlite(Protocol):
    """Makes an SQLite file with plain SQL."""

    def __call__(self, script: str, name: str = "other.db") -> Path: ...


@pytest.fixture
def make_file(tmp_path: Path) -> MakeFile:
    """Return a function that makes a pipeloom file with the given attempts."""

    def make(rows: Iterable[AttemptRow] = (), name: str = "etl.db", sql: Iterable[str] = ()) -> Path:
        path = tmp_path / name
        connection = open_writer(path)
        ledger = Ledger(connection)
        ledger.begin()
        ledger.insert_attempts(list(rows))
        ledger.commit()
        for statement in sql:
            connection.execute(statement)
        close_writer(connection)
        return path

    return make


@pytest.fixture
def make_sqlite(tmp_path: Path) -> MakeSqlite:
    """Return a function that makes an SQLite file with plain SQL."""

    def make(script: str, name: str = "other.db") -> Path:
        path = tmp_path / name
        connection = sqlite3.connect(path)
        connection.executescript(script)
        connection.close()
        return path

    return make
