"""`pipeloom state`: what tasks go on from in their next attempt."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from json import loads
from typing import Annotated, Final

import typer

from pipeloom.cli.common import note
from pipeloom.cli.options.shared import Database, FilterText, Json, parsed
from pipeloom.cli.output import STARTED, cut, named, output, room, write, write_json
from pipeloom.errors import UsageError
from pipeloom.store.maintenance.states import reset_states
from pipeloom.store.read.history import History
from pipeloom.store.read.tasks import TaskState, task_states
from pipeloom.text import as_typed, clean, counted
from pipeloom.times import local_stamp

_NAME: Final = 24
_BESIDE: Final = _NAME + STARTED + 14


def state_command(
    db: Database,
    where: FilterText = None,
    reset: Annotated[bool, typer.Option("--reset", help="Take it away: these tasks begin from the start.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    json: Json = False,
) -> None:
    """Show the state that tasks of DB have left, from which their next attempts go on. Times are local.

    With FILTER only what attempts have left that pass. With --reset it is taken away; that asks before.

    Exit codes: 0 fine; 1 the answer was no; 2 the command line or the file; 4 the output could not be written; 6
    another process uses DB.
    """
    wanted = parsed(where)
    with output(), History(db) as history:
        states = task_states(history, wanted)
        if json:
            for state in states:
                write_json(state._asdict() | {"state": loads(state.state), "db": str(db)})
        else:
            write(_lines(states) if states else [f"No task of {clean(db)} has left a state{_here(where)}.\n"])
    if reset and states:
        if not yes:
            _ask(states, as_typed(db))
        gone = reset_states(db, wanted)
        note(f"{counted(gone, 'state')} taken away.")


def _here(where: str | None) -> str:
    return " that passes" if where else ""


def _lines(states: Sequence[TaskState]) -> Iterator[str]:
    yield f"{'attempt':>9}  {'task':<{_NAME}}  {'of':<{STARTED}}  state\n"
    for state in states:
        label = str(state.task_id) if state.name is None else state.name
        at, kept = local_stamp(state.at) if state.at else "", cut(state.state, room(_BESIDE, 20, 400))
        yield f"{state.attempt_id:>9}  {named(label, _NAME)}  {at:<{STARTED}}  {kept}\n"


def _ask(states: Sequence[TaskState], db: str) -> None:
    """Leave unless the answer is yes."""
    if not sys.stdin.isatty():
        raise UsageError(f"Taking states away asks on a terminal. Without one: pipeloom state {db} --reset --yes")
    if not typer.confirm(f"Let {counted(len(states), 'task')} begin from the start?", err=True):
        raise typer.Exit(1)
