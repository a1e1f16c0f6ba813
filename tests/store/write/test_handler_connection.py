"""What a handler can bind, what it is refused, and what it is told then: on the writer's real connection."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import pytest

from pipeloom.errors import PipeloomError
from pipeloom.status import RunStatus
from pipeloom.store.rows import RunRow
from pipeloom.store.write.connect import close_writer, open_writer
from pipeloom.store.write.handler_connection import HandlerAccessError, HandlerAuthorizer
from pipeloom.store.write.ledger import Ledger


@pytest.fixture
def writer(db_path: Path) -> Iterator[sqlite3.Connection]:
    connection = open_writer(db_path)
    connection.execute("CREATE TABLE t (a, b)")
    connection.execute("CREATE TABLE counted (id INTEGER PRIMARY KEY AUTOINCREMENT, x)")
    yield connection
    close_writer(connection)


@pytest.fixture
def authorizer(writer: sqlite3.Connection) -> HandlerAuthorizer:
    return HandlerAuthorizer(writer)


NUMPY = [
    pytest.param(np.int64(5), (5, "integer"), id="int64"),
    pytest.param(np.int8(-5), (-5, "integer"), id="int8"),
    pytest.param(np.uint32(5), (5, "integer"), id="uint32"),
    pytest.param(np.bool_(True), (1, "integer"), id="bool"),
    pytest.param(np.float64(1.5), (1.5, "real"), id="float64"),
    pytest.param(np.float32(1.5), (1.5, "real"), id="float32"),
    pytest.param(np.str_("a"), ("a", "text"), id="str"),
    pytest.param(np.bytes_(b"a"), (b"a", "blob"), id="bytes"),
]


@pytest.mark.parametrize(("value", "stored"), NUMPY)
@pytest.mark.parametrize("way", ["execute", "named", "executemany", "generator"])
def test_a_numpy_scalar_is_stored_as_the_number_that_it_is(
    authorizer: HandlerAuthorizer, writer: sqlite3.Connection, way: str, value: Any, stored: tuple[Any, str]
) -> None:
    with authorizer.handler() as conn:
        match way:
            case "execute":
                conn.execute("INSERT INTO t VALUES (?, 1)", (value,))
            case "named":
                conn.execute("INSERT INTO t VALUES (:a, 1)", {"a": value})
            case "executemany":
                conn.executemany("INSERT INTO t VALUES (?, ?)", [(value, 1)])
            case _:
                conn.executemany("INSERT INTO t VALUES (?, ?)", ((value, 1) for _ in range(1)))
    assert writer.execute("SELECT a, typeof(a) FROM t").fetchone() == stored


@pytest.mark.parametrize(
    ("value", "kind", "words"),
    [
        pytest.param(
            Decimal("1.5"), sqlite3.Error, r"row 2, column 2 is Decimal Decimal\('1.5'\): SQLite holds", id="decimal"
        ),
        pytest.param(date, sqlite3.Error, r"row 2, column 2 is type", id="a class"),
        pytest.param([1], sqlite3.Error, r"row 2, column 2 is list \[1\]", id="a list"),
        pytest.param(
            2**63,
            OverflowError,
            r"row 2, column 2 is int 9223372036854775808: SQLite's integers have 64 bits",
            id="large",
        ),
        pytest.param(
            "a\udcff", UnicodeEncodeError, r"row 2, column 2 is str .*: text with a lone surrogate", id="surrogate"
        ),
    ],
)
@pytest.mark.parametrize("lazily", [False, True])
def test_a_value_that_cannot_be_stored_is_named_by_row_and_column(
    authorizer: HandlerAuthorizer, value: Any, kind: type[Exception], words: str, lazily: bool
) -> None:
    rows = [(1, "good"), (2, value)]
    with authorizer.handler() as conn, pytest.raises(kind, match=words):
        conn.executemany("INSERT INTO t VALUES (?, ?)", iter(rows) if lazily else rows)


def test_a_numpy_time_is_refused(authorizer: HandlerAuthorizer) -> None:
    with authorizer.handler() as conn, pytest.raises(TypeError, match="datetime64"):
        conn.execute("INSERT INTO t VALUES (?, 1)", (np.datetime64("2026-08-01T00:00:00.000000001"),))


@pytest.mark.parametrize(
    ("sql", "refused"),
    [
        ("COMMIT", "transactions and savepoints"),
        ("RELEASE message", "transactions and savepoints"),
        ("ATTACH 'x.db' AS x", "ATTACH"),
        ("PRAGMA journal_mode=DELETE", "PRAGMA journal_mode"),
        ("PRAGMA wal_checkpoint", "PRAGMA wal_checkpoint"),
        ("UPDATE task_runs SET status='done'", "the table task_runs"),
        ("DROP TABLE pipeline_runs", "the table pipeline_runs"),
        ("CREATE TEMP TABLE task_runs (x)", "the table task_runs"),
        ("UPDATE sqlite_sequence SET seq=0", "the table sqlite_sequence"),
    ],
)
def test_what_a_handler_may_not_do_is_named(authorizer: HandlerAuthorizer, sql: str, refused: str) -> None:
    with authorizer.handler() as conn, pytest.raises(HandlerAccessError, match=f"may not use {refused}"):
        conn.execute(sql)


@pytest.mark.parametrize("mark", ["", " /* pipeloom */", " -- "])
@pytest.mark.parametrize(
    "sql",
    [
        "SAVEPOINT pipeloom_message",
        "RELEASE pipeloom_message",
        "ROLLBACK TO pipeloom_message",
        "COMMIT",
        "BEGIN IMMEDIATE",
    ],
)
def test_a_statement_that_the_writer_has_used_is_refused_all_the_same(
    authorizer: HandlerAuthorizer, writer: sqlite3.Connection, sql: str, mark: str
) -> None:
    ledger = Ledger(writer)
    with authorizer.schema() as conn:  # a schema helper may, and its statements are cached, too
        conn.execute(f"BEGIN{mark}")
        conn.execute(f"SAVEPOINT pipeloom_message{mark}")
        conn.execute(f"ROLLBACK TO pipeloom_message{mark}")
        conn.execute(f"RELEASE pipeloom_message{mark}")
        conn.execute(f"COMMIT{mark}")
    for _ in range(2):
        ledger.begin()
        ledger.savepoint()
        ledger.undo()
        ledger.savepoint()
        with authorizer.handler() as conn, pytest.raises(HandlerAccessError, match="transactions and savepoints"):
            conn.execute(sql + mark)
        ledger.release()
        ledger.commit()


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TEMP TABLE task_runs (x)",
        "CREATE TEMP VIEW task_logs AS SELECT 1",
        "CREATE VIRTUAL TABLE temp.commands USING fts5(x)",
        "CREATE TEMP TRIGGER x AFTER UPDATE ON task_runs BEGIN SELECT 1; END",
        "DROP VIEW pipeloom_schema",
        "CREATE TEMP TABLE Pipeline_Runs AS SELECT 1",
    ],
)
@pytest.mark.parametrize("mode", ["handler", "schema"])
def test_nothing_of_the_users_hides_a_table_of_ours(authorizer: HandlerAuthorizer, sql: str, mode: str) -> None:
    lend = authorizer.handler if mode == "handler" else authorizer.schema
    with lend() as conn, pytest.raises(HandlerAccessError, match="may not use the table"):
        conn.execute(sql)


@pytest.mark.parametrize(
    "harm",
    [
        "DELETE FROM sqlite_sequence",
        "UPDATE sqlite_sequence SET seq='abc'",
        "UPDATE sqlite_sequence SET seq=NULL",
        "UPDATE sqlite_sequence SET seq=0",
        "UPDATE sqlite_sequence SET seq=9223372036854775807",
        "INSERT INTO sqlite_sequence SELECT name, 0 FROM sqlite_sequence",
    ],
)
def test_a_sequence_that_another_program_has_broken_is_mended_at_the_start(
    writer: sqlite3.Connection, harm: str
) -> None:
    writer.execute("INSERT INTO task_runs (id, run_id, task_id, attempt, name, status) VALUES (7, 1, 1, 1, '', 'done')")
    ledger = Ledger(writer)
    run = RunRow(0, "p", RunStatus.RUNNING, "2026-08-01T12:00:00.000000+00:00")
    assert ledger.insert_run(run).id == 1
    writer.execute(harm)
    ledger.begin()
    ledger.recover()
    assert ledger.insert_run(run).id == 2
    assert ledger.next_attempt_id() == 8
    ledger.commit()


def test_a_temporary_table_cannot_take_the_name_of_one_of_ours(authorizer: HandlerAuthorizer) -> None:
    with authorizer.handler() as conn:
        conn.execute("CREATE TEMP TABLE mine (x)")
        with pytest.raises(HandlerAccessError, match="ALTER TABLE on a temporary table"):
            conn.execute("ALTER TABLE mine RENAME TO task_runs")


def test_a_cursor_does_not_lead_to_the_connection(authorizer: HandlerAuthorizer) -> None:
    with authorizer.handler() as conn:
        cursor = conn.execute("SELECT 1")
        with pytest.raises(PipeloomError, match="no connection"):
            _ = cursor.connection
        assert cursor.fetchall() == [(1,)]


@pytest.mark.parametrize("pragma", ["table_info(t)", "index_list(t)", "page_size", "user_version", "foreign_keys"])
def test_a_handler_may_read_a_pragma(authorizer: HandlerAuthorizer, pragma: str) -> None:
    with authorizer.handler() as conn:
        conn.execute(f"PRAGMA {pragma}").fetchall()


@pytest.mark.parametrize("module", ["fts5(body)", "fts4(body)", "rtree(id, x0, x1)"])
def test_virtual_tables_work_in_schema_helpers_handlers_and_triggers(
    authorizer: HandlerAuthorizer, writer: sqlite3.Connection, module: str
) -> None:
    values = "(1, 0.0, 1.0)" if module.startswith("rtree") else "('hello')"
    columns = "(id, x0, x1)" if module.startswith("rtree") else "(body)"
    with authorizer.schema() as conn:
        conn.executescript(
            f"CREATE VIRTUAL TABLE docs USING {module};"
            f"CREATE TRIGGER copied AFTER INSERT ON counted BEGIN INSERT INTO docs {columns} VALUES {values}; END;"
        )
    writer.execute("BEGIN IMMEDIATE")
    with authorizer.handler() as conn:
        if module.startswith("rtree"):
            conn.execute("INSERT INTO counted (x) VALUES (1)")
        else:
            conn.execute(f"INSERT INTO docs {columns} VALUES {values}")
            conn.execute("INSERT INTO counted (x) VALUES (1)")
            assert conn.execute("SELECT count(*) FROM docs WHERE docs MATCH 'hello'").fetchall() == [(2,)]
    writer.execute("COMMIT")
    assert writer.execute("SELECT count(*) FROM docs").fetchone() == (1 if module.startswith("rtree") else 2,)


def test_the_clock_of_a_statement_begins_with_it(authorizer: HandlerAuthorizer) -> None:
    short = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 2000) SELECT max(i) FROM n"
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT max(i) FROM n"
    with authorizer.handler(0.6) as conn:
        begin = monotonic()
        while monotonic() < begin + 0.8:  # all of them take longer than one may
            conn.execute(short).fetchall()
        with pytest.raises(HandlerAccessError, match=r"took more than 0\.6 s"):
            conn.execute(endless).fetchall()


def test_a_cursor_of_the_handlers_own_is_checked_as_its_connection_is(
    authorizer: HandlerAuthorizer, writer: sqlite3.Connection
) -> None:
    """As pandas' `to_sql` works: a cursor, statements, a commit."""
    with authorizer.handler() as conn:
        cursor = conn.cursor()
        cursor.execute("CREATE TABLE made (a, b)")
        cursor.executemany("INSERT INTO made VALUES (?, ?)", [(np.int64(1), "x"), (2, "y")])
        conn.commit()
        assert cursor.execute("SELECT a, typeof(a) FROM made ORDER BY a").fetchall() == [(1, "integer"), (2, "integer")]
        for refused in ("COMMIT", "UPDATE task_runs SET status='done'", "PRAGMA journal_mode=DELETE"):
            with pytest.raises(HandlerAccessError, match="may not use"):
                cursor.execute(refused)
        with pytest.raises(HandlerAccessError, match="single statements"):
            cursor.executescript("COMMIT")
        with pytest.raises(HandlerAccessError, match="ask conn for another"):
            conn.execute("SELECT 1").execute("COMMIT")
        with pytest.raises(
            AttributeError, match=r"no in_transaction: it has attempt, execute.*conn\.executemany stores them"
        ):
            _ = conn.in_transaction
    with pytest.raises((HandlerAccessError, sqlite3.ProgrammingError)):
        cursor.execute("SELECT 1")
    with pytest.raises(HandlerAccessError, match="do not keep it"):
        conn.cursor()


def test_a_handler_that_asks_for_a_rollback_fails(authorizer: HandlerAuthorizer) -> None:
    def handled(error: Exception | None) -> None:
        with authorizer.handler() as conn:
            conn.execute("INSERT INTO t VALUES (1, 1)")
            conn.rollback()
            if error is not None:
                raise error

    with pytest.raises(HandlerAccessError, match="asked for a rollback"):
        handled(None)
    with pytest.raises(ValueError, match="its own"):
        handled(ValueError("its own"))
