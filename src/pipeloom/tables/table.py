"""A table that a pipeline declares, and the message that holds rows of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, Final

from pipeloom.errors import MessageError, UsageError
from pipeloom.tables.columns import Column, columns_of, key_of
from pipeloom.tables.names import ATTEMPT, checked_table_name, lowered, quoted
from pipeloom.tables.sources import Chunk, Frame, NoRowsError, blocks, fields_of
from pipeloom.tables.values import MisfitError, all_stored, stored

Row = tuple[Any, ...]
_SAMPLE: Final = 16
_BASE: Final = 64
"""Bytes counted for a row, and for a value besides its characters."""


@dataclass(frozen=True, slots=True)
class TableRows:
    """Rows of a table, as values that SQLite holds. `Table.rows` makes it."""

    table: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    size: int = field(init=False, repr=False, compare=False)
    """Approximate bytes of the rows, by a sample. Kept, because it is asked for more than once."""

    def __post_init__(self) -> None:
        """Weigh the rows."""
        sample = self.rows[:: len(self.rows) // _SAMPLE + 1]
        texts = sum([len(value) for row in sample for value in row if isinstance(value, (str, bytes))])
        each = _BASE * (1 + len(self.columns)) + texts // max(1, len(sample))
        object.__setattr__(self, "size", each * len(self.rows))

    def halves(self) -> Iterator[TableRows]:
        """Yield the first and the second half of the rows."""
        middle = len(self.rows) // 2
        yield TableRows(self.table, self.columns, self.rows[:middle])
        yield TableRows(self.table, self.columns, self.rows[middle:])


class Table:
    """A table of the user's that pipeloom creates and writes: `pipeline.table(...)` makes it."""

    __slots__ = ("_insert", "_values_of", "columns", "key", "mapping", "name", "names", "provenance")

    def __init__(
        self, name: str, columns: Mapping[str, Any], key: str | Sequence[str] | None = None, provenance: bool = True
    ) -> None:
        """Check the declaration; raises `UsageError`."""
        self.name = checked_table_name(name)
        self.columns = columns_of(self.name, columns)
        self.mapping = dict(columns)
        """Names of columns to their types, as they were declared."""
        self.names = tuple(column.name for column in self.columns)
        self._values_of = _values_of(self.names)
        self.key = key_of(self.name, key, self.columns)
        """Columns by which a row that is there is replaced; none: rows are appended."""
        self.provenance = provenance
        """Whether each row holds the id of its attempt."""
        if provenance and any(lowered(name) == ATTEMPT for name in self.names):
            raise UsageError(f"Table {self.name}: the column {ATTEMPT} is pipeloom's own, unless provenance=False.")
        self._insert = self._insert_around_attempt()

    def __reduce__(self) -> tuple[type[Table], tuple[Any, ...]]:
        """Travel as the declaration: rules are functions of this package."""
        return Table, (self.name, self.mapping, self.key or None, self.provenance)

    def rows(self, source: Any) -> TableRows:
        """Return a message that holds the rows of `source`, by value.

        `source` is an iterable of tuples, dicts or dataclasses, one of these, a pandas or polars frame, an Arrow table,
        or an iterable of those. Raises `MessageError` that names row, column, type and table for what cannot be stored.
        """
        rows: list[Row] = []
        try:
            for block in blocks(source):
                rows += self._converted(block, len(rows) + 1)
        except NoRowsError:
            raise MessageError(
                f"Table {self.name}: rows() takes rows or a frame, not {type(source).__name__}."
            ) from None
        return TableRows(self.name, self.names, tuple(rows))

    # -- one block ----------------------------------------------------------------------------------------------------

    def _converted(self, block: Frame | Chunk, first: int) -> Iterable[Row]:
        """Return the rows of a block as they are stored; `first` is the number of the first one."""
        if isinstance(block, Frame):
            return zip(*self._stored(self._arranged(block, first), first), strict=True)
        rows, values = self._as_columns(block, first)
        kept = self._stored(values, first)
        if all(new is old for new, old in zip(kept, values, strict=True)):
            return rows
        return zip(*kept, strict=True)

    def _stored(self, values: Sequence[Sequence[Any]], first: int) -> list[Sequence[Any]]:
        return [
            self._one_by_one(column, column_values, first) if quick is None else quick
            for column, column_values in zip(self.columns, values, strict=True)
            for quick in (all_stored(column.rule, column_values, nullable=column.nullable),)
        ]

    def _one_by_one(self, column: Column, values: Sequence[Any], first: int) -> list[Any]:
        made: list[Any] = []
        for number, value in enumerate(values, first):
            try:
                made.append(stored(column.rule, value, nullable=column.nullable))
            except MisfitError as misfit:
                raise self._misfit(column, number, value, str(misfit)) from None
        return made

    # -- rows to tuples in the order of the columns -------------------------------------------------------------------

    def _as_columns(self, chunk: Chunk, first: int) -> tuple[Sequence[Row], list[Row]]:
        """Return the rows as plain tuples in the order of the columns, and the values of each column."""
        quick = self._quick_tuples(chunk)
        if quick is not None:
            with suppress(ValueError):  # rows of different lengths
                values = list(zip(*quick, strict=True))
                if len(values) == len(self.columns):
                    return quick, values
        rows = [self._as_tuple(row, number) for number, row in enumerate(chunk.rows, first)]
        return rows, list(zip(*rows, strict=True))

    def _quick_tuples(self, chunk: Chunk) -> Sequence[Row] | None:
        """Return rows that are all tuples or all whole dicts as tuples; None for any others."""
        if chunk.kinds == {tuple}:
            return chunk.rows
        if chunk.kinds == {dict} and set(map(len, chunk.rows)) == {len(self.names)}:
            with suppress(KeyError):
                return list(map(self._values_of, chunk.rows))
        return None

    def _as_tuple(self, row: Any, number: int) -> Row:
        if isinstance(row, tuple) and {*getattr(row, "_fields", ())} == {*self.names}:
            return tuple(getattr(row, name) for name in self.names)  # a named tuple knows its columns
        if isinstance(row, (tuple, list)):
            if len(row) < len(self.columns):
                missing = self.columns[len(row)]
                raise self._error(number, f"it ends before column {missing.name} ({missing.kind})")
            if len(row) > len(self.columns):
                raise self._error(number, f"it has {len(row)} values, for {len(self.columns)} columns")
            return tuple(row)
        if isinstance(row, TableRows):
            raise self._error(number, f"it is what {row.table}.rows(...) has returned: put that as it is")
        named = fields_of(row)
        if named is None:
            raise self._error(number, f"{type(row).__name__} {_shown(row)} is neither a tuple, a dict nor a dataclass")
        if not named.keys() <= {*self.names}:
            raise self._unknown(named, number)
        return tuple(
            named[column.name] if column.name in named else self._absent(column, number) for column in self.columns
        )

    def _arranged(self, frame: Frame, first: int) -> list[Sequence[Any]]:
        """Return the columns of a frame in the order of the table's."""
        if frame.doubled is not None:
            raise MessageError(f"Table {self.name}: the frame has more than one column {frame.doubled!r:.60}.")
        if not frame.columns.keys() <= {*self.names}:
            raise self._unknown(frame.columns, first)
        return [
            frame.columns[column.name] if column.name in frame.columns else [self._absent(column, first)] * frame.length
            for column in self.columns
        ]

    def _absent(self, column: Column, number: int) -> Any:
        """Return the value of a column that a row does not name; raises `MessageError` when it cannot be missing."""
        if column.nullable:
            return None
        raise self._error(number, f"it has no column {column.name} ({column.kind})")

    # -- errors -------------------------------------------------------------------------------------------------------

    def _unknown(self, named: Iterable[Any], number: int) -> MessageError:
        unknown = ", ".join(f"{name!r:.60}" for name in named if name not in self.names)
        return self._error(number, f"the table has no column {unknown}; it has {', '.join(self.names)}")

    def _misfit(self, column: Column, number: int, value: Any, reason: str) -> MessageError:
        why = f": {reason}" if reason else ""
        what = f"column {column.name} ({column.kind}) cannot hold {type(value).__name__} {_shown(value)}{why}"
        return self._error(number, what)

    def _error(self, number: int, what: str) -> MessageError:
        return MessageError(f"Table {self.name}, row {number}: {what}.")

    # -- SQL ----------------------------------------------------------------------------------------------------------

    def insert(self, attempt: str) -> str:
        """Return the statement that writes a row, by its key if there is one; `attempt` is SQL for the attempt's id."""
        head, tail = self._insert
        return f"{head}, {attempt}{tail}" if self.provenance else f"{head}{tail}"

    def _insert_around_attempt(self) -> tuple[str, str]:
        """Return the statement up to the attempt's id and after it."""
        names = [*self.names, ATTEMPT] if self.provenance else self.names
        target = f"main.{quoted(self.name)} ({', '.join(map(quoted, names))})"
        head = f"INSERT INTO {target} VALUES ({', '.join('?' * len(self.names))}"
        if not self.key:
            return head, ")"
        changed = [f"{quoted(name)}=excluded.{quoted(name)}" for name in names if name not in self.key]
        action = f"UPDATE SET {', '.join(changed)}" if changed else "NOTHING"
        return head, f") ON CONFLICT ({', '.join(map(quoted, self.key))}) DO {action}"


def _values_of(names: tuple[str, ...]) -> Callable[[dict[str, Any]], Row]:
    """Return what makes a tuple of the values of a dict."""
    values: Callable[[dict[str, Any]], Any] = itemgetter(*names)
    return values if len(names) > 1 else lambda row: (values(row),)


def _shown(value: Any) -> str:
    try:
        return f"{value!r:.60}"
    except Exception:  # noqa: BLE001 - the code of a user's class may raise anything
        return "(without a text)"
