"""`pipeloom show`: one attempt or one run in full, or a table of the attempts that pass a filter."""

from __future__ import annotations

import json
from collections.abc import Iterator
from enum import StrEnum
from itertools import chain, islice
from typing import Annotated, Any, Final

import typer

from pipeloom.cli.options.shared import Database, Json, parsed
from pipeloom.cli.output import STARTED, cut, is_terminal, named, output, room, write, write_json
from pipeloom.cli.runs.one import indented, log_lines, one_as_json, one_as_lines, state_of
from pipeloom.errors import UsageError
from pipeloom.export.attempts import whole_rows
from pipeloom.export.formats import embedded, record
from pipeloom.store.read.history import History, attempt_of_row, walk
from pipeloom.store.read.paging import NEWEST, Sort
from pipeloom.store.read.run_queries import attempts_as_left
from pipeloom.store.rows import AttemptRow
from pipeloom.text import LongNames, beside_usual, clean, figure
from pipeloom.times import duration, local_stamp

_COMPARED: Final = 200
"""Number of rows of which the names are compared: what they share is cut first."""
_TAKEN: Final = 48 + STARTED
"""Columns of a line of the table beside the name and the message."""


class Order(StrEnum):
    """What the table is sorted by."""

    TIME = "time"
    DURATION = "duration"
    NAME = "name"
    STATUS = "status"


SORTS: Final = {
    Order.TIME: Sort("started_at", descending=True),
    Order.DURATION: Sort("duration_s", descending=True),
    Order.NAME: Sort("name", descending=False),
    Order.STATUS: Sort("status", descending=False),
}

SortBy = Annotated[
    Order | None,
    typer.Option(
        "--sort",
        help="time: newest first. duration: longest first. name, status: as text. Without it, the last one made first.",
        show_default=False,
    ),
]


def sort_of(order: Order | None) -> Sort:
    """Return the order that the option means."""
    return NEWEST if order is None else SORTS[order]


def show_command(
    db: Database,
    what: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="ID|FILTER",
            help="The number of an attempt, or what attempts have in common; a number to search for goes in quotes. "
            "With --row: the key of the row.",
            show_default=False,
        ),
    ] = None,
    table: Annotated[
        str | None,
        typer.Option(
            "--row",
            metavar="TABLE",
            help="Show the attempt that wrote the row of TABLE with this key: --row orders 1234.",
            show_default=False,
        ),
    ] = None,
    run: Annotated[
        int | None,
        typer.Option(
            "--run", metavar="N", min=1, help="Show run N, with its own log: what hooks said.", show_default=False
        ),
    ] = None,
    sort: SortBy = None,
    limit: Annotated[int, typer.Option("--limit", "-n", metavar="N", min=1, help="How many attempts to show.")] = 50,
    json: Json = False,
) -> None:
    """Show attempt ID with its params, result, error and log; or a table of the attempts that pass FILTER.

    With --run N, a run: its tasks by status, and its own log, which has what hooks have raised, printed and logged.

    With --row TABLE KEY, the attempt that wrote a row of a table of yours; without a key the rowid names it.

    With --json, one object for an attempt or a run, or one a line for a table. Times of the text are local.

    Exit codes: 0 fine; 2 the command line or the file, or there is no such attempt or run; 4 the output could not
    be written.
    """
    words = what or []
    text = " ".join(words).strip()
    if run is not None and (words or table is not None):
        raise UsageError("--run N shows one run: leave the rest out, or filter attempts by 'run:N'.")
    if table is None and len(words) > 1:
        raise UsageError(f"A filter of several words goes in quotes: '{clean(text, 100)}'.")
    with output(), History(db) as history:
        if run is not None:
            state = state_of(history, run)
            if json:
                write_json(one_as_json(history, state))
            else:
                write(one_as_lines(history, state))
            return
        if table is not None:
            _show_one(history, attempt_of_row(history, table, words), json=json)
            return
        if text.isascii() and text.isdigit():
            _show_one(history, int(text[:19]), json=json)
            return
        where = parsed(text)
        if json:
            for row in whole_rows(history, where, sort_of(sort), limit):
                write_json(record(row))
            return
        wide = room(_TAKEN, 20, 80) * 2 // 5 if is_terminal() else 28
        name = max(20, wide)
        write([_head(name)])
        rows = islice(walk(history, where, sort_of(sort)), limit)
        first = list(islice(rows, _COMPARED))
        names = LongNames(clean(row.name) for row in first)
        write(_line(row, name, names) for one in chain(first, rows) for row in attempts_as_left(history, [one]))


def _head(width: int) -> str:
    began = f"{'started':<{STARTED}}"
    return f"{'run':>5}  {'id':>8}  {'task':<{width}}  {'status':<11}  {'try':>3}  {began}  {'time':>7}  message\n"


def _line(row: AttemptRow, width: int, names: LongNames) -> str:
    """Return a line of the table, with `width` columns for the name, which is one of `names`."""
    message = cut(clean(row.message), room(_TAKEN + width, 20, 200))
    began, took = f"{local_stamp(row.started_at):<{STARTED}}", duration(row.duration_s)
    name = named(row.name, width, names)
    return (
        f"{row.run_id:>5}  {row.id:>8}  {name}  {row.status:<11}  {row.attempt:>3}  {began}  {took:>7}  {message}"
    ).rstrip() + "\n"


def _show_one(history: History, attempt_id: int, *, json: bool) -> None:
    row = history.attempt(attempt_id)
    if row is None:
        raise UsageError(f"There is no attempt {attempt_id} in {history.path}.")
    if json:
        write_json(_json(history, row))
    else:
        (row,) = attempts_as_left(history, [row])
        write(_sections(history, row))


def _json(history: History, row: AttemptRow) -> dict[str, Any]:
    log = [{"at": line.at, "level": line.level, "text": line.text} for line in history.logs(row.id)]
    return record(row) | {"attempts": [attempt.id for attempt in _attempts(history, row)], "log": log}


def _attempts(history: History, row: AttemptRow) -> list[AttemptRow]:
    return history.attempts_of(row.run_id, row.task_id)


def _sections(history: History, row: AttemptRow) -> Iterator[str]:
    from pipeloom.engine.changes.input_key import key_of

    yield f"{clean(row.name) or '(empty)'}  {row.status}\n"
    yield from _overview(row)
    attempts = attempts_as_left(history, _attempts(history, row))
    if len(attempts) > 1:
        yield "\nattempts of the task in this run:\n"
        name = LongNames([clean(row.name)])
        yield from (f"  {'»' if attempt.id == row.id else ' '} {_line(attempt, 28, name)}" for attempt in attempts)
    inputs = "\n".join(key_of(row.input_key).lines())
    for title, text in (
        ("params", _pretty(row.params)),
        ("inputs", inputs),
        ("result", _pretty(row.result)),
        ("error", row.error),
    ):
        if text:
            yield f"\n{title}:\n{indented(text)}"
    yield from log_lines(history.logs(row.id))


def _overview(row: AttemptRow) -> Iterator[str]:
    steps = " of ".join(
        figure(value) for value in (row.step, row.total if row.step is not None else None) if value is not None
    )
    facts: dict[str, object] = {
        "attempt": f"{row.id}, try {row.attempt} of task {clean(row.task_id, 100)} in run {row.run_id}",
        "message": clean(row.message),
        "progress": " ".join(
            filter(None, ("" if row.progress is None else f"{row.progress + 0.0:.0%}", steps and f"({steps})"))
        ),
        "queued": local_stamp(row.queued_at),
        "due": local_stamp(row.due_at),
        "started": local_stamp(row.started_at),
        "finished": local_stamp(row.finished_at),
        "time": duration(row.duration_s),
        "rows": "" if row.rows is None else beside_usual(f"{row.rows:,}", row.rows_low, row.rows_high),
        "worker": clean(row.worker or ""),
        "code": clean(row.code or ""),
        "failure": clean(" ".join(filter(None, (row.error_type, row.fingerprint and f"(fail:{row.fingerprint})")))),
    }
    yield from (f"  {name:<9} {value}\n" for name, value in facts.items() if value)


def _pretty(text: str | None) -> str:
    """Return JSON with indented lines; other text as it is."""
    value = embedded(text)
    return value if isinstance(value, str) else "" if value is None else json.dumps(value, indent=2, ensure_ascii=False)
