"""Attempts in any order, page by page: what a page costs must not grow with how deep it lies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, Protocol

from pipeloom.filters import Filter, status_filter
from pipeloom.status import Status
from pipeloom.store.read import columns, values
from pipeloom.store.rows import AttemptRow


@dataclass(frozen=True, slots=True)
class Sort:
    """An order of attempts: by one column, ties by id in the same direction; rows without a value come last."""

    column: str = "id"
    descending: bool = True

    def __post_init__(self) -> None:
        if self.column not in SORTABLE:
            raise ValueError(f"cannot sort by {self.column!r}")


SORTABLE: Final = frozenset({"id", "name", "status", "started_at", "duration_s"})
_NEVER_NULL: Final = frozenset({"id", "name", "status"})
"""Sort columns that always have a value, unless somebody else made the tables."""
_INDEXES: Final = {
    "status": "task_runs_status",
    "run": "sqlite_autoindex_task_runs_1",
    "started": "task_runs_started",
    "dur": "task_runs_duration",
    "fail": "task_runs_failure",
    "name": "task_runs_name",
}
"""Field of a filter to the index that finds its rows."""
_FEW: Final = 60_000
"""So many rows are sorted faster than they are found by walking through all rows in order."""
_FEW_BY_STATUS: Final = 5_000
_FEW_IDS: Final = 200_000
"""The same for a filter by status alone: the indexes of the orders know the statuses, and ids are sorted soon."""
_BUDGET_S: Final = 0.08
"""What walking through the rows in order may take, before all are looked at and those that pass are sorted."""
NEWEST: Final = Sort()
OLDEST: Final = Sort(descending=False)


@dataclass(frozen=True, slots=True)
class Key:
    """A place in an order: the value of the sort column, and the id."""

    value: Any
    id: int
    is_stored: bool = False
    """Whether the row still has the value, which it may show cut or as another type: then its own is compared with."""


def key_of(row: AttemptRow, sort: Sort) -> Key:
    """Return the place of `row` in the order `sort`."""
    value = getattr(row, sort.column)
    return Key(str(value) if isinstance(value, Status) else value, row.id)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The page that somebody wants (see `History.page`)."""

    where: Filter
    sort: Sort
    after: Key | None
    before: Key | Literal["end"] | None
    newest: int | None
    offset: int
    limit: int


class Rows(Protocol):
    """Runs a query to its end; raises `TimeoutError` when that takes longer than `budget_s`."""

    def __call__(self, sql: str, values: Sequence[Any] = (), *, budget_s: float | None = None) -> list[tuple[Any, ...]]:
        """Return all rows that there are."""


class Pages:
    """Reads pages of a file with `rows`, as `selected` columns."""

    def __init__(self, rows: Rows, selected: str, *, has_indexes: bool, is_ours: bool) -> None:
        self._rows = rows
        self._selected = selected
        self._has_indexes = has_indexes
        self._is_ours = is_ours
        """Whether the tables are of our making, and have a value where we say so."""

    def page(self, wanted: Wanted) -> list[AttemptRow]:
        """Return a page by the way that is likely to be the fastest."""
        where, sort, after, before = wanted.where, wanted.sort, wanted.after, wanted.before
        exact = replace(
            wanted,
            after=self._exact(after, sort),
            before=self._exact(before, sort) if isinstance(before, Key) else before,
        )
        statuses = where.statuses()
        # An index finds statuses that are named, not those that are not to be.
        named = status_filter(statuses) if statuses and self._is_ours else where
        few = _FEW if statuses is None else _FEW_IDS if sort.column == "id" else _FEW_BY_STATUS
        index = None if _in_order(named, sort) else self._selective_index(named, few)
        if index is not None:
            return self._page(replace(exact, where=named), f" INDEXED BY {index}", sorts=True)
        if all(term.field in _INDEXES for term in where.terms):
            # Where each row is looked at in passing, one status that is not to be is told sooner than several that are.
            return self._page(replace(exact, where=named) if sort.column in ("id", "status") else exact)
        if sort.column == "id":
            # Every row has to be looked at, and the table itself is in order.
            return self._page(exact, " NOT INDEXED")
        try:
            return self._page(exact, budget_s=_BUDGET_S)
        except TimeoutError:
            return self._page(exact, sorts=True)

    def _page(
        self, wanted: Wanted, by: str = "", *, sorts: bool = False, budget_s: float | None = None
    ) -> list[AttemptRow]:
        """Return a page: rows with a value of the sort column first, then those without, each part by its index.

        `by` tells SQLite which index to use; with `sorts` the rows do not come from it in order.
        """
        sort, offset = wanted.sort, wanted.offset
        condition, bound = wanted.where.sql()
        if wanted.newest is not None:
            condition, bound = f"({condition}) AND id <= ?", [*bound, wanted.newest]
        backwards = wanted.before is not None
        found: list[tuple[Any, ...]] = []
        place = wanted.after if wanted.before is None else wanted.before
        nullable = sort.column not in _NEVER_NULL or not self._is_ours
        for part, bounds, order in _parts(sort, place, backwards=backwards, sorts=sorts, nullable=nullable):
            left = wanted.limit - len(found)
            if not left:
                break
            whole = f"({condition}) AND {part}" if part else condition
            these = f"FROM task_runs{by} WHERE {whole} ORDER BY {order} LIMIT ? OFFSET ?"
            if self._is_ours:
                # The ids first: what a jump leaps over, and what is only sorted, is then read from an index alone.
                these = f"FROM task_runs WHERE id IN (SELECT id {these}) ORDER BY {order}"
            rows = self._rows(f"SELECT {self._selected} {these}", [*bound, *bounds, left, offset], budget_s=budget_s)
            if offset and not rows:
                offset -= int(self._rows(f"SELECT count(*) FROM task_runs{by} WHERE {whole}", [*bound, *bounds])[0][0])
            elif rows:
                offset = 0
            found += rows
        attempts = [values.attempt_row(row) for row in found]
        return attempts[::-1] if backwards else attempts

    def _selective_index(self, where: Filter, few: int) -> str | None:
        """Return the index by which the filter leaves at most `few` rows, if there is one."""
        if not self._has_indexes:
            return None
        best, fewest = None, few + 1
        for term in where.terms:
            if term.field in _INDEXES and not term.negated:
                sql = f"SELECT count(*) FROM (SELECT 1 FROM task_runs WHERE {term.sql} LIMIT {few + 1})"
                found = int(self._rows(sql, term.params)[0][0])
                if found < fewest:
                    best, fewest = _INDEXES[term.field], found
        return best

    def _exact(self, key: Key | None, sort: Sort) -> Key | None:
        """Return the key such that it is compared by the value that the file has, unless that is another one by now."""
        if key is None or sort.column == "id":
            return key
        sql = f"SELECT {sort.column} IS NULL, {columns.PAGE[sort.column]} FROM task_runs WHERE id = ?"
        found = self._rows(sql, [key.id])
        if not found or _shown(sort.column, found[0][1]) != key.value:
            return key
        return Key(None, key.id) if found[0][0] else replace(key, is_stored=True)


def _parts(
    sort: Sort, key: Key | Literal["end"] | None, *, backwards: bool, sorts: bool, nullable: bool
) -> Iterator[tuple[str, list[Any], str]]:
    """Yield condition, values and order of the queries that make a page, one after the other.

    Rows without a value of the sort column end every order, while SQLite has them at the beginning of an index: they
    are a part of their own. With `sorts` the order is not to be read from an index.
    """
    descending = sort.descending is not backwards
    direction, sign, plus = ("DESC" if descending else "ASC"), ("<" if descending else ">"), ("+" if sorts else "")
    by_id, place = f"{plus}id {direction}", key if isinstance(key, Key) else None
    beyond: tuple[str, list[Any]] = ("", []) if place is None else (f"id {sign} ?", [place.id])
    if sort.column == "id":
        yield *beyond, by_id
        return
    column = f"{plus}{sort.column}"
    order = f"{column} {direction}, id {direction}"
    rest = f"{column} IS NULL"
    if place is None or (place.value is None and not place.is_stored):
        whole = f"{column} IS NOT NULL" if nullable else ""
        valued: tuple[str, list[Any], str] = whole, [], order
        void = " AND ".join(filter(None, (rest, beyond[0]))), beyond[1], by_id
        parts = [valued, void] if place is None else [void, valued] if backwards else [void]
        parts = parts[::-1] if place is None and backwards else parts
    else:
        value = f"(SELECT {sort.column} FROM task_runs WHERE id = ?)" if place.is_stored else "?"
        valued = f"({column}, id) {sign} ({value}, ?)", [place.id if place.is_stored else place.value, place.id], order
        parts = [valued] if backwards else [valued, (rest, [], by_id)]
    yield from (part for part in parts if nullable or part[2] == order)


def _shown(column: str, value: Any) -> Any:
    """Return the value of a sort column as a row has it."""
    if column == "status":
        return str(values.status(value))
    if column == "name":
        return values.text(value)
    return values.number(value) if column == "duration_s" else values.optional_text(value)


def _in_order(where: Filter, sort: Sort) -> bool:
    """Tell whether the index of the statuses finds the rows in this order already, so that nothing is to be sorted."""
    if [term.field for term in where.terms] != ["status"]:
        return False
    return sort.column == "status" or (sort.column == "id" and len(where.terms[0].params) == 1)
