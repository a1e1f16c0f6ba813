"""Stores what one `put` has taken, or an atomic attempt, in a savepoint: messages, the state, and found tasks."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable
from dataclasses import replace
from itertools import chain, groupby
from operator import itemgetter
from typing import Any, Final, NamedTuple, cast

from pipeloom.engine.events import Together, Whole
from pipeloom.engine.writer.batch import ROW_DELETED, Fold, Rejection, TransactionLostError
from pipeloom.engine.writer.found_tasks import FoundTasks
from pipeloom.engine.writer.handler_calls import AbandonedError, HandlerCalls
from pipeloom.engine.writer.inbox import Entry
from pipeloom.engine.writer.sink import FoundTask
from pipeloom.errors import StoreError
from pipeloom.store.rows import AttemptRow
from pipeloom.store.write.connect import is_storage_trouble
from pipeloom.store.write.handler_connection import HandlerAuthorizer
from pipeloom.store.write.ledger import Ledger
from pipeloom.tables.table import TableRows

_JOINED_KINDS: Final = frozenset({TableRows, Together})
_MOST_ROWS: Final = 1_000
"""Rows from which on no more are joined: what fails is stored again one by one."""


class _ClosedError(Exception):
    """The program is being closed, and has waited long enough."""


class Savepoints:
    """Stores all of an entry, or nothing of it; nothing at all once `giving_up` is set."""

    def __init__(self, handlers: HandlerCalls, found: FoundTasks, giving_up: threading.Event) -> None:
        self._handlers = handlers
        self._found = found
        self._giving_up = giving_up
        self._handled: type | None = None
        """Type of the message whose handler is called, or was called last of its `put`."""
        self.refused = 0
        """Entries that came too late for their handlers."""

    def store(
        self, ledger: Ledger, authorizer: HandlerAuthorizer, index: int, attempt_id: int, entry: Any, fold: Fold
    ) -> Rejection | None:
        """Store entry number `index` of a batch; return why a handler could not, which undoes this entry alone.

        Raises `TransactionLostError` when that has undone the whole transaction.
        """
        rejection = self._store(ledger, authorizer, index, attempt_id, entry, fold)
        if rejection is not None and type(entry) is Joined:
            found = [self.store(ledger, authorizer, index, attempt_id, put, fold) for put in entry.puts]
            return next(filter(None, found), None)
        self.refused += rejection is not None and self._giving_up.is_set()
        return rejection

    def _store(
        self, ledger: Ledger, authorizer: HandlerAuthorizer, index: int, attempt_id: int, entry: Any, fold: Fold
    ) -> Rejection | None:
        if type(entry) is Whole and not fold.is_new(attempt_id) and not ledger.is_open(attempt_id):
            return ROW_DELETED
        row, found = fold.row(attempt_id), list[FoundTask]()
        ledger.savepoint()
        try:
            written, state = self._store_puts(ledger, authorizer, attempt_id, entry, fold, row, found)
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
        fold.written[attempt_id] += written
        if row is not None and state is not None:
            fold.states[row.task_id] = state, attempt_id
        if found:
            fold.find(found)
        return None

    def _store_puts(
        self,
        ledger: Ledger,
        authorizer: HandlerAuthorizer,
        attempt_id: int,
        entry: Any,
        fold: Fold,
        row: AttemptRow | None,
        found: list[FoundTask],
    ) -> tuple[int, str | None]:
        """Return how many rows the handlers changed, and the last state; tasks that are new are added to `found`."""
        code, written, state = fold.code(attempt_id), 0, None
        for put in _puts_of(entry):
            if self._giving_up.is_set():
                raise _ClosedError
            if type(put) is not Together:
                written += self._call(authorizer, put, row, code)
                continue
            for msg in put.messages:
                written += self._call(authorizer, msg, row, code)
            if row is not None:
                state = put.state or state
                if put.found:
                    found += self._found.enter(ledger, put.found, attempt_id, fold.found, fold.now)
        return written, state

    def _call(self, authorizer: HandlerAuthorizer, msg: Any, row: AttemptRow | None, code: str | None) -> int:
        """Call the handler of a message; return how many rows it changed."""
        self._handled = type(msg)
        written = self._handlers.call(authorizer, msg, row, code)
        self._handled = None
        return written

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


def _puts_of(entry: Any) -> Iterable[Any]:
    """Return what is stored, one `put` after the other."""
    if type(entry) is Whole:
        return entry.puts
    return (entry.as_one if type(entry) is Joined else entry,)


# -- neighbours --------------------------------------------------------------------------------------------------------


class Joined(NamedTuple):
    """Neighbouring puts of one attempt, each of rows of the same table: stored as one put, or else one by one."""

    puts: tuple[Any, ...]
    as_one: Together


def joined(entries: list[Entry]) -> list[Entry]:
    """Return the entries of a batch with neighbours joined."""
    if _JOINED_KINDS.isdisjoint(map(type, map(itemgetter(1), entries))):
        return entries
    made: list[Entry] = []
    for table, group in groupby(entries, _table_of):
        if table is None:
            made += group
            continue
        few: list[Entry] = []
        count = 0
        for entry in group:
            few.append(entry)
            count += len(_rows_of(entry[1]).rows)
            if count >= _MOST_ROWS:
                made.append(_join(few))
                few, count = [], 0
        if few:
            made.append(_join(few))
    return made


def _join(few: list[Entry]) -> Entry:
    if len(few) == 1:
        return few[0]
    attempt_id, first = few[0]
    puts = tuple(put for _, put in few)
    rows = tuple(chain.from_iterable(_rows_of(put).rows for put in puts))
    state = next((put.state for put in reversed(puts) if type(put) is Together and put.state), None)
    return attempt_id, Joined(puts, Together((replace(_rows_of(first), rows=rows),), state=state))


def _table_of(entry: Entry) -> tuple[object, ...] | None:
    """Return the attempt and the table of an entry that may be joined with its neighbours."""
    attempt_id, put = entry
    rows = put.messages[0] if type(put) is Together and len(put.messages) == 1 and not put.found else put
    return (attempt_id, rows.table, rows.columns) if type(rows) is TableRows else None


def _rows_of(put: Any) -> TableRows:
    rows: TableRows = put.messages[0] if type(put) is Together else put
    return rows
