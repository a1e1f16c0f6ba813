"""Which tasks a run begins with, and why: for the run, and for `pipeloom plan`, which runs nothing."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from itertools import chain, islice
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from pipeloom.engine.changes.past import ENDS, Past
from pipeloom.engine.interpreter import no_garbage_collection
from pipeloom.engine.options import EngineOptions
from pipeloom.engine.run.attempts import TaskStart
from pipeloom.engine.run.few import Few
from pipeloom.engine.run.resume import Earlier, Resume, earlier_run, start_of, with_found
from pipeloom.engine.run.tasks import entered
from pipeloom.engine.schedule.dependencies import ids_named
from pipeloom.engine.schedule.left_out import LeftOut
from pipeloom.engine.schedule.order import ALL, late_of, reached
from pipeloom.errors import UsageError
from pipeloom.messages import TaskDef, TaskId, TaskLike
from pipeloom.pipeline import Pipeline, TaskList, task_inputs
from pipeloom.status import Status
from pipeloom.store.rows import TaskStanding
from pipeloom.text import clean
from pipeloom.users_code import function_named

T = TypeVar("T", bound=TaskLike)

_ALL: Final = ("all tasks run",)


class PlannedTask(NamedTuple):
    """A task that runs."""

    start: TaskStart
    why: tuple[str, ...]


class KnownTasks(Container[TaskId]):
    """Tasks of which it is asked whether they are there; the set is made when that is first asked, which is seldom."""

    def __init__(self, ids: Iterable[TaskId]) -> None:
        self._given = tuple(ids)

    def __contains__(self, task_id: object) -> bool:
        return task_id in self._ids

    @cached_property
    def _ids(self) -> frozenset[TaskId]:
        return frozenset(self._given)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run begins with, and what it leaves out."""

    tasks: Sequence[PlannedTask]
    """In the order in which they start."""
    unchanged: frozenset[TaskId] | None
    """Tasks that were done and have not changed since; None where that is not asked."""
    left_out: int
    """Number of other tasks that do not run: done in the run that is resumed, or not among the few that are tried."""
    gone: tuple[tuple[TaskId, str], ...]
    """Id and name of tasks that were listed earlier and are not any more; not looked for where all tasks run."""
    known: KnownTasks
    """All tasks that need not be found: listed, run earlier, or among `tasks`."""
    earlier: Earlier | None
    """The run that is resumed, or of which tasks are run again."""
    others: LeftOut
    """How the tasks stand that do not run, for those that come after them."""
    past: Past
    """Empty where neither what has changed is asked nor a task reads files."""

    def starts(self) -> deque[TaskStart]:
        """Return how the tasks start, in their order."""
        return deque(one.start for one in self.tasks)


class _Candidate(NamedTuple):
    """A task that may run. A tuple: 100,000 of them are made."""

    task: TaskDef
    given: TaskLike
    why: tuple[str, ...]
    """Empty for one that is unchanged."""
    start: TaskStart | None = None
    """How it starts, where that is not at once."""


@no_garbage_collection()
def plan_run(
    path: Path, pipeline: Pipeline, today: TaskList, options: EngineOptions, resume: Resume | None, now: datetime
) -> Plan:
    """Decide which tasks of today's list a run begins with; reads the file, if it is there, and changes nothing.

    `resume` says what to run again of an earlier run. Without it, the options and the pipeline say whether the tasks
    alone run that have changed. Raises `UsageError` as `Earlier.wanted` and `Few.passing`, and for an input that is the
    file of the run.
    """
    _check_inputs(today.tasks, path)
    earlier = None if resume is None else earlier_run(path, pipeline.name, resume.run_id)
    asks = resume is None and options.changed_for(pipeline)
    leaves_out, of = asks, len(today.tasks)
    past = Past.of(path, pipeline.name) if asks or any(map(task_inputs, today.tasks)) else Past()
    if earlier is not None and resume is not None:
        leaves_out = earlier.past is not None and resume.task_ids is None
        candidates, of = _again(today, earlier, resume, now)
        past = earlier.past or past
    elif asks:
        candidates = _changed(today.tasks, past)
        of = len(candidates)
    else:
        candidates = [_Candidate(entered(task), task, _ALL) for task in today.tasks]
    few, among = options.few, candidates
    if few.only:
        passing = few.passing([one.task for one in candidates])
        among = [one for one in candidates if one.task.task_id in passing]
    to_run = [
        PlannedTask(one.start or TaskStart(one.task, one.given), one.why)
        for one in islice((one for one in among if one.why), few.first)
    ]
    unchanged = frozenset(one.task.task_id for one in among if not one.why)
    return Plan(
        to_run,
        unchanged if leaves_out else None,
        of - len(to_run) - len(unchanged),
        tuple(past.gone((task.task_id for task in today.tasks), today.params)) if asks else (),
        _known(today.tasks, earlier, () if earlier is None and not asks else candidates),
        earlier,
        _others(path, pipeline.name, today, earlier, past if asks else None, candidates, to_run, few),
        past,
    )


def _again(today: TaskList, earlier: Earlier, resume: Resume, now: datetime) -> tuple[list[_Candidate], int]:
    """Return the tasks that run again, those that a run for what has changed left out, and the number of all."""
    wanted = earlier.wanted(today, resume)
    names = {task.task_id for task in today.tasks} if earlier.functions else set()
    functions = {task_id: name for task_id, name in earlier.functions.items() if task_id not in names}
    candidates = [
        _Candidate(start.task, task, _why_again(standing, resume), replace(start, from_start=resume.from_start))
        for task, standing in wanted
        for start in [start_of(_with_function(task, functions), standing, now)]
    ]
    listed = with_found(today.tasks, earlier.found)
    if earlier.past is not None and resume.task_ids is None:
        had = {*(task.task_id for task, _ in wanted), *(standing.task_id for standing in earlier.standings)}
        candidates += [_Candidate(entered(task), task, ()) for task in listed if task.task_id not in had]
    return candidates, len(listed)


def _why_again(standing: TaskStanding | None, resume: Resume) -> tuple[str, ...]:
    if resume.task_ids is not None:
        return ("chosen",)
    return ("new",) if standing is None else (ENDS.get(standing.status, "was done"),)


def _changed(listed: Sequence[TaskLike], past: Past) -> list[_Candidate]:
    """Return the tasks of the list with what has changed, and those that tasks of it have found that do not run again.

    One that comes after a task that runs has to run as well.
    """
    candidates = [_Candidate(task, given, past.reasons(task)) for given in listed for task in [entered(given)]]
    known = {one.task.task_id for one in candidates}
    stays = {one.task.task_id for one in candidates if not one.why}
    for finder, task in past.found:  # one comes before those that it has found itself
        if finder in stays and task.task_id not in known:
            why = past.reasons(task)
            own = _with_function(task, past.functions) if why else task
            candidates.append(_Candidate(own, own, why))
            known.add(task.task_id)
            if not why:
                stays.add(task.task_id)
    return _with_followers(candidates, past)


def _with_followers(candidates: list[_Candidate], past: Past) -> list[_Candidate]:
    """Return the candidates, those with reasons that come after one that runs, or that has run since they were done."""
    waiting = {one.task.task_id: one.task.after for one in candidates if one.task.after and not one.why}
    if not waiting:
        return candidates
    late = late_of(one.task for one in candidates)
    newest = max((one.task.task_id for one in candidates if one.task.task_id not in late), key=past.done_at, default="")
    since = {
        task_id: name
        for task_id, after in waiting.items()
        if past.done_at(name := newest if after == ALL else max(after, key=past.done_at)) > past.begun_at(task_id)
    }
    runs = [*(one.task.task_id for one in candidates if one.why), *since]
    causes = reached(waiting, runs)
    first = next((task_id for task_id in (*runs, *causes) if task_id not in late), None)
    if first is not None:
        last = dict.fromkeys((task_id for task_id, after in waiting.items() if after == ALL), first)
        causes = {**reached(waiting, last), **last, **causes}
    why = {task_id: (f"{clean(str(cause), 80)} runs",) for task_id, cause in causes.items()}
    why |= {task_id: (f"{clean(str(name), 80)} has run since",) for task_id, name in since.items()}
    return [one._replace(why=why[one.task.task_id]) if one.task.task_id in why else one for one in candidates]


def _with_function(task: T, functions: Mapping[TaskId, str]) -> T | TaskDef:
    """Return the task with the function that it was put with; raises `UsageError` when that is gone."""
    name = functions.get(task.task_id)
    return task if name is None else replace(entered(task), worker_fn=function_named(name))


def _others(
    path: Path,
    pipeline: str,
    today: TaskList,
    earlier: Earlier | None,
    past: Past | None,
    candidates: Sequence[_Candidate],
    to_run: Sequence[PlannedTask],
    few: Few,
) -> LeftOut:
    """Return what the run leaves out, with the results that its tasks need of it.

    What a run that goes on leaves out keeps others from running where it is not done. What has not changed, or is not
    among the few, does not: its result is that of the attempt that was done last, if there is one.
    """
    runs = {one.start.task.task_id for one in to_run}
    wanted = {one.task.task_id for one in candidates if one.why} if earlier is not None else set()
    if earlier is None and past is None and few and any(one.start.task.after for one in to_run):
        earlier = earlier_run(path, pipeline)
    if earlier is not None:
        standings = earlier.left_out(today, runs)
        listed = with_found(today.tasks, earlier.found)
    elif past is not None and any(one.task.after for one in candidates):
        listed = [one.task for one in candidates]
        standings = {
            one.task.task_id: TaskStanding(one.task.task_id, one.task.name, None, Status.DONE, 1, None, done.done_id)
            for one in candidates
            if one.task.task_id not in runs and (done := past.tasks.get(one.task.task_id)) is not None and done.is_done
        }
    else:
        return LeftOut()
    blocking = standings.keys() - wanted if wanted else ()
    others = LeftOut(path, standings, blocking=blocking, late=late_of(listed))
    others.load(ids_named(one.start.task for one in to_run))
    return others


def _known(listed: Iterable[TaskLike], earlier: Earlier | None, candidates: Iterable[_Candidate]) -> KnownTasks:
    had = () if earlier is None else (standing.task_id for standing in earlier.standings)
    return KnownTasks(chain((task.task_id for task in listed), had, (one.task.task_id for one in candidates)))


def _check_inputs(tasks: Iterable[TaskLike], path: Path) -> None:
    """Refuse the file of the run as an input: each run changes it, and reading it would drop its locks."""
    name = path.name
    for task in tasks:
        for given in task_inputs(task):
            if given.endswith(name) and os.path.abspath(given) == str(path):  # noqa: PTH100 - without a look at the disk
                raise UsageError(
                    f"Task {task.task_id!r:.80}: its input {clean(given, 200)} is the file that the run writes to, and "
                    "changes with each run."
                )
