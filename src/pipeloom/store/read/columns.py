"""The columns of attempts and runs as SQL, texts cut: a file from elsewhere may lack some, or hold very long texts."""

from __future__ import annotations

from typing import Final

from pipeloom.store.read.values import OPTIONAL_TEXTS, RUN_COLUMNS, TEXT_LIMIT
from pipeloom.store.rows import AttemptRow

_EXPORT_TEXT_LIMIT: Final = 1 << 20
"""Characters; no text that pipeloom writes is longer."""
_PAGE_TEXT_LIMIT: Final = 500
_HEAVY: Final = frozenset({"result", "error", "params", "input_key"})
"""Columns that a page leaves out: `History.attempt` reads them for one row."""
_TEXTS: Final = frozenset({"name", "message", *OPTIONAL_TEXTS})


def _cut(name: str, longest: int) -> str:
    return f"substr({name}, 1, {longest})" if name in _TEXTS else name


PAGE: Final = {name: "NULL" if name in _HEAVY else _cut(name, _PAGE_TEXT_LIMIT) for name in AttemptRow._fields}
WHOLE: Final = {name: _cut(name, TEXT_LIMIT) for name in AttemptRow._fields}
EXPORT: Final = {name: _cut(name, _EXPORT_TEXT_LIMIT) for name in AttemptRow._fields}
RUN: Final = {name: name for name in RUN_COLUMNS}


def selected(wanted: dict[str, str], stored: set[str]) -> str:
    """Return the columns as SQL, with NULL for those that the file does not have."""
    return ", ".join(sql if name in stored else "NULL" for name, sql in wanted.items())
