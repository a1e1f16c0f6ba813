"""Stores what one `put` has taken, or an atomic attempt, in a savepoint: messages, the state, and found tasks."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable
from typing import Any, NamedTuple, cast

from pipeloom.engine.events import Together, Whole
from pipeloom.engine.writer.batch import ROW_DELETED, Fold, Rejection, TransactionLostError
from pipeloom.engine.writer.found_tasks import FoundTasks
from pipeloom.engine.writer.handler_calls import AbandonedError, HandlerCalls
from pipeloom.engine.writer.sink import FoundTask
from pipeloom.errors import StoreError
from pipeloom.store.write.connect import is_storage_trouble
from pipeloom.store.write.handler_connection import HandlerAuthorizer
from pipeloom.store.write.ledger import Ledger


class _ClosedError(Exception):
    """The program is being closed, and has waited long enough."""


class _Stored(NamedTuple):
    """What an entry has changed."""

    written: int
    found: list[FoundTask]
    state: str | None


class Savepoints:
    """Stores all of an entry, or nothing of it; nothing at all once `giving_up` is set."""

    def __init__(self, handlers: HandlerCalls, found: FoundTasks, giving_up: threading.Event) -> None:
        self._handlers = handlers
        self._found = found
        self._giving_up = giving_up
        self._handled: type | None = None
        """Type of the message whose handler is called, or was called last of its `put`."""

    def store(
        self, ledger: Ledger, authorizer: HandlerAuthorizer, index: int, attempt_id: int, entry: Any, fold: Fold
    ) -> Rejection | None:
        """Store entry number `index` of a batch; return why a handler could not, which undoes this entry alone.

        Raises `TransactionLostError` when that has undone the whole transaction.
        """
        if type(entry) is Whole and not fold.is_new(attempt_id) and not ledger.is_open(attempt_id):
            return ROW_DELETED
        ledger.savepoint()
        try:
            stored = self._store(ledger, authorizer, attempt_id, entry, fold)
        except AbandonedError:
            raise
        except BaseException as error:
            rejection = self._rejection(entry, error)
            if ledger.in_transaction:
                ledger.undo()
                return rejection
            if issubclass(type(error), sqlite3.Error) and is_storage_trouble(cast("sqlite3.Error", error)):
                raise
            raise TransactionLostError(index, rejection) from error
        ledger.release()
        fold.written[attempt_id] += stored.written
        if (row := fold.row(attempt_id)) is not None and stored.state is not None:
            fold.states[row.task_id] = stored.state, attempt_id
        fold.find(stored.found)
        return None

    def _store(self, ledger: Ledger, authorizer: HandlerAuthorizer, attempt_id: int, entry: Any, fold: Fold) -> _Stored:
        row, code, written, state = fold.row(attempt_id), fold.code(attempt_id), 0, None
        found: list[FoundTask] = []
        for put in _puts_of(entry):
            if self._giving_up.is_set():
                raise _ClosedError
            for msg in put.messages:
                self._handled = type(msg)
                written += self._handlers.call(authorizer, msg, row, code)
            self._handled = None
            if row is None:
                continue
            if put.found:
                found += self._found.enter(ledger, put.found, attempt_id, fold.found, fold.now)
            state = put.state or state
        return _Stored(written, found, state)

    def _rejection(self, entry: Any, error: BaseException) -> Rejection:
        """Return why an entry was undone."""
        handled, self._handled = self._handled, None
        if type(error) is not _ClosedError:
            return Rejection.of(handled, error)
        kind = kind_of(entry)
        what = "What the task has put" if kind is None else kind.__name__
        return Rejection(StoreError, f"{what} was not stored: the program was closed", "")


def kind_of(entry: Any) -> type | None:
    """Return the type of the first message that one `put` has taken; None where there is none, or all of an attempt."""
    if type(entry) is Together:
        return type(entry.messages[0]) if entry.messages else None
    return None if type(entry) is Whole else type(entry)


def _puts_of(entry: Any) -> Iterable[Together]:
    """Return what each `put` has taken."""
    return map(_together, entry.puts) if type(entry) is Whole else (_together(entry),)


def _together(entry: Any) -> Together:
    """Return a message that was put alone as what one `put` has taken."""
    return entry if type(entry) is Together else Together((entry,))
