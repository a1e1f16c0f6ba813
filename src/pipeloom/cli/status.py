"""`pipeloom status`: the state of the last run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import typer

from pipeloom.cli.common import tell
from pipeloom.cli.options.shared import Database, FilterText, Json, parsed
from pipeloom.cli.output import (
    cells,
    cut,
    named,
    output,
    reason,
    room,
    write,
    write_json,
)
from pipeloom.cli.runs.state import RunState, run_json
from pipeloom.errors import ControlError
from pipeloom.filters import Filter
from pipeloom.parameters.texts import read_back, words_of
from pipeloom.status import FINAL, Exit, RunStatus, Status
from pipeloom.store.file.owner import owner, owner_name
from pipeloom.store.read.history import History
from pipeloom.store.read.run_queries import (
    is_alive,
    last_runs,
    open_tasks,
    tasks_of_run,
)
from pipeloom.store.rows import AttemptRow, LogRow, RunRow
from pipeloom.text import LongNames, clean, first_line
from pipeloom.times import unix_time, until

if TYPE_CHECKING:
    from pipeloom.engine.commands import EngineLoad, LimitUse

_SHOWN: Final = (
    "id",
    "task_id",
    "name",
    "attempt",
    "status",
    "started_at",
    "duration_s",
    "progress",
    "rows",
    "message",
)
_LISTED: Final = 20
"""Tasks of a kind that the text names; the JSON has a hundred."""
_LOGGED: Final = 20
"""Last lines of the run's own log."""
_BESIDE: Final = 16
"""Columns of a task's line beside its name and what is told of it."""
_PATIENCE_S: Final = 3.0
"""Seconds for which the process is asked that has the run under way."""
_SIGNS: Final = {Status.ERROR: "×", Status.INTERRUPTED: "!", Status.QUEUED: "○", Status.RETRYING: "»"}


@dataclass(frozen=True, slots=True)
class _Answer:
    """What the process says that has the run under way; nothing when it does not answer."""

    waits: dict[int, str] = field(default_factory=dict)
    """Why attempts wait."""
    load: EngineLoad | None = None

    @classmethod
    def of(cls, db: Path, run_id: int, rows: list[AttemptRow]) -> _Answer:
        """Ask why attempts wait."""
        from pipeloom.engine.control.client import ControlClient

        client = ControlClient(db, run_id, patience_s=_PATIENCE_S)
        try:
            waits = client.why_waiting(row.id for row in rows if row.status is Status.QUEUED)
        except ControlError:
            return cls()
        retries = {row.id: f"retry in {left}" for row in rows if (left := until(row.due_at, unix_time()))}
        return cls(waits | retries, client.known_load)

    @property
    def limits(self) -> tuple[LimitUse, ...]:
        """The limits of the pipeline, and how much of them is used."""
        return () if self.load is None else self.load.limits

    def lines(self) -> Iterator[str]:
        """Yield what all tasks have to do with."""
        if self.load is not None and self.load.paused:
            yield "  paused\n"
        if self.limits:
            yield f"  limits: {'; '.join(map(_used, self.limits))}\n"


def status_command(db: Database, where: FilterText = None, json: Json = False) -> None:
    """Show how the last run of DB stands: its tasks by status, those that failed, those that are under way.

    Where DB has runs of several pipelines, the last one of each other pipeline has a line. With FILTER only tasks count
    whose latest attempt passes, and only pipelines that its `pipeline:` names. Times are local.

    Exit codes: 0 no task has failed; 1 tasks of these runs have failed; 2 the command line or the file; 3 none has
    failed, but tasks were cancelled or interrupted; 4 the output could not be written.
    """
    wanted = parsed(where, live=True)
    with output(), History(db) as history:
        meant = [run for run in last_runs(history) if wanted.allows_pipeline(run.pipeline)]
        if not meant:
            _say_nothing_ran(db, wanted, json=json)
            return
        if wanted.waited_for:
            wanted = _decided(wanted, db, meant[0])
        newest, *others = (RunState.of(history, run, wanted) for run in meant)
        failed = tasks_of_run(history, newest.run.id, [Status.ERROR], wanted)
        under_way = open_tasks(history, newest.run.id, wanted)
        answer = _Answer.of(db, newest.run.id, under_way) if newest.alive else _Answer()
        if json:
            write_json(_status_json(history, newest, others, failed, under_way, answer))
            if newest.doubt:
                tell(newest.doubt)
        else:
            log = history.run_logs(newest.run.id, _LOGGED)
            write(_status_lines(db, newest, others, failed, under_way, answer, log))
    codes = {state.code for state in (newest, *others)}
    raise typer.Exit(next((code for code in (Exit.FAILED, Exit.CANCELLED) if code in codes), Exit.DONE))


def _decided(where: Filter, db: Path, run: RunRow) -> Filter:
    """Return a filter that asks what tasks wait for, as the process says that has the run under way."""
    from pipeloom.engine.control.client import with_waiting

    if is_alive(db, run):
        return with_waiting(where, db, run.id)
    tell(f"No process has run {run.id} under way: nothing in it waits.")
    return where


def _say_nothing_ran(db: Path, where: Filter, *, json: bool) -> None:
    if json:
        write_json(
            {"db": str(db), "run": None, "owner": None, "counts": {}, "failed": [], "open": [], "others": []}
            | {"paused": False, "limits": [], "log": []}
        )
    else:
        what = "Nothing that passes the filter" if where else "Nothing"
        write([f"{what} has run in {clean(db)} yet.\n"])


def _status_json(
    history: History,
    newest: RunState,
    others: list[RunState],
    failed: list[AttemptRow],
    under_way: list[AttemptRow],
    answer: _Answer,
) -> dict[str, Any]:
    return {
        "db": str(history.path),
        "run": run_json(history, newest.run, alive=newest.alive),
        "owner": owner(history.path) if newest.alive else None,
        "counts": newest.counts,
        "failed": [_shown(row) | {"error_type": row.error_type, "error": reason(row)} for row in failed],
        "open": [_shown(row) | {"waits": answer.waits.get(row.id)} for row in under_way],
        "paused": answer.load is not None and answer.load.paused,
        "limits": [asdict(limit) for limit in answer.limits],
        "log": [asdict(line) for line in history.run_logs(newest.run.id, _LOGGED)],
        "others": [{"run": run_json(history, one.run, alive=one.alive), "counts": one.counts} for one in others],
    }


def _shown(row: AttemptRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in _SHOWN}


def _status_lines(
    db: Path,
    newest: RunState,
    others: list[RunState],
    failed: list[AttemptRow],
    under_way: list[AttemptRow],
    answer: _Answer,
    log: list[LogRow],
) -> Iterator[str]:
    run, counts, alive = newest.run, newest.counts, newest.alive
    yield f"{newest.headline()}\n"
    if given := words_of(read_back(run.params)):
        yield f"  with {clean(given, 250)}\n"
    yield f"  {newest.tasks}\n"
    if alive:
        yield f"  in use by {owner_name(db)}\n"
        yield from answer.lines()
    elif newest.doubt:
        yield f"  {clean(newest.doubt)}\n"
    elif run.status is RunStatus.RUNNING:
        yield "  its process has ended without closing it\n"
    yield from _tasks("failed", failed, counts.get(Status.ERROR, 0))
    if not alive:
        under_way = [row._replace(status=Status.INTERRUPTED) for row in under_way]
    title = "open" if alive else "not ended"
    yield from _tasks(title, under_way, sum(counts.get(status, 0) for status in set(Status) - FINAL), answer.waits)
    if log:
        yield "log:\n"
    for line in log:
        yield f"  {line.level:<7} {cut(clean(first_line(line.text), 300), room(10, 40, 250))}\n"
    for other in others:
        yield f"{other.headline()}: {other.tasks}\n"


def _used(limit: LimitUse) -> str:
    """Return how much of a limit is used, as "api 2 of 2, 5/s, 7 wait"."""
    held = (
        f"{limit.held:,} held" if limit.at_once is None or "*" in limit.name else f"{limit.held:,} of {limit.at_once:,}"
    )
    rate = "" if limit.per_second is None else f"{limit.per_second:,g}/s"
    waiting = f"{limit.waiting:,} wait" if limit.waiting else ""
    return f"{clean(limit.name, 60)} {', '.join(filter(None, (held, rate, waiting)))}"


def _tasks(
    title: str, rows: list[AttemptRow], total: int, waits: Mapping[int, str] = MappingProxyType({})
) -> Iterator[str]:
    if rows:
        yield f"{title}:\n"
    labels = [clean(_label(row)) for row in rows[:_LISTED]]
    names = LongNames(labels)
    width = min(max(map(cells, labels), default=0), max(20, room(_BESIDE, 40, 200) * 2 // 5))
    for row in rows[:_LISTED]:
        said = clean(waits.get(row.id) or row.message, 200)
        told = reason(row) if row.status is Status.ERROR else f"{row.status:<10} {said}".rstrip()
        sign = _SIGNS.get(row.status, "●")
        yield f"  {sign} {row.id:>8}  {named(_label(row), width, names)}  {cut(told, room(_BESIDE + width, 20, 250))}\n"
    if total > min(len(rows), _LISTED):
        yield f"  … and {total - min(len(rows), _LISTED):,} more\n"


def _label(row: AttemptRow) -> str:
    """Return the name of a task, with its id where that is another."""
    name = row.name or "(empty)"
    return name if str(row.task_id) == row.name else f"{name} ({row.task_id})"
