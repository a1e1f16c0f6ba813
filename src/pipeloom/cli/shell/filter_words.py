"""How a filter may go on: its fields, and their values from the grammar and from the file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from pipeloom.errors import PipeloomError
from pipeloom.filters import FIELDS, completions, quoted
from pipeloom.store.read.history import History
from pipeloom.store.rows import AttemptRow, RunRow
from pipeloom.text import clean
from pipeloom.times import local_stamp

_NEWEST: Final = 500
"""Attempts whose values are offered."""
_OFFERED: Final = 40
_ONE: Final = frozenset({"name", "err", "worker"})
"""Fields that take one value, so no list of them."""

_OF_ATTEMPTS: Final[dict[str, Callable[[AttemptRow], Any]]] = {
    "name": lambda row: row.name,
    "task": lambda row: row.task_id,
    "err": lambda row: row.error_type,
    "worker": lambda row: row.worker,
    "fail": lambda row: row.fingerprint,
    "code": lambda row: row.code,
}
_HELP_OF: Final[dict[str, Callable[[AttemptRow], str]]] = {
    "fail": lambda row: f"{row.error_type or ''} {row.name}",
    "task": lambda row: row.name,
}


def filter_words(word: str, db: Path | None) -> Iterator[tuple[str, str, bool]]:
    """Yield texts that may replace `word`, a filter, each with a help, and whether it goes on."""
    cut = _last_term(word)
    head, term = word[:cut], word[cut:]
    sign = "-" if term.startswith("-") else ""
    field, colon, value = term[len(sign) :].partition(":")
    if not colon:
        for name, told in FIELDS.items():
            yield f"{head}{sign}{name}:", told, True
        return
    field = field.lower()
    for text in completions(term, len(term)):
        yield f"{head}{sign}{text}", "", False
    given, comma, _ = ("", "", value) if field in _ONE else value.rpartition(",")
    taken = {part.strip('"') for part in given.split(",")}
    for found, told in _of_file(field, db):
        if found not in taken:
            yield f"{head}{sign}{field}:{given}{comma}{_written(found, value)}", told, False


def _last_term(text: str) -> int:
    """Return where the last term begins: after the last blank that is not in double quotes."""
    inside, start = False, 0
    for place, char in enumerate(text):
        if char == '"':
            inside = not inside
        elif char == " " and not inside:
            start = place + 1
    return start


def _written(value: str, typed: str) -> str:
    """Return a value as the filter has it: in double quotes where it needs them, or where one is open."""
    plain = all(char.isalnum() or char in "_-./:@+" for char in value) and value
    return value if plain and '"' not in typed else quoted(value)


def _of_file(field: str, db: Path | None) -> list[tuple[str, str]]:
    """Return values that the file has, the most frequent of late first, with a help."""
    if db is None or field not in {*_OF_ATTEMPTS, "pipeline", "run"}:
        return []
    with suppress(PipeloomError, OSError, InterruptedError, TimeoutError):
        history = _reader(db)
        if history is not None:
            with history:
                return [
                    (value, clean(told, 80))
                    for value, told in _values(history, field)
                    if value and clean(value) == value
                ][:_OFFERED]
    return []


def _reader(db: Path) -> History | None:
    """Return a reader that leaves nothing beside the file; None when that cannot be."""
    real = db.resolve()
    wal, shm = (real.with_name(real.name + end).exists() for end in ("-wal", "-shm"))
    if wal and not shm:
        return None
    return History(real, immutable=not wal)


def _values(history: History, field: str) -> list[tuple[str, str]]:
    if field in ("run", "pipeline"):
        runs = history.runs(limit=_NEWEST)
        if field == "run":
            return [(str(run.id), _told(run)) for run in runs]
        return [(run.pipeline, _told(run)) for run in {run.pipeline: run for run in reversed(runs)}.values()]
    value_of, help_of = _OF_ATTEMPTS[field], _HELP_OF.get(field, _no_help)
    rows = history.page(limit=_NEWEST)
    helps = {str(value_of(row)): help_of(row) for row in rows if value_of(row) is not None}
    return [
        (value, helps[value])
        for value, _ in Counter(str(value_of(row)) for row in rows).most_common()
        if value in helps
    ]


def _no_help(_row: AttemptRow) -> str:
    return ""


def _told(run: RunRow) -> str:
    return f"{run.pipeline} {run.status} {local_stamp(run.started_at)}"
