"""The columns of a table, from the mapping that declares them."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Union, get_args, get_origin

from pipeloom.errors import UsageError
from pipeloom.tables.names import checked_name, lowered, quoted
from pipeloom.tables.values import RULES, Rule, rule_of


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table."""

    name: str
    kind: str
    """Its type as a person writes it."""
    rule: Rule
    nullable: bool

    @property
    def sql(self) -> str:
        """Its definition."""
        return definition(self.name, self.rule.affinity, not_null=not self.nullable)


def definition(name: str, affinity: str, *, not_null: bool) -> str:
    """Return a column as CREATE TABLE has it."""
    return f"{quoted(name)} {affinity}{' NOT NULL' if not_null else ''}"


def columns_of(table: str, mapping: Any) -> tuple[Column, ...]:
    """Return the columns of a mapping of names to types; raises `UsageError` for what has no rule."""
    if not isinstance(mapping, Mapping) or not mapping:
        raise UsageError(f'Table {table}: columns must be a mapping of names to types, as in {{"id": int}}.')
    columns = tuple(_column(table, name, annotation) for name, annotation in mapping.items())
    seen: set[str] = set()
    for column in columns:
        if lowered(column.name) in seen:
            raise UsageError(f"Table {table}: column {column.name} is there twice (SQLite ignores case).")
        seen.add(lowered(column.name))
    return columns


def key_of(table: str, key: Any, columns: Sequence[Column]) -> tuple[str, ...]:
    """Return the names of the key's columns; raises `UsageError` unless each is a column that is never missing."""
    if key is None:
        return ()
    names = (key,) if isinstance(key, str) else tuple(key) if isinstance(key, (list, tuple)) else None
    if not names or len(set(names)) != len(names):
        raise UsageError(f"Table {table}: key must be the name of a column or a list of some, not {key!r:.60}.")
    by_name = {column.name: column for column in columns}
    for name in names:
        if name not in by_name:
            raise UsageError(f"Table {table}: the key names {name!r:.60}, which is no column.")
        if by_name[name].nullable:
            raise UsageError(f"Table {table}: column {name} is in the key, so it cannot be missing: without `| None`.")
    return names


def _column(table: str, name: object, annotation: Any) -> Column:
    plain = checked_name(name, f"a column of table {table}")
    kinds = get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)
    present = [kind for kind in kinds if kind is not type(None)]
    rule = rule_of(present[0]) if len(present) == 1 else None
    if rule is None:
        known = ", ".join(kind.__name__ for kind in RULES)
        raise UsageError(
            f"Table {table}, column {plain}: there is no rule for {_written(annotation)}. There are rules for {known}, "
            "for an Enum of texts or of integers, and for each of them with `| None`."
        )
    return Column(plain, _written(present[0]), rule, nullable=len(kinds) > len(present))


def _written(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)
