"""The fold: turns a batch of queue entries into the newest state of each attempt. No SQL, no threads."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

from pipeloom.engine.error_text import error_text
from pipeloom.engine.events import (
    KEPT_TEXT,
    CancelAsked,
    Ended,
    InputsTaken,
    Logged,
    Requeued,
    RunLogged,
    Started,
    Submitted,
)
from pipeloom.engine.writer.log_retention import RawLine
from pipeloom.engine.writer.sink import FoundTask
from pipeloom.errors import StoreError
from pipeloom.messages import MsgTaskProgress, MsgTaskStarted, TaskId
from pipeloom.secrets import masked, masked_json
from pipeloom.status import FINAL, TRANSITIONS, Status
from pipeloom.store.fingerprints import fingerprint
from pipeloom.store.rows import AttemptRow
from pipeloom.text import storable


class Rejection(NamedTuple):
    """A domain message that its handler could not persist."""

    error_class: type[BaseException]
    message: str
    traceback: str

    @classmethod
    def of(cls, message_type: type | None, error: BaseException) -> Rejection:
        """Return the rejection of a message whose handler raised `error`; of none, where it was raised elsewhere."""
        text = error_text(error)
        where = "" if message_type is None else f"handler for {message_type.__name__}: "
        return cls(type(error), f"{where}{text.type}: {text.line}", text.traceback)


class TransactionLostError(Exception):
    """A handler's statement has rolled back the whole transaction: replay it without that message."""

    def __init__(self, index: int, rejection: Rejection) -> None:
        self.index = index
        self.rejection = rejection


(
    _STATUS, _PROGRESS, _STEP, _TOTAL, _MESSAGE, _DUE_AT, _STARTED_AT, _FINISHED_AT, _DURATION_S, _RESULT, _ERROR_TYPE,
    _ERROR, _WORKER, _FINGERPRINT, _ROWS, _TASK_ID, _ROWS_LOW, _ROWS_HIGH, _INPUT_KEY, _CODE,
) = map(
    AttemptRow._fields.index,
    (
        "status", "progress", "step", "total", "message", "due_at", "started_at", "finished_at", "duration_s", "result",
        "error_type", "error", "worker", "fingerprint", "rows", "task_id", "rows_low", "rows_high",
        "input_key", "code",
    ),
)  # fmt: skip
"""Places of the columns in a draft."""

_log = logging.getLogger(__name__)
_DELETED: Final = "its row was deleted from the file by another program while it was open"
ROW_DELETED: Final = Rejection(StoreError, _DELETED, _DELETED)
"""Stops an attempt whose row is gone: what else was removed with it is not known."""


def restored(lost: list[AttemptRow], stored: dict[int, AttemptRow], rejected: dict[int, Rejection]) -> list[AttemptRow]:
    """Return the rows to insert for those that another program has deleted; what was running is stopped, and fails."""
    for row in lost:
        _log.warning("Attempt %d was deleted by another program while it was open.", row.id)
        stored[row.id] = _restored(row)
        if row.status is Status.RUNNING:
            rejected.setdefault(row.id, ROW_DELETED)
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

    def __init__(
        self,
        committed: Mapping[int, AttemptRow],
        rejections: Mapping[int, Rejection],
        now: str,
        usual_rows: Callable[[TaskId], tuple[int, int] | None],
    ) -> None:
        """Start empty; `usual_rows` tells how many rows a task that starts usually writes."""
        self._usual_rows = usual_rows
        self._committed = committed
        self._rejections = rejections
        self.now = now
        self._new: dict[int, AttemptRow] = {}
        """As they were entered."""
        self._drafts: dict[int, list[Any]] = {}
        """The newest columns of what has changed: a list, because each step changes a few, and the row is made once."""
        self.progress: dict[int, MsgTaskProgress] = {}
        """The last progress of each attempt: the writer's loop fills it, `flush` folds it."""
        self.written: Counter[int] = Counter()
        """Rows that the handlers of each attempt's messages changed: the writer's loop counts, `flush` folds them."""
        self.logs: list[RawLine] = []
        self.run_lines: list[tuple[str, str, str]] = []
        """Of the run's own log: at, level, text."""
        self.found: dict[TaskId, FoundTask] = {}
        """Tasks that are new to the run."""
        self.states: dict[TaskId, tuple[str, int]] = {}
        """New states of tasks, as JSON, each with the attempt that has put it: the last one is written."""

    def lifecycle(self, attempt_id: int, entry: Any) -> bool:
        """Fold a lifecycle entry; returns False for any other."""
        step = _STEPS.get(type(entry))
        if step is None:
            return False
        step(self, attempt_id, entry)
        return True

    def is_new(self, attempt_id: int) -> bool:
        """Tell whether the attempt was entered in this batch: the file does not have it yet."""
        return attempt_id in self._new

    def row(self, attempt_id: int) -> AttemptRow | None:
        """Return an attempt as it was entered or last committed; None when it is not open."""
        return self._new.get(attempt_id) or self._committed.get(attempt_id)

    def code(self, attempt_id: int) -> str | None:
        """Return the hash of the code that an attempt runs."""
        draft = self._draft(attempt_id)
        return None if draft is None else draft[_CODE]

    def find(self, tasks: Iterable[FoundTask]) -> None:
        """Add tasks that are new to the run."""
        for found in tasks:
            self.found[found.row.task_id] = found
            self._new[found.row.id] = found.row

    def flush(self) -> tuple[list[AttemptRow], list[AttemptRow]]:
        """Return the attempts to insert and the attempts to update, each in its newest state."""
        for attempt_id in list(self.progress):
            self._fold_progress(attempt_id)
        for attempt_id, written in self.written.items():
            if (draft := self._draft(attempt_id)) is not None:
                draft[_ROWS] = (draft[_ROWS] or 0) + written
        newest = {attempt_id: AttemptRow._make(draft) for attempt_id, draft in self._drafts.items()}
        inserts = [newest.pop(attempt_id, row) for attempt_id, row in self._new.items()]
        return inserts, list(newest.values())

    def _submitted(self, _attempt_id: int, entry: Submitted) -> None:
        self._new.update((row.id, row) for row in entry.rows)

    def _started(self, attempt_id: int, entry: Started) -> None:
        draft = self._draft(attempt_id)
        if draft is not None and draft[_STATUS] not in FINAL:
            self._move(draft, Status.RUNNING)
            draft[_WORKER], draft[_STARTED_AT], draft[_DUE_AT] = entry.worker, entry.at, None
            draft[_CODE] = entry.code
            if (usual := self._usual_rows(draft[_TASK_ID])) is not None:
                draft[_ROWS_LOW], draft[_ROWS_HIGH] = usual

    def _started_by_worker(self, attempt_id: int, entry: MsgTaskStarted) -> None:
        draft = self._draft(attempt_id)
        if draft is not None and entry.started_at:
            draft[_STARTED_AT] = entry.started_at

    def _inputs_taken(self, attempt_id: int, entry: InputsTaken) -> None:
        draft = self._draft(attempt_id)
        if draft is not None:
            draft[_INPUT_KEY] = entry.key

    def _cancel_asked(self, attempt_id: int, entry: CancelAsked) -> None:
        draft = self._draft(attempt_id)
        if draft is not None and self._move(draft, Status.CANCELLING):
            draft[_MESSAGE] = entry.note or draft[_MESSAGE]

    def _requeued(self, attempt_id: int, _entry: Requeued) -> None:
        draft = self._draft(attempt_id)
        if draft is not None:
            self._move(draft, Status.QUEUED)
            draft[_DUE_AT] = None

    def _logged(self, attempt_id: int, entry: Logged) -> None:
        self.logs.append((attempt_id, entry.at or self.now, entry.level, masked(entry.text)))
        if entry.message and (draft := self._draft(attempt_id)) is not None and draft[_STATUS] not in FINAL:
            draft[_MESSAGE] = masked(entry.message)

    def _run_logged(self, _attempt_id: int, entry: RunLogged) -> None:
        self.run_lines.append((entry.at or self.now, storable(entry.level, 20), storable(entry.text, KEPT_TEXT)))

    def _finished(self, attempt_id: int, end: Ended) -> None:
        if attempt_id in self.progress:
            self._fold_progress(attempt_id)
        draft = self._draft(attempt_id)
        if draft is None:
            return
        rejection = self._rejections.get(attempt_id)
        if rejection is not None and end.status is not Status.INTERRUPTED:
            end = _rejected(end, rejection)
        waits, said = draft[_STATUS] is Status.RETRYING, end.message or draft[_MESSAGE]
        if not self._move(draft, end.status):
            return
        draft[_FINISHED_AT], draft[_DURATION_S] = end.at, end.duration_s
        draft[_RESULT] = None if end.result is None else masked_json(end.result)
        if not waits or end.status is not Status.INTERRUPTED:
            draft[_DUE_AT] = None  # a resumed run lets an interrupted retry wait until it is due
        if end.message is not None:
            draft[_MESSAGE] = storable(end.message, KEPT_TEXT)
        if end.status is Status.DONE:
            draft[_PROGRESS] = 1.0
            return
        error = storable(end.error, KEPT_TEXT) if end.error else None
        draft[_ERROR_TYPE], draft[_ERROR] = end.error_type and masked(end.error_type), error
        if end.status is Status.ERROR:
            draft[_FINGERPRINT] = fingerprint(end.error_type, error, said)

    def _fold_progress(self, attempt_id: int) -> None:
        msg = self.progress.pop(attempt_id)
        draft = self._draft(attempt_id)
        if draft is None or draft[_STATUS] in FINAL:
            return
        share, before = fraction(msg.step, msg.total), draft[_PROGRESS]
        # Progress never goes back within an attempt; step and total are kept as sent.
        draft[_PROGRESS] = share if before is None else before if share is None else max(before, share)
        draft[_STEP], draft[_TOTAL] = as_number(msg.step), as_number(msg.total)
        if msg.message:
            draft[_MESSAGE] = storable(msg.message, KEPT_TEXT)

    def _draft(self, attempt_id: int) -> list[Any] | None:
        """Return the newest columns of an attempt, to be changed; None for one that is not open."""
        draft = self._drafts.get(attempt_id)
        if draft is None:
            row = self.row(attempt_id)
            if row is not None:
                draft = self._drafts[attempt_id] = list(row)
        return draft

    @staticmethod
    def _move(draft: list[Any], status: Status) -> bool:
        """Take the status if it may follow the draft's, and tell whether it may: an end never changes."""
        may = status in TRANSITIONS[draft[_STATUS]]
        if may:
            draft[_STATUS] = status
        return may


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
    InputsTaken: Fold._inputs_taken,
    CancelAsked: Fold._cancel_asked,
    Requeued: Fold._requeued,
    Ended: Fold._finished,
    Logged: Fold._logged,
    RunLogged: Fold._run_logged,
}
