"""A few of a run's tasks: `--only FILTER` and `--first N` try a pipeline before all of it is run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Final

from pipeloom.engine.run.attempts import TaskStart
from pipeloom.engine.run.resume import Earlier, earlier_run, with_found
from pipeloom.engine.schedule.dependencies import ids_named
from pipeloom.engine.schedule.left_out import LeftOut
from pipeloom.engine.schedule.order import late_of
from pipeloom.errors import UsageError
from pipeloom.filters import Filter
from pipeloom.messages import TaskId
from pipeloom.parameters import FIRST, ONLY, Texts
from pipeloom.pipeline import TaskList
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

    def of(self, starts: Iterable[TaskStart]) -> Iterator[TaskStart]:
        """Return the starts of these tasks; raises `UsageError` when the filter lets none of some pass."""
        among = list(starts)
        found = list(islice((start for start in among if self.only.matches(_row(start))), self.first))
        if among and not found:
            raise UsageError(f"None of the {counted(len(among), 'task')} passes {ONLY} {str(self.only)!r}.")
        return iter(found)


def chosen_of(
    path: Path, pipeline: str, today: TaskList, earlier: Earlier | None, starts: Sequence[TaskStart], few: Few
) -> tuple[list[TaskStart], LeftOut]:
    """Return those of the starts that are tried, and what the run leaves out, with the results that are needed of it.

    What a run that goes on leaves out keeps others from running where it is not done. What `few` leaves out does not:
    its result is that of the run that this one continues, else of the pipeline's last one, where it was done there.
    """
    chosen = list(few.of(starts)) if few else list(starts)
    blocking: set[TaskId] = set()
    if earlier is not None:
        blocking = {start.task.task_id for start in starts}
    elif few and any(start.task.after for start in chosen):
        earlier = earlier_run(path, pipeline)
    if earlier is None:
        return chosen, LeftOut()
    standings, late = earlier.left_out(today, chosen), late_of(with_found(today.tasks, earlier.found))
    left_out = LeftOut(path, standings, blocking=standings.keys() - blocking if blocking else (), late=late)
    left_out.load(ids_named(start.task for start in chosen))
    return chosen, left_out


def _row(start: TaskStart) -> AttemptRow:
    """Return the task as a row that filters read."""
    return AttemptRow(0, 0, start.task.task_id, 1, start.task.name, Status.QUEUED)
