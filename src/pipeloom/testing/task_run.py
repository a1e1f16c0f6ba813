"""What came of a task that a test has run."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from pipeloom.engine.events import NO_STATE
from pipeloom.engine.run.tasks import as_put
from pipeloom.errors import PipeloomError, UsageError
from pipeloom.messages import MsgTaskProgress, TaskDef
from pipeloom.status import Status
from pipeloom.store.read.history import History
from pipeloom.store.rows import LogRow
from pipeloom.tables.names import ATTEMPT, quoted
from pipeloom.testing.calling_thread import CallingThread
from pipeloom.text import clean, first_line

_LOG_LINES: Final = 100_000


class TaskFailedError(PipeloomError):
    """The task has ended in another way than done, and nothing was raised that could be raised again."""


@dataclass(frozen=True, slots=True)
class TaskRun:
    """How a task has ended, what its worker function has put, and what is in the file."""

    status: Status
    """Equal to its text: "done", "error", "cancelled"."""
    result: Any
    """What the worker function returned, as `q.results` of others has it."""
    message: str
    """What the screen shows of the task."""
    error: str | None
    """The traceback, or why it failed; of the worker function or of a handler."""
    exception: BaseException | None
    """What the worker function raised in the last attempt."""
    rows_written: int
    """Rows of your tables that were inserted, updated or deleted."""
    messages: Sequence[Any]
    """The messages that the worker has put, of all attempts; rows of a declared table are `TableRows`."""
    progress: Sequence[MsgTaskProgress]
    found: Sequence[TaskDef]
    """The tasks that it has put."""
    state: Mapping[str, Any]
    """What its next attempt would go on from."""
    logs: Sequence[LogRow]
    """Lines that it logged or printed, and those of handlers of its messages; `level` is STDOUT for a print."""
    attempts: int
    """1, and one for each retry."""
    _content: bytes = field(repr=False)
    """The file."""

    def raise_for_status(self) -> Self:
        """Return itself when the task is done; raise what the worker function raised, or `TaskFailedError`."""
        if self.status is Status.DONE:
            return self
        if self.exception is not None:
            raise self.exception
        raise TaskFailedError(
            f"The task ended as {self.status}: {first_line(self.message or self.error)}\n{self.error}"
        )

    def rows(self, table: str) -> list[dict[str, Any]]:
        """Return the rows of a table as SQLite holds them, oldest first, without the column `_attempt`."""
        with self._connection() as connection:
            there = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")]
            if table.lower() not in map(str.lower, there):
                raise UsageError(f"The file has no table {clean(table, 60)!r}: it has {', '.join(sorted(there))}.")
            cursor = connection.execute(f"SELECT * FROM {quoted(table)}")
            names = [column[0] for column in cursor.description]
            return [{name: value for name, value in zip(names, row, strict=True) if name != ATTEMPT} for row in cursor]

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a query on the file as it is after the task."""
        with self._connection() as connection:
            return connection.execute(sql, parameters).fetchall()

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(":memory:")) as connection:
            connection.deserialize(self._content)
            yield connection


def task_run(path: Path, run_id: int, executor: CallingThread) -> TaskRun:
    """Return what came of the task whose attempts the executor has run."""
    with History(path) as history:
        row = history.attempt(executor.attempts[-1])
        logs = [line for attempt in executor.attempts for line in history.logs(attempt, _LOG_LINES)]
    if row is None:
        raise PipeloomError(f"Run {run_id} has lost the attempt.")
    return TaskRun(
        status=row.status,
        result=None if row.result is None else json.loads(row.result),
        message=row.message,
        error=row.error,
        exception=executor.exception,
        rows_written=row.rows or 0,
        messages=tuple(executor.messages),
        progress=tuple(executor.progress),
        found=tuple(map(as_put, executor.found)),
        state=json.loads(executor.state or NO_STATE),
        logs=tuple(logs),
        attempts=len(executor.attempts),
        _content=_content(path),
    )


def _content(path: Path) -> bytes:
    """Return the file as one that SQLite opens in memory: without a write-ahead log."""
    with closing(sqlite3.connect(path)) as connection, closing(sqlite3.connect(":memory:")) as copy:
        connection.backup(copy)
        content = bytearray(copy.serialize())
    content[18:20] = b"\x01\x01"  # where the header says that there may be a log
    return bytes(content)
