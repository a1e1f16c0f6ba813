"""Running again what an earlier run has left: the questions that are asked before anything is started."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from textual.content import Content

from pipeloom.engine.engine import Engine
from pipeloom.engine.resume import FAILED, NOT_DONE, Earlier, Resume, earlier_run
from pipeloom.errors import UsageError
from pipeloom.messages import TaskId, TaskLike
from pipeloom.tui import format as fmt
from pipeloom.tui.text import content
from pipeloom.tui.widgets.dialogs import Choice, ChoiceDialog


class Start(Enum):
    """What to start when nothing is resumed."""

    NOTHING = auto()
    EVERYTHING = auto()


def resume_dialog(earlier: Earlier, tasks: Sequence[TaskLike]) -> ChoiceDialog[Resume | Start]:
    """Return the dialog that asks what to do about `earlier`; nothing runs unless the answer says so."""
    left, failed = earlier.count(tasks, NOT_DONE), earlier.count(tasks, FAILED)
    run = earlier.run
    choices: list[Choice[Resume | Start]] = [Choice(Start.NOTHING, "Leave it, and show the history")]
    if left:
        choices.append(Choice(Resume(run_id=run.id), f"Resume all that is not done ({fmt.count(left)})", "-confirm"))
    if 0 < failed < left:
        again = Resume(run_id=run.id, statuses=FAILED)
        choices.append(Choice(again, f"Resume what failed or was interrupted ({fmt.count(failed)})", "-confirm"))
    choices.append(Choice(Start.EVERYTHING, f"Run everything anew ({fmt.count(len(tasks))})", "-confirm"))
    body = f"{fmt.count(len(tasks) - left)} of its {fmt.count(len(tasks))} tasks are done. What it did stays as it is."
    return ChoiceDialog(f"Run {run.id} of {run.pipeline} did not come to its end.", body, choices)


@dataclass(frozen=True, slots=True)
class RetryPlan:
    """What would be run again, and the words to ask with."""

    resume: Resume
    title: str
    body: Content


def plan_retry(engine: Engine, run_id: int, named: Mapping[TaskId, str] | None) -> RetryPlan:
    """Return what running tasks of an earlier run again means: those `named` (by id), or all that failed.

    Reads the file. Raises `UsageError` when the loaded pipeline cannot do it: code and tasks are never taken from the
    file.
    """
    earlier = earlier_run(engine.db_path, engine.pipeline.name, run_id)
    if earlier is None or earlier.run.pipeline != engine.pipeline.name:
        whose = "gone" if earlier is None else f"one of {earlier.run.pipeline}"
        raise UsageError(f"Run {run_id} is {whose}; the pipeline that is loaded is {engine.pipeline.name}.")
    wanted = set(named or (key for key, standing in earlier.standings.items() if standing.status in FAILED))
    tasks = [task for task in engine.tasks if task.task_id in wanted]
    if not tasks:
        raise UsageError(
            f"No task of run {run_id} has failed."
            if not wanted
            else f"The pipeline that is loaded has no such {'task' if len(wanted) == 1 else 'tasks'} any more."
        )
    title = f"Run {fmt.count(len(tasks))} {'task' if len(tasks) == 1 else 'tasks'} of run {run_id} again?"
    shown = [content(f"  {task.name or '(empty)'}", "bold", limit=60) for task in tasks[:5]]
    if len(tasks) > len(shown):
        shown.append(content(f"  … and {fmt.count(len(tasks) - len(shown))} more", "$muted"))
    gone = len(wanted) - len(tasks)
    if gone:
        shown.append(content(f"  {fmt.count(gone)} more are no tasks of the pipeline that is loaded", "$muted"))
    body = Content("\n").join([*shown, Content(""), content("They become a new run, which names this one.", "$muted")])
    ids = frozenset(task.task_id for task in tasks)
    return RetryPlan(Resume(run_id=run_id, task_ids=ids), title, body)
