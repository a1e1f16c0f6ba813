"""The connections that user code gets: enough to persist its messages, nothing that could break our tables.

They protect against mistakes, not against malice: a handler is the user's own code in the user's own process.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final, Self

from pipeloom.errors import PipeloomError
from pipeloom.protocols import HandledAttempt
from pipeloom.store.rows import AttemptRow
from pipeloom.store.schema import MARK, OUR_TABLES
from pipeloom.store.write.bound_values import converted, misfit, rows_to_bind
from pipeloom.times import monotonic

HANDLER_BUDGET_S: Final = 5.0
"""Seconds after which a statement of a handler is stopped."""

_STATEMENT_S: Final = 0.3
"""Seconds that a statement gets to end before the connection is taken from its handler."""
_STEPS_BETWEEN_CHECKS: Final = 20_000
_READS: Final = frozenset(
    {sqlite3.SQLITE_READ, sqlite3.SQLITE_SELECT, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
)
_ROW_WRITES: Final = frozenset({sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE})
_PROTECTED: Final = OUR_TABLES | {MARK, "sqlite_sequence"}
_NEVER: Final = frozenset({sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH})
_TRANSACTION: Final = frozenset({sqlite3.SQLITE_TRANSACTION, sqlite3.SQLITE_SAVEPOINT})
_SCHEMA_PRAGMAS: Final = frozenset(
    {"table_info", "table_xinfo", "table_list", "index_list", "index_info", "index_xinfo", "foreign_key_list"}
)
"""Pragmas that read with an argument."""
_ACTING_PRAGMAS: Final = frozenset(
    {"incremental_vacuum", "optimize", "shrink_memory", "wal_checkpoint", "integrity_check", "quick_check"}
)
"""Pragmas that work, or take long, without an argument. All others only read then."""
_Method = Callable[..., sqlite3.Cursor]
"""A method of `sqlite3.Cursor`: no handler reaches it through its own cursor."""


class HandlerAccessError(PipeloomError):
    """User code asked the connection for something that only the writer may do."""


class HandlerAuthorizer:
    """Lends the writer's connection to user code, and limits it to what user code may do meanwhile.

    SQLite asks when it compiles a statement, and compiled statements are cached by their text. So user code's get a
    comment that says by whom they were compiled: none of them is ever one of the writer's, or a schema helper's.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._mode: str | None = None
        self._budget_s = HANDLER_BUDGET_S
        self._deadline = 0.0
        self._lent: HandlerConnection | None = None
        self.in_use = threading.RLock()
        """Held during each statement of user code: the connection is taken back between two of them."""
        self.refused = ""
        """What user code was refused last, in words."""
        kept = "SELECT 1 FROM temp.sqlite_schema WHERE name='task_runs' /* pipeloom */"
        self.stores_attempts = connection.execute(kept).fetchone() is None
        """Whether the attempts are in the file, and not in memory."""
        # Triggers of the user's tables may write to full-text and other virtual tables. Ours have no triggers, which is
        # checked when the file is opened, and readers keep the setting off.
        connection.execute("PRAGMA trusted_schema=ON")
        connection.set_authorizer(self._authorize)
        connection.set_progress_handler(lambda: self.is_out_of_time, _STEPS_BETWEEN_CHECKS)

    @property
    def changes(self) -> int:
        """Number of rows that the connection has inserted, updated and deleted so far, undone ones included."""
        return self._connection.total_changes

    def handler(
        self, budget_s: float = HANDLER_BUDGET_S, row: AttemptRow | None = None
    ) -> AbstractContextManager[HandlerConnection]:
        """Lend the connection to a handler, for a message of the attempt `row`; a statement may take `budget_s`."""
        self._mode, self._budget_s = "handler", budget_s
        self._lent = lent = HandlerConnection(self._connection, self, row)
        return _Loan(self, lent)

    def take_back(self) -> None:
        """End the loan to a handler, from another thread too; does nothing when it has ended."""
        is_free = self.in_use.acquire(timeout=_STATEMENT_S)
        try:
            lent, self._lent, self._mode = self._lent, None, None
            if lent is not None:
                lent._end()
        finally:
            if is_free:
                self.in_use.release()

    @contextmanager
    def schema(self) -> Iterator[SchemaConnection]:
        """Lend the connection to a schema helper."""
        lent = SchemaConnection(self._connection, self)
        self._mode, self._budget_s = "schema", float("inf")
        try:
            yield lent
        finally:
            self._mode = None
            lent._end()

    def marked(self, sql: Any) -> Any:
        """Return a statement of user code as it is compiled."""
        # On a line of its own: the text may end in a comment. What is no text is refused by SQLite's module.
        return f"{sql}\n/* {self._mode} */" if isinstance(sql, str) else sql

    @property
    def is_out_of_time(self) -> bool:
        """Whether the statement of user code has had its time."""
        return self._mode is not None and monotonic() > self._deadline

    @property
    def budget_s(self) -> float:
        """Seconds that a statement may take."""
        return self._budget_s

    def begin_statement(self) -> None:
        """Start the clock of a statement."""
        self._deadline = monotonic() + self._budget_s

    def _authorize(
        self, action: int, first: str | None, second: str | None, _database: str | None, _trigger: str | None
    ) -> int:
        if self._mode is None or action in _READS:
            return sqlite3.SQLITE_OK
        refused = self._refusal(action, first, second)
        if refused:
            self.refused = refused
        return sqlite3.SQLITE_DENY if refused else sqlite3.SQLITE_OK

    def _refusal(self, action: int, first: str | None, second: str | None) -> str:
        """Return what is refused, in words; "" for what is allowed."""
        if action in _NEVER:
            return "ATTACH and DETACH"
        if action in _TRANSACTION:
            return "transactions and savepoints" if self._mode == "handler" else ""
        if action == sqlite3.SQLITE_PRAGMA:
            return "" if self._may_read(first or "", second) else f"PRAGMA {first}"
        if action == sqlite3.SQLITE_ALTER_TABLE and (first or "").lower() == "temp":
            return "ALTER TABLE on a temporary table"  # it could take the name of one of ours
        named = (first,) if action in _ROW_WRITES else (first, second)
        ours = next((name for name in named if name is not None and name.lower() in _PROTECTED), None)
        return "" if ours is None else f"the table {ours}"

    def _may_read(self, pragma: str, argument: str | None) -> bool:
        """Tell whether a pragma only reads; a schema helper may also switch foreign keys."""
        name = pragma.lower()
        if argument is None:
            return name not in _ACTING_PRAGMAS
        return name in _SCHEMA_PRAGMAS or (name == "foreign_keys" and self._mode == "schema")


class _Loan:
    """A `with` block in which a handler has the connection: one for each message, so no generator."""

    __slots__ = ("_authorizer", "_lent")

    def __init__(self, authorizer: HandlerAuthorizer, lent: HandlerConnection) -> None:
        self._authorizer = authorizer
        self._lent = lent

    def __enter__(self) -> HandlerConnection:
        return self._lent

    def __exit__(self, kind: type[BaseException] | None, *_error: object) -> None:
        self._authorizer.take_back()
        if kind is None and self._lent.rolled_back:
            raise HandlerAccessError("The handler asked for a rollback: raise an error, and its work is undone.")


class HandlerCursor(sqlite3.Cursor):
    """The cursor of a handler: it does not lead to the connection, and what it runs is checked as well."""

    lent: HandlerConnection | None = None
    """Set for a cursor that the handler asked for itself."""

    def execute(self, sql: str, parameters: Any = (), /) -> Self:
        """Run one statement, as `HandlerConnection.execute`."""
        return self._by_handler(sqlite3.Cursor.execute, sql, converted(parameters))

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> Self:
        """Run one statement for each row, as `HandlerConnection.executemany`."""
        return self._by_handler(sqlite3.Cursor.executemany, sql, rows_to_bind(parameters))

    def executescript(self, _sql: str, /) -> Self:
        """Raise `HandlerAccessError`: a script would commit."""
        raise HandlerAccessError("A cursor of a handler runs single statements: use execute or executemany.")

    def _by_handler(self, method: _Method, sql: Any, values: Any) -> Self:
        if self.lent is None:
            raise HandlerAccessError("This cursor holds the rows of its statement: ask conn for another.")
        self.lent.run_on(self, method, sql, values)
        return self

    @property
    def connection(self) -> sqlite3.Connection:
        """Raise `HandlerAccessError`: the connection is the writer's."""
        raise HandlerAccessError("The cursor of a handler has no connection: use the handler's conn.")


class HandlerConnection:
    """The `conn` of a handler. It refuses every call once the handler has returned."""

    def __init__(
        self, connection: sqlite3.Connection, authorizer: HandlerAuthorizer, row: AttemptRow | None = None
    ) -> None:
        self._connection: sqlite3.Connection | None = connection
        self._authorizer = authorizer
        self._row = row
        self._cursors: list[sqlite3.Cursor] = []
        self.rolled_back = False
        """Whether user code asked to undo its work."""

    @property
    def attempt(self) -> HandledAttempt:
        """The attempt whose message is stored."""
        row = self._row
        if row is None:
            raise HandlerAccessError("There is no attempt: a schema helper is called before any begins.")
        stored = self._authorizer.stores_attempts
        return HandledAttempt(row.id if stored else None, row.run_id if stored else None, row.task_id, row.attempt)

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        """Run one statement; as `sqlite3.Connection.execute`. NumPy scalars are stored as the numbers that they are."""
        return self._run(sqlite3.Cursor.execute, sql, converted(parameters))

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> sqlite3.Cursor:
        """Run one statement for each row; as `sqlite3.Connection.executemany`."""
        return self._run(sqlite3.Cursor.executemany, sql, rows_to_bind(parameters))

    def cursor(self) -> sqlite3.Cursor:
        """Return a cursor whose statements are checked as well: pandas' `to_sql` asks for one."""
        with self._authorizer.in_use:
            cursor = self._cursor()
        cursor.lent = self
        return cursor

    def commit(self) -> None:
        """Do nothing: the writer commits the handler's work together with the rest of its batch."""

    def rollback(self) -> None:
        """Let the handler fail, if it does not raise an error itself: then the writer undoes its work."""
        self.rolled_back = True

    def __getattr__(self, name: str) -> Any:
        """Raise `AttributeError`: say what there is, to a library that wants a whole connection."""
        if name.startswith("__"):
            raise AttributeError(name)
        raise AttributeError(
            f"A handler's conn has no {name}: it has attempt, execute, executemany, cursor and commit. A library that "
            "needs more, as sqlite-utils does, can make rows, and conn.executemany stores them."
        )

    def run_on(self, cursor: sqlite3.Cursor, method: _Method, sql: Any, *arguments: Any) -> None:
        """Run what the handler asked for; raises what it may not, in words."""
        with self._authorizer.in_use:
            self._check_lent()
            self._run_checked(cursor, method, sql, arguments)

    def _run(self, method: _Method, sql: Any, *arguments: Any) -> sqlite3.Cursor:
        with self._authorizer.in_use:
            cursor = self._cursor()
            self._run_checked(cursor, method, sql, arguments)
            return cursor

    def _run_checked(self, cursor: sqlite3.Cursor, method: _Method, sql: Any, arguments: Sequence[Any]) -> None:
        authorizer = self._authorizer
        authorizer.begin_statement()
        try:
            method(cursor, authorizer.marked(sql), *arguments)
        except (sqlite3.Error, OverflowError, UnicodeEncodeError) as error:
            raise self._explained(error, method, arguments) from error

    def _cursor(self) -> HandlerCursor:
        cursor = self._check_lent().cursor(HandlerCursor)
        self._cursors.append(cursor)
        return cursor

    def _check_lent(self) -> sqlite3.Connection:
        """Return the connection; raises `HandlerAccessError` when the loan has ended."""
        if self._connection is None:
            raise HandlerAccessError("The connection of a handler ends with the handler: do not keep it.")
        return self._connection

    def _explained(self, error: Exception, method: _Method, arguments: Sequence[Any]) -> Exception:
        """Return the error to raise: with what was refused, or with the place of a value that cannot be stored."""
        code = getattr(error, "sqlite_errorcode", None)
        if code == sqlite3.SQLITE_AUTH:
            return HandlerAccessError(
                f"A handler may not use {self._authorizer.refused}: it may read everything and write its own tables; "
                "the rest is the writer's."
            )
        if code == sqlite3.SQLITE_INTERRUPT and not self._authorizer.is_out_of_time:
            return HandlerAccessError("The program was closed during a handler's statement.")
        if code == sqlite3.SQLITE_INTERRUPT:
            return HandlerAccessError(f"A handler's statement took more than {self._authorizer.budget_s:g} s.")
        if code is None and arguments:  # raised before SQLite saw the statement
            rows = arguments[0] if method is sqlite3.Cursor.executemany else None
            place = misfit(arguments[0], rows)
            if place:
                return _with_place(error, place)
        return error

    def _end(self) -> None:
        """Close what the handler left open: an unfinished read would keep the write-ahead log from being folded in."""
        self._connection = None
        while self._cursors:
            try:
                self._cursors.pop().close()
            except sqlite3.ProgrammingError:
                continue  # a handler that was given up may be in it


def _with_place(error: Exception, place: str) -> Exception:
    """Return an error of the same class that names the place of the value."""
    if isinstance(error, UnicodeEncodeError):
        reason = f"{error.reason} ({place})"
        return UnicodeEncodeError(error.encoding, error.object, error.start, error.end, reason)
    return type(error)(f"{place}.")


class SchemaConnection(HandlerConnection):
    """The `conn` of a schema helper: outside any transaction, so that it may run scripts."""

    def executescript(self, sql: str, /) -> sqlite3.Cursor:
        """Run a script of statements; as `sqlite3.Connection.executescript`."""
        return self._run(sqlite3.Cursor.executescript, sql)
