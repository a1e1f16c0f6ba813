"""`pipeloom runs`: a list of all runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final

import typer

from pipeloom.cli.options.shared import Database, FilterText, Json, parsed
from pipeloom.cli.output import STARTED, cells, named, output, room, write, write_json
from pipeloom.cli.runs.state import counted_tasks, run_json
from pipeloom.filters import Filter
from pipeloom.parameters.texts import read_back, words_of
from pipeloom.store.read.history import History
from pipeloom.store.read.run_queries import Counts, as_left, counts_as_left, is_alive, runs_with, task_counts
from pipeloom.store.rows import RunRow
from pipeloom.text import clean, counted
from pipeloom.times import duration, local_stamp

_AT_ONCE: Final = 50


def runs_command(
    db: Database,
    where: FilterText = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", metavar="N", min=1, help="How many runs to show, newest first.")
    ] = 20,
    json: Json = False,
) -> None:
    """List the runs of DB, newest first: when, how long, how they ended, their tasks by status. Times are local.

    A run in whose own log is an error, as of a hook, says so: `pipeloom show DB --run N` shows it.

    With FILTER only runs that have such attempts are listed, and only tasks count whose latest attempt passes.

    Exit codes: 0 fine; 2 the command line or the file; 4 the output could not be written.
    """
    wanted = parsed(where)
    with output(), History(db) as history:
        found = _runs(history, wanted, limit)
        if json:
            for run, counts in found:
                errors = history.log_errors([run.id]).get(run.id, 0)
                write_json(run_json(history, run, alive=is_alive(db, run)) | {"counts": counts, "log_errors": errors})
            return
        runs = [*found]
        errors_of = history.log_errors([run.id for run, _ in runs])
        width = _wide([run.pipeline for run, _ in runs])
        write([f"{'run':>4}  {'pipeline':<{width}}  {'started':<{STARTED}}  {'time':>7}  {'status':<11}  tasks\n"])
        for run, counts in runs:
            unchanged = 0 if wanted else run.unchanged or 0
            line = _run_line(run, width, counts, unchanged, alive=is_alive(db, run))
            errors = errors_of.get(run.id, 0)
            write([line, f"  ! {counted(errors, 'error')} in its log" if errors else "", "\n"])


def _runs(history: History, where: Filter, limit: int) -> Iterator[tuple[RunRow, Counts]]:
    """Yield the newest runs with their counts, a few at a time."""
    below, left = 1 << 62, limit
    while left:
        page = _page(history, where, below, min(left, _AT_ONCE))
        if not page:
            return
        yield from ((run, task_counts(history, run.id, where)) for run in page)
        below, left = page[-1].id, left - len(page)


def _page(history: History, where: Filter, below: int, limit: int) -> list[RunRow]:
    if not where:
        return history.runs(before=below, limit=limit)
    found = (history.run(number) for number in runs_with(history, where, before=below, limit=limit))
    return [run for run in found if run is not None]


def _wide(names: list[str]) -> int:
    """Return the width of the names of pipelines: no more than they need, nor than a terminal has."""
    longest = max((cells(clean(name)) for name in names), default=0)
    return max(len("pipeline"), min(longest, room(54 + STARTED, 20, 40)))


def _run_line(run: RunRow, width: int, counts: Counts, unchanged: int, *, alive: bool) -> str:
    if not alive:
        run, counts = as_left(run), counts_as_left(counts)
    began, took = local_stamp(run.started_at), duration(run.took_s())
    name, given = named(run.pipeline, width), clean(words_of(read_back(run.params)), 200)
    told = "  ".join(filter(None, (counted_tasks(counts, unchanged), given)))
    return f"{run.id:>4}  {name}  {began:<{STARTED}}  {took:>7}  {run.status:<11}  {told}"
