"""The tables of a pipeloom file, and the numbered migrations that make them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Final

from pipeloom.errors import StoreError
from pipeloom.fingerprints import fingerprint

APPLICATION_ID: Final = 0x504C4F4D  # "PLOM", shown by file(1)
SCHEMA_VERSION: Final = 3

OUR_TABLES: Final = frozenset({"pipeline_runs", "task_runs", "task_logs", "commands"})
READ_TABLES: Final = frozenset({"pipeline_runs", "task_runs"})
"""Tables that a file needs to be browsed."""

LEGACY_COLUMNS: Final = frozenset(
    {"id", "name", "status", "progress", "message", "started_at", "finished_at", "result"}
)

_STATUSES: Final = "'queued','retrying','running','cancelling','done','error','cancelled','interrupted'"

_TABLES_1: Final = f"""
CREATE TABLE {{where}}pipeline_runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    pipeline TEXT NOT NULL,
    source TEXT,
    status TEXT NOT NULL CHECK (status IN ('running','done','error','cancelled','interrupted')),
    workers INTEGER,
    executor TEXT NOT NULL,
    parent_run_id INTEGER,
    host TEXT,
    pid INTEGER,
    process_started_at TEXT,
    heartbeat_at TEXT,
    commits INTEGER NOT NULL DEFAULT 0,
    started_at TEXT NOT NULL,
    finished_at TEXT
) STRICT;
CREATE TABLE {{where}}task_runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    run_id INTEGER NOT NULL,
    task_id ANY NOT NULL CHECK (typeof(task_id) IN ('integer','text')),
    attempt INTEGER NOT NULL CHECK (attempt >= 1),
    name TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ({_STATUSES})),
    progress REAL CHECK (progress BETWEEN 0 AND 1),
    step REAL,
    total REAL,
    message TEXT NOT NULL DEFAULT '',
    queued_at TEXT,
    due_at TEXT,
    started_at TEXT,
    finished_at TEXT,
    duration_s REAL CHECK (duration_s >= 0),
    result TEXT,
    error_type TEXT,
    error TEXT,
    params TEXT,
    worker TEXT,
    UNIQUE (run_id, task_id, attempt)
) STRICT;
CREATE TABLE {{where}}task_logs (
    task_run_id INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    at TEXT NOT NULL,
    level TEXT NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (task_run_id, seq)
) STRICT, WITHOUT ROWID;
"""

# Indexes are separate: tables in memory (store_task_status=False) need none of them.
_INDEXES_1: Final = """
CREATE INDEX task_runs_status ON task_runs (status, id);
"""

_TABLES_2: Final = """
ALTER TABLE {where}task_runs ADD COLUMN fingerprint TEXT;
CREATE TABLE {where}commands (
    id TEXT PRIMARY KEY,
    run_id INTEGER,
    command TEXT NOT NULL,
    arguments TEXT,
    asked_by TEXT NOT NULL,
    asked_at TEXT NOT NULL,
    answer TEXT NOT NULL,
    answered_at TEXT NOT NULL
) STRICT;
"""

_INDEXES_2: Final = """
UPDATE task_runs SET fingerprint = pipeloom_fingerprint(error_type, error, message) WHERE status = 'error';
CREATE INDEX task_runs_failure ON task_runs (fingerprint) WHERE fingerprint IS NOT NULL;
"""

# One for each order, with the status: rows that a filter leaves out are skipped without reading them.
_INDEXES_3: Final = """
DROP INDEX IF EXISTS task_runs_name;
DROP INDEX IF EXISTS task_runs_started;
DROP INDEX IF EXISTS task_runs_duration;
CREATE INDEX task_runs_name ON task_runs (name, id, status);
CREATE INDEX task_runs_started ON task_runs (started_at, id, status);
CREATE INDEX task_runs_duration ON task_runs (duration_s, id, status);
"""

_TABLES: Final = (_TABLES_1, _TABLES_2, "")
_INDEXES: Final = (_INDEXES_1, _INDEXES_2, _INDEXES_3)

Columns = dict[str, list[tuple[str, str, int]]]
"""Table to its columns: name, type, and whether it is hidden or generated."""


def columns_of(connection: sqlite3.Connection) -> Columns:
    """Return the columns of those of our tables that are ordinary STRICT tables."""
    strict = connection.execute("SELECT name FROM pragma_table_list WHERE schema='main' AND type='table' AND strict")
    ours = [name for (name,) in strict.fetchall() if name in OUR_TABLES]
    sql = "SELECT name, type, hidden FROM pragma_table_xinfo(?)"
    return {table: connection.execute(sql, (table,)).fetchall() for table in ours}


@cache
def expected_columns(version: int = SCHEMA_VERSION) -> Columns:
    """Return the columns of a file of schema `version`."""
    connection = sqlite3.connect(":memory:")
    try:
        for tables in _TABLES[:version]:
            connection.executescript(tables.format(where="main."))
        return columns_of(connection)
    finally:
        connection.close()


def indexes_of(connection: sqlite3.Connection) -> set[tuple[str, str | None]]:
    """Return the indexes of the attempts: name and SQL."""
    return {*connection.execute("SELECT name, sql FROM sqlite_schema WHERE type='index' AND tbl_name='task_runs'")}


@cache
def expected_indexes() -> frozenset[tuple[str, str | None]]:
    """Return the indexes of a file of today's schema."""
    connection = sqlite3.connect(":memory:")
    try:
        run_steps(connection, 0)
        return frozenset(indexes_of(connection))
    finally:
        connection.close()


def tables_of(connection: sqlite3.Connection) -> set[str]:
    """Return the names of the file's ordinary tables, in lower case."""
    listed = connection.execute("SELECT lower(name) FROM pragma_table_list WHERE schema='main' AND type='table'")
    return {name for (name,) in listed.fetchall()}


def create_in_memory(connection: sqlite3.Connection) -> None:
    """Create the tables as TEMP tables: all statements find them, and none of their rows reaches the file."""
    connection.execute("PRAGMA temp_store=MEMORY")
    for tables in _TABLES:
        connection.executescript(tables.format(where="temp."))


def version_of(connection: sqlite3.Connection) -> int:
    """Return the number of the file's schema; 0 for a file without our tables."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def has_rows(connection: sqlite3.Connection) -> bool:
    """Tell whether the file has a run."""
    return connection.execute("SELECT 1 FROM pipeline_runs LIMIT 1").fetchone() is not None


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Bring the file to `SCHEMA_VERSION` in one transaction: all steps, or none."""
    version = version_of(connection)
    if version >= SCHEMA_VERSION:
        return
    if version == 0:
        (application_id,) = connection.execute("PRAGMA application_id").fetchone()
        if application_id not in (0, APPLICATION_ID):
            raise StoreError(
                f"{path} belongs to another program (application id {application_id}): choose another file."
            )
    with transaction(connection):
        run_steps(connection, version)


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Commit the changes that are made inside, or undo all of them."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def run_steps(connection: sqlite3.Connection, version: int) -> None:
    """Run the migrations after `version` and number the file, inside the caller's transaction."""
    connection.create_function("pipeloom_fingerprint", 3, fingerprint, deterministic=True)
    for tables, indexes in zip(_TABLES[version:], _INDEXES[version:], strict=True):
        for statement in (tables.format(where="main.") + indexes).split(";"):
            if statement.strip():
                connection.execute(statement)
    connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
