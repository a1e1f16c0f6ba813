"""Which tasks a run begins with, and why: for the run, and for `pipeloom plan`, which runs nothing."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

from pipeloom.engine.changes.past import ENDS, Past
from pipeloom.engine.interpreter import no_garbage_collection
from pipeloom.engine.options import EngineOptions
from pipeloom.engine.run.attempts import TaskStart
from pipeloom.engine.run.resume import Earlier, Resume, earlier_run, start_of, with_found
from pipeloom.engine.run.tasks import entered
from pipeloom.errors import UsageError
from pipeloom.messages import TaskDef, TaskId, TaskLike
from pipeloom.pipeline import Pipeline, TaskList, task_inputs
from pipeloom.store.rows import TaskStanding
from pipeloom.text import clean

_ALL: Final = ("all tasks run",)


class PlannedTask(NamedTuple):
    """A task that runs."""

    start: TaskStart
    why: tuple[str, ...]


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
    known: frozenset[TaskId]
    """All tasks that need not be found: listed, run earlier, or among `tasks`."""
    earlier: Earlier | None
    """The run that is resumed, or of which tasks are run again."""
    past: Past
    """Empty where neither what has changed is asked nor a task reads files."""


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
        _known(today.tasks, earlier, candidates),
        earlier,
        past,
    )


def _again(today: TaskList, earlier: Earlier, resume: Resume, now: datetime) -> tuple[list[_Candidate], int]:
    """Return the tasks that run again, those that a run for what has changed left out, and the number of all."""
    wanted = earlier.wanted(today, resume)
    candidates = [
        _Candidate(start.task, task, _why_again(standing, resume), replace(start, from_start=resume.from_start))
        for task, standing in wanted
        for start in [start_of(task, standing, now)]
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

    Here a task gets its reasons. One that follows from another task's (it comes after a task that runs) belongs here.
    """
    candidates = [_Candidate(task, given, past.reasons(task)) for given in listed for task in [entered(given)]]
    known = {one.task.task_id for one in candidates}
    stays = {one.task.task_id for one in candidates if not one.why}
    for finder, task in past.found:  # one comes before those that it has found itself
        if finder in stays and task.task_id not in known:
            why = past.reasons(task)
            candidates.append(_Candidate(task, task, why))
            known.add(task.task_id)
            if not why:
                stays.add(task.task_id)
    return candidates


def _known(listed: Iterable[TaskLike], earlier: Earlier | None, candidates: Iterable[_Candidate]) -> frozenset[TaskId]:
    had = () if earlier is None else (standing.task_id for standing in earlier.standings)
    return frozenset({*(task.task_id for task in listed), *had, *(one.task.task_id for one in candidates)})


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
