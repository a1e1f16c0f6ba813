"""The calls of the handlers, and the way out past one that does not return."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Mapping
from typing import Any, Final

from pipeloom.errors import UsageError
from pipeloom.pipeline import Handler, SchemaHelper
from pipeloom.store.rows import AttemptRow
from pipeloom.store.write.connect import close_writer
from pipeloom.store.write.handler_connection import HANDLER_BUDGET_S, HandlerAuthorizer
from pipeloom.store.write.ledger import Ledger
from pipeloom.text import clean

_PATIENCE_S: Final = 1.0
"""Seconds that the file gets to be closed: a statement of the handler may hold the connection for longer."""

_log = logging.getLogger(__name__)


class AbandonedError(Exception):
    """A handler has returned after the file was taken from the writer: the writer's thread must end at once."""


class HandlerCalls:
    """Calls handlers on the writer's thread; another thread may see which one runs, and take the file from it."""

    def __init__(self, code: str | None, handlers: Mapping[type, Handler], timeouts: Mapping[type, float]) -> None:
        """Begin with the handlers of the code with this hash."""
        self._by_code: dict[str | None, _Handlers] = {}
        self.take_code(code, handlers, timeouts)
        self._lock = threading.Lock()
        self._running: type | None = None
        self._abandoned = False

    def take_code(self, code: str | None, handlers: Mapping[type, Handler], timeouts: Mapping[type, float]) -> None:
        """Call these handlers for what attempts of the code with this hash put; those of other codes stay."""
        taken = {kind: (handler, timeouts.get(kind, HANDLER_BUDGET_S)) for kind, handler in handlers.items()}
        self._by_code[code] = {
            **self._by_code.get(code, {}),
            **taken,
        }  # it may come back while attempts have its classes
        self._current = code

    def leave_code(self, code: str | None) -> None:
        """Let go of the handlers of a code that no attempt runs any more."""
        if code != self._current:
            self._by_code.pop(code, None)

    @property
    def has_any(self) -> bool:
        """Whether a message can be handled at all: else no rows are written."""
        return any(self._by_code.values())

    @property
    def running(self) -> type | None:
        """The type of the message whose handler runs now."""
        return self._running

    def call(self, authorizer: HandlerAuthorizer, msg: Any, row: AttemptRow | None, code: str | None = None) -> int:
        """Call the handler of `msg`, which is of the attempt `row` that runs `code`; return how many rows it changed.

        Raises what the handler raises, and `AbandonedError` when it has returned too late.
        """
        kind = self._running = type(msg)
        there = self._by_code.get(code) or self._by_code[self._current]
        handler, budget_s = there.get(kind) or _handler_of(kind, there)
        before = authorizer.changes
        try:
            with authorizer.handler(budget_s, row) as connection:
                handler(connection, msg)
            return authorizer.changes - before
        finally:
            with self._lock:
                self._running = None
                abandoned = self._abandoned
            if abandoned:
                raise AbandonedError

    def interrupt(self, connection: sqlite3.Connection) -> None:
        """Stop the statement of the handler that runs, if one does; no statement of the writer's own."""
        with self._lock:
            if self._running is not None:
                connection.interrupt()

    def abandon(self, connection: sqlite3.Connection, authorizer: HandlerAuthorizer) -> bool:
        """Take the file from the handler that runs, roll its transaction back, end what is open and close the file.

        Returns whether that was done in time; False, too, when no handler runs.
        """
        with self._lock:
            self._abandoned = self._running is not None
        if not self._abandoned:
            return False
        closed = threading.Event()

        def close() -> None:
            try:
                authorizer.take_back()
                ledger = Ledger(connection)
                ledger.rollback()
                ledger.begin()
                ledger.recover()
                ledger.commit()
                close_writer(connection)
                closed.set()
            except sqlite3.Error as error:
                _log.warning("The file could not be closed in order: %s", clean(error))

        try:
            threading.Thread(target=close, name="pipeloom-close", daemon=True).start()
        except RuntimeError as error:  # the system allows no more threads
            _log.warning("The file could not be closed in order: %s", error)
            return False
        return closed.wait(_PATIENCE_S)


_Handlers = dict[type, tuple[Handler, float]]
"""Handlers with the seconds that a statement of each may take, by type of message."""


def _handler_of(kind: type, there: _Handlers) -> tuple[Handler, float]:
    for base in kind.__mro__:
        if base in there:
            return there.setdefault(kind, there[base])
    raise UsageError(f"No handler is registered for {kind.__name__}.")


def call_schema_helper(helper: SchemaHelper, authorizer: HandlerAuthorizer, ledger: Ledger) -> None:
    """Call a schema helper and commit its work; raises `UsageError` when it fails."""
    name = getattr(helper, "__name__", repr(helper))
    try:
        with authorizer.schema() as connection:
            helper(connection)
        if ledger.in_transaction:
            ledger.commit()
    except Exception as error:
        ledger.rollback()
        if type(error) is UsageError:  # of a table that the pipeline declares
            raise
        raise UsageError(f"Schema helper {name} failed: {type(error).__name__}: {clean(error)}") from error
