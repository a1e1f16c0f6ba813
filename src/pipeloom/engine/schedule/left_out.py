"""The tasks that a run leaves out, as an earlier run has left them: what comes after them needs no other attempt."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from pipeloom.messages import TaskId
from pipeloom.status import Status
from pipeloom.store.read.history import History
from pipeloom.store.read.run_queries import results_of
from pipeloom.store.rows import TaskStanding

_ENDED: Final = {
    Status.ERROR: "failed",
    Status.CANCELLED: "was cancelled",
    Status.INTERRUPTED: "was interrupted",
    Status.SKIPPED: "was skipped",
}


def ended_badly(task_id: TaskId, status: Status) -> str | None:
    """Return the message of what is skipped because a task has ended so: `extract-7 failed`; None for another end."""
    how = _ENDED.get(status)
    return how and f"{task_id if isinstance(task_id, str) else f'task {task_id}'} {how}"


class LeftOut:
    """Tasks of the list that are none of the run, by id, with how they stand."""

    def __init__(
        self,
        path: Path | None = None,
        standings: Mapping[TaskId, TaskStanding] | None = None,
        *,
        blocking: Collection[TaskId] = (),
        late: Collection[TaskId] = (),
    ) -> None:
        """Start with what is left out; one of `blocking` that is not done keeps what comes after it from running.

        What comes after all others does not come after the `late` ones (see `late_of`).
        """
        self._path = path
        self._standings = standings or {}
        self.late = frozenset(late)
        self._results: dict[TaskId, str | None] = {}
        self._bad = {one: status for one in blocking if (status := self._standings[one].status) is not Status.DONE}

    def __iter__(self) -> Iterator[TaskId]:
        """Yield those that tasks wait for which come after all others."""
        return (task_id for task_id in self._standings if task_id not in self.late)

    @property
    def any_bad(self) -> bool:
        """Whether one of them keeps what comes after it from running."""
        return bool(self._bad)

    @property
    def any_early_bad(self) -> bool:
        """Whether one of them keeps what comes after all others from running."""
        return any(task_id not in self.late for task_id in self._bad)

    def why_not(self, task_id: TaskId) -> str | None:
        """Return why nothing can come after a task: `extract-7 failed`; None when it is not waited for."""
        status = self._bad.get(task_id)
        return None if status is None else ended_badly(task_id, status)

    def results(self, wanted: Iterable[TaskId]) -> list[tuple[TaskId, str | None]]:
        """Return the results, as JSON, of those of the tasks that are done and that were loaded."""
        if not self._results:
            return []
        return [(task_id, self._results[task_id]) for task_id in wanted if task_id in self._results]

    def load(self, wanted: Collection[TaskId] | None) -> None:
        """Read the results of tasks (None: of all) from the file; without the run's lock."""
        among = self._standings if wanted is None else [task_id for task_id in wanted if task_id in self._standings]
        missing = {
            standing.attempt_id: task_id
            for task_id in among
            if task_id not in self._results and (standing := self._standings[task_id]).status is Status.DONE
        }
        if not missing or self._path is None:
            return
        with History(self._path) as history:
            found = results_of(history, missing)
        self._results.update((task_id, found.get(attempt_id)) for attempt_id, task_id in missing.items())
