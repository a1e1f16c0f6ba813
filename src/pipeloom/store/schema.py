"""The tables of a pipeloom file, and the numbered migrations that make them."""

from __future__ import annotations

import re
import sqlite3
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Final

APPLICATION_ID: Final = 0x504C4F4D  # "PLOM", shown by file(1)
SCHEMA_VERSION: Final = 4

OUR_TABLES: Final = frozenset(
    {"pipeline_runs", "task_runs", "task_logs", "run_logs", "task_state", "found_tasks", "commands"}
)
READ_TABLES: Final = frozenset({"pipeline_runs", "task_runs"})
"""Tables that a file needs to be browsed."""

LEGACY_COLUMNS: Final = frozenset(
    {"id", "name", "status", "progress", "message", "started_at", "finished_at", "result"}
)

_STATUSES_1: Final = "'queued','retrying','running','cancelling','done','error','cancelled','interrupted'"
_STATUSES_4: Final = f"{_STATUSES_1},'skipped'"

_TABLES_1: Final = """
CREATE TABLE {where}pipeline_runs (
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
CREATE TABLE {where}task_runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    run_id INTEGER NOT NULL,
    task_id ANY NOT NULL CHECK (typeof(task_id) IN ('integer','text')),
    attempt INTEGER NOT NULL CHECK (attempt >= 1),
    name TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ({statuses})),
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
CREATE TABLE {where}task_logs (
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

_TABLES_4: Final = """
ALTER TABLE {where}task_runs ADD COLUMN rows INTEGER;
ALTER TABLE {where}task_runs ADD COLUMN rows_low INTEGER;
ALTER TABLE {where}task_runs ADD COLUMN rows_high INTEGER;
ALTER TABLE {where}task_runs ADD COLUMN input_key TEXT;
ALTER TABLE {where}task_runs ADD COLUMN code TEXT;
ALTER TABLE {where}pipeline_runs ADD COLUMN params TEXT;
ALTER TABLE {where}pipeline_runs ADD COLUMN unchanged INTEGER;
ALTER TABLE {where}pipeline_runs ADD COLUMN idle_s REAL;
CREATE TABLE {where}task_state (
    pipeline TEXT NOT NULL,
    task_id ANY NOT NULL CHECK (typeof(task_id) IN ('integer','text')),
    state TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    PRIMARY KEY (pipeline, task_id)
) STRICT;
CREATE TABLE {where}run_logs (
    run_id INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    at TEXT NOT NULL,
    level TEXT NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (run_id, seq)
) STRICT, WITHOUT ROWID;
CREATE TABLE {where}found_tasks (
    run_id INTEGER NOT NULL,
    task_id ANY NOT NULL CHECK (typeof(task_id) IN ('integer','text')),
    steps INTEGER NOT NULL,
    retries INTEGER,
    timeout REAL,
    atomic INTEGER,
    after TEXT,
    worker_fn TEXT,
    limits TEXT,
    priority INTEGER NOT NULL,
    inputs TEXT,
    version TEXT,
    attempt INTEGER NOT NULL,
    PRIMARY KEY (run_id, task_id)
) STRICT, WITHOUT ROWID;
"""

# The condition is the filter's, word for word: then `rows:odd` reads the odd ones alone.
_INDEXES_4: Final = """
CREATE INDEX task_runs_odd ON task_runs (id) WHERE rows > rows_high OR (status = 'done' AND rows < rows_low);
"""

_TABLES: Final = (_TABLES_1, _TABLES_2, "", _TABLES_4)
_INDEXES: Final = (_INDEXES_1, _INDEXES_2, _INDEXES_3, _INDEXES_4)

MARK: Final = "pipeloom_schema"
"""A view whose text says the schema's number. `user_version` alone does not tell: it is the user's to set, too."""

_MARKED: Final = re.compile(rf"CREATE VIEW {MARK} AS SELECT (\d{{1,9}}) AS version")
_NO_SPACE_BESIDE: Final = re.compile(r"\s*([(),])\s*")
_COLLATIONS: Final = frozenset({"BINARY", "NOCASE", "RTRIM"})

Columns = dict[str, list[str]]
"""Table to the names of its columns."""


@contextmanager
def _made(version: int) -> Iterator[sqlite3.Connection]:
    """Lend a file in memory that has the tables and indexes of schema `version`."""
    connection = sqlite3.connect(":memory:")
    try:
        _run_statements(connection, 0, version)
        yield connection
    finally:
        connection.close()


@cache
def expected_columns(version: int = SCHEMA_VERSION) -> Columns:
    """Return the columns of a file of schema `version`."""
    with _made(version) as connection:
        sql = "SELECT name FROM pragma_table_info(?)"
        names = (name for kind, name in _expected(version) if kind == "table")
        return {table: [name for (name,) in connection.execute(sql, (table,))] for table in names}


@cache
def _expected(version: int) -> dict[tuple[str, str], str]:
    """Return the SQL of the tables and indexes of schema `version`, by kind and name."""
    with _made(version) as connection:
        listed = connection.execute("SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL").fetchall()
        return {(kind, name): _plain(sql) for kind, name, sql in listed if not name.startswith("sqlite_")}


def _plain(sql: str) -> str:
    """Return SQL without differences in white space."""
    return _NO_SPACE_BESIDE.sub(r"\1", " ".join(sql.split()))


def _fitting(connection: sqlite3.Connection, versions: Iterable[int]) -> Iterator[int]:
    """Yield those of `versions` whose tables the file has as the schema makes them, with nothing on them that acts.

    A trigger, a view in the place of a table, or an index that forbids or computes anything could change what we write.
    """
    marks = ", ".join("?" * len(OUR_TABLES))
    listed = connection.execute(
        "SELECT type, name, tbl_name, sql FROM sqlite_schema "
        f"WHERE lower(name) IN ({marks}) OR lower(tbl_name) IN ({marks})",
        (*OUR_TABLES, *OUR_TABLES),
    ).fetchall()
    found = {(kind, name): _plain(sql or "") for kind, name, _, sql in listed}

    def fits(expected: dict[tuple[str, str], str]) -> bool:
        if any(found.get(key) != sql for key, sql in expected.items() if key[0] == "table"):
            return False
        ours = {name for kind, name in expected if kind == "table"}
        return all(
            kind == "table"
            or (kind == "index" and (table not in ours or sql is None or _only_sorts(connection, name, sql, expected)))
            for kind, name, table, sql in listed
        )

    return (version for version in versions if fits(_expected(version)))


def _only_sorts(connection: sqlite3.Connection, name: str, sql: str, expected: dict[tuple[str, str], str]) -> bool:
    """Tell whether an index of one of our tables is one of ours, or one of the user's over plain columns."""
    if expected.get(("index", name)) == _plain(sql):
        return True
    (acts,) = connection.execute(
        "SELECT count(*) FROM sqlite_schema AS s, pragma_index_list(s.tbl_name) AS i WHERE s.name=?1 AND i.name=?1 "
        'AND (i."unique" OR i.partial)',
        (name,),
    ).fetchone()
    keys = connection.execute("SELECT cid, coll FROM pragma_index_xinfo(?)", (name,)).fetchall()
    return not acts and all(column != -2 and collation in _COLLATIONS for column, collation in keys)


def indexes_of(connection: sqlite3.Connection) -> set[tuple[str, str | None]]:
    """Return the indexes of the attempts: name and SQL."""
    return {*connection.execute("SELECT name, sql FROM sqlite_schema WHERE type='index' AND tbl_name='task_runs'")}


@cache
def expected_indexes() -> frozenset[tuple[str, str | None]]:
    """Return the indexes of a file of today's schema."""
    with _made(SCHEMA_VERSION) as connection:
        return frozenset(indexes_of(connection))


def tables_of(connection: sqlite3.Connection) -> set[str]:
    """Return the names of the file's ordinary tables, in lower case."""
    listed = connection.execute("SELECT lower(name) FROM pragma_table_list WHERE schema='main' AND type='table'")
    return {name for (name,) in listed.fetchall()}


def create_in_memory(connection: sqlite3.Connection) -> None:
    """Create the tables as TEMP tables: all statements find them, and none of their rows reaches the file."""
    connection.execute("PRAGMA temp_store=MEMORY")
    for tables in _TABLES:
        connection.executescript(tables.format(where="temp.", statuses=_STATUSES_4))


def version_of(connection: sqlite3.Connection) -> int:
    """Return the number of the schema whose tables the file has, unaltered; 0 when there is none that we know."""
    (number,) = connection.execute("PRAGMA user_version").fetchone()
    said = marked_version(connection) or number
    tried = sorted(range(1, SCHEMA_VERSION + 1), key=lambda version: (version == said, version), reverse=True)
    return next(_fitting(connection, tried), 0)


def marked_version(connection: sqlite3.Connection) -> int:
    """Return the number of the schema by the file's mark; 0 for a file without one."""
    row = connection.execute("SELECT sql FROM sqlite_schema WHERE type='view' AND name=?", (MARK,)).fetchone()
    marked = _MARKED.fullmatch(str(row[0])) if row else None
    return int(marked.group(1)) if marked else 0


def has_rows(connection: sqlite3.Connection) -> bool:
    """Tell whether the file has a run."""
    return connection.execute("SELECT 1 FROM pipeline_runs LIMIT 1").fetchone() is not None


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the file to `SCHEMA_VERSION` in one transaction: all steps, or none."""
    version = version_of(connection)
    if version < SCHEMA_VERSION:
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
    """Run the migrations after `version` and mark the file, inside the caller's transaction.

    Numbers that are the user's own stay.
    """
    _run_statements(connection, version, SCHEMA_VERSION)
    connection.execute(f"DROP VIEW IF EXISTS {MARK}")
    connection.execute(f"CREATE VIEW {MARK} AS SELECT {SCHEMA_VERSION} AS version")
    for pragma, before, number in (
        ("application_id", 0, APPLICATION_ID),
        ("user_version", version, SCHEMA_VERSION),
    ):
        (found,) = connection.execute(f"PRAGMA {pragma}").fetchone()
        if found == before:
            connection.execute(f"PRAGMA {pragma}={number}")


def _fingerprint(*failure: str | None) -> str:
    from pipeloom.store.fingerprints import fingerprint

    return fingerprint(*failure)


def _run_statements(connection: sqlite3.Connection, version: int, last: int) -> None:
    connection.create_function("pipeloom_fingerprint", 3, _fingerprint, deterministic=True)
    statuses = _STATUSES_4 if last >= 4 else _STATUSES_1
    for tables, indexes in zip(_TABLES[version:last], _INDEXES[version:last], strict=True):
        for statement in (tables.format(where="main.", statuses=statuses) + indexes).split(";"):
            if statement.strip():
                connection.execute(statement)
    if 0 < version < 4 <= last:
        _allow_statuses(connection)


def _allow_statuses(connection: sqlite3.Connection) -> None:
    """Let the attempts of an older file have the statuses of schema 4, inside the caller's transaction.

    No row has to change for a wider CHECK, so SQLite's documentation of ALTER TABLE lets its text be replaced. It comes
    behind all other changes of the table: SQLite makes those by the place in the text that it has read.
    """
    if sys.version_info >= (3, 12):  # some systems build SQLite so that the schema is closed to writers
        connection.setconfig(sqlite3.SQLITE_DBCONFIG_DEFENSIVE, False)  # noqa: FBT003 - it takes no keyword
    (version,) = connection.execute("PRAGMA main.schema_version").fetchone()
    connection.execute("PRAGMA writable_schema=ON")
    try:
        connection.execute(
            "UPDATE main.sqlite_schema SET sql=replace(sql, ?, ?) WHERE type='table' AND name='task_runs'",
            (f"({_STATUSES_1})", f"({_STATUSES_4})"),
        )
        connection.execute(f"PRAGMA main.schema_version={version + 1}")  # every connection reads it again
    finally:
        connection.execute("PRAGMA writable_schema=RESET")
