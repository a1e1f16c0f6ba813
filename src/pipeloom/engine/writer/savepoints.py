"""Stores what one `put` has taken in a savepoint of its own: messages, the task's state, and tasks that were found."""

from __future__ import annotations

import sqlite3
from typing import Any, cast

from pipeloom.engine.events import Together
from pipeloom.engine.writer.batch import Fold, Rejection, TransactionLostError
from pipeloom.engine.writer.found_tasks import FoundTasks
from pipeloom.engine.writer.handler_calls import AbandonedError, HandlerCalls
from pipeloom.store.write.connect import is_storage_trouble
from pipeloom.store.write.handler_connection import HandlerAuthorizer
from pipeloom.store.write.ledger import Ledger


class Savepoints:
    """Stores all of a `put`, or nothing of it."""

    def __init__(self, pipeline: str, handlers: HandlerCalls, found: FoundTasks) -> None:
        self._pipeline = pipeline
        self._handlers = handlers
        self._found = found

    def store(
        self, ledger: Ledger, authorizer: HandlerAuthorizer, index: int, attempt_id: int, entry: Any, fold: Fold
    ) -> Rejection | None:
        """Store entry number `index` of a batch; return why a handler could not, which undoes this entry alone.

        Raises `TransactionLostError` when that has undone the whole transaction.
        """
        together = together_of(entry)
        msg: Any = None
        row, written = fold.row(attempt_id), 0
        ledger.savepoint()
        try:
            for msg in together.messages:
                written += self._handlers.call(authorizer, msg, row)
            self._keep(ledger, attempt_id, together, fold)
        except AbandonedError:
            raise
        except BaseException as error:
            rejection = Rejection.of(type(msg), error)
            if ledger.in_transaction:
                ledger.undo()
                return rejection
            if issubclass(type(error), sqlite3.Error) and is_storage_trouble(cast("sqlite3.Error", error)):
                raise
            raise TransactionLostError(index, rejection) from error
        ledger.release()
        fold.written[attempt_id] += written
        return None

    def _keep(self, ledger: Ledger, attempt_id: int, together: Together, fold: Fold) -> None:
        row = fold.row(attempt_id)
        if row is None or (together.state is None and not together.found):
            return
        found = self._found.enter(ledger, together.found, attempt_id, fold.found, fold.now)
        if together.state is not None:
            ledger.put_state(self._pipeline, row.task_id, together.state, attempt_id)
            fold.states[row.task_id] = together.state
        fold.find(found)


def together_of(entry: Any) -> Together:
    """Return a message that was put alone as what one `put` has taken."""
    return entry if type(entry) is Together else Together((entry,))
