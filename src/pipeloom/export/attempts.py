"""Exports attempts to a new file or the clipboard, for the screen and the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from pipeloom.errors import UsageError
from pipeloom.export.formats import Format, text_of
from pipeloom.export.target_file import check_target, new_file
from pipeloom.filters import Filter
from pipeloom.store.read.history import History, walk
from pipeloom.store.read.paging import NEWEST, Sort
from pipeloom.store.rows import AttemptRow

_AT_ONCE: Final = 20
"""Rows in memory at a time; each may have a few megabytes of result, error and params."""
CLIPBOARD_LIMIT: Final = 70_000
"""Characters: terminals take no more through OSC 52."""
_HEAD_LINES: Final = 2

Progress = Callable[[int], None]
"""Called with the number of rows that are written."""


@dataclass(frozen=True, slots=True)
class ExportPlan:
    """The form of an export, and the file that it is written to."""

    format: Format
    path: Path | None = None
    """None for the clipboard."""
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
    """Write all attempts of `db_path` that pass to `plan.path`, and return their number.

    The file is written whole or not at all. Raises `InterruptedError` once `should_stop` returns True.
    """
    if plan.path is None:
        raise UsageError("Name the file to write to.")
    check_target(plan.path, db_path, overwrite=plan.overwrite)
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
    """Return the attempts that pass as a Markdown table, cut to what a clipboard takes, and their number."""
    text, count = "", 0
    with History(db_path) as history:
        for piece in text_of(whole_rows(history, where, sort), Format.MARKDOWN):
            if len(text) + len(piece) > CLIPBOARD_LIMIT:
                break
            text += piece
            count += 1
    return text, max(0, count - _HEAD_LINES)


def whole_rows(history: History, where: Filter, sort: Sort = NEWEST, limit: int | None = None) -> Iterator[AttemptRow]:
    """Yield all attempts that pass, with result, params and error, a few in memory at a time."""
    rows = islice(walk(history, where, sort), limit)
    while page := [row.id for row in islice(rows, _AT_ONCE)]:
        yield from history.whole(page)
