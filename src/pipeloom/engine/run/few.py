"""A few of a run's tasks: `--only FILTER` and `--first N` try a pipeline before all of it is run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from pipeloom.errors import UsageError
from pipeloom.filters import Filter
from pipeloom.messages import TaskId, TaskLike
from pipeloom.parameters.texts import FIRST, ONLY, Texts
from pipeloom.status import Status
from pipeloom.store.rows import AttemptRow
from pipeloom.text import counted

_FIELDS: Final = frozenset({"", "name", "task"})
"""Fields of a filter that a task has before it runs."""


@dataclass(frozen=True, slots=True)
class Few:
    """Which of the tasks that would run are run."""

    only: Filter = field(default_factory=Filter)
    first: int | None = None
    """Number of them, of those that pass; None: all."""

    def __post_init__(self) -> None:
        for term in self.only.terms:
            if term.field not in _FIELDS:
                raise UsageError(f"{ONLY} takes words, name: and task:, and not {term.field}: no task has run yet.")
        if self.first is not None and self.first < 1:
            raise UsageError(f"{FIRST} must be 1 or more, not {self.first}.")

    def __bool__(self) -> bool:
        return bool(self.only) or self.first is not None

    @property
    def texts(self) -> Texts:
        """The options as texts, by name: for the run's row."""
        given: Texts = {ONLY: str(self.only)} if self.only else {}
        return given if self.first is None else {**given, FIRST: str(self.first)}

    def passing(self, tasks: Sequence[TaskLike]) -> set[TaskId]:
        """Return the tasks that pass the filter; raises `UsageError` when it lets none of some pass."""
        found = {task.task_id for task in tasks if self.only.matches(_row(task))}
        if tasks and not found:
            raise UsageError(f"None of the {counted(len(tasks), 'task')} passes {ONLY} {str(self.only)!r}.")
        return found


def _row(task: TaskLike) -> AttemptRow:
    """Return the task as a row that filters read."""
    return AttemptRow(0, 0, task.task_id, 1, task.name, Status.QUEUED)
