"""`pipeloom cancel` and `pipeloom retry`: what the keys do, for scripts."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from pipeloom.cli.common import (
    PIPELINE_HELP,
    Address,
    Durability,
    DurabilityChoice,
    Executor,
    Grace,
    HangupChoice,
    NoWal,
    OnHangup,
    Workers,
    engine_options,
    source_of,
    tell,
)
from pipeloom.engine.commands import CommandResult
from pipeloom.engine.control.client import ControlClient
from pipeloom.engine.engine import Engine
from pipeloom.engine.refusal_text import refusal_text
from pipeloom.engine.run.resume import Resume
from pipeloom.errors import UsageError
from pipeloom.filters import Filter, FilterError, parse
from pipeloom.loader import load_pipeline
from pipeloom.pipeline import Pipeline, checked_tasks
from pipeloom.status import FINAL, OPEN, Exit, Status
from pipeloom.store.file.owner import is_owned
from pipeloom.store.maintenance.recovery import recover
from pipeloom.store.read.history import History
from pipeloom.store.read.run_queries import LatestAttempt, latest_attempts, run_named_by
from pipeloom.text import clean

_AGAIN: Final = FINAL | {Status.RETRYING}

Database = Annotated[Path, typer.Argument(metavar="DB", help="The SQLite file.")]
FilterText = Annotated[
    str,
    typer.Argument(metavar="FILTER", help="Which tasks, by their latest attempt: 'status:error', 'run:12 seattle'."),
]
Json = Annotated[bool, typer.Option("--json", help="Write JSON instead of text.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show which tasks are meant.")]


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a command is meant for."""

    command: str
    run_id: int
    pipeline: str
    tasks: list[LatestAttempt]

    def told(self, **more: Any) -> str:
        """Return it as a line of JSON."""
        tasks = [task._asdict() for task in self.tasks]
        return json.dumps({"command": self.command, "run_id": self.run_id, "tasks": tasks, **more})


def cancel_command(db: Database, where: FilterText, *, dry_run: DryRun = False, json: Json = False) -> None:
    """Cancel tasks of the run that another process has under way on DB: what waits ends, what runs is asked to stop.

    Exit codes: 0 all were cancelled or asked to stop; 1 some were refused; 2 nobody runs a pipeline on DB, or the
    command line or the file is at fault.
    """
    wanted = _parsed(where)
    if not is_owned(db):
        raise UsageError(f"Nobody runs a pipeline on {db}: there is nothing to cancel.")
    chosen = _choose("cancel", db, wanted, OPEN)
    if dry_run:
        _show(chosen, json=json)
    else:
        _ask(db, chosen, json=json)


def retry_command(
    db: Database,
    where: FilterText,
    pipeline: Annotated[
        str | None, typer.Argument(metavar="[PIPELINE]", help=PIPELINE_HELP, show_default=False)
    ] = None,
    *,
    dry_run: DryRun = False,
    json: Json = False,
    workers: Workers = None,
    executor: Executor = None,
    address: Address = None,
    durability: Durability = DurabilityChoice.FULL,
    no_wal: NoWal = False,
    grace: Grace = 10.0,
    on_hangup: OnHangup = HangupChoice.STOP,
) -> None:
    """Run tasks again that have ended: in the run that another process has under way on DB, else as a new run.

    A new run needs PIPELINE, because code is never taken from the file, and runs the tasks of the last run, or of the
    one that FILTER names. While another process owns DB, PIPELINE and the options of a run are not looked at.

    Exit codes: as `pipeloom run`; where another process was asked: 0 all were queued again; 1 some were refused; 2 the
    command line or the file.
    """
    wanted = _parsed(where)
    if is_owned(db):
        chosen = _choose("retry", db, wanted, _AGAIN)
        if dry_run:
            _show(chosen, json=json)
        else:
            _ask(db, chosen, json=json)
        return
    if pipeline is None and not dry_run:
        raise UsageError(
            f"Nobody runs a pipeline on {db}: name the one whose tasks are to be run again, for example "
            f"pipeloom retry {db} 'status:error' pipeline.py"
        )
    if not dry_run:
        recover(db)
    chosen = _choose("retry", db, wanted, FINAL)
    if dry_run or pipeline is None:
        _show(chosen, json=json)
        return
    if not chosen.tasks:
        _say_nothing(chosen, json=json)
        return
    options = engine_options(
        source_of(pipeline),
        workers=workers,
        executor=executor,
        address=address,
        durability=durability,
        no_wal=no_wal,
        no_store=False,
        resume=False,
        grace=grace,
    )
    made = load_pipeline(pipeline)
    made = replace(made, tasks=checked_tasks(made.tasks))  # they may be given as a generator
    from pipeloom.cli.run import run_engine

    run_engine(Engine(db, made, replace(options, resume=_again(made, chosen))), on_hangup, json=json)


def _again(pipeline: Pipeline, chosen: Chosen) -> Resume:
    """Return what to run again; tells of tasks that the pipeline no longer has."""
    if pipeline.name != chosen.pipeline:
        raise UsageError(f"Run {chosen.run_id} is one of {clean(chosen.pipeline, 60)}, and not of {pipeline.name}.")
    wanted = {task.task_id for task in chosen.tasks}
    there = frozenset(task.task_id for task in pipeline.tasks if task.task_id in wanted)
    if not there:
        raise UsageError(f"{pipeline.name} has none of these tasks any more.")
    if gone := len(wanted) - len(there):
        tell(f"{gone:,} of the {len(wanted):,} tasks are no longer part of {pipeline.name}.")
    return Resume(run_id=chosen.run_id, task_ids=there)


def _parsed(text: str) -> Filter:
    try:
        where = parse(text)
    except FilterError as error:
        raise UsageError(f"{error} (column {error.column + 1} of the filter)") from error
    if not where:
        raise UsageError("The filter is empty, which means every task: say so, for example with 'attempt:>0'.")
    return where


def _choose(command: str, db: Path, where: Filter, statuses: Collection[Status]) -> Chosen:
    with History(db) as history:
        run_id = run_named_by(history, where)
        run = None if run_id is None else history.run(run_id)
        if run is None:
            raise UsageError(f"There is no such run in {db}.")
        return Chosen(command, run.id, run.pipeline, latest_attempts(history, run.id, where, statuses))


def _ask(db: Path, chosen: Chosen, *, json: bool) -> None:
    """Have it done by the owner of the file, and tell what that says."""
    if not chosen.tasks:
        _say_nothing(chosen, json=json)
        return
    client = ControlClient(db, chosen.run_id)
    ids = [task.id for task in chosen.tasks]
    result = client.cancel(ids) if chosen.command == "cancel" else client.retry(ids)
    if json:
        refused = [{"id": one, "reason": refusal_text(refusal)} for one, refusal in result.refused.items()]
        _write([chosen.told(accepted=result.accepted, refused=refused)])
    else:
        _write(_lines(chosen, result))
    raise typer.Exit(Exit.FAILED if result.refused else Exit.DONE)


def _lines(chosen: Chosen, result: CommandResult) -> list[str]:
    done = "cancelled or asked to stop" if chosen.command == "cancel" else "queued again"
    lines = [f"run {chosen.run_id}: {len(result.accepted):,} {done}"]
    reasons = Counter(map(refusal_text, result.refused.values()))
    return lines + [f"{count:,} refused: {clean(why, 200)}" for why, count in reasons.items()]


def _show(chosen: Chosen, *, json: bool) -> None:
    """Tell what is meant."""
    if json:
        _write([chosen.told(dry_run=True)])
        return
    lines = [f"{task.id:>8}  {task.status:<11}  {clean(task.name, 80) or '(empty)'}" for task in chosen.tasks]
    count = len(chosen.tasks)
    tasks = "1 task" if count == 1 else f"{count:,} tasks"
    _write(
        [f"{chosen.command} would be asked for {tasks} of run {chosen.run_id} of {clean(chosen.pipeline, 60)}", *lines]
    )


def _say_nothing(chosen: Chosen, *, json: bool) -> None:
    if json:
        _write([chosen.told(accepted=[], refused=[])])
    tell(f"No task of run {chosen.run_id} to {chosen.command} passes the filter: nothing was done.")


def _write(lines: Iterable[str]) -> None:
    """Write lines to stdout; what cannot be written is told."""
    try:
        sys.stdout.writelines(line + "\n" for line in lines)
        sys.stdout.flush()
    except OSError as error:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)  # the interpreter would fail over it once more when it ends
        os.close(null)
        if isinstance(error, BrokenPipeError):
            return  # who reads has seen enough
        tell(f"The output could not be written: {error.strerror}.")
        raise typer.Exit(Exit.UNSAVED) from error
