"""Attempts as CSV, JSON lines or Markdown, written to a new file: for the screen and the command line alike."""

from __future__ import annotations

import csv
import io
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Any, Final, TextIO

from pipeloom.errors import StoreError, UsageError
from pipeloom.filters import Filter
from pipeloom.store.read.history import History, walk
from pipeloom.store.read.paging import NEWEST, Sort
from pipeloom.store.rows import AttemptRow
from pipeloom.text import clean

COLUMNS: Final = AttemptRow._fields
_AT_ONCE: Final = 20
"""Rows that are held at a time; each may have a few megabytes of result, error and params."""
_CELL: Final = 500
_TEXT: Final = 1 << 16
CLIPBOARD_LIMIT: Final = 70_000
"""Characters: terminals take no more through OSC 52."""
_HEAD_LINES: Final = 2
_SIDE_FILES: Final = ("", "-wal", "-shm", "-journal", ".lock")
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""What makes a spreadsheet take a cell for a formula."""
_MARKUP: Final = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", **{sign: "\\" + sign for sign in "\\`*_[]|~#!$"}}
)
_TABLE: Final = (
    "run_id", "id", "name", "status", "attempt", "started_at", "duration_s", "message", "params", "result",
    "error_type", "error",
)  # fmt: skip

Progress = Callable[[int], None]
"""Called with the number of rows that are written."""


class Format(StrEnum):
    """What the rows are written as."""

    CSV = "csv"
    JSONL = "jsonl"
    MARKDOWN = "md"


@dataclass(frozen=True, slots=True)
class ExportPlan:
    """What to write, and where to."""

    format: Format
    path: Path | None = None
    """None: to no file, as to the clipboard."""
    overwrite: bool = False
    guard: bool = True
    """Whether cells of a CSV that look like formulas get a leading apostrophe."""


def export(
    db_path: Path,
    where: Filter,
    plan: ExportPlan,
    *,
    sort: Sort = NEWEST,
    progress: Progress | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> int:
    """Write every attempt of the file that passes to `plan.path`, and return how many there were.

    The file is there as a whole or not at all: raises `InterruptedError` when `should_stop` said so.
    """
    if plan.path is None:
        raise UsageError("Name the file to write to.")
    written = 0
    with History(db_path) as history, new_file(plan.path, db_path, overwrite=plan.overwrite) as stream:

        def counted() -> Iterator[AttemptRow]:
            nonlocal written
            for row in whole_rows(history, where, sort):
                if should_stop():
                    raise InterruptedError("the export was stopped")
                yield row
                written += 1
                if progress is not None and written % 500 == 0:
                    progress(written)

        stream.writelines(text_of(counted(), plan.format, guard=plan.guard))
    return written


def clipboard_text(db_path: Path, where: Filter, *, sort: Sort = NEWEST) -> tuple[str, int]:
    """Return what passes as a Markdown table, as far as a clipboard takes it, and the number of attempts in it."""
    text, count = "", 0
    with History(db_path) as history:
        for piece in text_of(whole_rows(history, where, sort), Format.MARKDOWN):
            if len(text) + len(piece) > CLIPBOARD_LIMIT:
                break
            text += piece
            count += 1
    return text, max(0, count - _HEAD_LINES)


def whole_rows(history: History, where: Filter, sort: Sort = NEWEST, limit: int | None = None) -> Iterator[AttemptRow]:
    """Yield every attempt that passes, with its result, params and error, a few in memory at a time."""
    rows = islice(walk(history, where, sort), limit)
    while page := [row.id for row in islice(rows, _AT_ONCE)]:
        yield from history.whole(page)


def text_of(rows: Iterable[AttemptRow], format_: Format, *, guard: bool = True, cleaned: bool = False) -> Iterator[str]:
    """Yield the text piece by piece; `cleaned` is for a terminal, which would obey control characters."""
    match format_:
        case Format.CSV:
            yield from _csv(rows, guard=guard, cleaned=cleaned)
        case Format.JSONL:
            yield from (json_line(row, ascii_only=cleaned) for row in rows)
        case Format.MARKDOWN:
            yield from _markdown(rows)


def json_line(row: AttemptRow, *, ascii_only: bool = True) -> str:
    """Return the attempt as one line of JSON; result and params are part of it as what they are."""
    return json.dumps(record(row), ensure_ascii=ascii_only) + "\n"


def record(row: AttemptRow) -> dict[str, Any]:
    """Return the attempt by the names of the columns."""
    return row._asdict() | {name: embedded(getattr(row, name)) for name in ("result", "params")}


def embedded(text: str | None) -> Any:
    """Return what a text of JSON says; the text itself when it is no JSON."""
    if text is None:
        return None
    try:
        value = json.loads(text)
        json.dumps(value, allow_nan=False)
    except (ValueError, RecursionError):
        return text
    return value


def table_line(cells: Iterable[object]) -> str:
    """Return a line of a Markdown table; nothing in a cell is markup."""
    return f"| {' | '.join(map(plain, cells))} |\n"


def plain(value: object, limit: int = _CELL) -> str:
    """Return `value` as Markdown that shows it as it is, on one line of source."""
    if value is None:
        return ""
    return clean(value, limit, multiline=True).strip().translate(_MARKUP).replace("\n", "<br>")


def _csv(rows: Iterable[AttemptRow], *, guard: bool, cleaned: bool) -> Iterator[str]:
    buffer = io.StringIO()
    writer = csv.writer(buffer)  # ends lines as RFC 4180 has it, and so quotes every cell that holds a part of that
    writer.writerow(COLUMNS)
    for row in rows:
        yield _taken(buffer)
        writer.writerow([_csv_cell(value, guard=guard, cleaned=cleaned) for value in row])
    yield _taken(buffer)


def _csv_cell(value: object, *, guard: bool, cleaned: bool) -> object:
    if not isinstance(value, str):
        return value
    text = clean(value, _TEXT, multiline=True) if cleaned else str(value)
    return f"'{text}" if guard and value.startswith(_FORMULA) else text


def _taken(buffer: io.StringIO) -> str:
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text


def _markdown(rows: Iterable[AttemptRow]) -> Iterator[str]:
    yield table_line(_TABLE)
    yield f"|{'---|' * len(_TABLE)}\n"
    yield from (table_line(getattr(row, name) for name in _TABLE) for row in rows)


@contextmanager
def new_file(path: Path, db_path: Path, *, overwrite: bool) -> Iterator[TextIO]:
    """Open a file of the user's alone that appears under its name once it is complete."""
    check_target(path, db_path, overwrite=overwrite)
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name[:50]}.", dir=path.parent)
    except OSError as error:
        raise StoreError(f"{path} cannot be created: {error.strerror}.") from error
    part = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace", newline="") as stream:
            yield stream
        _publish(part, path, overwrite=overwrite)
    except OSError as error:
        if isinstance(error, InterruptedError):
            raise
        raise StoreError(f"{path} cannot be written: {error.strerror}.") from error
    finally:
        part.unlink(missing_ok=True)


def check_target(path: Path, db_path: Path, *, overwrite: bool) -> None:
    """Raise `UsageError` or `StoreError` when no export can be written to `path`."""
    database = os.path.realpath(db_path)
    if os.path.realpath(path) in {database + end for end in _SIDE_FILES}:
        raise UsageError(f"{path} belongs to the database itself: choose another file.")
    if not path.parent.is_dir():
        raise StoreError(f"There is no folder {path.parent}: create it first.")
    if not os.path.lexists(path):
        return
    if path.is_symlink() or not path.is_file():
        raise UsageError(f"{path} is not an ordinary file: choose another.")
    if not overwrite:
        raise exists(path)


def exists(path: Path) -> UsageError:
    """Return what to tell of a file that is there already."""
    return UsageError(f"{path} is there already: choose another file, or say that it may be replaced (--force).")


def _publish(part: Path, path: Path, *, overwrite: bool) -> None:
    if overwrite:
        part.replace(path)
        return
    try:
        path.hardlink_to(part)  # unlike a rename, it fails when somebody made the file meanwhile
    except FileExistsError:
        raise exists(path) from None
    except OSError:  # a file system without links
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))
        part.replace(path)
