"""Running again what an earlier run of the same pipeline has left: what it was, and what that makes of the tasks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from pipeloom.engine.run.attempts import NewAttempt
from pipeloom.messages import TaskId, TaskLike
from pipeloom.status import Status
from pipeloom.store.file.kind import WRITABLE, inspect
from pipeloom.store.read.history import History
from pipeloom.store.rows import RunRow, TaskStanding
from pipeloom.times import valid_stamp

NOT_DONE: Final = frozenset({Status.ERROR, Status.CANCELLED, Status.INTERRUPTED})
FAILED: Final = frozenset({Status.ERROR, Status.INTERRUPTED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume:
    """Which tasks of an earlier run to run again, as a new run that names it as its parent."""

    run_id: int | None = None
    """The earlier run; None: the pipeline's last one in the file, if there is one."""
    statuses: frozenset[Status] = NOT_DONE
    """How the tasks have ended that are run again; one that the earlier run never had is run too."""
    task_ids: frozenset[TaskId] | None = None
    """Only these tasks, however they have ended."""


@dataclass(frozen=True, slots=True)
class Earlier:
    """An earlier run, and how each of its tasks stands after it and the runs that it continued."""

    run: RunRow
    standings: dict[TaskId, TaskStanding]

    def count(self, tasks: Sequence[TaskLike], statuses: frozenset[Status]) -> int:
        """Return how many of `tasks` a `Resume` with `statuses` would run again."""
        return sum(self.wants(task.task_id, Resume(statuses=statuses)) for task in tasks)

    def wants(self, task_id: TaskId, resume: Resume) -> bool:
        """Tell whether the task is to be run again."""
        if resume.task_ids is not None:
            return task_id in resume.task_ids
        standing = self.standings.get(task_id)
        return standing is None or standing.status in resume.statuses

    def again(self, task: TaskLike, now: datetime) -> NewAttempt:
        """Return how the task begins: one that waited for a retry goes on waiting until it is due."""
        standing = self.standings.get(task.task_id)
        due = valid_stamp(standing.due_at) if standing is not None else None
        if standing is None or due is None:
            return NewAttempt(task)
        if datetime.fromisoformat(due) <= now:
            return NewAttempt(task, standing.attempt)
        return NewAttempt(task, standing.attempt, Status.RETRYING, due)


def earlier_run(path: Path, pipeline: str, run_id: int | None = None) -> Earlier | None:
    """Return the last run of the pipeline in the file (or run `run_id`); None when there is none."""
    if inspect(path) not in WRITABLE:
        return None
    with History(path) as history:
        run = history.last_run(pipeline) if run_id is None else history.run(run_id)
        return None if run is None else Earlier(run, history.standings(run.id))


def first_attempts(
    tasks: Sequence[TaskLike], earlier: Earlier | None, resume: Resume | None, now: datetime
) -> Iterator[NewAttempt]:
    """Yield what a run begins with: all tasks, or what is wanted again of an earlier run."""
    if earlier is None or resume is None:
        return (NewAttempt(task) for task in tasks)
    return (earlier.again(task, now) for task in tasks if earlier.wants(task.task_id, resume))
