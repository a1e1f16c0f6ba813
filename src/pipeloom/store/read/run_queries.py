"""The runs of a file, and the tasks of a run by their latest attempts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pipeloom.errors import StoreError, UsageError
from pipeloom.filters import Filter
from pipeloom.status import FINAL, OPEN, RunStatus, Status
from pipeloom.store.file.owner import is_owned, owner, why_unknown
from pipeloom.store.read import values
from pipeloom.store.read.history import History
from pipeloom.store.rows import DIED, AttemptRow, RunRow, TaskPast, TaskStanding

if TYPE_CHECKING:
    from pipeloom.messages import TaskDef, TaskId

Counts = dict[Status, int]
"""Tasks of a run by the status of their latest attempt."""

_WORST: Final = (Status.INTERRUPTED, Status.ERROR, Status.CANCELLED, Status.SKIPPED)


class LatestAttempt(NamedTuple):
    """The latest attempt of a task in its run."""

    id: int
    task_id: int | str
    name: str
    status: Status
    params: str | None = None
    """JSON."""


def latest(among: str) -> str:
    """Return a subquery for the id of the latest attempt among those that fulfil `among`, a condition on `other`.

    This is the one definition: ids are given in the order of entry, so the latest attempt has the highest.
    """
    return f"(SELECT max(other.id) FROM task_runs AS other WHERE {among})"


LATEST_OF_RUN: Final = f"id IN {latest('other.run_id = ? GROUP BY other.task_id')}"
"""Condition on an attempt: the latest of its task in the run that is bound. The fastest for a whole run."""
_IS_LATEST: Final = f"id = {latest('other.run_id = task_runs.run_id AND other.task_id = task_runs.task_id')}"
"""The same, asked of each attempt by itself: the fastest where other conditions leave few."""


_FAMILY: Final = """
WITH RECURSIVE family(id, generation) AS (
    VALUES (?, 0)
    UNION ALL
    SELECT parent_run_id, generation + 1 FROM pipeline_runs JOIN family USING (id)
    WHERE parent_run_id < id AND generation < 10000
)
"""
"""The run that is bound, and those that it continued."""
_AMONG_FAMILY: Final = "other.run_id IN (SELECT id FROM family) GROUP BY other.task_id, other.name, other.params"
_LATEST_OF_FAMILY: Final = f"id IN {latest(_AMONG_FAMILY)}"
"""Condition on an attempt: the latest of its task, which its id, name and params tell, in these runs."""


def running_run(history: History) -> int | None:
    """Return the id of the newest run that has not ended; None when there is none."""
    return _id(history.rows("SELECT max(id) FROM pipeline_runs WHERE status = 'running'"))


def newest_run(history: History) -> int | None:
    """Return the id of the newest run in the file; None when there is none."""
    return _id(history.rows("SELECT max(id) FROM pipeline_runs"))


def has_run(path: Path) -> bool:
    """Tell whether the file can be read and has a run in it."""
    try:
        with History(path) as history:
            return newest_run(history) is not None
    except StoreError:
        return False


def run_before(history: History, run_id: int, pipeline: str) -> int | None:
    """Return the newest run of the pipeline before `run_id`."""
    return _id(history.rows("SELECT max(id) FROM pipeline_runs WHERE pipeline = ? AND id < ?", [pipeline, run_id]))


def runs_after(history: History, run_id: int) -> int:
    """Return the number of runs newer than `run_id`."""
    return int(history.rows("SELECT count(*) FROM pipeline_runs WHERE id > ?", [run_id])[0][0])


def run_count(history: History) -> int:
    """Return the number of runs in the file."""
    return int(history.rows("SELECT count(*) FROM pipeline_runs")[0][0])


def runs_with(history: History, where: Filter, *, before: int, limit: int) -> list[int]:
    """Return up to `limit` runs with an id below `before` that have attempts that pass, newest first."""
    condition, bound = where.sql()
    sql = f"SELECT DISTINCT run_id FROM task_runs WHERE run_id < ? AND ({condition}) ORDER BY run_id DESC LIMIT ?"
    return [run_id for (run_id,) in history.rows(sql, [before, *bound, limit]) if isinstance(run_id, int)]


def last_runs(history: History) -> list[RunRow]:
    """Return the newest run of each pipeline, newest first."""
    found = history.rows("SELECT max(id) FROM pipeline_runs GROUP BY pipeline ORDER BY 1 DESC")
    runs = (history.run(run_id) for (run_id,) in found)
    return [run for run in runs if run is not None]


def run_named_by(history: History, where: Filter, pipeline: str | None = None) -> int | None:
    """Return the one run that the filter names, else the newest of the pipeline; None when there is none.

    Without `pipeline`, of one that the filter names, else of any. Raises `UsageError` when what passes the filter is of
    several runs.
    """
    if not any(term.field == "run" and not term.negated for term in where.terms):
        meant = (run for run in last_runs(history) if where.allows_pipeline(run.pipeline))
        return next((run.id for run in meant if pipeline in (None, run.pipeline)), None)
    condition, bound = where.sql()
    found = history.rows(f"SELECT DISTINCT run_id FROM task_runs WHERE {condition} ORDER BY 1 LIMIT 2", bound)
    if len(found) > 1:
        raise UsageError("What passes the filter is of several runs: name one of them, for example run:12.")
    return _id(found)


def task_counts(history: History, run_id: int, where: Filter | None = None, *, budget_s: float | None = None) -> Counts:
    """Return the number of a run's tasks by the status of their latest attempt, of those whose latest attempt passes.

    An unknown status counts as interrupted. Raises `TimeoutError` when it takes longer than `budget_s`.
    """
    condition, bound = (where or Filter()).sql()
    sql = f"SELECT status, count(*) FROM task_runs WHERE {LATEST_OF_RUN} AND ({condition}) GROUP BY status"
    counted: Counter[Status] = Counter()
    for word, number in history.rows(sql, [run_id, *bound], budget_s=budget_s):
        counted[values.status(word)] += number
    return {status: counted[status] for status in Status if counted[status]}


def rows_written(history: History, run_id: int) -> int | None:
    """Return the number of rows that the attempts of a run have written; None when they were not counted."""
    if "rows" not in history.attempt_columns:
        return None
    ((total,),) = history.rows("SELECT sum(rows) FROM task_runs WHERE run_id = ?", [run_id])
    return total if isinstance(total, int) else None


def worst_status(counts: Counts) -> Status | None:
    """Return the worst end of a task: None without tasks, or while one of them has not ended."""
    if not counts or any(status not in FINAL for status in counts):
        return None
    return next((status for status in _WORST if status in counts), Status.DONE)


def is_alive(path: Path, run: RunRow) -> bool:
    """Tell whether the process of a run that has not ended lives and owns the file; yes where that cannot be told."""
    if run.status is not RunStatus.RUNNING:
        return False
    if why_unknown(path):
        return True
    if not is_owned(path):
        return False
    return run.pid is None or owner(path).get("pid", run.pid) == run.pid  # another run, or a command, may own it now


def has_died(path: Path, run: RunRow) -> bool:
    """Tell whether the process of a run has ended without closing it."""
    return run.status is RunStatus.RUNNING and not is_alive(path, run)


def as_left(run: RunRow) -> RunRow:
    """Return a run whose process has ended as it will be once the file is settled: one that had not ended is over."""
    return replace(run, status=RunStatus.INTERRUPTED) if run.status is RunStatus.RUNNING else run


def counts_as_left(counts: Counts) -> Counts:
    """Return the counts of a run whose process has ended as they will be once the file is settled."""
    left: Counter[Status] = Counter()
    for status, number in counts.items():
        left[status if status in FINAL else Status.INTERRUPTED] += number
    return {status: left[status] for status in Status if left[status]}


def attempt_as_left(row: AttemptRow, run: RunRow) -> AttemptRow:
    """Return an attempt of a run whose process has died as it will be once the file is settled."""
    if row.status in FINAL:
        return row
    error_type, error = DIED
    return row._replace(status=Status.INTERRUPTED, error_type=error_type, error=error, finished_at=run.heartbeat_at)


def attempts_as_left(history: History, rows: Sequence[AttemptRow]) -> list[AttemptRow]:
    """Return attempts as they are, those of a process that has died as they will be once the file is settled."""
    runs = map(history.run, {row.run_id for row in rows if row.status not in FINAL})
    died = {run.id: run for run in runs if run is not None and has_died(history.path, run)}
    return [attempt_as_left(row, died[row.run_id]) if row.run_id in died else row for row in rows]


def tasks_of_run(
    history: History, run_id: int, statuses: Sequence[Status], where: Filter | None = None, limit: int = 100
) -> list[AttemptRow]:
    """Return the latest attempts of a run's tasks that are in one of `statuses`, whole, oldest first."""
    condition, bound = (where or Filter()).sql()
    sql = (
        f"SELECT id FROM task_runs WHERE {LATEST_OF_RUN} AND status IN ({_marks(statuses)}) AND ({condition}) "
        "ORDER BY id LIMIT ?"
    )
    found = history.rows(sql, [run_id, *statuses, *bound, limit])
    rows = (history.attempt(attempt_id) for (attempt_id,) in found)
    return [row for row in rows if row is not None and row.status in statuses]  # it may have gone on meanwhile


def open_tasks(history: History, run_id: int, where: Filter | None = None) -> list[AttemptRow]:
    """Return the attempts of a run that have not ended, those that have started first."""
    found = tasks_of_run(history, run_id, tuple(OPEN), where)
    return sorted(found, key=lambda row: (row.started_at is None, row.id))


def latest_attempts(
    history: History, run_id: int, where: Filter, statuses: Collection[Status], *, with_earlier: bool = False
) -> list[LatestAttempt]:
    """Return the latest attempts of a run's tasks that pass the filter and are in one of `statuses`, oldest first.

    With `with_earlier`, those of the tasks of the run and of all that it continued.
    """
    condition, bound = where.sql()
    wanted: list[Any] = sorted(status.value for status in statuses)
    among, is_latest = (_FAMILY, _LATEST_OF_FAMILY) if with_earlier else ("", f"run_id = ? AND {_IS_LATEST}")
    rows = history.rows(
        f"{among} SELECT id, task_id, name, status, params FROM task_runs "
        f"WHERE {is_latest} AND status IN ({_marks(wanted)}) AND ({condition}) ORDER BY id",
        [run_id, *wanted, *bound],
    )
    return [
        LatestAttempt(
            attempt_id, values.task_id(task_id), values.text(name), values.status(word), values.optional_text(params)
        )
        for attempt_id, task_id, name, word, params in rows
    ]


_STANDINGS: Final = f"""
{_FAMILY} SELECT task_id, name, params, status, attempt, due_at, id FROM task_runs WHERE {_LATEST_OF_FAMILY} ORDER BY id
"""


_ASKED: Final = f"""
{_FAMILY} SELECT task_id, count(*) FROM task_runs
WHERE run_id IN (SELECT id FROM family) AND error_type = 'RetryAfter' GROUP BY task_id
"""


def task_standings(history: History, run_id: int) -> list[TaskStanding]:
    """Return the standing of each task after a run: by its latest attempt in the run and those that it continued.

    A task is known by its id, name and params together; those with newer attempts come last.
    """
    asked = Counter[Any](dict(history.rows(_ASKED, [run_id])))
    return [_standing(asked[row[0]], *row) for row in history.rows(_STANDINGS, [run_id])]


_OF_PIPELINE: Final = "(SELECT id FROM pipeline_runs WHERE pipeline = ?)"

# SQLite takes the other columns from the row of the highest id.
_PUT_LAST: Final = f"""
SELECT task_id, attempt, steps, retries, timeout, atomic, after, worker_fn, limits, priority, inputs, version,
    max(run_id) FROM found_tasks WHERE run_id IN {_OF_PIPELINE} GROUP BY task_id
"""
_AS_PUT: Final = (
    "found.task_id, task_runs.name, found.steps, task_runs.params, found.retries, found.timeout, found.atomic, "
    "found.after, found.worker_fn, found.limits, found.priority, found.inputs, found.version"
)
_FOUND: Final = f"""
SELECT {_AS_PUT} FROM ({_PUT_LAST}) AS found
JOIN task_runs ON task_runs.id = {latest("other.task_id = found.task_id AND other.run_id IN (SELECT id FROM family)")}
ORDER BY task_runs.id
"""
_FOUND_EVER: Final = f"""
SELECT finder.task_id, {_AS_PUT} FROM ({_PUT_LAST}) AS found
JOIN task_runs ON task_runs.id = {latest(f"other.task_id = found.task_id AND other.run_id IN {_OF_PIPELINE}")}
LEFT JOIN task_runs AS finder ON finder.id = found.attempt ORDER BY found.attempt
"""


class FoundBefore(NamedTuple):
    """A task that a worker has put in an earlier run."""

    task: TaskDef
    """With what it was put, without its own worker function."""
    worker_fn: str | None
    """The name of that."""


def found_tasks(history: History, run_id: int) -> list[FoundBefore]:
    """Return the tasks of a run and of those that it continued that workers have put, with what they were put with."""
    run = history.run(run_id) if history.has_found else None
    rows = [] if run is None else history.rows(f"{_FAMILY} {_FOUND}", [run_id, run.pipeline])
    return [_found(*row) for row in rows]


def found_ever(history: History, pipeline: str) -> list[tuple[TaskId | None, FoundBefore]]:
    """Return all tasks that workers have put in runs of a pipeline, those put first first.

    Each comes after the id of the task that has put it; None when that attempt is no longer in the file.
    """
    rows = history.rows(_FOUND_EVER, [pipeline, pipeline]) if history.has_found else []
    return [(finder, _found(*row)) for finder, *row in rows]


def _found(*row: Any) -> FoundBefore:
    """Return a task from the columns of `_AS_PUT`."""
    from pipeloom.messages import TaskDef

    task_id, name, steps, params, retries, timeout, atomic, after, worker_fn, limits, priority, inputs, version = row
    task = TaskDef(
        task_id,
        values.text(name),
        steps,
        params=json.loads(values.optional_text(params) or "{}"),
        retries=retries,
        timeout=timeout,
        atomic=None if atomic is None else bool(atomic),
        after=json.loads(values.optional_text(after) or "[]"),
        limits=tuple(json.loads(values.optional_text(limits) or "[]")),
        priority=priority,
        inputs=json.loads(values.optional_text(inputs) or "[]"),
        version=values.optional_text(version),
    )
    return FoundBefore(task, values.optional_text(worker_fn))


_STATUSES: Final = {status.value: status for status in Status}
_PAST: Final = f"""
WITH ends AS (
    SELECT max(id) AS latest, max(id) FILTER (WHERE status = 'done') AS done
    FROM task_runs WHERE run_id IN {_OF_PIPELINE} GROUP BY task_id
)
SELECT latest.task_id, latest.name, latest.status, latest.run_id, done.id, done.name, done.params, {{input_key}},
    done.started_at, done.finished_at
FROM ends JOIN task_runs AS latest ON latest.id = ends.latest LEFT JOIN task_runs AS done ON done.id = ends.done
"""


def tasks_past(history: History, pipeline: str) -> dict[TaskId, TaskPast]:
    """Return each task that a pipeline has ever run, by its latest attempt and the last one that was done."""
    key = "done.input_key" if "input_key" in history.attempt_columns else "NULL"
    rows = history.rows(_PAST.format(input_key=key), [pipeline])
    return {
        values.task_id(task_id): TaskPast(
            values.text(name),
            _STATUSES.get(word, Status.INTERRUPTED),
            run_id,
            done is not None,
            values.text(done_name),
            values.optional_text(params),
            values.optional_text(input_key),
            done or 0,
            values.optional_text(started_at),
            values.optional_text(finished_at),
        )
        for task_id, name, word, run_id, done, done_name, params, input_key, started_at, finished_at in rows
    }


def results_of(history: History, attempt_ids: Iterable[int]) -> dict[int, str | None]:
    """Return the results of attempts, as JSON, by the ids of those that the file has."""
    sql = "SELECT task_runs.id, result FROM json_each(?) AS wanted JOIN task_runs ON task_runs.id = wanted.value"
    return {key: values.optional_text(text) for key, text in history.rows(sql, [json.dumps(list(attempt_ids))])}


def _standing(
    asked: int, task_id: Any, name: Any, params: Any, word: Any, attempt: Any, due_at: Any, attempt_id: Any
) -> TaskStanding:
    return TaskStanding(
        values.task_id(task_id),
        values.text(name),
        values.optional_text(params),
        Status(word) if word in FINAL else Status.INTERRUPTED,
        values.attempt_number(attempt),
        values.optional_text(due_at),
        attempt_id,
        asked,
    )


def _marks(wanted: Collection[object]) -> str:
    return ", ".join("?" * len(wanted))


def _id(rows: list[tuple[Any, ...]]) -> int | None:
    return rows[0][0] if rows and isinstance(rows[0][0], int) else None
