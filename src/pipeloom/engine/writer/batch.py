"""The fold: turns a batch of queue entries into the newest state of each attempt. No SQL, no threads."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from pipeloom.engine.error_text import error_text
from pipeloom.engine.events import KEPT_TEXT, CancelAsked, Ended, Logged, Requeued, Started, Submitted
from pipeloom.engine.writer.log_retention import RawLine
from pipeloom.errors import StoreError
from pipeloom.fingerprints import fingerprint
from pipeloom.messages import MsgTaskProgress, MsgTaskStarted
from pipeloom.status import FINAL, TRANSITIONS, Status
from pipeloom.store.rows import AttemptRow
from pipeloom.text import storable


class Rejection(NamedTuple):
    """A domain message that its handler could not persist."""

    error_class: type[BaseException]
    message: str
    traceback: str

    @classmethod
    def of(cls, message_type: type, error: BaseException) -> Rejection:
        """Return the rejection of a message whose handler raised `error`."""
        text = error_text(error)
        return cls(type(error), f"handler for {message_type.__name__}: {text.type}: {text.line}", text.traceback)


class TransactionLostError(Exception):
    """A handler's statement has rolled back the whole transaction: replay it without that message."""

    def __init__(self, index: int, rejection: Rejection) -> None:
        self.index = index
        self.rejection = rejection


_log = logging.getLogger(__name__)
_DELETED: Final = "its row was deleted from the file by another program while it was open"
_ROW_DELETED: Final = Rejection(StoreError, _DELETED, _DELETED)
"""Stops an attempt whose row is gone: what else was removed with it is not known."""


def restored(lost: list[AttemptRow], stored: dict[int, AttemptRow], rejected: dict[int, Rejection]) -> list[AttemptRow]:
    """Return the rows to insert for those that another program has deleted; what was running is stopped, and fails."""
    for row in lost:
        _log.warning("Attempt %d was deleted by another program while it was open.", row.id)
        stored[row.id] = _restored(row)
        if row.status is Status.RUNNING:
            rejected.setdefault(row.id, _ROW_DELETED)
    return [stored[row.id] for row in lost]


def _restored(row: AttemptRow) -> AttemptRow:
    """Return the row to insert for one that another program has deleted while it was open."""
    if row.status is not Status.DONE:
        return row
    kind = StoreError.__name__
    return row._replace(
        status=Status.ERROR,
        message=_DELETED,
        error_type=kind,
        error=_DELETED,
        fingerprint=fingerprint(kind, _DELETED, _DELETED),
    )


class Fold:
    """The changes of one batch, on top of the open attempts as committed before it."""

    def __init__(self, committed: Mapping[int, AttemptRow], rejections: Mapping[int, Rejection], now: str) -> None:
        self._committed = committed
        self._rejections = rejections
        self._now = now
        self._new: dict[int, AttemptRow] = {}
        self._changed: dict[int, AttemptRow] = {}
        self.progress: dict[int, MsgTaskProgress] = {}
        """The last progress of each attempt: the writer's loop fills it, `flush` folds it."""
        self.written: Counter[int] = Counter()
        """Rows that the handlers of each attempt's messages changed: the writer's loop counts, `flush` folds them."""
        self.logs: list[RawLine] = []

    def lifecycle(self, attempt_id: int, entry: Any) -> bool:
        """Fold a lifecycle entry; returns False for any other."""
        step = _STEPS.get(type(entry))
        if step is None:
            return False
        step(self, attempt_id, entry)
        return True

    def row(self, attempt_id: int) -> AttemptRow | None:
        """Return the state of an attempt; None when it had ended before."""
        return self._row(attempt_id)

    def flush(self) -> tuple[list[AttemptRow], list[AttemptRow]]:
        """Return the attempts to insert and the attempts to update, each in its newest state."""
        for attempt_id in list(self.progress):
            self._fold_progress(attempt_id)
        for attempt_id, written in self.written.items():
            if (row := self._row(attempt_id)) is not None:
                self._keep(row._replace(rows=(row.rows or 0) + written))
        return list(self._new.values()), list(self._changed.values())

    def _submitted(self, _attempt_id: int, entry: Submitted) -> None:
        self._new.update((row.id, row) for row in entry.rows)

    def _started(self, attempt_id: int, entry: Started) -> None:
        row = self._row(attempt_id)
        if row is not None and row.status not in FINAL:
            status = self._next(row, Status.RUNNING)
            self._keep(row._replace(status=status, worker=entry.worker, started_at=entry.at, due_at=None))

    def _started_by_worker(self, attempt_id: int, entry: MsgTaskStarted) -> None:
        row = self._row(attempt_id)
        if row is not None and entry.started_at:
            self._keep(row._replace(started_at=entry.started_at))

    def _cancel_asked(self, attempt_id: int, entry: CancelAsked) -> None:
        row = self._row(attempt_id)
        if row is not None and self._next(row, Status.CANCELLING) is not row.status:
            self._keep(row._replace(status=Status.CANCELLING, message=entry.note or row.message))

    def _requeued(self, attempt_id: int, _entry: Requeued) -> None:
        row = self._row(attempt_id)
        if row is not None:
            self._keep(row._replace(status=self._next(row, Status.QUEUED), due_at=None))

    def _logged(self, attempt_id: int, entry: Logged) -> None:
        self.logs.append((attempt_id, entry.at or self._now, entry.level, entry.text))

    def _finished(self, attempt_id: int, end: Ended) -> None:
        if attempt_id in self.progress:
            self._fold_progress(attempt_id)
        row = self._row(attempt_id)
        if row is None:
            return
        rejection = self._rejections.get(attempt_id)
        if rejection is not None and end.status is not Status.INTERRUPTED:
            end = _rejected(end, rejection)
        if end.status not in TRANSITIONS[row.status]:
            return
        done, failed = end.status is Status.DONE, end.status is Status.ERROR
        # A resumed run lets an interrupted retry wait until it is due.
        waits = row.status is Status.RETRYING and end.status is Status.INTERRUPTED
        self._keep(
            row._replace(
                status=end.status,
                progress=1.0 if done else row.progress,
                finished_at=end.at,
                duration_s=end.duration_s,
                due_at=row.due_at if waits else None,
                message=row.message if end.message is None else storable(end.message, KEPT_TEXT),
                result=end.result,
                error_type=None if done else end.error_type,
                error=None if done or not end.error else storable(end.error, KEPT_TEXT),
                fingerprint=fingerprint(end.error_type, end.error, end.message or row.message) if failed else None,
            )
        )

    def _fold_progress(self, attempt_id: int) -> None:
        msg = self.progress.pop(attempt_id)
        row = self._row(attempt_id)
        if row is None or row.status in FINAL:
            return
        share, before = fraction(msg.step, msg.total), row.progress
        # Progress never goes back within an attempt; step and total are kept as sent.
        progress = share if before is None else before if share is None else max(before, share)
        message = storable(msg.message, KEPT_TEXT) if msg.message else row.message
        self._keep(
            row._replace(step=as_number(msg.step), total=as_number(msg.total), progress=progress, message=message)
        )

    def _row(self, attempt_id: int) -> AttemptRow | None:
        return self._changed.get(attempt_id) or self._new.get(attempt_id) or self._committed.get(attempt_id)

    def _keep(self, row: AttemptRow) -> None:
        (self._new if row.id in self._new else self._changed)[row.id] = row

    @staticmethod
    def _next(row: AttemptRow, status: Status) -> Status:
        """Return `status` if it may follow the row's, else the row's: an end never changes."""
        return status if status in TRANSITIONS[row.status] else row.status


def fraction(step: float | None, total: float | None) -> float | None:
    """Return `step` / `total` in 0..1; None when it is not a number."""
    if step is None or total is None:
        return None
    try:
        share = step / total
    except (ZeroDivisionError, OverflowError):
        return None
    return min(max(share, 0.0), 1.0) if math.isfinite(share) else None


def as_number(value: float | None) -> float | None:
    """Return `value` as a finite float, or None."""
    try:
        number = None if value is None else float(value)
    except OverflowError:
        return None
    return number if number is not None and math.isfinite(number) else None


def _rejected(end: Ended, rejection: Rejection) -> Ended:
    return Ended(
        Status.ERROR,
        end.at,
        end.duration_s,
        message=rejection.message,
        result=end.result,
        error_type=rejection.error_class.__name__,
        error=rejection.traceback,
    )


_STEPS: dict[type, Callable[[Fold, int, Any], None]] = {
    Submitted: Fold._submitted,
    Started: Fold._started,
    MsgTaskStarted: Fold._started_by_worker,
    CancelAsked: Fold._cancel_asked,
    Requeued: Fold._requeued,
    Ended: Fold._finished,
    Logged: Fold._logged,
}
