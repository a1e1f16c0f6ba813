"""The tables of a pipeloom file, and the numbered steps that lead to them."""

from __future__ import annotations

import sqlite3
from functools import cache
from pathlib import Path
from typing import Final

from pipeloom.errors import StoreError

APPLICATION_ID: Final = 0x504C4F4D  # "PLOM", shown by file(1)
SCHEMA_VERSION: Final = 1

OUR_TABLES: Final = frozenset({"pipeline_runs", "task_runs", "task_logs"})

LEGACY_COLUMNS: Final = frozenset(
    {"id", "name", "status", "progress", "message", "started_at", "finished_at", "result"}
)

_STATUSES: Final = "'queued','retrying','running','cancelling','done','error','cancelled','interrupted'"

TABLES: Final = f"""
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

# Kept apart: a file whose rows live in memory only (store_task_status=False) needs none of them.
INDEXES: Final = """
CREATE INDEX task_runs_status ON task_runs (status, id);
CREATE INDEX task_runs_name ON task_runs (name, id);
"""


Columns = dict[str, list[tuple[str, str, int]]]
"""Table to its columns: name, type, and whether it is hidden or generated."""


def columns_of(connection: sqlite3.Connection) -> Columns:
    """Return the columns of those of our tables that are ordinary STRICT tables."""
    strict = connection.execute("SELECT name FROM pragma_table_list WHERE schema='main' AND type='table' AND strict")
    ours = [name for (name,) in strict.fetchall() if name in OUR_TABLES]
    sql = "SELECT name, type, hidden FROM pragma_table_xinfo(?)"
    return {table: connection.execute(sql, (table,)).fetchall() for table in ours}


@cache
def expected_columns() -> Columns:
    """Return the columns that a file of this version has."""
    connection = sqlite3.connect(":memory:")
    try:
        connection.executescript(TABLES.format(where="main."))
        return columns_of(connection)
    finally:
        connection.close()


def create_in_memory(connection: sqlite3.Connection) -> None:
    """Create the tables as TEMP tables: every statement finds them, and nothing of them reaches the file."""
    connection.execute("PRAGMA temp_store=MEMORY")
    connection.executescript(TABLES.format(where="temp."))


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Bring the file to `SCHEMA_VERSION`, each step in one transaction that also numbers it."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version == 0:
        (application_id,) = connection.execute("PRAGMA application_id").fetchone()
        if application_id not in (0, APPLICATION_ID):
            raise StoreError(
                f"{path} belongs to another program (application id {application_id}): choose another file."
            )
        _run(connection, TABLES.format(where="main.") + INDEXES, version=1)


def _run(connection: sqlite3.Connection, script: str, *, version: int) -> None:
    """Run the statements of one step and number the file, all or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statement in script.split(";"):
            if statement.strip():
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version={version}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
