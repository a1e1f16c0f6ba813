"""What the commands for scripts share: reading a file, taking a filter, and writing data to stdout."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.cells import cell_len, set_cell_size

from pipeloom.cli.common import tell
from pipeloom.errors import UsageError
from pipeloom.filters import Filter, FilterError, parse
from pipeloom.status import Exit
from pipeloom.store.rows import AttemptRow
from pipeloom.text import clean, first_line

FILTER_HELP: Final = "What the attempts have in common, for example 'status:error age:<2d'; see the README."
CODES: Final = "Exit codes: 0 fine; 2 the command line or the file; 4 the output could not be written."

Database = Annotated[Path, typer.Argument(metavar="DB", help="The SQLite file; it is only read.")]
FilterText = Annotated[str | None, typer.Argument(metavar="[FILTER]", help=FILTER_HELP, show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Write JSON instead of text.")]


def parsed(text: str | None) -> Filter:
    """Return the filter; what is wrong with it is told with its column."""
    try:
        return parse(text or "")
    except FilterError as error:
        raise UsageError(f"{error} (column {error.column + 1} of the filter)") from error


def is_terminal() -> bool:
    """Tell whether a person looks at stdout."""
    return sys.stdout.isatty()


@contextmanager
def output() -> Iterator[None]:
    """Write to stdout; a reader that has seen enough ends the program, what cannot be written is told."""
    if hasattr(sys.stdout, "reconfigure"):
        encoding = None if is_terminal() else "utf-8"
        sys.stdout.reconfigure(encoding=encoding, errors="backslashreplace")
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        _give_up()
        raise typer.Exit(Exit.DONE) from None
    except OSError as error:
        _give_up()
        tell(f"The output could not be written: {error.strerror}.")
        raise typer.Exit(Exit.UNSAVED) from error


def write(pieces: Iterable[str]) -> None:
    """Write text to stdout."""
    sys.stdout.writelines(pieces)


def write_json(value: Any) -> None:
    """Write one line of JSON; nothing in it can reach a terminal as anything but text."""
    write([json.dumps(value, default=str) + "\n"])


def _give_up() -> None:
    """Point stdout nowhere, so that the interpreter does not fail over it once more when it ends."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)


def padded(value: object, width: int, *, right: bool = False) -> str:
    """Return `value` in exactly `width` cells."""
    text = clean(value)
    if cell_len(text) > width:
        return set_cell_size(text, width - 1) + "…"
    blanks = " " * (width - cell_len(text))
    return blanks + text if right else text + blanks


def moment(iso: str | None) -> datetime | None:
    """Return one of our times in UTC, or None when it is none."""
    try:
        value = datetime.fromisoformat(iso or "")
        return value.astimezone(UTC) if value.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def stamp(iso: str | None) -> str:
    """Return one of our times as "2026-08-01 12:00:41", in UTC as the filter has it."""
    value = moment(iso)
    return "" if value is None else value.strftime("%Y-%m-%d %H:%M:%S")


def duration(seconds: float | None) -> str:
    """Return "0.4s", "41s", "12m03s" or "2h05m"."""
    if seconds is None or seconds < 0:
        return ""
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    return f"{whole // 60}m{whole % 60:02}s" if whole < 3600 else f"{whole // 3600}h{whole % 3600 // 60:02}m"


def reason(row: AttemptRow) -> str:
    """Return the line that says why an attempt failed."""
    return first_line(row.message or row.error or row.error_type or "", 200)
