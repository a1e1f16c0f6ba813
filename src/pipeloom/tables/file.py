"""The tables in the file: created or extended at start-up, and written by the handler of their rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pipeloom.errors import UsageError
from pipeloom.tables.columns import definition
from pipeloom.tables.names import ATTEMPT, lowered, quoted
from pipeloom.tables.table import Table, TableRows

_MANY: Final = 100
"""Rows for which it is cheaper to compile a statement that names the attempt than to make each row longer."""

ROWS_BUDGET_S: Final = 60.0
"""Seconds that writing the rows of one message may take."""


class TableWriter:
    """Creates the tables of a pipeline, and writes their rows: a schema helper and a handler."""

    def __init__(self, tables: Mapping[str, Table]) -> None:
        self._tables = tables
        """By name in small letters; filled by the pipeline."""

    def create(self, conn: Any) -> None:
        """Create the tables that are not there and add columns that are new: all, or nothing and a `UsageError`."""
        statements = [sql for table in self._tables.values() for sql in _changes(conn, table)]
        if statements:
            conn.execute("BEGIN IMMEDIATE")  # committed by the writer once this has returned
            for sql in statements:
                conn.execute(f"{sql};")  # the file keeps what stands before the end of the statement

    def write(self, conn: Any, message: TableRows) -> None:
        """Insert or replace rows; raises `UsageError` for those of a table that the pipeline does not have."""
        table = self._tables.get(lowered(message.table))
        if table is None or table.names != message.columns:
            columns = ", ".join(message.columns)
            raise UsageError(f"this pipeline has no table {message.table} with the columns {columns}")
        attempt = conn.attempt.id if table.provenance else None
        if attempt is None or len(message.rows) >= _MANY:
            conn.executemany(table.insert("NULL" if attempt is None else str(attempt)), message.rows)
        else:
            conn.executemany(table.insert("?"), [(*row, attempt) for row in message.rows])


@dataclass(frozen=True, slots=True)
class _Definition:
    """What a table is like."""

    columns: dict[str, str]
    """Names in small letters, to the columns' SQL."""
    key: tuple[str, ...]
    """In small letters."""
    strict: bool = True
    kind: str = "table"

    def __str__(self) -> str:
        """Return the definition as CREATE TABLE has it."""
        if self.kind != "table":
            return f"a {self.kind}"
        key = [f"PRIMARY KEY ({', '.join(map(quoted, self.key))})"] if self.key else []
        return f"({', '.join([*self.columns.values(), *key])}){' STRICT' if self.strict else ''}"


def _wanted(table: Table) -> _Definition:
    columns = {lowered(column.name): column.sql for column in table.columns}
    if table.provenance:
        columns[ATTEMPT] = definition(ATTEMPT, "INTEGER", not_null=False)  # rows of before have none
    return _Definition(columns, tuple(map(lowered, table.key)))


def _found(conn: Any, name: str) -> _Definition | None:
    """Return the table as the file has it; None when it has none of that name."""
    listed = conn.execute(
        "SELECT type, strict FROM pragma_table_list WHERE schema='main' AND lower(name)=lower(?)", (name,)
    ).fetchone()
    if listed is None:
        return None
    rows = conn.execute(
        "SELECT name, upper(type), \"notnull\" OR pk, pk FROM pragma_table_info(?, 'main') ORDER BY cid", (name,)
    ).fetchall()
    columns = {lowered(column): definition(column, kind, not_null=filled) for column, kind, filled, _ in rows}
    key = tuple(lowered(column) for _, column in sorted((place, column) for column, _, _, place in rows if place))
    return _Definition(columns, key, bool(listed[1]), listed[0])


def _changes(conn: Any, table: Table) -> Iterator[str]:
    """Yield the statements that give the file the table; raises `UsageError` when it has a different one."""
    wanted, found = _wanted(table), _found(conn, table.name)
    target = f"main.{quoted(table.name)}"
    if found is None:
        yield f"CREATE TABLE {target} {wanted}"
        return
    if (wanted.key, wanted.strict, wanted.kind) != (found.key, found.strict, found.kind) or any(
        lowered(wanted.columns.get(name, "")) != lowered(sql) for name, sql in found.columns.items()
    ):
        raise UsageError(
            f"The table {table.name} in the file is not the one that the pipeline declares. In the file: {found}. "
            f"In the pipeline: {wanted}. Only new columns are added: change the mapping, or choose another name."
        )
    new = [name for name in wanted.columns if name not in found.columns]
    filled = [name for name in new if wanted.columns[name].endswith(" NOT NULL")]
    if filled and conn.execute(f"SELECT 1 FROM {target} LIMIT 1").fetchone():
        raise UsageError(
            f"The table {table.name} in the file has rows, which have nothing for the new column {filled[0]}: "
            f"declare it with `| None`. In the file: {found}. In the pipeline: {wanted}."
        )
    yield from (f"ALTER TABLE {target} ADD COLUMN {wanted.columns[name]}" for name in new)
