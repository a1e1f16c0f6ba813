"""The actions of the history on a selection: comparisons, timelines, charts, exports, retention.

The screens that an action opens are imported when it is called.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from textual.screen import Screen

from pipeloom.errors import PipeloomError
from pipeloom.status import FINAL
from pipeloom.store.read.history import History
from pipeloom.store.rows import AttemptRow
from pipeloom.tui.history.queries import RunItem
from pipeloom.tui.history.selection import Selection
from pipeloom.tui.reader import read
from pipeloom.tui.services import AppServices


def is_offered(action: str, selection: Selection, services: AppServices) -> bool:
    """Tell whether an action works on the selection; unknown actions always do."""
    row = selection.row
    match action:
        case "timeline" | "run_log":
            return selection.run_id is not None
        case "chart":
            return selection.task_name is not None
        case "case":
            return selection.attempt_id is not None
        case "compare":
            return isinstance(row, AttemptRow) or (isinstance(row, RunItem) and row.run is not None)
        case "prune":
            return not services.read_only and services.owner is None
        case "retry_failed":
            return not services.read_only
        case "retry":
            return not services.read_only and _can_run_again(selection)
        case _:
            return True


def _can_run_again(selection: Selection) -> bool:
    """Tell whether the selection has an ended attempt, or may have one."""
    match selection.row:
        case AttemptRow() as row:
            return bool(selection.marked) or row.status in FINAL
        case RunItem(run=run):
            return run is not None
        case row:
            return row is not None


# -- reports -------------------------------------------------------------------------------------------------------


async def comparison(services: AppServices, selection: Selection) -> Screen[Any] | None:
    """Return the screen that compares two runs or two attempts; None, and a toast, when there are not two."""
    marked = sorted(selection.marked_ids)
    match selection.row:
        case _ if len(marked) > 2:
            services.tell("Mark two of them to compare.", problem=True)
        case RunItem(run=run) if run is not None:
            return await _runs_comparison(services, marked, run.id, run.pipeline)
        case AttemptRow() as row:
            return await _attempts_comparison(services, marked, row)
    return None


async def _runs_comparison(services: AppServices, marked: list[int], run_id: int, pipeline: str) -> Screen[Any] | None:
    from pipeloom.store.read.run_queries import run_before
    from pipeloom.tui.reports.compare.runs import CompareRunsScreen

    pair = await _pair(
        services,
        marked,
        run_id,
        lambda file: run_before(file, run_id, pipeline),
        f"There is no run of {pipeline} before run {run_id} to compare it with.",
    )
    return None if pair is None else CompareRunsScreen(services.db_path, *pair)


async def _attempts_comparison(services: AppServices, marked: list[int], row: AttemptRow) -> Screen[Any] | None:
    from pipeloom.store.read.tasks import attempt_before
    from pipeloom.tui.reports.compare.attempts import CompareAttemptsScreen

    pair = await _pair(
        services,
        marked,
        row.id,
        lambda file: attempt_before(file, row.name, row.id),
        "There is no attempt of this task before this one to compare it with.",
    )
    return None if pair is None else CompareAttemptsScreen(services.db_path, *pair)


async def _pair(
    services: AppServices,
    marked: list[int],
    this: int,
    find_before: Callable[[History], int | None],
    nothing: str,
) -> tuple[int, int] | None:
    """Return the two marked ids, else this one and the one before; None, and a toast, when there is none."""
    chosen = marked if len(marked) == 2 else sorted({*marked, this})
    if len(chosen) == 2:
        return chosen[0], chosen[1]
    try:
        before = await read(services.db_path, find_before)
    except (PipeloomError, InterruptedError) as error:
        services.tell(str(error), problem=True)
        return None
    if before is None:
        services.tell(nothing, problem=True)
        return None
    return before, this


async def attempt_on_timeline(services: AppServices, selection: Selection) -> int | None:
    """Show the run of the row in time; returns the attempt that the user chose there."""
    from pipeloom.tui.reports.timeline.screen import TimelineScreen

    run_id = selection.run_id
    if run_id is None:
        return None
    screen: Screen[Any] = TimelineScreen(services.db_path, run_id)
    return await services.push_screen_wait(screen)


def task_chart(services: AppServices, selection: Selection) -> Screen[Any] | None:
    """Return the screen with the durations of the row's task."""
    from pipeloom.tui.reports.charts.screen import TaskChartScreen

    name = selection.task_name
    return None if name is None else TaskChartScreen(services.db_path, name)


def run_log(services: AppServices, selection: Selection) -> Screen[Any] | None:
    """Return the screen with the own log of the row's run."""
    from pipeloom.tui.reports.run_log import RunLogScreen

    return None if selection.run_id is None else RunLogScreen(services.db_path, selection.run_id)


def days_chart(services: AppServices) -> Screen[Any]:
    """Return the screen with the runs of each day."""
    from pipeloom.tui.reports.charts.screen import FileChartScreen

    return FileChartScreen(services.db_path)


# -- files ---------------------------------------------------------------------------------------------------------


async def export(services: AppServices, selection: Selection) -> None:
    """Write the attempts of the selection to a file or to the clipboard."""
    from pipeloom.tui.history.dialogs.export import export_attempts

    try:
        where = selection.exported()
        total = await read(services.db_path, lambda file: file.count(where))
        await export_attempts(services, where, total, selection.sort)
    except (PipeloomError, InterruptedError) as error:
        services.tell(str(error), problem=True)


async def export_case_file(services: AppServices, selection: Selection) -> None:
    """Write the case file of the row's attempt."""
    from pipeloom.tui.history.dialogs.export import export_case

    attempt_id = selection.attempt_id
    if attempt_id is None:
        return
    try:
        row = await read(services.db_path, lambda file: file.attempt(attempt_id))
    except (PipeloomError, InterruptedError) as error:
        services.tell(str(error), problem=True)
        return
    if row is not None:
        await export_case(services, row)


async def prune(services: AppServices) -> None:
    """Ask for a retention policy, and remove old attempts."""
    from pipeloom.tui.history.dialogs.prune import prune_attempts

    await prune_attempts(services)
