"""What an earlier run of the pipeline has left, and how the tasks start that are run again."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from pipeloom.engine.changes.past import Past
from pipeloom.engine.run.attempts import TaskStart
from pipeloom.engine.run.same_task import changed_error, same_tasks
from pipeloom.engine.run.tasks import entered
from pipeloom.engine.schedule.order import ALL, after_of, check_order, reached
from pipeloom.errors import UsageError
from pipeloom.limits.limit import check_named
from pipeloom.messages import TaskDef, TaskId, TaskLike
from pipeloom.parameters.texts import Texts, read_back, words_of
from pipeloom.pipeline import Pipeline, TaskList, list_tasks, parameters
from pipeloom.secrets import hides
from pipeloom.status import Status
from pipeloom.store.file.kind import WRITABLE, file_kind
from pipeloom.store.read.history import History
from pipeloom.store.read.run_queries import found_tasks, task_standings
from pipeloom.store.rows import RunRow, TaskStanding
from pipeloom.text import clean
from pipeloom.times import valid_stamp

NOT_DONE: Final = frozenset({Status.ERROR, Status.CANCELLED, Status.INTERRUPTED, Status.SKIPPED})
FAILED: Final = frozenset({Status.ERROR, Status.INTERRUPTED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume:
    """Which tasks of an earlier run to run again, in a new run that names it as its parent."""

    run_id: int | None = None
    """The earlier run; None: the pipeline's last one in the file, if it has one."""
    statuses: frozenset[Status] = NOT_DONE
    """Tasks that ended so are run again; so is a task that the earlier run did not have."""
    task_ids: frozenset[TaskId] | None = None
    """Only these tasks of today's list, however they have ended."""
    from_start: bool = False
    """Whether the state that they have left is dropped."""
    other_params: bool = False
    """Whether the new run may have other parameters than the earlier one."""


_Stands = tuple[TaskLike, TaskStanding | None]
"""A task of today, and how it stands."""


@dataclass(frozen=True, slots=True)
class Earlier:
    """An earlier run, and how each of its tasks stands after it and the runs that it continued."""

    run: RunRow
    standings: list[TaskStanding]
    found: list[TaskDef]
    """Tasks that its workers have put, done ones included."""
    functions: dict[TaskId, str] = field(default_factory=dict)
    """Names of the worker functions that some of these have of their own."""
    past: Past | None = None
    """The past of all tasks, when it or a run that it continued was for what had changed, and left out the rest."""

    def count(self, today: TaskList, statuses: frozenset[Status]) -> int:
        """Return how many tasks of today a `Resume` with `statuses` would run again; raises as `wanted`."""
        return len(self.wanted(today, Resume(statuses=statuses)))

    def wanted(self, today: TaskList, resume: Resume) -> list[_Stands]:
        """Return the tasks that are run again, each with how it stands; None for a new one.

        With a task come those that were skipped and come after it.

        Raises `UsageError` when the earlier run had other parameters, a task that was done has other params now, or its
        id is another task's; as `check_named` for tasks that workers have put.
        """
        if not resume.other_params:
            check_same_params(self.run, today.params)
        tasks = with_found(today.tasks, self.found)
        check_named(tasks[len(today.tasks) :], today.limits)
        same = same_tasks(tasks, self.standings)
        stand = [(task, same.found.get(task.task_id)) for task in tasks]
        if resume.task_ids is not None:
            return _with_skipped(stand, set(resume.task_ids))
        changed = [pair for pair in same.changed.values() if pair[1].status not in resume.statuses]
        if changed:
            raise changed_error(changed)
        again = (
            task
            for task, standing in stand
            if (standing.status in resume.statuses if standing is not None else self._is_new(task))
        )
        return _with_skipped(stand, {task.task_id for task in again})

    def followers(self, today: TaskList, chosen: Collection[TaskId]) -> list[TaskLike]:
        """Return the tasks that run besides those chosen: they were skipped, and come after one of them."""
        resume = Resume(task_ids=frozenset(chosen), other_params=True)
        return [task for task, _ in self.wanted(today, resume) if task.task_id not in chosen]

    def left_out(self, today: TaskList, run: Collection[TaskId]) -> dict[TaskId, TaskStanding]:
        """Return how the tasks of today stand that are not among those that run, by id."""
        same = same_tasks(with_found(today.tasks, self.found), self.standings)
        return {task_id: standing for task_id, standing in same.found.items() if task_id not in run}

    def _is_new(self, task: TaskLike) -> bool:
        """Tell whether a task that the run did not have is none that it left out as unchanged."""
        return self.past is None or bool(self.past.reasons(entered(task)))


def _with_skipped(stand: Sequence[_Stands], chosen: set[TaskId]) -> list[_Stands]:
    """Return the chosen tasks, and those that were skipped and come after one that is run again."""
    skipped = {task.task_id: after_of(task) for task, one in stand if one is not None and one.status is Status.SKIPPED}
    if chosen and skipped:
        chosen |= {task_id for task_id, after in skipped.items() if after == ALL}
        chosen |= reached(skipped, chosen).keys()
    return [(task, standing) for task, standing in stand if task.task_id in chosen]


def check_same_params(
    run: RunRow, today: Texts, ways: str = " to resume it with its own, or say --other-params"
) -> None:
    """Raise `UsageError`, with both shown, when a parameter has another value than it had in the run.

    `ways` ends the sentence "leave -p out".
    """
    before = read_back(run.params)
    others = [name for name, text in today.items() if name in before and before[name] != text]
    if others:
        now, was = (words_of({name: texts[name] for name in others}) for texts in (today, before))
        raise UsageError(f"Run {run.id} had {clean(was, 200)}, and this one has {clean(now, 200)}: leave -p out{ways}.")


def list_today(
    path: Path, pipeline: Pipeline, resume: Resume | None = None, given: Mapping[str, object] | None = None
) -> TaskList:
    """List the tasks of a new run, with the given parameters; others are those of the run that it resumes, if any.

    Raises `UsageError` as `list_tasks` and `check_order`.
    """
    others = {} if resume is None else params_of(path, pipeline, resume.run_id)
    today = list_tasks(pipeline, {**others, **(given or {})})
    check_order(today.tasks)
    return today


def params_of(
    path: Path, pipeline: Pipeline, run_id: int | None = None, given: Mapping[str, object] | None = None
) -> dict[str, object]:
    """Return what an earlier run (None: the last one to resume) had for the pipeline's parameters of today.

    What holds a secret is not kept, and has to be `given` again.
    """
    run = _earlier_row(path, pipeline.name, run_id)
    there = parameters(pipeline)
    if run is None:
        return {}
    had: dict[str, object] = {name: text for name, text in read_back(run.params).items() if name in there}
    again = {name: (given or {})[name] for name, text in had.items() if hides(text) and name in (given or {})}
    return {name: text for name, text in had.items() if not hides(text)} | again


def start_of(task: TaskLike, standing: TaskStanding | None, now: datetime) -> TaskStart:
    """Return how a task starts: one that waited for a retry goes on waiting until it is due."""
    due = valid_stamp(standing.due_at) if standing is not None else None
    if standing is None or due is None:
        return TaskStart(entered(task), task)
    errors = max(0, standing.attempt - 1 - standing.asked)
    if datetime.fromisoformat(due) <= now:
        return TaskStart(entered(task), task, standing.attempt, errors=errors)
    return TaskStart(entered(task), task, standing.attempt, Status.RETRYING, due, errors=errors)


def earlier_run(path: Path, pipeline: str, run_id: int | None = None) -> Earlier | None:
    """Return the pipeline's last run in the file that can be resumed (or run `run_id`); None when there is none."""
    run = _earlier_row(path, pipeline, run_id)
    if run is None:
        return None
    with History(path) as history:
        standings, found = task_standings(history, run.id), found_tasks(history, run.id)
        leaves_out = any(one.unchanged is not None for one in _family(history, run))
    functions = {one.task.task_id: one.worker_fn for one in found if one.worker_fn is not None}
    past = Past.of(path, pipeline) if leaves_out else None
    return Earlier(run, standings, [one.task for one in found], functions, past)


def _family(history: History, run: RunRow) -> Iterator[RunRow]:
    """Yield a run and those that it continued."""
    one: RunRow | None = run
    while one is not None:
        yield one
        before = one.parent_run_id
        one = history.run(before) if before is not None and before < one.id else None


def _earlier_row(path: Path, pipeline: str, run_id: int | None) -> RunRow | None:
    if file_kind(path) not in WRITABLE:
        return None
    with History(path) as history:
        return history.last_run(pipeline) if run_id is None else history.run(run_id)


def found_in(path: Path, run_id: int) -> list[TaskDef]:
    """Return the tasks that workers have put in a run of the file."""
    with History(path) as history:
        return [one.task for one in found_tasks(history, run_id)]


def with_found(tasks: Sequence[TaskLike], found: Iterable[TaskDef]) -> Sequence[TaskLike]:
    """Return the tasks of today's list, and behind them those that workers have put and that it does not have."""
    listed = {task.task_id for task in tasks}
    return [*tasks, *(task for task in found if task.task_id not in listed)]
