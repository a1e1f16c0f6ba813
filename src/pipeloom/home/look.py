"""A look at a file: its last run, its size, its rhythm. Nothing is opened for writing, and nothing is waited for."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from pipeloom.errors import StoreError
from pipeloom.home.known import KnownFile
from pipeloom.home.rhythm import Rhythm, rhythm_of
from pipeloom.status import RunStatus, Status
from pipeloom.store.file.damage import primary_code
from pipeloom.store.file.kind import open_reader
from pipeloom.store.read import columns, values
from pipeloom.store.read.history import History
from pipeloom.store.read.run_queries import (
    LATEST_OF_RUN,
    Counts,
    as_left,
    counts_as_left,
    has_died,
    newest_run,
    task_counts,
    worst_status,
)
from pipeloom.store.rows import RunRow
from pipeloom.store.schema import APPLICATION_ID, SCHEMA_VERSION
from pipeloom.times import moment, monotonic

_RUNS: Final = 200
"""Runs of which the rhythm is taken."""
_BUDGET_S: Final = 0.25
"""Seconds for the queries of a file: what takes longer is left out."""
_STEPS: Final = 2_000
"""Steps of SQLite's virtual machine between two checks of the time."""
_BUSY_MS: Final = 50
_LEAST_BYTES: Final = 512
"""Of a database that is not empty."""
_WORDS: Final = {
    sqlite3.SQLITE_BUSY: "locked",
    sqlite3.SQLITE_LOCKED: "locked",
    sqlite3.SQLITE_NOTADB: "no database",
    sqlite3.SQLITE_CORRUPT: "damaged",
    sqlite3.SQLITE_READONLY: "left open",
    sqlite3.SQLITE_CANTOPEN: "no permission",
    sqlite3.SQLITE_PERM: "no permission",
    sqlite3.SQLITE_IOERR: "unreadable",
}
"""Primary error code to the word for a file that cannot be read."""

State = tuple[tuple[int, int, int] | None, ...]
"""What changes when a file or its log does."""


@dataclass(frozen=True, slots=True)
class FileSummary:
    """What a file is like."""

    file: KnownFile
    trouble: str = ""
    """A word for why there is no more to tell, as "gone"; "" for a file that was read."""
    remark: str = ""
    """A word about a file that was read: "newer" of one that a newer pipeloom has written."""
    size: int | None = None
    """Bytes, with the log."""
    run: RunRow | None = None
    """The last run; one that was killed has the status that it will have once the file is settled."""
    counts: Counts = field(default_factory=dict)
    rhythm: Rhythm | None = None
    state: State = ()

    @property
    def status(self) -> Status | None:
        """The worst status of the last run's tasks, else its own; None without a run."""
        if self.run is None or self.run.status is RunStatus.RUNNING:
            return None if self.run is None else Status.RUNNING
        return worst_status(self.counts) or Status(self.run.status.value)

    def is_late(self, now_s: float) -> bool:
        """Tell whether the next run is late by the file's own rhythm."""
        began = None if self.run is None else moment(self.run.started_at)
        if began is None or self.rhythm is None or self.status is Status.RUNNING:
            return False
        return self.rhythm.is_late(now_s - began.timestamp())


def look(file: KnownFile) -> FileSummary:
    """Return what a file is like; never raises."""
    path = file.path
    try:
        found = path.stat()
        if not os.access(path, os.R_OK):
            return FileSummary(file, "no permission")
    except PermissionError:
        return FileSummary(file, "no permission")
    except (OSError, ValueError):
        return FileSummary(file, "gone")
    state = state_of(path)
    size = found.st_size + (state[1][1] if state[1] else 0)
    if not stat.S_ISREG(found.st_mode):
        return FileSummary(file, "no file", state=state)
    if found.st_size < _LEAST_BYTES:
        return FileSummary(file, "empty" if found.st_size == 0 else "no database", size=size, state=state)
    try:
        seen = _read(file, state)
    except (sqlite3.Error, StoreError, ValueError, TypeError, OverflowError) as error:  # a file may hold anything
        seen = FileSummary(file, _word(error))
    return replace(seen, size=size, state=state)


def state_of(path: Path) -> State:
    """Return what changes when the file or its log does."""

    def of(name: str) -> tuple[int, int, int] | None:
        try:
            found = os.stat(name)  # noqa: PTH116 - a path as text
        except (OSError, ValueError):
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns

    return of(str(path)), of(f"{path}-wal")


def _word(error: Exception) -> str:
    cause = error if isinstance(error, sqlite3.Error) else error.__cause__
    if isinstance(cause, sqlite3.Error):
        return _WORDS.get(primary_code(cause) or 0, "altered")
    return "not ours" if isinstance(error, StoreError) else "damaged"


def _read(file: KnownFile, state: State) -> FileSummary:
    """Read a file, without its locks where nothing is beside it: a reader with locks would make a log's files there.

    Raises what SQLite raises.
    """
    path = file.path
    beside = {name for name in ("-wal", "-shm", "-journal") if _has_content(f"{path}{name}")}
    with_locks = "-journal" in beside or beside >= {"-wal", "-shm"}
    if not with_locks:
        try:
            seen = _read_by(file, immutable=True)
        except (sqlite3.Error, StoreError):
            if state_of(path) == state:
                raise
        else:
            if state_of(path) == state:
                return replace(seen, remark="left open") if "-wal" in beside else seen
    return _read_by(file, immutable=False)


def _has_content(name: str) -> bool:
    try:
        return os.stat(name).st_size > 0  # noqa: PTH116 - a path as text
    except OSError:
        return False


def _read_by(file: KnownFile, *, immutable: bool) -> FileSummary:
    with closing(open_reader(file.path, immutable=immutable)) as connection:
        connection.execute(f"PRAGMA busy_timeout={_BUSY_MS}")
        deadline = monotonic() + _BUDGET_S
        connection.set_progress_handler(lambda: monotonic() > deadline, _STEPS)
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if application == APPLICATION_ID:
            seen = _last_run(file, connection)
            return replace(seen, remark="newer") if version > SCHEMA_VERSION else seen
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    if application or names & {"pipeline_runs", "task_runs"} != {"task_runs"}:
        return FileSummary(file, "not ours")
    return _of_old_file(file)


def _last_run(file: KnownFile, connection: sqlite3.Connection) -> FileSummary:
    stored = {name for (name,) in connection.execute("SELECT name FROM pragma_table_info('pipeline_runs')")}
    last = f"SELECT {columns.selected(columns.RUN, stored)} FROM pipeline_runs ORDER BY id DESC LIMIT 1"
    found = connection.execute(last).fetchone()
    if found is None:
        return FileSummary(file)
    run = values.run_row(found)
    # One that goes on with an earlier run, as a retry does, comes when its user wants it to.
    starts = f"""SELECT started_at FROM pipeline_runs WHERE pipeline = ? AND parent_run_id IS NULL
        ORDER BY id DESC LIMIT {_RUNS}"""
    moments = [moment(iso) for (iso,) in connection.execute(starts, [run.pipeline])]
    rhythm = rhythm_of([began.timestamp() for began in moments if began is not None])
    counts: Counter[Status] = Counter()
    sql = f"SELECT status, count(*) FROM task_runs WHERE {LATEST_OF_RUN} GROUP BY status"
    try:
        for word, number in connection.execute(sql, [run.id]).fetchall():
            counts[values.status(word)] += number
    except sqlite3.OperationalError as error:
        if primary_code(error) != sqlite3.SQLITE_INTERRUPT:  # it took too long
            raise
    return _as_left(FileSummary(file, run=run, counts=dict(counts), rhythm=rhythm))


def _of_old_file(file: KnownFile) -> FileSummary:
    """Return what is in a file of pipeloom 0.0.x, which is read by a copy in memory."""
    with History(file.path) as history:
        run_id = newest_run(history)
        run = None if run_id is None else history.run(run_id)
        counts = {} if run is None else task_counts(history, run.id)
    return _as_left(FileSummary(file, remark="0.0.x", run=run, counts=counts))


def _as_left(seen: FileSummary) -> FileSummary:
    """Return the run of a process that has ended without closing it as the file will tell it once it is settled."""
    if seen.run is None or not has_died(seen.file.path, seen.run):
        return seen
    return replace(seen, run=as_left(seen.run), counts=counts_as_left(seen.counts))
