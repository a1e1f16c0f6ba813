"""Attempts in any order, page by page. A deep page costs as much as the first one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple, Protocol

from pipeloom.filters import Filter, status_filter
from pipeloom.filters.grammar import ODD
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
"""Sort columns that always have a value in tables that pipeloom made."""
_INDEXES: Final = {
    "status": "task_runs_status",
    "run": "sqlite_autoindex_task_runs_1",
    "started": "task_runs_started",
    "dur": "task_runs_duration",
    "fail": "task_runs_failure",
    "name": "task_runs_name",
    ODD: "task_runs_odd",
}
"""Field of a filter to the index that finds its rows."""
_FEW: Final = 60_000
"""Up to so many rows, sorting them is faster than finding them by reading all rows in order."""
_FEW_BY_STATUS: Final = 5_000
"""The same for a filter by status alone: the indexes of the orders hold the status too."""
_FEW_IDS: Final = 200_000
"""The same for a filter by status alone in the order of ids, which are sorted quickly."""
_BUDGET_S: Final = 0.08
"""Seconds that reading the rows in order may take, before the rows that pass are found and sorted."""
NEWEST: Final = Sort()
OLDEST: Final = Sort(descending=False)


class Key(NamedTuple):
    """A place in an order: the value of the sort column, and the id."""

    value: Any
    id: int
    is_stored: bool = False
    """Whether the row still has the value: then the stored one is compared, which `value` may show cut."""


def key_of(row: AttemptRow, sort: Sort) -> Key:
    """Return the place of `row` in the order `sort`."""
    value = getattr(row, sort.column)
    return Key(str(value) if isinstance(value, Status) else value, row.id)


class Wanted(NamedTuple):
    """The page that is asked for (see `History.page`)."""

    where: Filter
    sort: Sort
    after: Key | None
    before: Key | Literal["end"] | None
    newest: int | None
    offset: int
    limit: int


class Way(NamedTuple):
    """A way for SQLite to find the rows of a page."""

    where: Filter
    by: str = ""
    """Which index to use, as SQL; "" leaves it to SQLite."""
    sorts: bool = False
    """Whether the rows are found in another order, and sorted."""
    budget_s: float | None = None
    """Seconds after which the next way is tried."""


class Rows(Protocol):
    """Runs a query to its end; raises `TimeoutError` when that takes longer than `budget_s`."""

    def __call__(self, sql: str, values: Sequence[Any] = (), *, budget_s: float | None = None) -> list[tuple[Any, ...]]:
        """Return all rows."""


class Pages:
    """Reads pages of a file: runs queries by `rows`, for the columns `selected`."""

    def __init__(self, rows: Rows, selected: str, *, has_indexes: bool, is_ours: bool) -> None:
        self._rows = rows
        self._selected = selected
        self._has_indexes = has_indexes
        self._is_ours = is_ours
        """Whether pipeloom made the tables, so that they have a value where the schema says so."""

    def page(self, wanted: Wanted) -> list[AttemptRow]:
        """Return a page by the way that is likely to be the fastest."""
        before = wanted.before
        exact = wanted._replace(
            after=self._exact(wanted.after, wanted.sort),
            before=self._exact(before, wanted.sort) if isinstance(before, Key) else before,
        )
        *limited, last = self._ways(wanted.where, wanted.sort)
        for way in limited:
            with suppress(TimeoutError):
                return self._read(exact, way)
        return self._read(exact, last)

    def _ways(self, where: Filter, sort: Sort) -> list[Way]:
        """Return the ways to find the rows, in the order in which they are tried; the last one has no budget."""
        # An index finds statuses that are named, not those that are excluded.
        statuses = where.statuses()
        named = status_filter(statuses) if statuses and self._is_ours else where
        if (index := self._index_for(named, sort, only_status=statuses is not None)) is not None:
            return [Way(named, f" INDEXED BY {index}", sorts=True)]
        if all(term.field in _INDEXES for term in where.terms):
            # Where each row is read in passing, one excluded status is checked faster than several named ones.
            return [Way(named if sort.column in ("id", "status") else where)]
        if sort.column == "id":
            # Every row has to be read, and the table itself is in order.
            return [Way(where, " NOT INDEXED")]
        return [Way(where, budget_s=_BUDGET_S), Way(where, sorts=True)]

    def _index_for(self, where: Filter, sort: Sort, *, only_status: bool) -> str | None:
        """Return the index by which the filter leaves so few rows that sorting them is fastest; None without one."""
        if _in_order(where, sort):
            return None
        if not only_status:
            return self._selective_index(where, _FEW)
        return self._selective_index(where, _FEW_IDS if sort.column == "id" else _FEW_BY_STATUS)

    def _read(self, wanted: Wanted, way: Way) -> list[AttemptRow]:
        """Return a page: rows with a value of the sort column first, then those without, each part by its index."""
        sort, offset = wanted.sort, wanted.offset
        condition, bound = way.where.sql()
        if wanted.newest is not None:
            condition, bound = f"({condition}) AND id <= ?", [*bound, wanted.newest]
        backwards = wanted.before is not None
        found: list[tuple[Any, ...]] = []
        place = wanted.before if backwards else wanted.after
        nullable = sort.column not in _NEVER_NULL or not self._is_ours
        for part in _parts(sort, place, backwards=backwards, sorts=way.sorts, nullable=nullable):
            left = wanted.limit - len(found)
            if not left:
                break
            whole, given = f"({condition}) AND {part.condition}" if part.condition else condition, [*bound, *part.bound]
            rows = self._rows(self._page_sql(whole, part.order, way.by), [*given, left, offset], budget_s=way.budget_s)
            if offset and not rows:
                offset -= int(self._rows(f"SELECT count(*) FROM task_runs{way.by} WHERE {whole}", given)[0][0])
            elif rows:
                offset = 0
            found += rows
        attempts = [values.attempt_row(row) for row in found]
        return attempts[::-1] if backwards else attempts

    def _page_sql(self, condition: str, order: str, by: str) -> str:
        these = f"FROM task_runs{by} WHERE {condition} ORDER BY {order} LIMIT ? OFFSET ?"
        if self._is_ours:
            # The ids first: rows that are skipped, or only sorted, are then read from an index alone.
            these = f"FROM task_runs WHERE id IN (SELECT id {these}) ORDER BY {order}"
        return f"SELECT {self._selected} {these}"

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
        """Return the key so that the value in the file is compared, unless that has changed."""
        if key is None or sort.column == "id":
            return key
        sql = f"SELECT {sort.column} IS NULL, {columns.PAGE[sort.column]} FROM task_runs WHERE id = ?"
        found = self._rows(sql, [key.id])
        if not found or _shown(sort.column, found[0][1]) != key.value:
            return key
        return Key(None, key.id) if found[0][0] else key._replace(is_stored=True)


class _Part(NamedTuple):
    """A part of an order that is one query."""

    condition: str
    bound: list[Any]
    order: str


def _parts(
    sort: Sort, place: Key | Literal["end"] | None, *, backwards: bool, sorts: bool, nullable: bool
) -> Iterator[_Part]:
    """Yield the parts of a page that starts at `place`, in the order in which they are read.

    Rows without a value of the sort column end every order, while SQLite has them at the beginning of an index: they
    are a part of their own. With `sorts`, SQLite must not read the order from an index.
    """
    descending = sort.descending is not backwards
    direction, sign, plus = ("DESC" if descending else "ASC"), ("<" if descending else ">"), ("+" if sorts else "")
    by_id, key = f"{plus}id {direction}", place if isinstance(place, Key) else None
    beyond = _Part("", [], by_id) if key is None else _Part(f"id {sign} ?", [key.id], by_id)
    if sort.column == "id":
        yield beyond
        return
    column = f"{plus}{sort.column}"
    order, is_null = f"{column} {direction}, id {direction}", f"{column} IS NULL"
    valued = _Part(f"{column} IS NOT NULL" if nullable else "", [], order)
    void = _Part(f"{is_null} AND {beyond.condition}" if beyond.condition else is_null, beyond.bound, by_id)
    if key is None:
        parts = [void, valued] if backwards else [valued, void]
    elif key.value is None and not key.is_stored:
        parts = [void, valued] if backwards else [void]
    else:
        value = f"(SELECT {sort.column} FROM task_runs WHERE id = ?)" if key.is_stored else "?"
        bound = [key.id if key.is_stored else key.value, key.id]
        following = _Part(f"({column}, id) {sign} ({value}, ?)", bound, order)
        parts = [following] if backwards else [following, _Part(is_null, [], by_id)]
    yield from (part for part in parts if nullable or part.order == order)


def _shown(column: str, value: Any) -> Any:
    """Return the value of a sort column as a row has it."""
    if column == "status":
        return str(values.status(value))
    if column == "name":
        return values.text(value)
    return values.number(value) if column == "duration_s" else values.optional_text(value)


def _in_order(where: Filter, sort: Sort) -> bool:
    """Tell whether the index of statuses finds the rows in this order already."""
    if [term.field for term in where.terms] != ["status"]:
        return False
    return sort.column == "status" or (sort.column == "id" and len(where.terms[0].params) == 1)
