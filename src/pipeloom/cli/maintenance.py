"""`pipeloom prune` and `pipeloom backup`: what a file needs over the years."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn

from pipeloom.cli.common import is_quiet, note, tell
from pipeloom.cli.options.shared import Database, FilterText, Json, WritableDatabase, parsed
from pipeloom.cli.output import output, write, write_json
from pipeloom.console import shared_console
from pipeloom.store.maintenance.backup import back_up
from pipeloom.store.maintenance.prune import Policy, Pruned, PrunePreview, plan, prune, why_nothing
from pipeloom.text import clean, counted, size


def prune_command(
    db: WritableDatabase,
    where: FilterText = None,
    keep_last: Annotated[
        int | None, typer.Option("--keep-last", metavar="N", help="Keep the attempts of the last N runs of each task.")
    ] = None,
    done_for: Annotated[
        float | None, typer.Option("--done-for", metavar="DAYS", help="Done attempts go when they are older.")
    ] = None,
    failed_for: Annotated[
        float | None,
        typer.Option(
            "--failed-for", metavar="DAYS", help="Failed, cancelled, interrupted and skipped ones go when older."
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes/--dry-run", help="Do it, or only say what would go.")] = False,
    json: Json = False,
) -> None:
    """Remove old attempts with their logs, and runs that have none left. Without --yes, only say what would go.

    An attempt goes when every rule that is given lets it go, and it passes FILTER. Attempts that have not ended, open
    runs, and what the last run of a pipeline stands on while it is not done, always stay. Rows go in small commits:
    what is gone stays gone when it is stopped. When much is free then, the file is written again without it.

    Exit codes: 0 fine; 2 the command line or the file; 4 the output could not be written; 6 another process uses DB;
    128 + n stopped by signal n.
    """
    policy = Policy(keep_last, done_for, failed_for, parsed(where))
    policy.check()
    if not yes:
        doomed = plan(db, policy)
        with output():
            _tell_plan(db, doomed, policy, json=json)
        return
    with _flag_on_signals() as stopped, _bar() as bar:
        task = bar.add_task("", total=None)
        pruned = prune(
            db,
            policy,
            progress=lambda removed, total: bar.update(task, completed=removed, total=total),
            should_stop=lambda: bool(stopped),
        )
    with output():
        _tell_result(db, pruned, json=json)
    if stopped and not pruned.complete:
        tell("Stopped: what is gone stays gone, the rest is as it was.")
        raise typer.Exit(128 + stopped[0])


@contextmanager
def _flag_on_signals() -> Iterator[list[int]]:
    """Collect the signals that ask the program to stop; it stops between two commits."""
    received: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    for number in numbers:
        if before[number] is not signal.SIG_IGN:
            signal.signal(number, lambda given, _frame: received.append(given))
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _bar() -> Progress:
    columns = (TextColumn("removing"), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, console=shared_console(), transient=True, disable=_hides_bars())


def _hides_bars() -> bool:
    return is_quiet() or not shared_console().is_terminal


def _tell_plan(db: Path, doomed: PrunePreview, policy: Policy, *, json: bool) -> None:
    if json:
        write_json({"db": str(db), "dry_run": True, **_named(asdict(doomed))})
    elif not doomed.attempts:
        write([f"Nothing would go from {clean(db)}: {why_nothing(doomed, policy)}\n"])
    else:
        runs = f"{counted(doomed.runs, 'run')}: about {size(doomed.size)}. Add --yes to do it.\n"
        lost = f"{counted(doomed.attempts, 'attempt')} with {counted(doomed.logs, 'log line')}"
        write([f"Would remove {lost}, and {runs}"])


def _named(values: dict[str, Any]) -> dict[str, Any]:
    return {{"size": "bytes"}.get(name, name): value for name, value in values.items()}


def _tell_result(db: Path, pruned: Pruned, *, json: bool) -> None:
    if json:
        write_json({"db": str(db), "dry_run": False, **asdict(pruned)})
        return
    given = f"{size(pruned.given_back)} given back" if not pruned.remark else pruned.remark
    write([f"Removed {counted(pruned.attempts, 'attempt')} and {counted(pruned.runs, 'run')}; {given}.\n"])


def backup_command(
    db: Database,
    target: Annotated[Path, typer.Argument(metavar="FILE", help="The copy: a new file, for you alone.")],
    json: Json = False,
) -> None:
    """Copy DB, with all that is committed, to the new file FILE; a run may go on meanwhile.

    The copy is of one moment, complete in one file, and checked. It overwrites nothing. To restore one, end what uses
    DB, remove DB-wal and DB-shm, and then copy it over DB.

    Exit codes: 0 fine; 2 a file that cannot be read or written; 4 the output could not be written.
    """
    columns = (TextColumn("copying"), BarColumn(), TaskProgressColumn())
    with Progress(*columns, console=shared_console(), transient=True, disable=_hides_bars()) as bar:
        task = bar.add_task("", total=None)
        copied = back_up(db, target, lambda done, total: bar.update(task, completed=done, total=total))
    if json:
        with output():
            write_json({"db": str(db), "copy": str(target), "bytes": copied})
    note(f"{clean(target, 300)} is a copy of {clean(db, 300)}: {size(copied)}, checked.")
