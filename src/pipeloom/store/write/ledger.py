"""The writer's statements. Each carries a comment, which user code's never end with: see `HandlerAuthorizer`."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from itertools import chain
from operator import attrgetter, itemgetter
from typing import Final

from pipeloom.messages import TaskId
from pipeloom.status import OPEN, RunStatus, Status
from pipeloom.store.rows import DIED, AttemptRow, RunRow
from pipeloom.store.usual_rows import MOST, usual_rows
from pipeloom.times import later, valid_stamp

_COLUMNS: Final = AttemptRow._fields
_IMMUTABLE: Final = frozenset({"id", "run_id", "task_id", "attempt", "name", "queued_at", "params"})
_CHANGING: Final = tuple(name for name in _COLUMNS if name not in _IMMUTABLE)
_RUN_COLUMNS: Final = tuple(field.name for field in fields(RunRow) if field.name != "id")

_CHANGES_OF = itemgetter(*map(_COLUMNS.index, ("id", *_CHANGING)))
_RUN_VALUES_OF = attrgetter(*_RUN_COLUMNS)


def _values(columns: int, rows: int) -> str:
    return ", ".join([f"({', '.join('?' * columns)})"] * rows)


_CHUNKS: Final = (512, 64, 8, 1)
"""Rows in a statement. After each, the writer waits for its turn while workers compute: few make a commit short."""

_LARGEST_ID: Final = 2**62

_OPEN_SQL: Final = ", ".join(f"'{status}'" for status in Status if status in OPEN)


def _insert(rows: int) -> str:
    return f"INSERT INTO task_runs ({', '.join(_COLUMNS)}) VALUES {_values(len(_COLUMNS), rows)} /* pipeloom */"


def _update(rows: int) -> str:
    """Return the statement whose condition settles every race: an attempt that has ended is never written again."""
    changes = ", ".join(f"{name}=new.column{place}" for place, name in enumerate(_CHANGING, 2))
    return (
        f"UPDATE task_runs SET {changes} FROM (VALUES {_values(len(_CHANGING) + 1, rows)}) AS new "
        f"WHERE task_runs.id=new.column1 AND task_runs.status IN ({_OPEN_SQL}) /* pipeloom */"
    )


_INSERTS: Final = {rows: _insert(rows) for rows in _CHUNKS}
_UPDATES: Final = {rows: _update(rows) for rows in _CHUNKS}
_UNSAVED_S: Final = 1.0
"""Seconds by which a run that was killed may have started attempts later than the file says."""
_SELECT: Final = f"SELECT {', '.join(_COLUMNS)} FROM task_runs WHERE id=? /* pipeloom */"

_RUNS: Final = 30
"""Runs in which the past of a task is looked for: each costs a look of some microseconds when an attempt starts."""
_PAST_ROWS: Final = (
    "SELECT past.rows FROM json_each(?) AS run CROSS JOIN task_runs AS past WHERE past.run_id=run.value "
    f"AND past.task_id=? AND past.status='done' AND past.rows IS NOT NULL LIMIT {MOST} /* pipeloom */"
)
"""Without an order: the runs come as they are listed, and looking ends with the last that counts."""

LogLine = tuple[int, int, str, str, str]
"""task_run_id, seq, at, level, text."""


class Ledger:
    """Writes runs, attempts and logs over the writer's connection, inside the transaction that the writer controls."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._savepoints = connection.cursor()
        """Kept, because a cursor costs as much as a savepoint."""

    def begin(self) -> None:
        """Start a transaction that may write; waits for other writers up to the busy timeout."""
        self._connection.execute("BEGIN IMMEDIATE /* pipeloom */")

    def commit(self) -> None:
        """Commit."""
        self._connection.execute("COMMIT /* pipeloom */")

    def rollback(self) -> None:
        """Roll back, unless SQLite has done so by itself."""
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK /* pipeloom */")

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return self._connection.in_transaction

    def savepoint(self) -> None:
        """Set the savepoint to which the changes of one message can be undone."""
        self._savepoints.execute("SAVEPOINT pipeloom_message /* pipeloom */")

    def release(self) -> None:
        """Keep the changes since the savepoint."""
        self._savepoints.execute("RELEASE pipeloom_message /* pipeloom */")

    def undo(self) -> None:
        """Undo the changes since the savepoint."""
        self._connection.execute("ROLLBACK TO pipeloom_message /* pipeloom */")
        self._connection.execute("RELEASE pipeloom_message /* pipeloom */")

    def next_attempt_id(self) -> int:
        """Return the first id that no attempt has ever had; the owner of the file gives ids from there."""
        (used,) = self._connection.execute(
            "SELECT max(seq) FROM sqlite_sequence WHERE name='task_runs' /* pipeloom */"
        ).fetchone()
        return (used or 0) + 1

    def _in_memory(self) -> bool:
        """Tell whether our tables are TEMP tables."""
        sql = "SELECT 1 FROM temp.sqlite_schema WHERE name='task_runs' /* pipeloom */"
        return self._connection.execute(sql).fetchone() is not None

    def insert_run(self, run: RunRow) -> RunRow:
        """Insert the run and return it with its id."""
        marks = ", ".join("?" * len(_RUN_COLUMNS))
        cursor = self._connection.execute(
            f"INSERT INTO pipeline_runs ({', '.join(_RUN_COLUMNS)}) VALUES ({marks}) /* pipeloom */",
            _RUN_VALUES_OF(run),
        )
        assert cursor.lastrowid is not None
        return replace(run, id=cursor.lastrowid)

    def recover(self) -> int:
        """End the attempts and runs of a dead owner, as of its last heartbeat; returns the number of attempts.

        Only for the owner of the file: no other process can then be running a run that is still `running` in it.
        """
        for table in () if self._in_memory() else ("pipeline_runs", "task_runs"):
            self._mend_sequence(table)
        dead = "(SELECT id FROM pipeline_runs WHERE status='running')"
        cursor = self._connection.execute(
            "UPDATE task_runs SET status='interrupted', error_type=?, error=?, "
            "finished_at=(SELECT heartbeat_at FROM pipeline_runs WHERE id=run_id) "
            f"WHERE status IN ({_OPEN_SQL}) AND run_id IN {dead} /* pipeloom */",
            DIED,
        )
        self._connection.execute(
            "UPDATE pipeline_runs SET status='interrupted', finished_at=heartbeat_at "
            "WHERE status='running' /* pipeloom */"
        )
        return cursor.rowcount

    def _mend_sequence(self, table: str) -> None:
        """Give a table's sequence a number from which ids are free, when another program has reset or broken it."""
        (last,) = self._connection.execute(f"SELECT coalesce(max(id), 0) FROM main.{table} /* pipeloom */").fetchone()
        select = "SELECT seq FROM main.sqlite_sequence WHERE name=? /* pipeloom */"
        found = [seq for (seq,) in self._connection.execute(select, (table,))]
        sound = [seq for seq in found if isinstance(seq, int) and last <= seq < _LARGEST_ID]
        if len(found) == len(sound) <= 1 and (sound or not last):
            return
        self._connection.execute("DELETE FROM main.sqlite_sequence WHERE name=? /* pipeloom */", (table,))
        self._connection.execute(
            "INSERT INTO main.sqlite_sequence VALUES (?, ?) /* pipeloom */", (table, max(sound, default=last))
        )

    def update_run(self, run: RunRow) -> None:
        """Write the run's status, end, idle time, and numbers of workers and of unchanged tasks."""
        self._connection.execute(
            "UPDATE pipeline_runs SET status=?, finished_at=?, workers=?, unchanged=?, idle_s=? WHERE id=? "
            "/* pipeloom */",
            (run.status, run.finished_at, run.workers, run.unchanged, run.idle_s, run.id),
        )

    def beat(self, run: RunRow, at: str, commits: int) -> None:
        """Write the heartbeat and the number of transactions; insert a run again that another program has deleted."""
        cursor = self._connection.execute(
            "UPDATE pipeline_runs SET heartbeat_at=?, commits=? WHERE id=? /* pipeloom */", (at, commits, run.id)
        )
        if cursor.rowcount == 0:
            marks = ", ".join("?" * (len(_RUN_COLUMNS) + 2))
            self._connection.execute(
                f"INSERT INTO pipeline_runs ({', '.join(_RUN_COLUMNS)}, id, commits) VALUES ({marks}) /* pipeloom */",
                (*_RUN_VALUES_OF(replace(run, heartbeat_at=at)), run.id, commits),
            )

    def commits(self, run_id: int) -> int | None:
        """Return the number of transactions that the run has committed; None when the run is not in the file."""
        row = self._connection.execute(
            "SELECT commits FROM pipeline_runs WHERE id=? /* pipeloom */", (run_id,)
        ).fetchone()
        return None if row is None else int(row[0])

    def insert_attempts(self, rows: Sequence[AttemptRow]) -> None:
        """Insert new attempts."""
        for chunk in _chunks(rows):
            self._connection.execute(_INSERTS[len(chunk)], tuple(chain.from_iterable(chunk)))

    def update_attempts(self, rows: Sequence[AttemptRow]) -> tuple[dict[int, AttemptRow], list[AttemptRow]]:
        """Write the state of open attempts; return those that had ended, as stored, and those that the file lacks."""
        written = 0
        for chunk in _chunks(rows):
            values = tuple(chain.from_iterable(map(_CHANGES_OF, chunk)))
            written += self._connection.execute(_UPDATES[len(chunk)], values).rowcount
        if written == len(rows):
            return {}, []
        stored = {row.id: self._attempt(row.id) for row in rows}
        ended = {row.id: there for row in rows if (there := stored[row.id]) is not None and there != row}
        return ended, [row for row in rows if stored[row.id] is None]

    def runs_before(self, run: RunRow) -> list[int]:
        """Return the last `_RUNS` runs of the run's pipeline before it, newest first."""
        sql = f"SELECT id FROM pipeline_runs WHERE pipeline=? AND id<? ORDER BY id DESC LIMIT {_RUNS} /* pipeloom */"
        return [run_id for (run_id,) in self._connection.execute(sql, (run.pipeline, run.id))]

    def last_start(self, run: RunRow) -> str | None:
        """Return when an attempt of a run before it may have started last; None when none has.

        A run that was interrupted may have been killed, and its last starts may not have been saved.
        """
        sql = (
            "SELECT max(started_at), (SELECT status FROM pipeline_runs WHERE id<? ORDER BY id DESC LIMIT 1) "
            "FROM task_runs /* pipeloom */"
        )
        last, status = self._connection.execute(sql, (run.id,)).fetchone()
        if valid_stamp(last) is None:
            return None
        return later(last, _UNSAVED_S) if status == RunStatus.INTERRUPTED else str(last)

    def usual_rows(self, runs: Sequence[int], task_id: TaskId) -> tuple[int, int] | None:
        """Return how many rows a task usually writes, by its last attempts that were done in `runs`, newest first."""
        if not runs:
            return None
        return usual_rows([rows for (rows,) in self._connection.execute(_PAST_ROWS, (json.dumps(runs), task_id))])

    def insert_found(
        self,
        run_id: int,
        by: int,
        task_id: TaskId,
        *,
        steps: int,
        retries: int | None,
        timeout: float | None,
        atomic: bool | None,
        after: str | None,
        worker_fn: str | None,
        limits: str | None,
        priority: int,
        inputs: str | None,
        version: str | None,
    ) -> bool:
        """Insert a task that attempt `by` of the run has put; returns False when the run has found it before."""
        cursor = self._connection.execute(
            "INSERT OR IGNORE INTO found_tasks (run_id, task_id, steps, retries, timeout, atomic, after, worker_fn, "
            "limits, priority, inputs, version, attempt) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) /* pipeloom */",
            (
                run_id,
                task_id,
                steps,
                retries,
                timeout,
                atomic,
                after,
                worker_fn,
                limits,
                priority,
                inputs,
                version,
                by,
            ),
        )
        return cursor.rowcount == 1

    def has_found(self, run_id: int, task_id: TaskId) -> bool:
        """Tell whether a worker of the run has put the task."""
        sql = "SELECT 1 FROM found_tasks WHERE run_id=? AND task_id=? /* pipeloom */"
        return self._connection.execute(sql, (run_id, task_id)).fetchone() is not None

    def states(self, pipeline: str) -> dict[TaskId, str]:
        """Return the states of a pipeline's tasks, as JSON."""
        sql = "SELECT task_id, state FROM task_state WHERE pipeline=? /* pipeloom */"
        return dict(self._connection.execute(sql, (pipeline,)))

    def put_states(self, pipeline: str, states: Mapping[TaskId, tuple[str, int]]) -> None:
        """Keep the states of tasks, each with the attempt that has put it; an empty one is none."""
        kept = [(pipeline, task_id, state, by) for task_id, (state, by) in states.items() if state != "{}"]
        empty = [(pipeline, task_id) for task_id, (state, _) in states.items() if state == "{}"]
        if kept:
            self._connection.executemany(
                "INSERT INTO task_state (pipeline, task_id, state, attempt) VALUES (?, ?, ?, ?) "
                "ON CONFLICT (pipeline, task_id) DO UPDATE SET state=excluded.state, attempt=excluded.attempt "
                "/* pipeloom */",
                kept,
            )
        if empty:
            self._connection.executemany("DELETE FROM task_state WHERE pipeline=? AND task_id=? /* pipeloom */", empty)

    def is_open(self, attempt_id: int) -> bool:
        """Tell whether the file has the attempt, and it has not ended."""
        row = self._attempt(attempt_id)
        return row is not None and row.status in OPEN

    def insert_logs(self, lines: Iterable[LogLine]) -> None:
        """Append lines to the logs of attempts."""
        self._connection.executemany(
            "INSERT INTO task_logs (task_run_id, seq, at, level, text) VALUES (?, ?, ?, ?, ?) /* pipeloom */", lines
        )

    def drop_logs(self, ranges: Iterable[tuple[int, int, int]]) -> None:
        """Remove lines from logs: task_run_id, first and last number."""
        self._connection.executemany(
            "DELETE FROM task_logs WHERE task_run_id=? AND seq BETWEEN ? AND ? /* pipeloom */", ranges
        )

    def note_run(self, run_id: int, lines: Iterable[tuple[str, str, str]]) -> None:
        """Append lines to the log of a run: at, level, text."""
        self._connection.executemany(
            f"INSERT INTO run_logs SELECT {run_id:d}, coalesce(max(seq), 0) + 1, ?, ?, ? "
            f"FROM run_logs WHERE run_id={run_id:d} /* pipeloom */",
            lines,
        )

    def insert_commands(self, run_id: int, commands: Iterable[Sequence[str]]) -> None:
        """Insert commands of other processes: id, command, arguments, asked by, asked at, answer, answered at."""
        self._connection.executemany(
            "INSERT OR IGNORE INTO commands (run_id, id, command, arguments, asked_by, asked_at, answer, answered_at) "
            f"VALUES ({run_id:d}, ?, ?, ?, ?, ?, ?, ?) /* pipeloom */",
            commands,
        )

    def _attempt(self, attempt_id: int) -> AttemptRow | None:
        values = self._connection.execute(_SELECT, (attempt_id,)).fetchone()
        if values is None:
            return None
        row = AttemptRow(*values)
        return row._replace(status=Status(row.status))


def _chunks(rows: Sequence[AttemptRow]) -> Iterator[Sequence[AttemptRow]]:
    """Yield the rows in groups of the sizes in `_CHUNKS`, so that a few statements serve every batch."""
    begin = 0
    for size in _CHUNKS:
        while len(rows) - begin >= size:
            yield rows[begin : begin + size]
            begin += size
