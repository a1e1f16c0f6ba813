"""What the charts draw."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from tests.store.conftest import MakeFile

from pipeloom.status import RunStatus, Status
from pipeloom.store.read.charts import ATTEMPTS, run_days, task_points
from pipeloom.store.read.history import History
from pipeloom.store.rows import AttemptRow, RunRow
from pipeloom.store.write.connect import close_writer, open_writer
from pipeloom.store.write.ledger import Ledger
from pipeloom.times import stamp

EPOCH = datetime(2026, 8, 1, 22, tzinfo=UTC)


def row(number: int, name: str = "load", **changes: Any) -> AttemptRow:
    return AttemptRow(number, number, 1, 1, name, Status.DONE, duration_s=number / 10)._replace(**changes)


def test_the_last_attempts_of_a_task_come_oldest_first(make_file: MakeFile) -> None:
    rows = [row(n, "load" if n % 2 else "other") for n in range(1, 2 * ATTEMPTS + 100)]
    with History(make_file(rows)) as history:
        found = task_points(history, "load")
        assert len(found) == ATTEMPTS
        assert [found[0].id, found[1].id, found[-1].id] == [101, 103, 1099]
        assert found[-1].duration_s == 109.9
        assert task_points(history, "nothing") == []
        plan = history.rows(
            "EXPLAIN QUERY PLAN SELECT id FROM task_runs WHERE name = ? ORDER BY id DESC LIMIT 5", ["a"]
        )
        assert "task_runs_name" in plan[0][3]


def runs(path: Path, *started: tuple[str, RunStatus]) -> Path:
    connection = open_writer(path)
    for moment, status in started:
        Ledger(connection).insert_run(RunRow(0, "etl", status, moment))
    close_writer(connection)
    return path


def test_days_are_those_of_the_zone_and_idle_ones_are_there(tmp_path: Path) -> None:
    path = runs(
        tmp_path / "etl.db",
        (stamp(EPOCH), RunStatus.DONE),
        (stamp(EPOCH + timedelta(hours=1)), RunStatus.ERROR),
        (stamp(EPOCH + timedelta(days=2)), RunStatus.DONE),
        ("yesterday", RunStatus.DONE),
        ("9999-12-31T23:59:59.000000+00:00", RunStatus.DONE),
    )
    with History(path) as history:
        found = [day for day in run_days(history, timezone(timedelta(hours=-1))) if day.date.year == 9999]
        assert len(found) == 365
    path = runs(tmp_path / "two.db", *((stamp(EPOCH + timedelta(hours=h)), RunStatus.DONE) for h in (0, 1, 3, 50)))
    with History(path) as history:
        here = run_days(history, UTC)
        assert [(day.date, dict(day.runs)) for day in here] == [
            (date(2026, 8, 1), {RunStatus.DONE: 2}),
            (date(2026, 8, 2), {RunStatus.DONE: 1}),
            (date(2026, 8, 3), {}),
            (date(2026, 8, 4), {RunStatus.DONE: 1}),
        ]
        east = run_days(history, timezone(timedelta(hours=1)))
        assert [(day.date.day, sum(day.runs.values())) for day in east] == [(1, 1), (2, 2), (3, 0), (4, 1)]


def test_a_file_without_runs_has_no_days(make_file: MakeFile) -> None:
    with History(make_file([])) as history:
        assert run_days(history) == []
