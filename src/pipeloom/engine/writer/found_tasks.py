"""Which of the tasks that workers put are new to the run, and their attempts."""

from __future__ import annotations

import json
from collections.abc import Collection, Container

from pipeloom.engine.attempt import AttemptIds
from pipeloom.engine.changes.input_key import InputKey
from pipeloom.engine.events import Found
from pipeloom.engine.schedule.order import ALL
from pipeloom.engine.writer.sink import FoundTask
from pipeloom.errors import MessageError
from pipeloom.messages import TaskId
from pipeloom.status import Status
from pipeloom.store.rows import AttemptRow
from pipeloom.store.write.ledger import Ledger


class FoundTasks:
    """Enters each task once in a run, whatever number of workers find it."""

    def __init__(self, run_id: int, ids: AttemptIds, known: Container[TaskId], done: Container[TaskId] = ()) -> None:
        """Start with the tasks that the run has without finding them: `known`.

        Tasks may also come after those that were `done` in earlier runs: this one leaves them out when it finds them.
        """
        self._run_id = run_id
        self._ids = ids
        self._known = known
        self._done = done

    def enter(
        self, ledger: Ledger, found: Collection[Found], by: int, pending: Container[TaskId], now: str
    ) -> list[FoundTask]:
        """Insert those of the tasks that attempt `by` has put and that are new; `pending` ones are not flushed yet.

        Raises `MessageError` when one comes after a task that the run does not have.
        """
        new: dict[TaskId, FoundTask] = {}
        together = {task.task_id for task in found}
        for task in found:
            task_id = task.task_id
            if task_id in new or task_id in pending or task_id in self._known:
                continue
            for name in () if task.after == ALL else task.after:
                there = name in together or name in self._known or name in self._done
                if not (there or ledger.has_found(self._run_id, name)):
                    raise MessageError(
                        f"Task {task_id!r:.80}, which was put, comes after {name!r:.80}, which no task of this run is."
                    )
            if ledger.insert_found(
                self._run_id,
                by,
                task_id,
                steps=task.steps,
                retries=task.retries,
                timeout=task.timeout,
                atomic=task.atomic,
                after=json.dumps(task.after) if task.after else None,
                worker_fn=task.worker_fn,
                limits=json.dumps(task.limits) if task.limits else None,
                priority=task.priority,
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
