"""What `Table.rows` takes: rows in any form, and frames, which are read by their own iterators and never imported."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import lru_cache
from itertools import islice
from typing import Any, Final, NamedTuple

CHUNK: Final = 1_000
"""Rows that are converted together."""

_TUPLES: Final = {tuple}
_VALUES: Final = frozenset({int, str, float, type(None)})

Columns = dict[Any, Sequence[Any]]
"""The columns of a frame by name."""


class NoRowsError(Exception):
    """What was given holds no rows."""


class Frame:
    """A frame of any library: the names of its columns, and their values."""

    def __init__(self, columns: Columns, doubled: Any = None) -> None:
        self.columns = columns
        self.length = max(map(len, columns.values()), default=0)
        self.doubled = doubled
        """A name that more than one column has."""


class Chunk(NamedTuple):
    """Some rows, and their types."""

    rows: Sequence[Any]
    kinds: set[type]


def blocks(source: Any) -> Iterator[Frame | Chunk]:
    """Yield what `source` holds: frames, and up to `CHUNK` rows at a time. Raises `NoRowsError` for what has none."""
    if (frame := frame_of(source)) is not None:
        yield frame
    elif is_one_row(source):
        yield Chunk([source], {type(source)})
    elif isinstance(source, (str, bytes, bytearray)) or not isinstance(source, Iterable):
        raise NoRowsError
    else:
        yield from _chunks(iter(source))


def _chunks(items: Iterator[Any]) -> Iterator[Frame | Chunk]:
    while rows := list(islice(items, CHUNK)):
        kinds = set(map(type, rows))
        if kinds == _TUPLES or not any(map(_frame_reader, kinds)):
            yield Chunk(rows, kinds)
            continue
        for item in rows:
            yield frame_of(item) or Chunk([item], {type(item)})


def is_one_row(source: Any) -> bool:
    """Tell whether `source` is a single row: a mapping, a dataclass, or a tuple of values."""
    if type(source) is not tuple:
        if is_dataclass(source) and not isinstance(source, type):
            return True
        if isinstance(source, Mapping) or hasattr(source, "keys"):
            return True
    return isinstance(source, tuple) and bool(source) and not _holds_values(source[0])


def _holds_values(item: Any) -> bool:
    if type(item) in _VALUES:  # as that of a key mostly is
        return False
    return isinstance(item, (tuple, list)) or is_one_row(item) or frame_of(item) is not None


# -- single rows ------------------------------------------------------------------------------------------------------


def fields_of(row: Any) -> Mapping[Any, Any] | None:
    """Return a row of names and values; None for any other."""
    if isinstance(row, Mapping):
        return row
    kind: Any = type(row)
    names = _field_names(kind)
    if names is not None:
        return {name: getattr(row, name) for name in names}
    if hasattr(row, "keys"):  # sqlite3.Row
        return {name: row[name] for name in row.keys()}  # noqa: SIM118 - no mapping
    return None


@lru_cache(maxsize=512)
def _field_names(kind: Any) -> tuple[str, ...] | None:
    return tuple(field.name for field in fields(kind)) if is_dataclass(kind) else None


# -- frames -----------------------------------------------------------------------------------------------------------


def frame_of(source: Any) -> Frame | None:
    """Return the columns of a frame or an Arrow table; None for what is none."""
    kind: Any = type(source)
    read = _frame_reader(kind)
    if read is None:
        return None
    columns: Columns = {}
    doubled = None
    for name, values in read(source):
        if name in columns:
            doubled = name
        columns[name] = values
    return Frame(columns, doubled)


Reader = Callable[[Any], Iterator[tuple[Any, Sequence[Any]]]]


@lru_cache(maxsize=512)
def _frame_reader(kind: Any) -> Reader | None:
    if hasattr(kind, "itertuples"):
        return _of_pandas
    if hasattr(kind, "iter_columns"):
        return _of_polars
    if hasattr(kind, "to_pylist") and hasattr(kind, "num_rows"):
        return _of_arrow
    return None


CACHES: Final = (_field_names, _frame_reader)
"""What is remembered of classes."""


def _of_pandas(frame: Any) -> Iterator[tuple[Any, Sequence[Any]]]:
    return ((name, list(series)) for name, series in frame.items())


def _of_polars(frame: Any) -> Iterator[tuple[Any, Sequence[Any]]]:
    return ((series.name, series.to_list()) for series in frame.iter_columns())


def _of_arrow(table: Any) -> Iterator[tuple[Any, Sequence[Any]]]:
    return ((name, column.to_pylist()) for name, column in zip(table.schema.names, table.columns, strict=True))
