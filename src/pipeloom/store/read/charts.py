"""The figures of the charts: the attempts of a task, and the runs by day. Both are bounded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from typing import Final, NamedTuple

from pipeloom.status import RunStatus, Status
from pipeloom.store.read import values
from pipeloom.store.read.history import History

ATTEMPTS: Final = 500
RUNS: Final = 20_000
_MOST_DAYS: Final = 3_660


class TaskPoint(NamedTuple):
    """An attempt of a task."""

    id: int
    run_id: int
    attempt: int
    status: Status
    started_at: str
    duration_s: float | None


@dataclass(frozen=True, slots=True)
class Day:
    """The runs of a day of the user's calendar, by status."""

    date: date
    runs: Mapping[RunStatus, int]


def task_points(history: History, name: str) -> list[TaskPoint]:
    """Return the last 500 attempts of the task `name` in all runs, oldest first."""
    sql = """
    SELECT id, run_id, attempt, status, substr(started_at, 1, 40), duration_s FROM task_runs
    WHERE name = ? ORDER BY id DESC LIMIT ?
    """
    return [
        TaskPoint(
            attempt_id, int(values.number(run_id) or 0), values.attempt_number(attempt), values.status(status),
            values.text(started_at), values.number(duration_s),
        )
        for attempt_id, run_id, attempt, status, started_at, duration_s in reversed(history.rows(sql, [name, ATTEMPTS]))
    ]  # fmt: skip


def run_days(history: History, tz: tzinfo | None = None) -> list[Day]:
    """Return each day from the first to the last of the last 20,000 runs, at most the last ten years.

    Days are those of the user's time zone unless `tz` is given.
    """
    sql = "SELECT substr(started_at, 1, 40), status FROM pipeline_runs ORDER BY id DESC LIMIT ?"
    runs: dict[date, Counter[RunStatus]] = {}
    for started_at, status in history.rows(sql, [RUNS]):
        day = _day(started_at, tz)
        if day is not None:
            known = RunStatus(status) if status in set(RunStatus) else RunStatus.INTERRUPTED
            runs.setdefault(day, Counter())[known] += 1
    if not runs:
        return []
    last = max(runs)
    length = min((last - min(runs)).days, _MOST_DAYS - 1)
    days = [last - timedelta(days=number) for number in range(length, -1, -1)]
    return [Day(day, runs.get(day, {})) for day in days]


def _day(started_at: object, tz: tzinfo | None) -> date | None:
    try:
        moment = datetime.fromisoformat(values.text(started_at))
        return moment.astimezone(tz).date() if moment.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None
