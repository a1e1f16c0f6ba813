"""The results of the tasks that a task comes after, as its worker reads them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pipeloom.engine.schedule.order import ALL, after_of
from pipeloom.errors import PipeloomError
from pipeloom.messages import TaskId, TaskLike


class NoResultError(PipeloomError, KeyError):
    """`q.results` has no such task: the text says why."""

    __str__ = Exception.__str__  # a KeyError quotes its text


class Results(Mapping[TaskId, Any]):
    """Results by task id, None for a task that has left none. Each access makes the value from its JSON."""

    def __init__(self, task: TaskLike, results: Iterable[tuple[TaskId, str | None]]) -> None:
        self._task = task
        self._kept = dict(results)

    def __getitem__(self, task_id: TaskId) -> Any:
        try:
            text = self._kept[task_id]
        except KeyError:
            raise NoResultError(self._why_not(task_id)) from None
        return None if text is None else json.loads(text)

    def __contains__(self, task_id: object) -> bool:
        return task_id in self._kept

    def __iter__(self) -> Iterator[TaskId]:
        return iter(self._kept)

    def __len__(self) -> int:
        return len(self._kept)

    def __repr__(self) -> str:
        return f"Results({dict(self)!r})"

    def _why_not(self, task_id: object) -> str:
        after = after_of(self._task)
        if after != ALL and task_id in after:
            return (
                f"There is no result of {task_id!r:.80}: this run leaves that task out, and no earlier one has done it."
            )
        return f"Task {self._task.task_id!r:.80} does not come after {task_id!r:.80}: name that in its `after`."
