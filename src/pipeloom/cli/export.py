"""`pipeloom export`: attempts as CSV, JSON lines or Markdown, and the case file of one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeloom.cli.common import note
from pipeloom.cli.options.shared import Database, FilterText, parsed
from pipeloom.cli.output import is_terminal, output, write, write_json
from pipeloom.cli.show import SortBy, sort_of
from pipeloom.errors import UsageError
from pipeloom.export.attempts import ExportPlan, export, whole_rows
from pipeloom.export.case_file import case_file
from pipeloom.export.formats import Format, text_of
from pipeloom.export.target_file import new_file
from pipeloom.store.read.history import History
from pipeloom.text import as_typed, counted


def export_command(
    db: Database,
    where: FilterText = None,
    format_: Annotated[
        Format, typer.Option("--format", "-f", help="csv, jsonl (an object a line) or md.")
    ] = Format.CSV,
    target: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="PATH", help="Write to this new file, for you alone; else to stdout."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace PATH when it is there already.")] = False,
    no_guard: Annotated[
        bool, typer.Option("--no-guard", help="Leave cells that a spreadsheet would take for a formula as they are.")
    ] = False,
    sort: SortBy = None,
    case: Annotated[
        int | None,
        typer.Option("--case", metavar="ID", min=0, help="Write all there is about attempt ID, as Markdown."),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="As --format jsonl; with --output, tell as JSON what was written.")
    ] = False,
) -> None:
    """Write the attempts that pass FILTER, with result, params and error, as CSV, JSON lines or Markdown.

    Cells of a CSV that begin with = + - @ of any width, a tab or the end of a line, after whatever is not seen, get a
    leading apostrophe, so that no spreadsheet computes them; numbers stay numbers. What goes to a terminal is cleaned
    of control characters; a file and a pipe get what is stored.

    Exit codes: 0 fine; 2 the command line or a file; 4 the output could not be written.
    """
    if case is not None:
        if where is not None:
            raise UsageError("Give either a filter or --case, not both.")
        if json:
            raise UsageError(f"A case file is Markdown. As JSON: pipeloom show {as_typed(db)} {case} --json")
        _write_case(db, case, target, force=force)
        return
    wanted = parsed(where)
    if target is not None:
        plan = ExportPlan(format_, target, overwrite=force, guard=not no_guard)
        written = export(db, wanted, plan, sort=sort_of(sort))
        if json:
            with output():
                write_json({"db": str(db), "written": str(target), "format": format_, "attempts": written})
        note(f"{counted(written, 'attempt')} written to {target}")
        return
    with output(), History(db) as history:
        rows = whole_rows(history, wanted, sort_of(sort))
        write(text_of(rows, Format.JSONL if json else format_, guard=not no_guard, cleaned=is_terminal()))


def _write_case(db: Path, attempt_id: int, target: Path | None, *, force: bool) -> None:
    with output(), History(db) as history:
        if target is None:
            write(case_file(history, attempt_id))
            return
        with new_file(target, db, overwrite=force) as stream:
            stream.writelines(case_file(history, attempt_id))
    note(f"The case file was written to {target}")
