"""The read-only connection of a front end: attempts page by page, runs, logs.

Other questions have a module each, over `History.rows`: `run_queries`, `tasks`, `failures`, `compare`, `timeline`, …
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Self

from pipeloom.errors import StoreError, UsageError
from pipeloom.filters import Filter
from pipeloom.parameters.texts import few_of, read_back
from pipeloom.store.file.damage import said
from pipeloom.store.file.kind import READABLE, WRITABLE, FileKind, file_kind, open_imported, open_reader, why_unreadable
from pipeloom.store.read import columns
from pipeloom.store.read.paging import NEWEST, Key, Pages, Sort, Wanted, key_of
from pipeloom.store.read.values import TEXT_LIMIT, attempt_row, run_row, text
from pipeloom.store.rows import AttemptRow, LogRow, RunRow
from pipeloom.store.schema import expected_indexes, indexes_of, tables_of
from pipeloom.tables.names import ATTEMPT, quoted
from pipeloom.text import clean
from pipeloom.times import monotonic

if TYPE_CHECKING:
    from pipeloom.messages import TaskId

_STEPS_BETWEEN_CHECKS: Final = 2_000
"""Steps of SQLite's virtual machine between two checks of the time."""
_PRESENT: Final = frozenset({FileKind.OURS, FileKind.LEGACY})
"""Kinds that are read in the tables of today; a file of 0.0.x by a copy in memory."""
_LOG_COLUMNS: Final = frozenset({"task_run_id", "seq", "at", "level", "text"})
_RUN_LOG_COLUMNS: Final = frozenset({"run_id", "seq", "at", "level", "text"})


class History:
    """One read-only connection to a file. Each thread that reads opens its own; any thread may call `interrupt`."""

    def __init__(self, path: Path, *, immutable: bool = False) -> None:
        """Open a file; with `immutable` without locks, which leaves nothing beside one that no process uses."""
        kind = file_kind(path)
        if kind not in READABLE:
            raise StoreError(why_unreadable(path, kind))
        self.path = path
        self.kind = kind
        self._connection = open_imported(path) if kind is FileKind.LEGACY else open_reader(path, immutable=immutable)
        try:
            self._read_schema()
        except BaseException:
            self._connection.close()
            raise

    def _read_schema(self) -> None:
        """Note which columns the file has: an older one has fewer, and an altered one may have other logs."""
        try:
            tables = tables_of(self._connection)
            indexes = indexes_of(self._connection) if self.kind in _PRESENT else set()
        except (sqlite3.Error, UnicodeError) as error:
            raise StoreError(f"{self.path} cannot be read: {said(error)}.") from error
        attempts = self._columns_of("task_runs")
        self._pages = Pages(
            self.rows,
            columns.selected(columns.PAGE, attempts),
            has_indexes=indexes >= expected_indexes(),
            is_ours=self.kind in WRITABLE | _PRESENT,
        )
        self._whole_columns = columns.selected(columns.WHOLE, attempts)
        self._export_columns = columns.selected(columns.EXPORT, attempts)
        self._run_columns = columns.selected(columns.RUN, self._columns_of("pipeline_runs"))
        self.attempt_columns = frozenset(attempts)
        """The columns of `task_runs` that the file has."""
        self.has_fingerprints = "fingerprint" in attempts
        """Whether failures can be grouped: an older file has no fingerprints."""
        self.has_found = "found_tasks" in tables
        """Whether tasks that workers have put are kept: an older file has none."""
        self.has_run_logs = "run_logs" in tables and self._columns_of("run_logs") >= _RUN_LOG_COLUMNS
        self.has_logs = "task_logs" in tables and self._columns_of("task_logs") >= _LOG_COLUMNS

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def interrupt(self) -> None:
        """Stop the query that is running, which then raises `InterruptedError`."""
        with contextlib.suppress(sqlite3.ProgrammingError):  # closed meanwhile
            self._connection.interrupt()

    def count(
        self,
        where: Filter | None = None,
        *,
        newest: int | None = None,
        after: int | None = None,
        budget_s: float | None = None,
    ) -> int:
        """Return the number of attempts that pass; with `after` and `newest` only of ids above `after`, up to `newest`.

        Raises `TimeoutError` when it takes longer than `budget_s`.
        """
        condition, values = (where or Filter()).sql()
        if newest is not None:
            condition, values = f"({condition}) AND id <= ?", [*values, newest]
        if after is not None:
            condition, values = f"({condition}) AND id > ?", [*values, after]
        return int(self.rows(f"SELECT count(*) FROM task_runs WHERE {condition}", values, budget_s=budget_s)[0][0])

    def newest_id(self) -> int:
        """Return the highest id of an attempt; 0 without any."""
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

        A page by key costs the same however deep it lies; `offset` skips rows from there one by one. With `newest`,
        attempts with a higher id are left out. Pages have no `result`, `error` and `params` (see `attempt`), and
        messages cut to 500 characters.
        """
        return self._pages.page(Wanted(where or Filter(), sort, after, before, newest, offset, limit))

    def attempt(self, attempt_id: int) -> AttemptRow | None:
        """Return the whole row of an attempt, each text cut to 64 KiB."""
        rows = self.rows(f"SELECT {self._whole_columns} FROM task_runs WHERE id = ?", [attempt_id])
        return attempt_row(rows[0]) if rows else None

    def whole(self, attempt_ids: Sequence[int]) -> list[AttemptRow]:
        """Return the whole rows of a few attempts, in that order, without those that no longer exist."""
        marks = ", ".join("?" * len(attempt_ids))
        found = self.rows(f"SELECT {self._export_columns} FROM task_runs WHERE id IN ({marks})", attempt_ids)
        rows = {row.id: row for row in map(attempt_row, found)}
        return [rows[number] for number in attempt_ids if number in rows]

    def attempts_of(self, run_id: int, task_id: TaskId) -> list[AttemptRow]:
        """Return the attempts of a task in a run, whole, oldest first."""
        sql = f"SELECT {self._whole_columns} FROM task_runs WHERE run_id = ? AND task_id = ? ORDER BY attempt LIMIT 500"
        return [attempt_row(row) for row in self.rows(sql, [run_id, task_id])]

    def runs(self, *, before: int | None = None, limit: int = 100, offset: int = 0) -> list[RunRow]:
        """Return up to `limit` runs, newest first, after skipping `offset`; with `before` only those of lower ids."""
        below = 1 << 62 if before is None else before
        sql = f"SELECT {self._run_columns} FROM pipeline_runs WHERE id < ? ORDER BY id DESC LIMIT ? OFFSET ?"
        return [run_row(row) for row in self.rows(sql, [below, limit, offset])]

    def run(self, run_id: int) -> RunRow | None:
        """Return the row of a run."""
        rows = self.rows(f"SELECT {self._run_columns} FROM pipeline_runs WHERE id = ?", [run_id])
        return run_row(rows[0]) if rows else None

    def runs_of(self, pipeline: str) -> list[RunRow]:
        """Return the runs of a pipeline, oldest first."""
        sql = f"SELECT {self._run_columns} FROM pipeline_runs WHERE pipeline = ? ORDER BY id"
        return [run_row(row) for row in self.rows(sql, [pipeline])]

    def last_run(self, pipeline: str) -> RunRow | None:
        """Return the newest run of a pipeline, other than those that tried a few tasks and those that continue them."""
        trials: set[int] = set()
        last = None
        for run in self.runs_of(pipeline):
            first = run.parent_run_id is None
            if run.parent_run_id in trials or (first and few_of(read_back(run.params))):
                trials.add(run.id)
            else:
                last = run
        return last

    def logs(self, attempt_id: int, limit: int = 2000) -> list[LogRow]:
        """Return the first `limit` lines of an attempt's log."""
        if not self.has_logs:
            return []
        cut = f"substr(text, 1, {TEXT_LIMIT})"
        sql = f"SELECT at, level, {cut}, seq FROM task_logs WHERE task_run_id = ? ORDER BY seq LIMIT ?"
        return [
            LogRow(text(at), text(level), text(line), seq)
            for at, level, line, seq in self.rows(sql, [attempt_id, limit])
        ]

    def run_logs(self, run_id: int, limit: int = 2000) -> list[LogRow]:
        """Return the last `limit` lines of a run's own log, oldest first."""
        if not self.has_run_logs:
            return []
        cut = f"substr(text, 1, {TEXT_LIMIT})"
        sql = f"SELECT at, level, {cut}, seq FROM run_logs WHERE run_id = ? ORDER BY seq DESC LIMIT ?"
        return [
            LogRow(text(at), text(level), text(line), seq) for at, level, line, seq in self.rows(sql, [run_id, limit])
        ][::-1]

    def log_errors(self, run_ids: Sequence[int]) -> dict[int, int]:
        """Return the number of errors in the runs' own logs, for those that have some."""
        if not self.has_run_logs or not run_ids:
            return {}
        places = ", ".join("?" * len(run_ids))
        sql = f"SELECT run_id, count(*) FROM run_logs WHERE run_id IN ({places}) AND level IN ('ERROR', 'CRITICAL')"
        return dict(self.rows(f"{sql} GROUP BY run_id", run_ids))

    def has_open_runs(self) -> bool:
        """Tell whether a run has not ended: it is under way, or its owner died."""
        return bool(self.rows("SELECT 1 FROM pipeline_runs WHERE status = 'running' LIMIT 1", []))

    def data_version(self) -> int:
        """Return a number that changes when another connection commits."""
        return int(self.rows("PRAGMA data_version", [])[0][0])

    def rows(self, sql: str, values: Sequence[Any] = (), *, budget_s: float | None = None) -> list[tuple[Any, ...]]:
        """Return all rows of a query: an open cursor would keep the write-ahead log from being checkpointed.

        Raises `InterruptedError` after `interrupt`, and `TimeoutError` when it takes longer than `budget_s`.
        """
        deadline = None if budget_s is None else monotonic() + budget_s
        if deadline is not None:
            self._connection.set_progress_handler(lambda: monotonic() > deadline, _STEPS_BETWEEN_CHECKS)
        try:
            return self._connection.execute(sql, values).fetchall()
        except sqlite3.OperationalError as error:
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT:
                if deadline is not None and monotonic() > deadline:
                    raise TimeoutError("the query took too long") from error
                raise InterruptedError("the query was interrupted") from error
            if said(error).startswith("no such column"):
                raise StoreError(
                    f"{self.path} is of an earlier pipeloom and lacks what the filter asks for ({said(error)}). It is "
                    "brought up to date when a pipeline runs in it, or the screen opens it."
                ) from error
            raise StoreError(f"{self.path} cannot be read: {said(error)}.") from error
        except (sqlite3.Error, OverflowError, UnicodeError) as error:
            raise StoreError(f"{self.path} cannot be read: {said(error)}.") from error
        finally:
            if deadline is not None:
                self._connection.set_progress_handler(None, 0)

    def _columns_of(self, table: str) -> set[str]:
        """Return the stored columns of a table."""
        return {name for (name,) in self.rows("SELECT name FROM pragma_table_xinfo(?) WHERE hidden = 0", [table])}


def walk(history: History, where: Filter | None = None, sort: Sort = NEWEST, limit: int = 500) -> Iterator[AttemptRow]:
    """Yield every attempt that passes, page by page."""
    key: Key | None = None
    while page := history.page(where, sort=sort, after=key, limit=limit):
        yield from page
        key = key_of(page[-1], sort)


def attempt_of_row(history: History, table: str, key: Sequence[str]) -> int:
    """Return the id of the attempt that wrote the row with this key last; without a key, the rowid is meant.

    The key's values are texts, in the order of the key's columns. Raises `UsageError` when nothing says who wrote it.
    """
    columns = history.rows(
        "SELECT i.name, i.pk FROM pragma_table_list AS t, pragma_table_info(t.name, 'main') AS i "
        "WHERE t.schema = 'main' AND t.type = 'table' AND lower(t.name) = lower(?)",
        [table],
    )
    shown = clean(table, 100)
    if not columns:
        raise UsageError(f"There is no table {shown} in {history.path}.")
    if ATTEMPT not in [name for name, _ in columns]:
        raise UsageError(f"The table {shown} does not say who wrote its rows: it has no column {ATTEMPT}.")
    names = [quoted(name) for place, name in sorted((pk, name) for name, pk in columns if pk)] or ["rowid"]
    if len(names) != len(key):
        raise UsageError(f"A row of {shown} is named by {clean(', '.join(names), 200)}: give a value for each.")
    # A text is compared as a number where the column is one.
    where = " AND ".join(f"{name} = ?" for name in names)
    found = history.rows(f"SELECT {ATTEMPT} FROM main.{quoted(table)} WHERE {where}", key)
    row = clean(" ".join(key), 100)
    if not found:
        raise UsageError(f"There is no row {row} in {shown}.")
    (attempt_id,) = found[0]
    if not isinstance(attempt_id, int):
        raise UsageError(f"The row {row} of {shown} does not say who wrote it: no attempt that was stored.")
    if history.attempt(attempt_id) is None:
        raise UsageError(
            f"The row {row} of {shown} was written by attempt {attempt_id}, which was removed from the file."
        )
    return attempt_id
