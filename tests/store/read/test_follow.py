"""Following what another process writes, over real files."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.store.conftest import MakeSqlite

from pipeloom.status import FINAL, TRANSITIONS, RunStatus, Status
from pipeloom.store.read.follow import CHUNK, FollowedRun
from pipeloom.store.read.history import History
from pipeloom.store.read.run_queries import has_run, newest_run, running_run
from pipeloom.store.rows import AttemptRow, RunRow
from pipeloom.store.write.connect import close_writer, open_writer
from pipeloom.store.write.ledger import Ledger

NOW = "2026-08-01T12:00:00.000000+00:00"


class Counting(History):
    """Counts the rows that it hands out."""

    read = 0

    def rows(self, sql: str, values: Sequence[Any] = (), *, budget_s: float | None = None) -> list[tuple[Any, ...]]:
        found = super().rows(sql, values, budget_s=budget_s)
        self.read += len(found)
        return found


class Owner:
    """Writes to the file as a writer does, and follows it as a viewer."""

    def __init__(self, path: Path, clock: Callable[[], float] = lambda: 0.0) -> None:
        self.connection = open_writer(path, durability="normal")
        self.ledger = Ledger(self.connection)
        self.ledger.begin()
        # An earlier run, so that nothing begins at 1.
        self.ledger.insert_run(RunRow(0, "old", RunStatus.DONE, NOW, finished_at=NOW))
        self.ledger.insert_attempts([AttemptRow(n, 1, n, 1, f"old-{n}", Status.DONE) for n in range(1, 4)])
        self.run = self.ledger.insert_run(RunRow(0, "bench", RunStatus.RUNNING, NOW, workers=4, pid=812))
        self.ledger.commit()
        self.rows: dict[int, AttemptRow] = {}
        self.history = Counting(path)
        self.followed = FollowedRun(self.history, self.run.id, clock=clock)
        self.seen: dict[int, AttemptRow] = {}
        self.seen_run: RunRow | None = None

    def submit(self, *statuses: Status, after: AttemptRow | None = None) -> None:
        first = 4 + len(self.rows)
        new = [
            AttemptRow(
                first + place,
                self.run.id,
                first + place if after is None else after.task_id,
                1 if after is None else after.attempt + 1,
                f"task-{first + place}",
                status,
                queued_at=NOW,
            )
            for place, status in enumerate(statuses)
        ]
        self.ledger.begin()
        self.ledger.insert_attempts(new)
        self.ledger.commit()
        self.rows |= {row.id: row for row in new}

    def move(self, *changes: tuple[int, Status]) -> None:
        changed = [self.rows[one]._replace(status=status, message=f"now {status}") for one, status in changes]
        self.ledger.begin()
        self.ledger.update_attempts(changed)
        self.ledger.beat(self.run, NOW, 1)
        self.ledger.commit()
        self.rows |= {row.id: row for row in changed}

    def look(self) -> list[AttemptRow]:
        found = self.followed.look()
        self.seen |= {row.id: row for row in found.attempts}
        self.seen_run = found.run or self.seen_run
        assert not found.is_stale
        return list(found.attempts)

    def close(self) -> None:
        self.history.close()
        close_writer(self.connection)


@pytest.fixture
def owner(db_path: Path) -> Iterator[Owner]:
    made = Owner(db_path)
    yield made
    made.close()


def ids(rows: Sequence[AttemptRow]) -> list[int]:
    return sorted(row.id for row in rows)


def test_the_first_look_tells_of_the_run_and_of_its_attempts_alone(owner: Owner) -> None:
    owner.submit(Status.QUEUED, Status.RUNNING, Status.DONE)
    assert ids(owner.look()) == [4, 5, 6]
    assert owner.seen_run is not None
    assert (owner.seen_run.id, owner.seen_run.pipeline, owner.seen_run.pid) == (2, "bench", 812)
    assert owner.seen == owner.rows


def test_a_look_without_news_finds_nothing(owner: Owner) -> None:
    owner.submit(Status.QUEUED, Status.RUNNING, Status.RETRYING, Status.DONE)
    owner.look()
    owner.move()  # a heartbeat
    assert owner.followed.look().attempts == ()
    assert owner.followed.look().run is None


def test_a_task_that_starts_and_ends_between_two_looks_is_not_missed(owner: Owner) -> None:
    owner.submit(*[Status.QUEUED] * 300)
    owner.look()
    for one in (4, 5, 200):
        owner.move((one, Status.RUNNING))
        owner.move((one, Status.DONE))
    assert ids(owner.look()) == [4, 5, 200]
    assert owner.seen == owner.rows


def test_what_is_cancelled_in_the_middle_of_the_queue_is_found(owner: Owner) -> None:
    owner.submit(*[Status.QUEUED] * 500)
    owner.look()
    owner.move((250, Status.CANCELLED), (400, Status.CANCELLED))
    assert ids(owner.look()) == [250, 400]


def test_a_retry_that_is_due_while_another_begins_to_wait_is_found(owner: Owner) -> None:
    owner.submit(Status.RETRYING, Status.ERROR, *[Status.QUEUED] * 200)
    owner.look()
    owner.move((4, Status.QUEUED))
    owner.submit(Status.RETRYING, after=owner.rows[5])
    owner.look()
    assert owner.seen == owner.rows


def test_progress_of_what_runs_is_told_once(owner: Owner) -> None:
    owner.submit(Status.RUNNING, Status.RUNNING)
    owner.look()
    owner.rows[4] = owner.rows[4]._replace(progress=0.5)
    owner.move((4, Status.RUNNING))
    assert [(row.id, row.progress) for row in owner.look()] == [(4, 0.5)]
    assert owner.look() == []


def test_100_000_queued_tasks_are_read_once(owner: Owner) -> None:
    owner.submit(*[Status.QUEUED] * 100_000)
    while len(owner.look()) == CHUNK:
        continue
    assert len(owner.seen) == 100_000
    owner.history.read = 0
    for number in range(4, 54):
        owner.move((number, Status.RUNNING))
        owner.move((number, Status.DONE))
        owner.look()
    assert owner.seen == owner.rows
    assert owner.history.read < 50 * 200  # fifty looks


def test_what_was_not_counted_for_want_of_time_is_looked_at_again(db_path: Path) -> None:
    now = [0.0]

    def clock() -> float:
        now[0] += 1.0  # counting takes a second
        return now[0]

    owner = Owner(db_path, clock)
    try:
        owner.submit(*[Status.QUEUED] * 200)
        owner.look()
        owner.move((150, Status.CANCELLED))
        assert owner.followed.look().is_whole is False
        now[0] += 60
        assert ids(owner.look()) == [150]
    finally:
        owner.close()


@pytest.mark.parametrize("seed", range(12))
def test_whatever_happens_between_two_looks_the_end_is_exact(owner: Owner, seed: int) -> None:
    chance = random.Random(seed)
    owner.submit(*[Status.QUEUED] * chance.choice((3, 70, 400)))
    for _ in range(120):
        unfinished = [row for row in owner.rows.values() if row.status not in FINAL]
        moves = {}
        for row in chance.sample(unfinished, min(len(unfinished), chance.randrange(12))):
            moves[row.id] = chance.choice(sorted(TRANSITIONS[row.status]))
        owner.move(*moves.items())
        failed = [row for row in owner.rows.values() if row.status is Status.ERROR]
        if failed and chance.random() < 0.3:
            latest = max(row.attempt for row in owner.rows.values() if row.task_id == failed[-1].task_id)
            again = failed[-1]._replace(attempt=latest)
            owner.submit(chance.choice((Status.QUEUED, Status.RETRYING)), after=again)
        if chance.random() < 0.4:
            owner.look()
            assert owner.seen == owner.rows
    owner.look()
    assert owner.seen == owner.rows


def test_the_end_of_a_run_and_its_going_on_are_told(owner: Owner) -> None:
    owner.submit(Status.RUNNING)
    owner.look()
    owner.move((4, Status.ERROR))
    owner.connection.execute("UPDATE pipeline_runs SET status='error', finished_at=? WHERE id=2", (NOW,))
    owner.look()
    assert owner.seen_run is not None
    assert owner.seen_run.status == "error"
    owner.connection.execute("UPDATE pipeline_runs SET status='running', finished_at=NULL WHERE id=2")
    owner.submit(Status.RUNNING, after=owner.rows[4])
    owner.look()
    assert owner.seen_run.status == "running"
    assert owner.seen == owner.rows


def test_a_file_that_contradicts_what_was_told_is_stale(owner: Owner) -> None:
    owner.submit(Status.DONE, Status.DONE)
    owner.look()
    owner.connection.execute("DELETE FROM task_runs WHERE id = 5")
    owner.connection.execute("UPDATE pipeline_runs SET status='done' WHERE id = 2")
    assert owner.followed.look().is_stale


def test_a_run_that_is_over_is_checked_once(owner: Owner) -> None:
    owner.submit(*[Status.DONE] * 100)
    owner.connection.execute("UPDATE pipeline_runs SET status='done' WHERE id = 2")
    owner.look()
    owner.history.read = 0
    owner.move()  # a heartbeat
    assert owner.look() == []
    assert owner.history.read == 1  # the run's row


def test_the_run_that_is_under_way_and_the_newest_one(owner: Owner, db_path: Path, tmp_path: Path) -> None:
    assert (running_run(owner.history), newest_run(owner.history)) == (2, 2)
    owner.connection.execute("UPDATE pipeline_runs SET status='done' WHERE id = 2")
    assert (running_run(owner.history), newest_run(owner.history)) == (None, 2)
    assert has_run(db_path)
    assert not has_run(tmp_path / "missing.db")


def test_values_of_the_wrong_type_become_none(make_sqlite: MakeSqlite, tmp_path: Path) -> None:
    path = tmp_path / "etl.db"
    close_writer(open_writer(path))
    connection = sqlite3.connect(path)
    connection.executescript(
        """
        DROP TABLE task_runs; DROP TABLE pipeline_runs;
        CREATE TABLE pipeline_runs (id INTEGER PRIMARY KEY, pipeline, source, status, workers, executor, parent_run_id,
            host, pid, process_started_at, heartbeat_at, commits, started_at, finished_at);
        CREATE TABLE task_runs (id INTEGER PRIMARY KEY, run_id, task_id, attempt, name, status, progress, step, total,
            message, queued_at, due_at, started_at, finished_at, duration_s, result, error_type, error, params, worker);
        INSERT INTO pipeline_runs (id, pipeline, status, workers, pid) VALUES (1, x'00ff', 'odd', 'many', 1.5);
        INSERT INTO task_runs (id, run_id, task_id, attempt, name, status, progress, step, duration_s, message)
            VALUES (1, 1, x'01', 'one', NULL, 'odd', 7e300, 'two', x'00', 12);
        """
    )
    connection.close()
    with History(path) as history:
        look = FollowedRun(history, 1).look()
    assert look.run is not None
    assert (look.run.status, look.run.workers, look.run.pid) == (RunStatus.INTERRUPTED, None, None)
    (row,) = look.attempts
    assert (row.status, row.attempt, row.name, row.message) == (Status.INTERRUPTED, 1, "", "12")
    assert (row.progress, row.step, row.duration_s) == (1.0, None, None)
