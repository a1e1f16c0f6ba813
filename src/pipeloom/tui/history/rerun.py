"""Running tasks of earlier runs again: what a selection comes to, and the words to ask with.

Code and tasks are the loaded pipeline's, never the file's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from textual.content import Content

from pipeloom.engine.engine import Engine
from pipeloom.engine.run.resume import NOT_DONE, Resume, earlier_run
from pipeloom.errors import UsageError
from pipeloom.store.read.selected_tasks import SelectedTask
from pipeloom.tui.style import format as fmt
from pipeloom.tui.style.text import content
from pipeloom.tui.widgets.dialogs import Choice, ChoiceDialog

_NAMED = 5


@dataclass(frozen=True, slots=True)
class RetryPlan:
    """What would be run again, and the words to ask with."""

    resume: Resume
    title: str
    body: Content


def plan_targets(engine: Engine, chosen: Sequence[SelectedTask], *, leave_done: bool) -> RetryPlan:
    """Return what running the tasks that were chosen again means; with `leave_done` without those done since.

    When all have been done since, they are all meant. Raises `UsageError` when the loaded pipeline has none of them.
    """
    name = engine.pipeline.name
    mine = [target for target in chosen if target.pipeline == name]
    if not mine:
        others = sorted({target.pipeline for target in chosen})
        raise UsageError(
            f"These are tasks of {', '.join(others[:3])}; the pipeline that is loaded is {name}."
            if others
            else "There is nothing to run again here."
        )
    ids = {target.task_id for target in mine}
    wanted = {target.task_id for target in mine if not (leave_done and target.is_done)} or ids
    tasks = [task for task in engine.tasks if task.task_id in wanted]
    if not tasks:
        word = "task" if len(wanted) == 1 else "tasks"
        raise UsageError(f"The pipeline that is loaded has no such {word} any more.")
    runs = {target.run_id for target in mine if target.task_id in wanted}
    left = {
        "have been done since and are left out": len(ids) - len(wanted),
        "are no tasks of the pipeline that is loaded": len(wanted) - len(tasks),
        "are of other pipelines": len(chosen) - len(mine),
    }
    of = f"run {max(runs)}" if len(runs) == 1 else f"{fmt.count(len(runs))} runs"
    title = f"Run {fmt.count(len(tasks))} {'task' if len(tasks) == 1 else 'tasks'} of {of} again?"
    shown = [content(f"  {task.name or '(empty)'}", "bold", limit=60) for task in tasks[:_NAMED]]
    if len(tasks) > _NAMED:
        shown.append(content(f"  … and {fmt.count(len(tasks) - _NAMED)} more", "$muted"))
    shown += [content(f"  {fmt.count(count)} {why}", "$muted") for why, count in left.items() if count]
    if leave_done and all(target.is_done for target in mine):
        shown.append(content("  All of them have been done since.", "$muted"))
    newest = "this one" if len(runs) == 1 else f"run {max(runs)}"
    body = Content("\n").join([*shown, Content(""), content(f"They become a new run, which names {newest}.", "$muted")])
    return RetryPlan(Resume(run_id=max(runs), task_ids=frozenset(task.task_id for task in tasks)), title, body)


def plan_rest(engine: Engine, run_id: int) -> RetryPlan:
    """Return what running the rest of a run means: all that it has not done.

    Raises `UsageError` when there is no rest, or the run is not one of the loaded pipeline.
    """
    earlier = earlier_run(engine.db_path, engine.pipeline.name, run_id)
    if earlier is None or earlier.run.pipeline != engine.pipeline.name:
        whose = "gone" if earlier is None else f"one of {earlier.run.pipeline}"
        raise UsageError(f"Run {run_id} is {whose}; the pipeline that is loaded is {engine.pipeline.name}.")
    left = earlier.count(engine.tasks, NOT_DONE)
    if not left:
        raise UsageError(f"Run {run_id} has left nothing undone.")
    body = content(
        f"{fmt.count(len(engine.tasks) - left)} of its {fmt.count(len(engine.tasks))} tasks are done. The rest becomes "
        "a new run, which names this one."
    )
    title = f"Run the rest of run {run_id} ({fmt.count(left)} {'task' if left == 1 else 'tasks'})?"
    return RetryPlan(Resume(run_id=run_id, statuses=NOT_DONE), title, body)


def load_dialog(spec: str, db_path: Path) -> ChoiceDialog[bool]:
    """Return the question whether to load the pipeline that this user last ran on the file."""
    body = Content("\n").join(
        [
            content(f"The last one that you ran on {db_path.name}:", limit=120),
            Content(""),
            content(f"  {spec}", "bold", limit=300),
            Content(""),
            content("Loading it runs the Python code in it.", "$muted"),
        ]
    )
    choices = [Choice(False, "Leave it"), Choice(True, "Load it", "-confirm")]  # noqa: FBT003
    return ChoiceDialog("No pipeline is loaded. Load one?", body, choices)
