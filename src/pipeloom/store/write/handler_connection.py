"""The connections that user code gets: enough to persist its messages, nothing that could break our tables.

They protect against mistakes, not against malice: a handler is the user's own code in the user's own process.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from pipeloom.errors import PipeloomError
from pipeloom.store.schema import OUR_TABLES

HANDLER_BUDGET_S: Final = 5.0
"""Seconds after which a statement of a handler is stopped."""

_STEPS_BETWEEN_CHECKS: Final = 20_000
_READS: Final = frozenset(
    {sqlite3.SQLITE_READ, sqlite3.SQLITE_SELECT, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
)
_ROW_WRITES: Final = frozenset({sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE})
_NEVER: Final = frozenset({sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH})
_TRANSACTION: Final = frozenset({sqlite3.SQLITE_TRANSACTION, sqlite3.SQLITE_SAVEPOINT})
_SCHEMA_PRAGMAS: Final = frozenset(
    {"table_info", "table_xinfo", "table_list", "index_list", "index_info", "foreign_key_list", "foreign_keys"}
)


class HandlerAccessError(PipeloomError):
    """User code asked the connection for something that only the writer may do."""


class HandlerAuthorizer:
    """Lends the writer's connection to user code, and limits it to what user code may do meanwhile.

    SQLite asks when it compiles a statement, and compiled statements are cached by their text. So each of the writer's
    own statements carries a comment that user code has no reason to write.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._mode: str | None = None
        self._deadline = 0.0
        connection.set_authorizer(self._authorize)
        connection.set_progress_handler(self._out_of_time, _STEPS_BETWEEN_CHECKS)

    @contextmanager
    def handler(self, budget_s: float = HANDLER_BUDGET_S) -> Iterator[HandlerConnection]:
        """Lend the connection to a handler, whose statements may take `budget_s` seconds in all."""
        lent = HandlerConnection(self._connection)
        self._mode, self._deadline = "handler", time.monotonic() + budget_s
        try:
            yield lent
        finally:
            self._mode = None
            lent._end()

    @contextmanager
    def schema(self) -> Iterator[SchemaConnection]:
        """Lend the connection to a schema helper."""
        lent = SchemaConnection(self._connection)
        self._mode, self._deadline = "schema", float("inf")
        try:
            yield lent
        finally:
            self._mode = None
            lent._end()

    def _out_of_time(self) -> bool:
        return self._mode is not None and time.monotonic() > self._deadline

    def _authorize(
        self, action: int, first: str | None, second: str | None, _database: str | None, _trigger: str | None
    ) -> int:
        if self._mode is None or action in _READS:
            return sqlite3.SQLITE_OK
        if action in _NEVER or (self._mode == "handler" and action in _TRANSACTION):
            return sqlite3.SQLITE_DENY
        if action == sqlite3.SQLITE_PRAGMA:
            allowed = self._mode == "schema" and (first or "").lower() in _SCHEMA_PRAGMAS
            return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY
        named = (first,) if action in _ROW_WRITES else (first, second)
        ours = any(name is not None and name.lower() in OUR_TABLES for name in named)
        return sqlite3.SQLITE_DENY if ours else sqlite3.SQLITE_OK


class HandlerConnection:
    """The `conn` of a handler. It refuses every call once the handler has returned."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection: sqlite3.Connection | None = connection
        self._cursors: list[sqlite3.Cursor] = []

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        """Run one statement; as `sqlite3.Connection.execute`."""
        return self._run("execute", sql, parameters)

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> sqlite3.Cursor:
        """Run one statement for each row; as `sqlite3.Connection.executemany`."""
        return self._run("executemany", sql, parameters)

    def commit(self) -> None:
        """Do nothing: the writer commits the handler's work together with the rest of its batch."""

    def _run(self, method: str, *arguments: Any) -> sqlite3.Cursor:
        if self._connection is None:
            raise HandlerAccessError("The connection of a handler ends with the handler: do not keep it.")
        cursor = self._connection.cursor()
        self._cursors.append(cursor)
        try:
            getattr(cursor, method)(*arguments)
        except sqlite3.DatabaseError as error:
            code = getattr(error, "sqlite_errorcode", None)
            if code == sqlite3.SQLITE_AUTH:
                raise HandlerAccessError(
                    "A handler may read everything and write its own tables; transactions, ATTACH, PRAGMA and "
                    "pipeloom's tables are the writer's business."
                ) from error
            if code == sqlite3.SQLITE_INTERRUPT:
                raise HandlerAccessError(f"A handler's statement took more than {HANDLER_BUDGET_S:g} s.") from error
            raise
        return cursor

    def _end(self) -> None:
        """Close what the handler left open: an unfinished read would keep the write-ahead log from being folded in."""
        for cursor in self._cursors:
            cursor.close()
        self._connection = None


class SchemaConnection(HandlerConnection):
    """The `conn` of a schema helper: outside any transaction, so that it may run scripts."""

    def executescript(self, sql: str, /) -> sqlite3.Cursor:
        """Run a script of statements; as `sqlite3.Connection.executescript`."""
        return self._run("executescript", sql)
