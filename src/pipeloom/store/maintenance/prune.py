"""Retention: removes attempts that a policy lets go, in small commits, and returns their space to the disk."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from pipeloom.errors import StoreError, UsageError
from pipeloom.filters import Filter
from pipeloom.status import FINAL, Status
from pipeloom.store.file.identity import FileIdentity
from pipeloom.store.file.kind import WRITABLE, file_kind, why_only_read
from pipeloom.store.file.owner import OwnerLock
from pipeloom.store.read.history import History
from pipeloom.store.schema import transaction
from pipeloom.store.write.connect import closing_writer, open_writer
from pipeloom.text import counted, figure
from pipeloom.times import now_stamp, stamp, utc_now

AT_ONCE: Final = 2_000
"""Attempts that one commit removes."""
_VACUUM_SHARE: Final = 0.2
"""Share of free pages above which the file is rewritten without them."""
_VACUUM_ROOM: Final = 1.1
"""Free disk that rewriting needs, as a multiple of the new size."""
_STEPS_BETWEEN_CHECKS: Final = 20_000
_ROW_BYTES: Final = 180
"""Bytes of a row beside its texts: its numbers, and its entries in the indexes."""

_TEXT_BYTES: Final = " + ".join(
    f"coalesce(length(CAST({name} AS BLOB)), 0)"
    # Names and times are in an index too.
    for name in ("name", "name", "message", "result", "error", "params", "started_at", "started_at", "finished_at")
)
_LOG_SUMS: Final = ("count(*)", "coalesce(sum(length(CAST(text AS BLOB)) + 50), 0)")
_RUNS: Final = "SELECT id, parent_run_id, pipeline, status FROM pipeline_runs ORDER BY id DESC"

_ENDED: Final = ", ".join(f"'{status}'" for status in FINAL)
_FAILED: Final = ", ".join(f"'{status}'" for status in FINAL if status is not Status.DONE)


@dataclass(frozen=True, slots=True)
class Policy:
    """Which attempts may be removed: those that every given rule lets go; at least one rule must be given.

    No rule removes attempts that have not ended, those of open runs, and, while the last run of a pipeline is not done,
    those of that run and the runs that it continues.
    """

    keep_last: int | None = None
    """Number of last runs of each task whose attempts stay."""
    done_for_days: float | None = None
    """Days after which done attempts go; the others stay unless `failed_for_days` is given."""
    failed_for_days: float | None = None
    """Days after which failed, cancelled, interrupted and skipped attempts go."""
    where: Filter = field(default_factory=Filter)
    """Filter that attempts must pass to go."""

    def check(self) -> None:
        """Raise `UsageError` when no rule or an impossible one is given."""
        days = [given for given in (self.done_for_days, self.failed_for_days) if given is not None]
        if self.keep_last is None and not days:
            raise UsageError("Say what may go: --keep-last N, --done-for DAYS or --failed-for DAYS.")
        if self.keep_last is not None and self.keep_last < 1:
            raise UsageError("At least the last run of each task stays: --keep-last 1 or more.")
        if not all(0 <= given <= 36_500 for given in days):
            raise UsageError("A number of days is between 0 and 36500.")


@dataclass(frozen=True, slots=True)
class Kept:
    """Attempts that pass the filter and stay, each counted by the first rule that keeps it."""

    not_ended: int = 0
    needed: int = 0
    """Those of open runs, and of what the last run of a pipeline stands on while it is not done."""
    young: int = 0
    """Those that the rules of age keep."""
    last: int = 0
    """Those of the last runs of their tasks."""


@dataclass(frozen=True, slots=True)
class PrunePreview:
    """What would be removed: attempts, log lines, runs without attempts, and about how many bytes."""

    attempts: int = 0
    logs: int = 0
    runs: int = 0
    size: int = 0
    kept: Kept | None = None
    """Why all attempts stay; None where some would go."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was removed."""

    attempts: int
    runs: int
    given_back: int
    """Bytes by which the file became smaller."""
    complete: bool
    """False when it was stopped before the end."""
    remark: str = ""
    """Why the file kept its size; "" when it did not."""


Progress = Callable[[int, int], None]
"""Called after each commit with the number of removed attempts, and of all attempts to remove."""


def plan(path: Path, policy: Policy, *, now: datetime | None = None, history: History | None = None) -> PrunePreview:
    """Return what would be removed; changes nothing. Another thread may interrupt `history`, which is used if given."""
    policy.check()
    if history is None:
        with History(path) as opened:
            return plan(path, policy, now=now, history=opened)
    chosen, values = _to_remove(policy, now)
    lines, log = "0", "0"
    if history.has_logs:
        lines, log = (f"(SELECT {what} FROM task_logs WHERE task_run_id = task_runs.id)" for what in _LOG_SUMS)
    sql = (
        f"WITH doomed AS MATERIALIZED ({chosen}) SELECT run_id, count(*), sum({lines}), sum({_TEXT_BYTES} + {log}) "
        "FROM task_runs WHERE id IN (SELECT id FROM doomed) GROUP BY run_id"
    )
    lost = history.rows(sql, values)
    of_run = dict(history.rows("SELECT run_id, count(*) FROM task_runs GROUP BY run_id"))
    kept = of_run.keys() - {run_id for run_id, attempts, *_ in lost if attempts == of_run[run_id]}
    unchanged = {run.id for run in history.runs(limit=-1) if run.unchanged}
    runs = _emptied(history.rows(_RUNS), kept, {run_id for run_id, *_ in lost}, unchanged)
    attempts, logs, size = (sum(row[place] for row in lost) for place in (1, 2, 3))
    kept_by = None if attempts else _kept(history, policy, now)
    return PrunePreview(attempts, logs, len(runs), size + attempts * _ROW_BYTES, kept_by)


def why_nothing(preview: PrunePreview, policy: Policy) -> str:
    """Return why a policy removes no attempt, as the end of a sentence."""
    kept = preview.kept or Kept()
    total = kept.not_ended + kept.needed + kept.young + kept.last
    if not total:
        return "no attempt passes the filter." if policy.where else "there is no attempt in the file."
    one = total == 1
    runs = "run" if policy.keep_last == 1 else f"{policy.keep_last} runs"
    reasons = {
        "not ended": kept.not_ended,
        "of runs that go on or are not done": kept.needed,
        _age_words(policy): kept.young,
        f"of the last {runs} of {'its' if one else 'their'} task": kept.last,
    }
    told = [(words, count) for words, count in reasons.items() if count]
    passing = f" that {'passes' if one else 'pass'} the filter" if policy.where else ""
    what = f"{counted(total, 'attempt')}{passing} {'stays' if one else 'stay'}"
    if len(told) == 1:
        return f"{what}, {'' if one else 'all '}{told[0][0]}."
    return f"{what}: {', '.join(f'{count:,} {words}' for words, count in told)}."


def _age_words(policy: Policy) -> str:
    done, failed = (
        "" if days is None else f"{figure(days)} {'day' if days == 1 else 'days'}"
        for days in (policy.done_for_days, policy.failed_for_days)
    )
    if not failed:
        return f"not done, or not older than {done}"
    if not done:
        return f"done, or not older than {failed}"
    return f"not older than {done}" if done == failed else f"not older than {done} (done) or {failed} (others)"


def _kept(history: History, policy: Policy, now: datetime | None) -> Kept:
    """Count the attempts that pass the filter by the first rule that keeps each, in one pass over the file."""
    condition, values = policy.where.sql()
    checks, bound = _rules(policy, now)
    columns = ", ".join(f"({check}) AS rule_{place}" for place, check in enumerate(checks))
    first = " ".join(f"WHEN NOT coalesce(rule_{place}, 0) THEN {place}" for place in range(len(checks)))
    sql = f"SELECT CASE {first} END, count(*) FROM (SELECT {columns} FROM task_runs WHERE {condition}) GROUP BY 1"
    found = dict(history.rows(sql, [*bound, *values]))
    return Kept(*(int(found.get(place, 0)) for place in range(len(checks))))


def prune(
    path: Path,
    policy: Policy,
    *,
    progress: Progress | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    now: datetime | None = None,
) -> Pruned:
    """Remove what the policy lets go, as the owner of the file. After a stop, what was committed stays removed."""
    policy.check()
    with History(path):
        pass  # a file that cannot be read is refused in the same words
    if file_kind(path, write=True) not in WRITABLE:
        raise StoreError(why_only_read(path))
    before = path.stat().st_size
    lock = OwnerLock(path)
    lock.acquire(now_stamp())
    try:
        attempts, runs, complete, remark = _prune(path, policy, now, progress, should_stop)
    finally:
        lock.release()
    return Pruned(attempts, runs, max(0, before - path.stat().st_size), complete, remark)


def _prune(
    path: Path,
    policy: Policy,
    now: datetime | None,
    progress: Progress | None,
    should_stop: Callable[[], bool],
) -> tuple[int, int, bool, str]:
    connection = open_writer(path, wal=None)
    with closing_writer(connection, path):
        identity = FileIdentity(path, connection)
        connection.set_progress_handler(should_stop, _STEPS_BETWEEN_CHECKS)
        gone = runs = 0
        try:
            total = _choose(connection, policy, now)
            last = -1
            while gone < total:
                identity.check()
                with transaction(connection):
                    removed, last = _remove(connection, last)
                    identity.check()
                gone += removed
                if progress is not None:
                    progress(gone, total)
                if should_stop():
                    return gone, runs, False, ""
            with transaction(connection):
                runs = _remove_runs(connection)
            return gone, runs, True, _give_back(connection, path)
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT:
                return gone, runs, False, ""
            raise StoreError(f"{path}: {counted(gone, 'attempt')} gone, then it went wrong: {error}.") from error
        finally:
            connection.set_progress_handler(None, 0)


def _choose(connection: sqlite3.Connection, policy: Policy, now: datetime | None) -> int:
    """List the attempts to remove in a TEMP table, which does not reach the file, and return their number."""
    chosen, values = _to_remove(policy, now)
    connection.execute("CREATE TEMP TABLE doomed (id INTEGER PRIMARY KEY, run_id INTEGER)")
    connection.execute(f"INSERT INTO doomed SELECT id, run_id FROM task_runs WHERE id IN ({chosen})", values)
    (total,) = connection.execute("SELECT count(*) FROM doomed").fetchone()
    return int(total)


def _remove(connection: sqlite3.Connection, last: int) -> tuple[int, int]:
    """Remove the next attempts after id `last` with their logs; return their number and the last id."""
    bounds = "SELECT count(*), max(id) FROM (SELECT id FROM doomed WHERE id > ? ORDER BY id LIMIT ?)"
    number, end = connection.execute(bounds, (last, AT_ONCE)).fetchone()
    chunk = "SELECT id FROM doomed WHERE id > ? AND id <= ?"
    connection.execute(f"DELETE FROM task_logs WHERE task_run_id IN ({chunk})", (last, end))
    connection.execute(f"DELETE FROM task_runs WHERE id IN ({chunk}) AND status IN ({_ENDED})", (last, end))
    return int(number), int(end)


def _remove_runs(connection: sqlite3.Connection) -> int:
    kept = {run_id for (run_id,) in connection.execute("SELECT DISTINCT run_id FROM task_runs")}
    lost = {run_id for (run_id,) in connection.execute("SELECT DISTINCT run_id FROM doomed")}
    unchanged = {run_id for (run_id,) in connection.execute("SELECT id FROM pipeline_runs WHERE unchanged > 0")}
    runs = _emptied(connection.execute(_RUNS).fetchall(), kept, lost, unchanged)
    for table, column in (("found_tasks", "run_id"), ("run_logs", "run_id"), ("pipeline_runs", "id")):
        connection.executemany(f"DELETE FROM {table} WHERE {column} = ?", [(run_id,) for run_id in runs])
    return len(runs)


def _emptied(
    runs: list[tuple[Any, ...]], kept: Collection[int], lost: Collection[int], unchanged: Collection[int]
) -> list[int]:
    """Return the runs to remove, of all runs (newest first), given those that keep attempts and those that lose some.

    Open runs stay, and so do the runs that a run that stays continues. A pipeline's last run may never have had tasks,
    and one in which all tasks were `unchanged` never had attempts: its row says what it did.
    """
    gone: list[int] = []
    parents: set[int] = set()
    seen: set[str] = set()
    for run_id, parent_id, pipeline, status in runs:
        is_last = pipeline not in seen
        seen.add(pipeline)
        empty = run_id not in lost and (is_last or run_id in unchanged)
        if status == "running" or run_id in kept or run_id in parents or empty:
            parents.add(parent_id)
        else:
            gone.append(run_id)
    return gone


def _to_remove(policy: Policy, now: datetime | None) -> tuple[str, list[Any]]:
    """Return a query for the ids of the attempts to remove, and its values."""
    condition, values = policy.where.sql()
    rules, bound = _rules(policy, now)
    return f"SELECT id FROM task_runs WHERE ({condition}) AND {' AND '.join(rules)}", [*values, *bound]


def _rules(policy: Policy, now: datetime | None) -> tuple[list[str], list[Any]]:
    """Return the conditions that let an attempt go, in the order of the fields of `Kept`, and their values."""
    values: list[Any] = []
    moment = now or utc_now()
    ages: list[str] = []
    for statuses, days in (("'done'", policy.done_for_days), (_FAILED, policy.failed_for_days)):
        if days is not None:
            ages.append(f"(status IN ({statuses}) AND coalesce(finished_at, started_at, queued_at) < ?)")
            values.append(stamp(moment - timedelta(days=days)))
    last = "1"
    if policy.keep_last is not None:
        last = f"id NOT IN ({_LAST_RUNS})"
        values.append(policy.keep_last)
    age = f"({' OR '.join(ages)})" if ages else "1"
    return [f"status IN ({_ENDED})", f"run_id NOT IN ({_NEEDED})", age, last], values


# Open runs, and the runs that the last run of a pipeline continues: resuming it needs the latest attempts in them.
# Runs that tried a few tasks are not resumed: see `History.last_run`. Quotes in a value would have backslashes.
_NEEDED: Final = """
WITH RECURSIVE trials(id) AS (
    SELECT id FROM pipeline_runs
    WHERE parent_run_id IS NULL AND (params LIKE '%"--only":%' OR params LIKE '%"--first":%')
    UNION
    SELECT run.id FROM pipeline_runs AS run JOIN trials ON run.parent_run_id = trials.id
), family(id, generation) AS (
    SELECT id, 0 FROM (
        SELECT max(id) AS id, status FROM pipeline_runs WHERE id NOT IN (SELECT id FROM trials) GROUP BY pipeline
    ) WHERE status <> 'done'
    UNION
    SELECT parent_run_id, generation + 1 FROM pipeline_runs JOIN family USING (id)
    WHERE parent_run_id < id AND generation < 10000
)
SELECT id FROM family UNION SELECT id FROM pipeline_runs WHERE status = 'running'
"""

# Two pipelines may have tasks of the same id.
_LAST_RUNS: Final = """
WITH known AS (
    SELECT task_runs.id AS id, dense_rank() OVER (
        PARTITION BY pipeline, task_id ORDER BY run_id DESC
    ) AS place FROM task_runs LEFT JOIN pipeline_runs ON pipeline_runs.id = run_id
)
SELECT id FROM known WHERE place <= ?
"""


def _give_back(connection: sqlite3.Connection, path: Path) -> str:
    """Rewrite the file without its free pages when there are many; return why not, if not."""
    (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    (page_size,) = connection.execute("PRAGMA page_size").fetchone()
    if free <= pages * _VACUUM_SHARE:
        return "the room stays in the file, for new attempts" if free else ""
    needed = (pages - free) * page_size * _VACUUM_ROOM
    # The new copy is made among the temporary files, and then written over the old one through the write-ahead log.
    try:
        if shutil.disk_usage(tempfile.gettempdir()).free < needed or shutil.disk_usage(path.parent).free < 2 * needed:
            return "the room stays in the file, for new attempts: the disk is too full to rewrite the file"
        connection.execute("VACUUM")
    except (sqlite3.Error, OSError) as error:
        return f"the room stays in the file, for new attempts: {error}"
    return ""
