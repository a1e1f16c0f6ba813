"""Reruns of tasks of earlier runs: the tasks of a selection, the question, and the new run.

Code and tasks are the loaded pipeline's, never the file's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from textual.content import Content

from pipeloom.engine.engine import Engine
from pipeloom.engine.run.resume import NOT_DONE, Resume, earlier_run, with_found
from pipeloom.engine.run.same_task import tasks_again
from pipeloom.errors import PipeloomError, UsageError
from pipeloom.messages import TaskLike
from pipeloom.store.read.failures import FailureGroup
from pipeloom.store.read.history import History
from pipeloom.store.read.selected_tasks import SelectedTask, selected_tasks, tasks_named, tasks_of_attempts
from pipeloom.store.read.tasks import TaskStats, tasks_with_state, with_state
from pipeloom.store.rows import AttemptRow
from pipeloom.text import counted
from pipeloom.tui.attempts.code_question import Code, code_dialog
from pipeloom.tui.attempts.questions import (
    CAN_RUN_AGAIN,
    Again,
    again_dialog,
    needs_question,
    retry_dialog,
    retry_title,
)
from pipeloom.tui.history.queries import RunItem
from pipeloom.tui.history.selection import Selection
from pipeloom.tui.reader import read
from pipeloom.tui.services import AppServices
from pipeloom.tui.style import format as fmt
from pipeloom.tui.style.text import content
from pipeloom.tui.threads import in_daemon_thread
from pipeloom.tui.widgets.dialogs import ConfirmDialog
from pipeloom.user_state import last_pipeline

_NAMED = 5
"""Maximum number of tasks that the question names."""

Find = Callable[[History], list[SelectedTask]]


async def retry(services: AppServices, selection: Selection) -> bool:
    """Run the marked rows again, else the one under the cursor; returns whether they will run.

    A row stands for its attempt, for its task, for the tasks that failed like this, or for the rest of its run.
    """
    marked = selection.marked
    match selection.row:
        case RunItem(run=run) if run is not None:
            return await _retry_rest(services, run.id)
        case AttemptRow() as row:
            ids = [key for key in marked if isinstance(key, int)] or [row.id]
            engine = services.engine
            if engine is not None and engine.is_started and row.run_id == engine.run_id:
                return await _retry_in_open_run(services, engine, ids)
            return await _retry_tasks(services, lambda file: tasks_of_attempts(file, ids), leave_done=False)
        case TaskStats() as row:
            names = [str(key) for key in marked] or [row.name]
            return await _retry_tasks(services, lambda file: tasks_named(file, names), leave_done=False)
        case FailureGroup() as row:
            where = selection.failures(row)
            return await _retry_tasks(services, lambda file: selected_tasks(file, where), leave_done=True)
        case _:
            return False


async def retry_failed(services: AppServices, selection: Selection) -> bool:
    """Run the tasks again that are shown as failed and were not done since; returns whether they will run."""
    where = selection.failed()
    return await _retry_tasks(
        services, lambda file: selected_tasks(file, where), leave_done=True, action="retry_failed"
    )


async def _retry_in_open_run(services: AppServices, engine: Engine, attempt_ids: list[int]) -> bool:
    """Retry attempts within the run that this program has open, after the question of `needs_question`."""
    try:
        rows = await read(services.db_path, lambda file: [file.attempt(attempt_id) for attempt_id in attempt_ids])
        kept = await read(services.db_path, lambda file: with_state(file, attempt_ids))
    except (PipeloomError, InterruptedError) as error:
        services.tell(str(error), problem=True)
        return False
    there, again = [row for row in rows if row is not None and row.status in CAN_RUN_AGAIN], Again.GO_ON
    if not there:
        services.tell("Nothing to run again here: it has not ended yet.", problem=True)
        return False
    if not await _code_is_chosen(services, "retry", retry_title(there)):
        return False
    if kept or needs_question(there):
        again = await services.push_screen_wait(retry_dialog(lambda: there, action="retry", with_state=kept))
    if again is Again.NO:
        return False
    ended = [row.id for row in there]
    result = await services.ask(lambda: engine.retry(ended, from_start=again is Again.FROM_START))
    if result is None:
        return False
    services.report({"queued again": len(result.accepted)}, result.refused)
    return True


async def _retry_tasks(services: AppServices, find: Find, *, leave_done: bool, action: str = "retry") -> bool:
    engine = await _loaded_engine(services)
    if engine is None or not await _code_is_chosen(services, action):
        return False
    try:
        chosen = await read(services.db_path, find)
        plan = await in_daemon_thread(partial(plan_tasks, engine, chosen, leave_done=leave_done), "pipeloom-plan")
        return await _confirm(services, plan, action)
    except (PipeloomError, InterruptedError) as error:
        services.tell(str(error), problem=True)
        return False


async def _retry_rest(services: AppServices, run_id: int) -> bool:
    engine = await _loaded_engine(services)
    if engine is None or not await _code_is_chosen(services, "retry"):
        return False
    try:
        return await _confirm(
            services, await in_daemon_thread(partial(plan_rest, engine, run_id), "pipeloom-plan"), "retry"
        )
    except PipeloomError as error:
        services.tell(str(error), problem=True)
        return False


async def _confirm(services: AppServices, plan: RetryPlan, action: str) -> bool:
    """Ask, and begin the new run after a yes."""
    again = await services.push_screen_wait(
        again_dialog(plan.title, plan.body, action=action, with_state=plan.with_state)
    )
    if again is Again.NO:
        return False
    services.run_again(plan.engine, replace(plan.resume, from_start=again is Again.FROM_START))
    return True


async def _code_is_chosen(services: AppServices, action: str, title: str = "") -> bool:
    """Ask which code to run if the files have changed, and load it; False: nothing is run."""
    if (change := services.code_change) is None:
        return True
    title = title or f"With the code of {change.time}, or as it was loaded?"
    code = await services.push_screen_wait(code_dialog(title, change, action=action))
    return code is Code.LOADED or (code is Code.NEW and await services.renew_code())


async def _loaded_engine(services: AppServices) -> Engine | None:
    """Return the engine with the pipeline to run; without one, offer to load the pipeline that this user last ran."""
    engine = services.engine
    if engine is not None and engine.is_running:
        services.tell("A run goes on: tasks of an earlier one can be run again when it has ended.", problem=True)
        return None
    if engine is not None:
        return engine
    if services.owner is not None:
        services.tell(f"The file is in use by {services.owner}: run tasks again there.", problem=True)
        return None
    spec = await asyncio.to_thread(last_pipeline, services.db_path)
    if not spec:
        name = services.db_path.name
        services.tell(f"No pipeline is loaded: open the file with it, pipeloom-tui {name} pipeline.py", problem=True)
        return None
    if not await services.push_screen_wait(_load_dialog(spec, services.db_path)):
        return None
    return await services.load(spec)


# -- plans ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RetryPlan:
    """The tasks to run again, and the words of the question."""

    engine: Engine
    """Not started yet; it has listed the tasks with the parameters of the run that the new one names."""
    resume: Resume
    title: str
    body: Content
    with_state: int
    """How many of the tasks have left a state to go on from."""


def plan_tasks(engine: Engine, chosen: Sequence[SelectedTask], *, leave_done: bool) -> RetryPlan:
    """Return the plan for the chosen tasks; with `leave_done` without those that were done since.

    When all were done since, the plan has them all. Raises `UsageError` when the loaded pipeline has none of them, or
    has given the id of one to another task.
    """
    name = engine.pipeline.name
    mine = [selected for selected in chosen if selected.pipeline == name]
    if not mine:
        others = sorted({selected.pipeline for selected in chosen})
        raise UsageError(
            f"These are tasks of {', '.join(others[:3])}; the pipeline that is loaded is {name}."
            if others
            else "There is nothing to run again here."
        )
    wanted = [selected for selected in mine if not (leave_done and selected.is_done)] or mine
    runs = {selected.run_id for selected in wanted}
    engine = engine.again(max(runs))
    earlier = earlier_run(engine.db_path, name, max(runs))
    listed = with_found(engine.tasks, () if earlier is None else earlier.found)
    same = tasks_again(listed, wanted)
    there = {*same.found, *same.changed}
    tasks = [task for task in listed if task.task_id in there]
    if not tasks:
        word = "task" if len(wanted) == 1 else "tasks"
        raise UsageError(f"The pipeline that is loaded has no such {word} any more.")
    followers = "that was skipped and comes after them runs, too", "that were skipped and come after them run, too"
    left = (
        (len(mine) - len(wanted), "has been done since and is left out", "have been done since and are left out"),
        (
            len(wanted) - len(tasks),
            "is no task of the pipeline that is loaded",
            "are no tasks of the pipeline that is loaded",
        ),
        (len(chosen) - len(mine), "is of another pipeline", "are of other pipelines"),
        (len(same.changed), "has other params now", "have other params now"),
        (0 if earlier is None else len(earlier.followers(engine.today, there)), *followers),
    )
    remarks = [counted(count, one, many) for count, one, many in left if count]
    if leave_done and all(selected.is_done for selected in mine):
        remarks.append("All of them have been done since.")
    return _plan_of(engine, tasks, runs, remarks)


def _with_state(engine: Engine, tasks: Iterable[TaskLike]) -> int:
    """Return how many of the tasks have left a state to go on from."""
    with History(engine.db_path) as history:
        kept = tasks_with_state(history, engine.pipeline.name)
    return sum(task.task_id in kept for task in tasks)


def _plan_of(engine: Engine, tasks: Sequence[TaskLike], runs: set[int], remarks: Sequence[str]) -> RetryPlan:
    """Return the plan for tasks of some runs, with the first of their names and the remarks below them."""
    of = f"run {max(runs)}" if len(runs) == 1 else counted(len(runs), "run")
    title = f"Run {counted(len(tasks), 'task')} of {of} again?"
    shown = [content(f"  {task.name or '(empty)'}", "bold", limit=60) for task in tasks[:_NAMED]]
    if len(tasks) > _NAMED:
        shown.append(content(f"  … and {fmt.count(len(tasks) - _NAMED)} more", "$muted"))
    shown += [content(f"  {remark}", "$muted") for remark in remarks]
    newest = "this one" if len(runs) == 1 else f"run {max(runs)}"
    body = Content("\n").join([*shown, Content(""), content(f"They become a new run, which names {newest}.", "$muted")])
    resume = Resume(run_id=max(runs), task_ids=frozenset(task.task_id for task in tasks))
    return RetryPlan(engine, resume, title, body, _with_state(engine, tasks))


def plan_rest(engine: Engine, run_id: int) -> RetryPlan:
    """Return the plan for the rest of a run: all tasks that it has not done.

    Raises `UsageError` when nothing is left, or the run is not one of the loaded pipeline.
    """
    earlier = earlier_run(engine.db_path, engine.pipeline.name, run_id)
    if earlier is None or earlier.run.pipeline != engine.pipeline.name:
        whose = "gone" if earlier is None else f"one of {earlier.run.pipeline}"
        raise UsageError(f"Run {run_id} is {whose}; the pipeline that is loaded is {engine.pipeline.name}.")
    engine = engine.again(run_id)
    resume = Resume(run_id=run_id, statuses=NOT_DONE)
    tasks = [task for task, _ in earlier.wanted(engine.today, resume)]
    left = len(tasks)
    if not left:
        raise UsageError(f"Run {run_id} has left nothing undone.")
    total = len(with_found(engine.tasks, earlier.found))
    share = fmt.share_done(total - left, total)
    body = content(f"{share}. The rest becomes a new run, which names this one.")
    title = f"Run the rest of run {run_id} ({counted(left, 'task')})?"
    return RetryPlan(engine, resume, title, body, _with_state(engine, tasks))


def _load_dialog(spec: str, db_path: Path) -> ConfirmDialog:
    """Return the question whether to load the pipeline `spec`."""
    body = Content("\n").join(
        [
            content(f"The last one that you ran on {db_path.name}:", limit=120),
            Content(""),
            content(f"  {spec}", "bold", limit=300),
            Content(""),
            content("Loading it runs the Python code in it.", "$muted"),
        ]
    )
    return ConfirmDialog(
        "No pipeline is loaded. Load one?",
        body,
        "Load it",
        cancel_label="Leave it",
        destructive=False,
    )
