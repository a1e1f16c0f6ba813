"""Folds a batch of queue entries into the newest state of each attempt they touch. No SQL, no threads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from pipeloom.engine.checks import KEPT_TEXT, as_number, fraction
from pipeloom.engine.clock import valid_stamp
from pipeloom.engine.records import CancelAsked, Ended, Requeued, Started, Submitted
from pipeloom.messages import MsgTaskLog, MsgTaskProgress, MsgTaskStarted
from pipeloom.status import FINAL, Status, may_follow
from pipeloom.store.ledger import LogLine
from pipeloom.store.rows import AttemptRow
from pipeloom.text import first_line, storable

_NOTHING: Final[dict[str, Any]] = {}


class Rejection:
    """A domain message that its handler could not persist, and what that makes of its attempt."""

    def __init__(self, message_type: str, error: BaseException, traceback: str) -> None:
        self.error = error
        self.error_type = type(error).__name__
        self.message = f"handler for {message_type}: {self.error_type}: {first_line(error)}"
        self.traceback = traceback


class Fold:
    """The changes of one batch, over the open attempts as they were committed before it."""

    def __init__(self, committed: Mapping[int, AttemptRow], rejections: Mapping[int, Rejection]) -> None:
        self._committed = committed
        self._rejections = rejections
        self._new: dict[int, AttemptRow] = {}
        self._changes: dict[int, dict[str, Any]] = {}
        self.progress: dict[int, MsgTaskProgress] = {}
        """The last progress of each attempt; the writer's loop fills it, `flush` folds it."""
        self.logs: list[LogLine] = []

    def lifecycle(self, attempt_id: int, entry: Any, now: str) -> bool:
        """Fold `entry` if it is about an attempt's life; returns False when it is something else."""
        match entry:
            case Submitted(rows):
                self._new.update((row.id, row) for row in rows)
            case Started(at, worker):
                self._set_status(attempt_id, Status.RUNNING)
                self._change(attempt_id, worker=worker, due_at=None)
                self._changes[attempt_id].setdefault("started_at", at)
            case MsgTaskStarted():
                if (own := valid_stamp(entry.started_at)) is not None:
                    self._change(attempt_id, started_at=own)
            case CancelAsked(note):
                if self._set_status(attempt_id, Status.CANCELLING) and note:
                    self._change(attempt_id, message=note)
            case Requeued():
                if self._set_status(attempt_id, Status.QUEUED):
                    self._change(attempt_id, due_at=None)
            case Ended():
                self._end(attempt_id, entry)
            case MsgTaskLog():
                level = storable(entry.level, 20).upper()
                self.logs.append((attempt_id, now, level, storable(entry.text, KEPT_TEXT)))
            case _:
                return False
        return True

    def flush(self) -> tuple[list[AttemptRow], list[AttemptRow]]:
        """Return the attempts to insert and the attempts to update, each in its newest state."""
        for attempt_id in list(self.progress):
            self._fold_progress(attempt_id)
        inserts = [self._newest(row) for row in self._new.values()]
        updates = [self._newest(row) for id_ in self._changes if id_ not in self._new and (row := self._base(id_))]
        return inserts, updates

    def _end(self, attempt_id: int, end: Ended) -> None:
        self._fold_progress(attempt_id)
        row = self._base(attempt_id)
        if row is None:
            return
        rejection = self._rejections.get(attempt_id)
        if rejection is not None and end.status is not Status.INTERRUPTED:
            end = replace(
                end,
                status=Status.ERROR,
                message=rejection.message,
                error_type=rejection.error_type,
                error=rejection.traceback,
            )
        if not self._set_status(attempt_id, end.status):
            return
        changes: dict[str, Any] = {"finished_at": end.at, "duration_s": end.duration_s, "due_at": None}
        if end.status is Status.DONE:
            changes["progress"] = 1.0
        if end.message is not None:
            changes["message"] = storable(end.message, KEPT_TEXT)
        if end.result is not None:
            changes["result"] = end.result
        if end.status is not Status.DONE:
            changes["error_type"] = end.error_type
            changes["error"] = storable(end.error, KEPT_TEXT) if end.error else None
        self._change(attempt_id, **changes)

    def _fold_progress(self, attempt_id: int) -> None:
        msg = self.progress.pop(attempt_id, None)
        row = self._base(attempt_id)
        if msg is None or row is None or self._value(attempt_id, "status") in FINAL:
            return
        before = self._value(attempt_id, "progress")
        share = fraction(msg.step, msg.total)
        # The bar never goes back within an attempt; step and total are kept as they were sent.
        progress = share if before is None else before if share is None else max(before, share)
        changes: dict[str, Any] = {"step": as_number(msg.step), "total": as_number(msg.total), "progress": progress}
        if msg.message:
            changes["message"] = storable(msg.message, KEPT_TEXT)
        self._change(attempt_id, **changes)

    def _set_status(self, attempt_id: int, after: Status) -> bool:
        """Move the attempt to `after` if that may follow; what has ended stays ended."""
        if self._base(attempt_id) is None or not may_follow(self._value(attempt_id, "status"), after):
            return False
        self._change(attempt_id, status=after)
        return True

    def _base(self, attempt_id: int) -> AttemptRow | None:
        return self._new.get(attempt_id) or self._committed.get(attempt_id)

    def _value(self, attempt_id: int, name: str) -> Any:
        changes = self._changes.get(attempt_id, _NOTHING)
        return changes[name] if name in changes else getattr(self._base(attempt_id), name)

    def _change(self, attempt_id: int, **changes: Any) -> None:
        self._changes.setdefault(attempt_id, {}).update(changes)

    def _newest(self, row: AttemptRow) -> AttemptRow:
        changes = self._changes.get(row.id)
        return replace(row, **changes) if changes else row
