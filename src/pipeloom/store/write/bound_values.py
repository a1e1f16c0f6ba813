"""Values that user code binds to a statement: NumPy's are converted, and one that SQLite cannot hold is named.

Python's sqlite3 stores a NumPy integer as a BLOB of its bytes, without an error.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Final

_NATIVE: Final = frozenset({type(None), int, float, str, bytes})
_LARGEST: Final = 2**63
_NUMPY_KINDS: Final = "biufSU"
"""Booleans, integers, floats, bytes and text; a NumPy time would become its number of nanoseconds."""


def converted(parameters: Any) -> Any:
    """Return the parameters of one statement with NumPy's scalars as Python's."""
    if "numpy" not in sys.modules or set(map(type, _values(parameters))) <= _NATIVE:
        return parameters
    if isinstance(parameters, Mapping):
        return {name: _plain(value) for name, value in parameters.items()}
    return tuple(map(_plain, parameters))


class Rows:
    """The rows of an `executemany`, converted; knows the last row that was read."""

    def __init__(self, rows: Iterable[Any]) -> None:
        self._rows = rows
        self.number = 0
        """1 for the first row."""
        self.row: Any = ()

    def __iter__(self) -> Iterator[Any]:
        for row in self._rows:
            self.number += 1
            self.row = row
            yield converted(row)


def rows_to_bind(rows: Iterable[Any]) -> Iterable[Any]:
    """Return rows for `executemany`: the list itself where nothing in it needs to be converted."""
    if isinstance(rows, list | tuple) and ("numpy" not in sys.modules or _are_native(rows)):
        return rows
    return Rows(rows)


def _are_native(rows: Sequence[Any]) -> bool:
    if not set(map(type, rows)) <= {tuple, list}:
        return False
    return set(map(type, chain.from_iterable(rows))) <= _NATIVE


def misfit(parameters: Any, rows: Iterable[Any] | None = None) -> str:
    """Return the place and type of the first value that SQLite cannot hold; "" when none is found."""
    if rows is None:
        return _misfit_in(parameters, "")
    if isinstance(rows, Rows):
        return _misfit_in(rows.row, f"row {rows.number}, ")
    return next(filter(None, (_misfit_in(row, f"row {number}, ") for number, row in enumerate(rows, 1))), "")


def _misfit_in(row: Any, where: str) -> str:
    named = row.items() if isinstance(row, Mapping) else enumerate(row, 1)
    for column, value in named:
        why = _why_not(_plain(value))
        if why:
            return f"{where}column {column} is {type(value).__name__} {value!r:.60}: {why}"
    return ""


def _why_not(value: Any) -> str:
    """Return why SQLite cannot hold the value, and what to bind in its place; "" when it can."""
    if isinstance(value, int) and not -_LARGEST <= value < _LARGEST:
        return "SQLite's integers have 64 bits; bind text"
    if isinstance(value, str) and not value.isprintable() and any("\ud800" <= char <= "\udfff" for char in value):
        return "text with a lone surrogate is no UTF-8; bind bytes, or replace it"
    if isinstance(value, (int, float, str, type(None))) or _has_buffer(value):
        return ""
    return "SQLite holds None, int, float, str and bytes; convert it first, as with str(...) or .isoformat()"


def _has_buffer(value: Any) -> bool:
    try:
        memoryview(value)
    except TypeError:
        return False
    return True


def _values(parameters: Any) -> Iterable[Any]:
    return parameters.values() if isinstance(parameters, Mapping) else parameters


def _plain(value: Any) -> Any:
    """Return a NumPy scalar as the Python value that equals it; a time or any other value as it is."""
    numpy = sys.modules.get("numpy")
    if numpy is None or not isinstance(value, numpy.generic):
        return value
    if value.dtype.kind in _NUMPY_KINDS:
        return value.item()
    raise TypeError(f"SQLite cannot hold {type(value).__name__} {value!r:.60}: convert it first.")
