"""The actions of the history on a selection: comparisons, timelines, charts, exports, retention.

The screens that an action opens are imported when it is called.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
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
        case "timeline" | "log" | "task":
            return bool(report_on(action, selection))
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


def report_on(kind: str, selection: Selection) -> str:
    """Return a report of the row, named as `Place.report`; "" where there is none."""
    match kind:
        case "timeline" if selection.run_id is not None:
            return f"timeline:{selection.run_id}"
        case "log" if selection.run_id is not None:
            return f"log:{selection.run_id}"
        case "task" if selection.task_name is not None:
            return f"task:{selection.task_name}"
    return "days" if kind == "days" else ""


async def show_report(services: AppServices, report: str) -> int | None:
    """Show a report of `Place.report`; returns the attempt that the user chose there. For a worker of the screen."""
    return await services.push_screen_wait(_report_screen(services.db_path, report))


def _report_screen(db_path: Path, report: str) -> Screen[Any]:
    from pipeloom.tui.reports.charts.screen import FileChartScreen, TaskChartScreen
    from pipeloom.tui.reports.compare.attempts import CompareAttemptsScreen
    from pipeloom.tui.reports.compare.runs import CompareRunsScreen
    from pipeloom.tui.reports.run_log import RunLogScreen
    from pipeloom.tui.reports.timeline.screen import TimelineScreen

    kind, _, of = report.partition(":")
    match kind:
        case "timeline":
            return TimelineScreen(db_path, int(of))
        case "log":
            return RunLogScreen(db_path, int(of))
        case "task":
            return TaskChartScreen(db_path, of)
        case "days":
            return FileChartScreen(db_path)
    first, second = map(int, of.split(","))
    compared = CompareRunsScreen if kind == "runs" else CompareAttemptsScreen
    return compared(db_path, first, second)


async def comparison(services: AppServices, selection: Selection) -> str:
    """Return the report that compares two runs or two attempts; "", and a toast, when there are not two."""
    from pipeloom.store.read.run_queries import run_before
    from pipeloom.store.read.tasks import attempt_before

    marked = sorted(selection.marked_ids)
    match selection.row:
        case _ if len(marked) > 2:
            services.tell("Mark two of them to compare.", problem=True)
        case RunItem(run=run) if run is not None:
            nothing = f"There is no run of {run.pipeline} before run {run.id} to compare it with."
            return await _pair(
                services, "runs", marked, run.id, lambda file: run_before(file, run.id, run.pipeline), nothing
            )
        case AttemptRow() as row:
            nothing = "There is no attempt of this task before this one to compare it with."
            return await _pair(
                services, "attempts", marked, row.id, lambda file: attempt_before(file, row.name, row.id), nothing
            )
    return ""


async def _pair(
    services: AppServices,
    kind: str,
    marked: list[int],
    this: int,
    find_before: Callable[[History], int | None],
    nothing: str,
) -> str:
    """Return the report of the two marked ids, else of this one and the one before; "", and a toast, without one."""
    chosen = marked if len(marked) == 2 else sorted({*marked, this})
    if len(chosen) != 2:
        try:
            before = await read(services.db_path, find_before)
        except (PipeloomError, InterruptedError) as error:
            services.tell(str(error), problem=True)
            return ""
        if before is None:
            services.tell(nothing, problem=True)
            return ""
        chosen = [before, this]
    return f"{kind}:{chosen[0]},{chosen[1]}"


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
