"""What front ends read of a file: attempts page by page, runs, logs. Never changes anything."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Literal, Self

from pipeloom.errors import StoreError
from pipeloom.filters import Filter
from pipeloom.messages import TaskId
from pipeloom.status import FINAL, Status
from pipeloom.store.file.kind import READABLE, WRITABLE, FileKind, file_kind, open_reader
from pipeloom.store.read import columns
from pipeloom.store.read.paging import NEWEST, Key, Pages, Sort, Wanted, key_of
from pipeloom.store.read.values import TEXT_LIMIT, attempt_number, attempt_row, optional_text, run_row, text
from pipeloom.store.rows import AttemptRow, LogRow, Past, RunRow, TaskStanding
from pipeloom.store.schema import expected_indexes, indexes_of, tables_of

_STEPS_BETWEEN_LOOKS: Final = 2_000
"""Of SQLite's virtual machine, between two looks at the clock."""
_LOG_COLUMNS: Final = frozenset({"task_run_id", "seq", "at", "level", "text"})


class History:
    """One read-only connection to a file. Open one in each thread that reads; `interrupt` may come from any thread."""

    def __init__(self, path: Path) -> None:
        kind = file_kind(path)
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
        attempts = self._columns_of("task_runs")
        self._pages = Pages(
            self.rows,
            columns.selected(columns.PAGE, attempts),
            has_indexes=indexes >= expected_indexes(),
            is_ours=self.kind in WRITABLE,
        )
        self._whole_columns = columns.selected(columns.WHOLE, attempts)
        self._export_columns = columns.selected(columns.EXPORT, attempts)
        self._run_columns = columns.selected(columns.RUN, self._columns_of("pipeline_runs"))
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
        return self._pages.page(Wanted(where or Filter(), sort, after, before, newest, offset, limit))

    def attempt(self, attempt_id: int) -> AttemptRow | None:
        """Return the whole row of an attempt, each text cut to 64 KiB."""
        rows = self.rows(f"SELECT {self._whole_columns} FROM task_runs WHERE id = ?", [attempt_id])
        return attempt_row(rows[0]) if rows else None

    def whole(self, attempt_ids: Sequence[int]) -> list[AttemptRow]:
        """Return the whole rows of a few attempts, in that order, without those that are gone meanwhile."""
        marks = ", ".join("?" * len(attempt_ids))
        found = self.rows(f"SELECT {self._export_columns} FROM task_runs WHERE id IN ({marks})", attempt_ids)
        rows = {row.id: row for row in map(attempt_row, found)}
        return [rows[number] for number in attempt_ids if number in rows]

    def attempts_of(self, run_id: int, task_id: TaskId) -> list[AttemptRow]:
        """Return the attempts of a task in a run, whole, oldest first."""
        sql = f"SELECT {self._whole_columns} FROM task_runs WHERE run_id = ? AND task_id = ? ORDER BY attempt LIMIT 500"
        return [attempt_row(row) for row in self.rows(sql, [run_id, task_id])]

    def runs(self, *, before: int | None = None, limit: int = 100, offset: int = 0) -> list[RunRow]:
        """Return up to `limit` runs, newest first, those before run `before` if it is given, `offset` further on."""
        below = 1 << 62 if before is None else before
        sql = f"SELECT {self._run_columns} FROM pipeline_runs WHERE id < ? ORDER BY id DESC LIMIT ? OFFSET ?"
        return [run_row(row) for row in self.rows(sql, [below, limit, offset])]

    def run(self, run_id: int) -> RunRow | None:
        """Return the row of a run."""
        rows = self.rows(f"SELECT {self._run_columns} FROM pipeline_runs WHERE id = ?", [run_id])
        return run_row(rows[0]) if rows else None

    def last_run(self, pipeline: str) -> RunRow | None:
        """Return the newest run of a pipeline."""
        sql = f"SELECT {self._run_columns} FROM pipeline_runs WHERE pipeline = ? ORDER BY id DESC LIMIT 1"
        rows = self.rows(sql, [pipeline])
        return run_row(rows[0]) if rows else None

    def standings(self, run_id: int) -> dict[TaskId, TaskStanding]:
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
        cut = f"substr(text, 1, {TEXT_LIMIT})"
        sql = f"SELECT at, level, {cut}, seq FROM task_logs WHERE task_run_id = ? ORDER BY seq LIMIT ?"
        return [
            LogRow(text(at), text(level), text(line), seq)
            for at, level, line, seq in self.rows(sql, [attempt_id, limit])
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


def _standing(status: Any, attempt: Any, due_at: Any) -> TaskStanding:
    known = Status(status) if status in FINAL else Status.INTERRUPTED
    return TaskStanding(known, attempt_number(attempt), optional_text(due_at))


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


def walk(history: History, where: Filter | None = None, sort: Sort = NEWEST, limit: int = 500) -> Iterator[AttemptRow]:
    """Yield every attempt that passes, page by page."""
    key: Key | None = None
    while page := history.page(where, sort=sort, after=key, limit=limit):
        yield from page
        key = key_of(page[-1], sort)
