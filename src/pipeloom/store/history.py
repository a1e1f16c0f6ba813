"""What front ends read of a file: attempts page by page, runs, logs. Never changes anything."""

from __future__ import annotations

import contextlib
import math
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Final, Literal, Self

from pipeloom.errors import StoreError
from pipeloom.filters import Filter
from pipeloom.messages import TaskId
from pipeloom.status import FINAL, RunStatus, Status
from pipeloom.store.inspect import READABLE, WRITABLE, FileKind, inspect, open_reader
from pipeloom.store.rows import AttemptRow, LogRow, Past, RunRow, Standing
from pipeloom.store.schema import expected_indexes, indexes_of, tables_of

_TEXT_LIMIT: Final = 1 << 16
_STEPS_BETWEEN_LOOKS: Final = 2_000
"""Of SQLite's virtual machine, between two looks at the clock."""
_EXPORT_TEXT_LIMIT: Final = 1 << 20
"""No text that pipeloom writes is longer."""
_PAGE_TEXT_LIMIT: Final = 500
_COLUMNS: Final = AttemptRow._fields
_RUN_COLUMNS: Final = tuple(field.name for field in fields(RunRow))
_ALL_RUN_COLUMNS: Final = dict(zip(_RUN_COLUMNS, _RUN_COLUMNS, strict=True))
_LOG_COLUMNS: Final = frozenset({"task_run_id", "seq", "at", "level", "text"})
_HEAVY: Final = frozenset({"result", "error", "params"})
"""Columns that a page leaves out: `attempt` reads them for the one row that is looked at."""

_OPTIONAL_TEXTS: Final = (
    "queued_at", "due_at", "started_at", "finished_at", "result", "error_type", "error", "params", "worker",
    "fingerprint",
)  # fmt: skip
_TEXTS: Final = frozenset({"name", "message", *_OPTIONAL_TEXTS})


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


class History:
    """One read-only connection to a file. Open one in each thread that reads; `interrupt` may come from any thread."""

    def __init__(self, path: Path) -> None:
        kind = inspect(path)
        if kind not in READABLE:
            raise StoreError(_refusal(path, kind))
        self.path = path
        self.kind = kind
        self._connection = open_reader(path)
        try:
            self._look_around()
        except BaseException:
            self._connection.close()
            raise

    def _look_around(self) -> None:
        """Note what the file has: an older one has fewer columns, an altered one anything in the place of its logs."""
        try:
            tables = tables_of(self._connection)
            indexes = indexes_of(self._connection) if self.kind is FileKind.OURS else set()
        except (sqlite3.Error, UnicodeError) as error:
            raise StoreError(f"{self.path} cannot be read: {error}.") from error
        self._has_indexes = indexes >= expected_indexes()
        attempts = self._columns_of("task_runs")
        self._page_columns = _selected(_PAGE_COLUMNS, attempts)
        self._whole_columns = _selected(_WHOLE_COLUMNS, attempts)
        self._export_columns = _selected(_EXPORT_COLUMNS, attempts)
        self._run_columns = _selected(_ALL_RUN_COLUMNS, self._columns_of("pipeline_runs"))
        self.has_fingerprints = "fingerprint" in attempts
        """Whether failures can be told apart: an older file has no fingerprints of them."""
        self.has_logs = "task_logs" in tables and self._columns_of("task_logs") >= _LOG_COLUMNS

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def interrupt(self) -> None:
        """End the query that is running, which then raises `InterruptedError`."""
        with contextlib.suppress(sqlite3.ProgrammingError):  # closed meanwhile: nothing runs any more
            self._connection.interrupt()

    def count(
        self,
        where: Filter | None = None,
        *,
        newest: int | None = None,
        after: int | None = None,
        budget_s: float | None = None,
    ) -> int:
        """Return the number of attempts that pass, those with ids above `after` and not above `newest` if given.

        Raises `TimeoutError` when it takes longer than `budget_s`.
        """
        condition, values = (where or Filter()).sql()
        if newest is not None:
            condition, values = f"({condition}) AND id <= ?", [*values, newest]
        if after is not None:
            condition, values = f"({condition}) AND id > ?", [*values, after]
        return int(self.rows(f"SELECT count(*) FROM task_runs WHERE {condition}", values, budget_s=budget_s)[0][0])

    def newest_id(self) -> int:
        """Return the id of the attempt that was entered last; 0 without any."""
        return int(self.rows("SELECT coalesce(max(id), 0) FROM task_runs")[0][0])

    def page(
        self,
        where: Filter | None = None,
        *,
        sort: Sort = NEWEST,
        after: Key | None = None,
        before: Key | Literal["end"] | None = None,
        newest: int | None = None,
        offset: int = 0,
        limit: int = 200,
    ) -> list[AttemptRow]:
        """Return up to `limit` attempts in the order `sort`, following `after` or ending just before `before`.

        A page by key costs the same however deep it lies; `offset` skips rows from there one by one. With `newest`
        attempts with a higher id are left out. Pages leave `result`, `error` and `params` out (see `attempt`) and cut
        messages to 500 characters.
        """
        where = where or Filter()
        after = self._exact(after, sort)
        before = self._exact(before, sort) if isinstance(before, Key) else before
        index = self._selective_index(where)
        walks = index is None and any(term.field not in _INDEXES for term in where.terms) and sort.column != "id"
        if walks:
            try:
                return self._page(where, sort, after, before, newest, offset, limit, None, budget_s=_BUDGET_S)
            except TimeoutError:
                return self._page(where, sort, after, before, newest, offset, limit, "")
        return self._page(where, sort, after, before, newest, offset, limit, index)

    def _page(
        self,
        where: Filter,
        sort: Sort,
        after: Key | None,
        before: Key | Literal["end"] | None,
        newest: int | None,
        offset: int,
        limit: int,
        index: str | None,
        budget_s: float | None = None,
    ) -> list[AttemptRow]:
        """Return a page: rows with a value of the sort column first, then those without, each part by its index.

        With an `index` those rows are fetched by it and sorted ("" for none at all); None lets SQLite choose.
        """
        condition, values = where.sql()
        if newest is not None:
            condition, values = f"({condition}) AND id <= ?", [*values, newest]
        backwards = before is not None
        by = f" INDEXED BY {index}" if index else ""
        found: list[tuple[Any, ...]] = []
        place = after if before is None else before
        nullable = sort.column not in _NEVER_NULL or self.kind not in WRITABLE
        for part, bounds, order in _parts(sort, place, backwards=backwards, sorts=index is not None, nullable=nullable):
            left = limit - len(found)
            if not left:
                break
            whole = f"({condition}) AND {part}" if part else condition
            rows = self.rows(
                f"SELECT {self._page_columns} FROM task_runs{by} WHERE {whole} ORDER BY {order} LIMIT ? OFFSET ?",
                [*values, *bounds, left, offset],
                budget_s=budget_s,
            )
            if offset and not rows:
                offset -= int(self.rows(f"SELECT count(*) FROM task_runs{by} WHERE {whole}", [*values, *bounds])[0][0])
            elif rows:
                offset = 0
            found += rows
        attempts = [_attempt(row) for row in found]
        return attempts[::-1] if backwards else attempts

    def _selective_index(self, where: Filter) -> str | None:
        """Return the index by which the filter leaves few rows, if there is one."""
        if not self._has_indexes:
            return None
        best, fewest = None, _FEW + 1
        for term in where.terms:
            if term.field in _INDEXES and not term.negated:
                sql = f"SELECT count(*) FROM (SELECT 1 FROM task_runs WHERE {term.sql} LIMIT {_FEW + 1})"
                found = int(self.rows(sql, term.params)[0][0])
                if found < fewest:
                    best, fewest = _INDEXES[term.field], found
        return best

    def _exact(self, key: Key | None, sort: Sort) -> Key | None:
        """Return the key such that it is compared by the value that the file has, unless that is another one by now."""
        if key is None or sort.column == "id":
            return key
        sql = f"SELECT {sort.column} IS NULL, {_PAGE_COLUMNS[sort.column]} FROM task_runs WHERE id = ?"
        found = self.rows(sql, [key.id])
        if not found or _shown(sort.column, found[0][1]) != key.value:
            return key
        return Key(None, key.id) if found[0][0] else replace(key, is_stored=True)

    def attempt(self, attempt_id: int) -> AttemptRow | None:
        """Return the whole row of an attempt, each text cut to 64 KiB."""
        rows = self.rows(f"SELECT {self._whole_columns} FROM task_runs WHERE id = ?", [attempt_id])
        return _attempt(rows[0]) if rows else None

    def whole(self, attempt_ids: Sequence[int]) -> list[AttemptRow]:
        """Return the whole rows of a few attempts, in that order, without those that are gone meanwhile."""
        marks = ", ".join("?" * len(attempt_ids))
        found = self.rows(f"SELECT {self._export_columns} FROM task_runs WHERE id IN ({marks})", attempt_ids)
        rows = {row.id: row for row in map(_attempt, found)}
        return [rows[number] for number in attempt_ids if number in rows]

    def attempts_of(self, run_id: int, task_id: TaskId) -> list[AttemptRow]:
        """Return the attempts of a task in a run, whole, oldest first."""
        sql = f"SELECT {self._whole_columns} FROM task_runs WHERE run_id = ? AND task_id = ? ORDER BY attempt LIMIT 500"
        return [_attempt(row) for row in self.rows(sql, [run_id, task_id])]

    def runs(self, *, before: int | None = None, limit: int = 100, offset: int = 0) -> list[RunRow]:
        """Return up to `limit` runs, newest first, those before run `before` if it is given, `offset` further on."""
        below = 1 << 62 if before is None else before
        sql = f"SELECT {self._run_columns} FROM pipeline_runs WHERE id < ? ORDER BY id DESC LIMIT ? OFFSET ?"
        return [_run(row) for row in self.rows(sql, [below, limit, offset])]

    def run(self, run_id: int) -> RunRow | None:
        """Return the row of a run."""
        rows = self.rows(f"SELECT {self._run_columns} FROM pipeline_runs WHERE id = ?", [run_id])
        return _run(rows[0]) if rows else None

    def last_run(self, pipeline: str) -> RunRow | None:
        """Return the newest run of a pipeline."""
        sql = f"SELECT {self._run_columns} FROM pipeline_runs WHERE pipeline = ? ORDER BY id DESC LIMIT 1"
        rows = self.rows(sql, [pipeline])
        return _run(rows[0]) if rows else None

    def standings(self, run_id: int) -> dict[TaskId, Standing]:
        """Return how each task stands after a run: what it did not run itself stands as its parents left it."""
        rows = self.rows(_STANDINGS, [run_id])
        return {task_id: _standing(status, attempt, due_at) for task_id, status, attempt, due_at, _ in rows}

    def pasts(self, pipeline: str, before: int, task_ids: Iterable[TaskId]) -> dict[TaskId, Past]:
        """Return what tasks of a pipeline took when they were done, in its last runs before run `before`."""
        runs = [run for (run,) in self.rows(_PAST_RUNS, [pipeline, before])]
        if not runs:
            return {}
        sql = _PAST_DURATIONS.format(runs=", ".join("?" * len(runs)))
        took = {task_id: [row[0] for row in self.rows(sql, [*runs, task_id])] for task_id in task_ids}
        return {task_id: _past(durations) for task_id, durations in took.items() if durations}

    def logs(self, attempt_id: int, limit: int = 2000) -> list[LogRow]:
        """Return the first `limit` lines of an attempt's log."""
        if not self.has_logs:
            return []
        text = f"substr(text, 1, {_TEXT_LIMIT})"
        sql = f"SELECT at, level, {text}, seq FROM task_logs WHERE task_run_id = ? ORDER BY seq LIMIT ?"
        return [
            LogRow(_text(at), _text(level), _text(text), seq)
            for at, level, text, seq in self.rows(sql, [attempt_id, limit])
        ]

    def has_open_runs(self) -> bool:
        """Tell whether a run is under way in the file, or was when its owner died."""
        return bool(self.rows("SELECT 1 FROM pipeline_runs WHERE status = 'running' LIMIT 1", []))

    def data_version(self) -> int:
        """Return a number that changes when another connection commits."""
        return int(self.rows("PRAGMA data_version", [])[0][0])

    def rows(self, sql: str, values: Sequence[Any] = (), *, budget_s: float | None = None) -> list[tuple[Any, ...]]:
        """Run a query of ours to its end, so that no open cursor keeps the write-ahead log from being folded in.

        Raises `InterruptedError` after `interrupt`, and `TimeoutError` when it takes longer than `budget_s`.
        """
        deadline = None if budget_s is None else time.monotonic() + budget_s
        if deadline is not None:
            self._connection.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS_BETWEEN_LOOKS)
        try:
            return self._connection.execute(sql, values).fetchall()
        except sqlite3.OperationalError as error:
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT:
                if deadline is not None and time.monotonic() > deadline:
                    raise TimeoutError("the query took too long") from error
                raise InterruptedError("the query was interrupted") from error
            raise StoreError(f"{self.path} cannot be read: {error}.") from error
        except (sqlite3.Error, OverflowError, UnicodeError) as error:
            raise StoreError(f"{self.path} cannot be read: {error}.") from error
        finally:
            if deadline is not None:
                self._connection.set_progress_handler(None, 0)

    def _columns_of(self, table: str) -> set[str]:
        """Return the stored columns of a table."""
        return {name for (name,) in self.rows("SELECT name FROM pragma_table_xinfo(?) WHERE hidden = 0", [table])}


# A later attempt has a higher id, whatever run it belongs to; SQLite takes the other columns from the row of the max.
_STANDINGS: Final = """
WITH RECURSIVE family(id, generation) AS (
    VALUES (?, 0)
    UNION ALL
    SELECT parent_run_id, generation + 1 FROM pipeline_runs JOIN family USING (id)
    WHERE parent_run_id < id AND generation < 10000
)
SELECT task_id, status, attempt, due_at, max(id) FROM task_runs
WHERE run_id IN (SELECT id FROM family) GROUP BY task_id
"""


_PAST_RUNS: Final = "SELECT id FROM pipeline_runs WHERE pipeline = ? AND id < ? ORDER BY id DESC LIMIT 10"
_PAST_DURATIONS: Final = """
SELECT duration_s FROM task_runs WHERE run_id IN ({runs}) AND task_id = ? AND status = 'done'
AND typeof(duration_s) = 'real' ORDER BY duration_s
"""


def _past(durations: list[float]) -> Past:
    """Return median and quartiles of durations in order: the nearest there is."""
    last = len(durations) - 1
    low, median, high = (durations[round(last * share)] for share in (0.25, 0.5, 0.75))
    return Past(median, low, high)


def _standing(status: Any, attempt: Any, due_at: Any) -> Standing:
    known = Status(status) if status in FINAL else Status.INTERRUPTED
    return Standing(known, int(_number(attempt) or 1), _optional_text(due_at))


def _refusal(path: Path, kind: FileKind) -> str:
    match kind:
        case FileKind.MISSING:
            return f"There is no file {path}: give a pipeline to create it."
        case FileKind.EMPTY:
            return f"{path} is empty: give a pipeline to fill it."
        case FileKind.NEWER:
            return f"{path} was written by a newer pipeloom: upgrade pipeloom to open it."
        case FileKind.LEGACY:
            return f"{path} was written by pipeloom 0.0.x: open it once with pipeloom-tui, without --read-only."
        case _:
            return f"{path} is an SQLite file, but not one of pipeloom's: give a pipeline to add to it."


def _cut(name: str, longest: int) -> str:
    """Return the column as SQL that cuts it: a file from elsewhere may hold texts of any length."""
    return f"substr({name}, 1, {longest})" if name in _TEXTS else name


_PAGE_COLUMNS: Final = {name: "NULL" if name in _HEAVY else _cut(name, _PAGE_TEXT_LIMIT) for name in _COLUMNS}
_WHOLE_COLUMNS: Final = {name: _cut(name, _TEXT_LIMIT) for name in _COLUMNS}
_EXPORT_COLUMNS: Final = {name: _cut(name, _EXPORT_TEXT_LIMIT) for name in _COLUMNS}


def _selected(wanted: dict[str, str], there: set[str]) -> str:
    """Return the columns as SQL, NULL for those that the file does not have."""
    return ", ".join(sql if name in there else "NULL" for name, sql in wanted.items())


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


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)[:_TEXT_LIMIT]


def _optional_text(value: Any) -> str | None:
    return None if value is None else _text(value)


def _number(value: Any) -> float | None:
    return value if isinstance(value, (int, float)) and math.isfinite(value) else None


def _shown(column: str, value: Any) -> Any:
    """Return the value of a sort column as a row has it."""
    if column == "status":
        return str(_status(value))
    return _text(value) if column == "name" else _number(value) if column == "duration_s" else _optional_text(value)


def _status(value: Any) -> Status:
    return Status(value) if value in set(Status) else Status.INTERRUPTED


def _attempt(values: tuple[Any, ...]) -> AttemptRow:
    """Return a row whatever the file holds: a value of the wrong type becomes none, an unknown status `interrupted`."""
    row = dict(zip(_COLUMNS, values, strict=True))
    progress = _number(row["progress"])
    checked: dict[str, Any] = {name: _optional_text(row[name]) for name in _OPTIONAL_TEXTS}
    checked |= {name: _number(row[name]) for name in ("step", "total", "duration_s")}
    return AttemptRow(
        id=row["id"],
        run_id=int(_number(row["run_id"]) or 0),
        task_id=row["task_id"] if isinstance(row["task_id"], (int, str)) else _text(row["task_id"]),
        attempt=int(_number(row["attempt"]) or 1),
        name=_text(row["name"]),
        status=_status(row["status"]),
        progress=None if progress is None else min(max(progress, 0.0), 1.0),
        message=_text(row["message"]),
        **checked,
    )


def _run(values: tuple[Any, ...]) -> RunRow:
    row = dict(zip(_RUN_COLUMNS, values, strict=True))
    checked: dict[str, Any] = {name: _optional_text(row[name]) for name in _OPTIONAL_RUN_TEXTS}
    checked |= {name: None if (number := _number(row[name])) is None else int(number) for name in _RUN_INTEGERS}
    return RunRow(
        id=row["id"],
        pipeline=_text(row["pipeline"]),
        status=RunStatus(row["status"]) if row["status"] in set(RunStatus) else RunStatus.INTERRUPTED,
        started_at=_text(row["started_at"]),
        executor=_text(row["executor"]),
        **checked,
    )


_OPTIONAL_RUN_TEXTS: Final = ("source", "host", "process_started_at", "heartbeat_at", "finished_at")
_RUN_INTEGERS: Final = ("workers", "parent_run_id", "pid")


def walk(history: History, where: Filter | None = None, sort: Sort = NEWEST, limit: int = 500) -> Iterator[AttemptRow]:
    """Yield every attempt that passes, page by page."""
    key: Key | None = None
    while page := history.page(where, sort=sort, after=key, limit=limit):
        yield from page
        key = key_of(page[-1], sort)
