"""A plan as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from rich.cells import cell_len

from pipeloom.cli.output import cut, named, room
from pipeloom.engine.changes.plan import Plan, PlannedTask
from pipeloom.parameters.texts import words_of
from pipeloom.pipeline import Pipeline, TaskList
from pipeloom.text import LongNames, clean, counted

_WIDEST: Final = 40
_MEASURED: Final = 1_000
"""Tasks by whose names the column is made."""


def plan_json(db: Path, pipeline: Pipeline, today: TaskList, plan: Plan) -> dict[str, Any]:
    """Return the plan as one JSON object."""
    return {
        "db": str(db),
        "pipeline": pipeline.name,
        "params": today.params,
        "resumes": None if plan.earlier is None else plan.earlier.run.id,
        "tasks": [
            {"task_id": one.start.task.task_id, "name": one.start.task.name, "why": one.why} for one in plan.tasks
        ],
        "would_run": len(plan.tasks),
        "unchanged": None if plan.unchanged is None else len(plan.unchanged),
        "left_out": plan.left_out,
        "gone": [{"task_id": task_id, "name": name} for task_id, name in plan.gone],
    }


def plan_lines(pipeline: Pipeline, today: TaskList, plan: Plan) -> Iterator[str]:
    """Yield the lines: the numbers, each task that would run with its reasons, and the tasks that are gone."""
    name, given = clean(pipeline.name, 60), words_of(today.params)
    of = "" if plan.earlier is None else f" of what run {plan.earlier.run.id} left"
    numbers = [
        f"{counted(len(plan.tasks), 'task')}{of} would run" if plan.tasks else f"nothing{of} would run",
        "" if plan.unchanged is None else f"{len(plan.unchanged):,} unchanged",
        f"{plan.left_out:,} left out" if plan.left_out else "",
        f"{len(plan.gone):,} gone" if plan.gone else "",
    ]
    yield f"{name}{given and f' with {clean(given, 200)}'}: {', '.join(filter(None, numbers))}\n"
    labels = [_label(one) for one in plan.tasks[:_MEASURED]]
    names = LongNames(labels)
    width = min(max(map(cell_len, labels), default=0), max(20, room(4, 40, 2 * _WIDEST) // 2))
    for one in plan.tasks:
        yield f"  {named(_label(one), width, names)}  {cut('; '.join(one.why), room(4 + width, 30, 400))}\n"
    for task_id, gone in plan.gone:
        yield f"  gone: {clean(gone or task_id)}\n"


def _label(one: PlannedTask) -> str:
    """Return the name of a task, with its id where that is another."""
    task = one.start.task
    name = clean(task.name) or "(empty)"
    return name if str(task.task_id) == task.name else f"{name} ({clean(task.task_id)})"
