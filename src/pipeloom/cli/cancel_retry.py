"""`pipeloom cancel` and `pipeloom retry`: what the keys do, for scripts."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Final, TextIO

import typer

from pipeloom.cli.common import note, tell
from pipeloom.cli.options.run import OptionalPipeline, RunOptions, takes_run_options
from pipeloom.cli.options.shared import Json, WritableDatabase, parsed
from pipeloom.cli.run import engine_options, enter_environment, imported, notifying, run_engine, source_of
from pipeloom.console.streams import point_nowhere, take_stdout
from pipeloom.engine.commands import CommandResult
from pipeloom.engine.control.client import ControlClient, with_waiting
from pipeloom.engine.engine import Engine
from pipeloom.engine.refusal_text import refusal_text
from pipeloom.engine.run.resume import Resume, check_same_params, earlier_run, found_in, list_today, with_found
from pipeloom.engine.run.same_task import tasks_again
from pipeloom.errors import StoreError, UsageError
from pipeloom.filters import Filter
from pipeloom.messages import TaskLike
from pipeloom.status import FINAL, OPEN, Exit, Status
from pipeloom.store.file.kind import FileKind, file_kind, why_only_read, why_unreadable
from pipeloom.store.file.owner import is_owned
from pipeloom.store.maintenance.recovery import recover
from pipeloom.store.read.history import History
from pipeloom.store.read.run_queries import LatestAttempt, latest_attempts, run_named_by
from pipeloom.store.rows import RunRow
from pipeloom.text import as_typed, clean, counted
from pipeloom.user_state import remember_pipeline

_RETRYABLE: Final = FINAL | {Status.RETRYING}

FilterText = Annotated[
    str,
    typer.Argument(metavar="FILTER", help="Which tasks, by their latest attempt: 'status:error', 'run:12 seattle'."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show which tasks are meant.")]


@dataclass(frozen=True, slots=True)
class Chosen:
    """The tasks that a command is meant for."""

    command: str
    run: RunRow
    tasks: list[LatestAttempt]

    def as_json(self, **more: Any) -> str:
        """Return one line of JSON."""
        tasks = [task._asdict() for task in self.tasks]
        for task in tasks:
            del task["params"]
        return json.dumps({"command": self.command, "run_id": self.run.id, "tasks": tasks, **more})


def cancel_command(db: WritableDatabase, where: FilterText, *, dry_run: DryRun = False, json: Json = False) -> None:
    """Cancel tasks of the run that another process has under way on DB: what waits ends, what runs is asked to stop.

    Exit codes: 0 all were cancelled or asked to stop; 1 some were refused; 2 no run is under way on DB, or the
    command line or the file is at fault.
    """
    wanted = _meant(where)
    _must_be_there(db)
    if not is_owned(db):
        _check_writable(db)
        raise UsageError(f"No process runs a pipeline on {db}: there is nothing to cancel.")
    chosen = _choose("cancel", db, wanted, OPEN)
    if dry_run:
        _show(chosen, json=json)
    else:
        _ask(db, chosen, json=json)


@takes_run_options(without=("no_store", "resume", "changed", "other_params", "only", "first"))
def retry_command(
    db: WritableDatabase,
    where: FilterText,
    pipeline: OptionalPipeline = None,
    *,
    dry_run: DryRun = False,
    json: Json = False,
    options: RunOptions,
) -> None:
    """Run tasks again that have ended: in the run that another process has under way on DB, else as a new run.

    A new run needs PIPELINE, because code is never taken from the file, and runs tasks of its last run and of those
    which that run continued, or of the run that FILTER names, listed with the parameters of that run: -p gives what the
    file does not keep, such as a secret. While another process owns DB, the options of a run are not looked at, and
    PIPELINE has to be the one that it runs: it loads the code again if that has changed.

    Exit codes: as `pipeloom run`; where another process was asked: 0 all were queued again; 1 some were refused; 2 the
    command line or the file.
    """
    wanted = _meant(where)
    _must_be_there(db)
    path, source = db.absolute(), pipeline and source_of(pipeline)
    if (owned := is_owned(db)) and not dry_run:
        _ask(db, _choose("retry", db, wanted, _RETRYABLE), json=json, source=source)
        return
    if not owned:
        _check_writable(db)
    if pipeline is None and not dry_run:
        raise UsageError(
            f"No process runs a pipeline on {db}: name the pipeline whose tasks to run again, for example "
            f"pipeloom retry {as_typed(db)} 'status:error' pipeline.py"
        )
    if pipeline is not None:
        enter_environment([pipeline], "pipeloom", yes=options.yes)
    if not dry_run:
        recover(db)
    data = take_stdout() if json else None  # before the file is imported: it may print
    made = imported(pipeline) if pipeline is not None else None
    chosen = _choose("retry", path, wanted, _RETRYABLE if owned else FINAL, None if made is None else made.name)
    asked = engine_options(options, source)
    if made is None or (dry_run and not chosen.tasks):
        _show_retry(chosen, None if chosen.tasks and _others_were_skipped(path, chosen) else [], json=json, to=data)
        return
    if not chosen.tasks:
        _say_nothing(chosen, json=json, to=data)
        return
    if made.name != chosen.run.pipeline:
        raise UsageError(f"Run {chosen.run.id} is one of {clean(chosen.run.pipeline, 60)}, and not of {made.name}.")
    today = list_today(path, made, Resume(run_id=chosen.run.id), asked.params)
    check_same_params(chosen.run, today.params, ": tasks are run again with the parameters of their run")
    resume = _resume(made.name, with_found(today.tasks, found_in(path, chosen.run.id)), chosen)
    if dry_run:
        earlier = earlier_run(path, made.name, chosen.run.id)
        followers = [] if earlier is None else earlier.followers(today, resume.task_ids or ())
        _show_retry(chosen, followers, json=json, to=data)
        return
    engine = Engine(path, made, notifying(replace(asked, resume=resume, ask_to_resume=False)), today=today)
    if source is not None:
        remember_pipeline(path, source)
    run_engine(engine, options.on_hangup, data)


def _resume(pipeline: str, tasks: Sequence[TaskLike], chosen: Chosen) -> Resume:
    """Return the tasks to run again; says on stderr how many of them the pipeline no longer has."""
    same = tasks_again(tasks, chosen.tasks)
    there = frozenset((*same.found, *same.changed))
    if not there:
        raise UsageError(f"{pipeline} has none of these tasks any more.")
    if missing := len(chosen.tasks) - len(there):
        verb = "is" if missing == 1 else "are"
        tell(f"{missing:,} of the {counted(len(chosen.tasks), 'task')} {verb} no longer part of {pipeline}.")
    return Resume(run_id=chosen.run.id, task_ids=there)


def _must_be_there(db: Path) -> None:
    """Refuse a file that is missing or empty before anything else is said about it."""
    if (kind := file_kind(db)) in (FileKind.MISSING, FileKind.EMPTY):
        raise StoreError(why_unreadable(db, kind))


def _check_writable(db: Path) -> None:
    if why := why_only_read(db):
        raise UsageError(why)


def _meant(text: str) -> Filter:
    where = parsed(text, live=True)
    if not where:
        raise UsageError("The filter is empty, which means every task: say so, for example with 'attempt:>0'.")
    return where


def _choose(command: str, db: Path, where: Filter, statuses: Collection[Status], pipeline: str | None = None) -> Chosen:
    """Find the tasks that are meant, in a run of `pipeline` or, while that is None, in any.

    Where no process runs, they may be of the runs that it continued, too.
    """
    with History(db) as history:
        run_id = run_named_by(history, where, pipeline)
        run = None if run_id is None else history.run(run_id)
        if run is None:
            of = "" if pipeline is None else f" of {clean(pipeline, 60)}"
            raise UsageError(f"There is no such run{of} in {db.name}.")
        where = with_waiting(where, db, run.id)
        tasks = latest_attempts(history, run.id, where, statuses, with_earlier=statuses == FINAL)
        return Chosen(command, run, tasks)


def _others_were_skipped(db: Path, chosen: Chosen) -> bool:
    """Tell whether tasks of the run were skipped that are not among the chosen."""
    with History(db) as history:
        skipped = latest_attempts(history, chosen.run.id, Filter(), {Status.SKIPPED}, with_earlier=True)
    return not {task.task_id for task in skipped} <= {task.task_id for task in chosen.tasks}


def _ask(db: Path, chosen: Chosen, *, json: bool, source: str | None = None) -> None:
    """Send the command to the owner of the file and write its answer; `source` is the pipeline that a retry names."""
    if not chosen.tasks:
        _say_nothing(chosen, json=json)
        return
    client = ControlClient(db, chosen.run.id)
    ids = [task.id for task in chosen.tasks]
    if chosen.command == "cancel":
        result = client.cancel(ids)
    else:
        result = client.retry(ids) if source is None else client.retry_code(ids, source)
    if json:
        refused = [{"id": one, "reason": refusal_text(refusal)} for one, refusal in result.refused.items()]
        _write([chosen.as_json(accepted=result.accepted, refused=refused)])
    else:
        _write(_lines(chosen, result))
    raise typer.Exit(Exit.FAILED if result.refused else Exit.DONE)


def _lines(chosen: Chosen, result: CommandResult) -> list[str]:
    done = "cancelled or asked to stop" if chosen.command == "cancel" else "queued again"
    lines = [f"run {chosen.run.id}: {len(result.accepted):,} {done}"]
    reasons = Counter(map(refusal_text, result.refused.values()))
    return lines + [f"{count:,} refused: {clean(why, 200)}" for why, count in reasons.items()]


def _show(chosen: Chosen, *, json: bool, to: TextIO | None = None) -> None:
    """Write which tasks the command is meant for."""
    if json:
        _write([chosen.as_json(dry_run=True)], to)
        return
    lines = [f"{task.id:>8}  {task.status:<11}  {clean(task.name, 80) or '(empty)'}" for task in chosen.tasks]
    count = len(chosen.tasks)
    run = f"run {chosen.run.id} of {clean(chosen.run.pipeline, 60)}"
    _write([f"{chosen.command} would be asked for {counted(count, 'task')} of {run}", *lines])


def _show_retry(chosen: Chosen, followers: Sequence[TaskLike] | None, *, json: bool, to: TextIO | None = None) -> None:
    """Write which tasks would run again, and which would besides; None: that cannot be told without the pipeline."""
    if json:
        also = None if followers is None else [{"task_id": task.task_id, "name": task.name} for task in followers]
        _write([chosen.as_json(dry_run=True, followers=also)], to)
        return
    _show(chosen, json=False, to=to)
    if followers:
        that = "that was skipped and comes" if len(followers) == 1 else "that were skipped and come"
        names = [f"{'':>8}  {Status.SKIPPED:<11}  {clean(task.name, 80) or '(empty)'}" for task in followers]
        _write([f"with {counted(len(followers), 'task')} {that} after them", *names], to)
    elif followers is None:
        note("Tasks that were skipped after them run, too: name the pipeline to see which.")


def _say_nothing(chosen: Chosen, *, json: bool, to: TextIO | None = None) -> None:
    if json:
        _write([chosen.as_json(accepted=[], refused=[])], to)
    note(f"No task of run {chosen.run.id} to {chosen.command} passes the filter: nothing was done.")


def _write(lines: Iterable[str], to: TextIO | None = None) -> None:
    """Write lines to `to`, else to stdout; leave with code 4 when that fails."""
    stream = to or sys.stdout
    try:
        stream.writelines(line + "\n" for line in lines)
        stream.flush()
    except OSError as error:
        point_nowhere(stream.fileno())
        if isinstance(error, BrokenPipeError):
            return  # the reader has seen enough
        tell(f"The output could not be written: {error.strerror}.")
        raise typer.Exit(Exit.UNSAVED) from error
