"""Which of the tasks that workers put are new to the run, and their attempts."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable

from pipeloom.engine.attempt import AttemptIds
from pipeloom.engine.changes.input_key import InputKey
from pipeloom.engine.events import Found
from pipeloom.engine.writer.sink import FoundTask
from pipeloom.messages import TaskId
from pipeloom.status import Status
from pipeloom.store.rows import AttemptRow
from pipeloom.store.write.ledger import Ledger


class FoundTasks:
    """Enters each task once in a run, whatever number of workers find it."""

    def __init__(self, run_id: int, ids: AttemptIds, known: Collection[TaskId]) -> None:
        """Start with the tasks that the run has without finding them: `known`."""
        self._run_id = run_id
        self._ids = ids
        self._known = known

    def enter(
        self, ledger: Ledger, found: Iterable[Found], by: int, pending: Container[TaskId], now: str
    ) -> list[FoundTask]:
        """Insert those of the tasks that attempt `by` has put and that are new; `pending` ones are not flushed yet."""
        new: dict[TaskId, FoundTask] = {}
        for task in found:
            task_id = task.task_id
            if task_id in new or task_id in pending or task_id in self._known:
                continue
            if ledger.insert_found(
                self._run_id,
                by,
                task_id,
                steps=task.steps,
                retries=task.retries,
                timeout=task.timeout,
                atomic=task.atomic,
                inputs=task.inputs,
                version=task.version,
            ):
                new[task_id] = FoundTask(self._row(task, now), by, task)
        return list(new.values())

    def _row(self, task: Found, now: str) -> AttemptRow:
        return AttemptRow(
            self._ids.take(),
            self._run_id,
            task.task_id,
            1,
            task.name,
            Status.QUEUED,
            queued_at=now,
            params=None if task.params == "{}" else task.params,
            input_key=None if task.inputs else InputKey(task.version).text,
        )
