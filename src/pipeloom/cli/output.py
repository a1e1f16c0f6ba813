"""What the commands for scripts share: a filter read, data written to stdout, values as text."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from shutil import get_terminal_size
from typing import Any, Final

import typer

from pipeloom.cli.common import tell
from pipeloom.console.streams import point_nowhere
from pipeloom.status import Exit
from pipeloom.store.rows import AttemptRow
from pipeloom.text import LongNames, clean, first_line

STARTED: Final = len("2026-08-01 14:00:41 ") + max(map(len, time.tzname))
"""Columns of a time with the name of its zone."""


def is_terminal() -> bool:
    """Tell whether stdout is a terminal."""
    return sys.stdout.isatty()


@contextmanager
def output() -> Iterator[None]:
    """Write to stdout; leave with code 0 when the reader has closed it, and with 4 when writing fails."""
    if hasattr(sys.stdout, "reconfigure"):
        encoding = None if is_terminal() else "utf-8"
        sys.stdout.reconfigure(encoding=encoding, errors="backslashreplace")
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        point_nowhere(1)
        raise typer.Exit(Exit.DONE) from None
    except OSError as error:
        point_nowhere(1)
        tell(f"The output could not be written: {error.strerror}.")
        raise typer.Exit(Exit.UNSAVED) from error


def write(pieces: Iterable[str]) -> None:
    """Write text to stdout."""
    sys.stdout.writelines(pieces)


def write_json(value: Any) -> None:
    """Write one line of JSON, in ASCII, so that a terminal takes all of it for text."""
    write([json.dumps(value, default=str) + "\n"])


def room(taken: int, least: int, most: int) -> int:
    """Return the columns of a terminal beside the `taken` ones, within bounds; `most` elsewhere."""
    return max(least, min(get_terminal_size().columns - taken, most)) if is_terminal() else most


def cells(text: str) -> int:
    """Return the width of a cleaned text on a terminal."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def named(value: object, width: int, names: LongNames | None = None) -> str:
    """Return a name in `width` cells, "(empty)" for none. On a terminal a longer one is cut where all `names` agree."""
    text = clean(value) or "(empty)"
    if is_terminal():
        text = (names or LongNames()).cut(text, width, cells)
    return text + " " * (width - cells(text))


def cut(text: str, width: int) -> str:
    """Return a cleaned text in at most `width` cells."""
    if cells(text) <= width:
        return text
    from rich.cells import set_cell_size

    return set_cell_size(text, width - 1).rstrip() + "…"


def reason(row: AttemptRow) -> str:
    """Return the line that says why an attempt failed."""
    return first_line(row.message or row.error or row.error_type or "", 200)
