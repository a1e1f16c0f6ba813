"""Attempts as CSV, JSON lines and Markdown."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Any, Final
from unicodedata import category, normalize

from pipeloom.store.rows import AttemptRow
from pipeloom.text import clean

_CELL_LIMIT: Final = 500
_TEXT_LIMIT: Final = 1 << 16
_FORMULA: Final = frozenset("=+-@")
"""Characters that begin a formula, in any width."""
_ENDS: Final = frozenset("\t\r\n")
"""Characters for which a spreadsheet may begin another cell, which may be a formula."""
_UNSEEN: Final = frozenset({"Cc", "Cf", "Zl", "Zp", "Zs"})
"""Categories of characters that may not be seen before a formula: controls, marks without a width, blanks."""
_UNSEEN_TOO: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
_MARKUP: Final = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", **{sign: "\\" + sign for sign in "\\`*_[]|~#!$"}}
)
_MARKDOWN_COLUMNS: Final = (
    "run_id", "id", "name", "status", "attempt", "started_at", "duration_s", "message", "params", "result",
    "error_type", "error",
)  # fmt: skip


class Format(StrEnum):
    """The form in which rows are written."""

    CSV = "csv"
    JSONL = "jsonl"
    MARKDOWN = "md"


def text_of(rows: Iterable[AttemptRow], format_: Format, *, guard: bool = True, cleaned: bool = False) -> Iterator[str]:
    """Yield the text of the rows piece by piece.

    `guard` puts an apostrophe before CSV cells that look like formulas; `cleaned` makes control characters harmless for
    a terminal.
    """
    match format_:
        case Format.CSV:
            yield from _csv(rows, guard=guard, cleaned=cleaned)
        case Format.JSONL:
            yield from (json_line(row, ascii_only=cleaned) for row in rows)
        case Format.MARKDOWN:
            yield from _markdown(rows)


def json_line(row: AttemptRow, *, ascii_only: bool = True) -> str:
    """Return the attempt as one line of JSON, in which result and params are JSON too."""
    return json.dumps(record(row), ensure_ascii=ascii_only) + "\n"


def record(row: AttemptRow) -> dict[str, Any]:
    """Return the values of an attempt by column, for JSON."""
    return row._asdict() | {name: embedded(getattr(row, name)) for name in ("result", "params")}


def embedded(text: str | None) -> Any:
    """Return the value of a JSON text; the text itself when it is no JSON."""
    if text is None:
        return None
    try:
        value = json.loads(text)
        json.dumps(value, allow_nan=False)
    except (ValueError, RecursionError):
        return text
    return value


def table_line(cells: Iterable[object]) -> str:
    """Return a line of a Markdown table, with markup in cells escaped."""
    return f"| {' | '.join(map(plain, cells))} |\n"


def plain(value: object, limit: int = _CELL_LIMIT) -> str:
    """Return `value` as Markdown that shows it literally, on one line of source."""
    if value is None:
        return ""
    return clean(value, limit, multiline=True).strip().translate(_MARKUP).replace("\n", "<br>")


def _csv(rows: Iterable[AttemptRow], *, guard: bool, cleaned: bool) -> Iterator[str]:
    buffer = io.StringIO()
    writer = csv.writer(buffer)  # ends lines with CR LF, as RFC 4180 says, and quotes each cell that holds one of them
    writer.writerow(AttemptRow._fields)
    for row in rows:
        yield _take(buffer)
        writer.writerow([_csv_cell(value, guard=guard, cleaned=cleaned) for value in row])
    yield _take(buffer)


def _csv_cell(value: object, *, guard: bool, cleaned: bool) -> object:
    if not isinstance(value, str):
        return value
    text = clean(value, _TEXT_LIMIT, multiline=True) if cleaned else str(value)
    return f"'{text}" if guard and _may_be_formula(value) else text


def _may_be_formula(text: str) -> bool:
    """Tell whether a spreadsheet may compute the cell: what is seen of it begins with a sign, or it begins a line."""
    for character in text:
        if character in _ENDS or normalize("NFKC", character)[:1] in _FORMULA:
            return True
        if category(character) not in _UNSEEN and not _UNSEEN_TOO.match(character):
            return False
    return False


def _take(buffer: io.StringIO) -> str:
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text


def _markdown(rows: Iterable[AttemptRow]) -> Iterator[str]:
    yield table_line(_MARKDOWN_COLUMNS)
    yield f"|{'---|' * len(_MARKDOWN_COLUMNS)}\n"
    yield from (table_line(getattr(row, name) for name in _MARKDOWN_COLUMNS) for row in rows)
