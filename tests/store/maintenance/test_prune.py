"""Retention: what may go goes, in small commits, and nothing else."""

from __future__ import annotations

import errno
import hashlib
import shutil
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.store.conftest import NEWER, MakeFile

from pipeloom.errors import FileBusyError, StoreError, UsageError
from pipeloom.filters import parse
from pipeloom.status import RunStatus, Status
from pipeloom.store.file.owner import OwnerLock
from pipeloom.store.maintenance import prune as pruning
from pipeloom.store.maintenance.prune import Policy, plan, prune, why_nothing
from pipeloom.store.rows import AttemptRow, RunRow
from pipeloom.store.write.connect import close_writer, open_writer
from pipeloom.store.write.ledger import Ledger
from pipeloom.times import stamp

NOW = datetime(2026, 8, 1, 12, tzinfo=UTC)


def days_ago(days: float) -> str:
    return stamp(NOW - timedelta(days=days))


def make(
    path: Path, runs: Iterable[tuple[RunStatus, int | None]], attempts: Iterable[tuple[int, Any, int, Status, float]]
) -> Path:
    """Make a file: runs by status and parent; attempts by run, task, try, status and days since their end."""
    connection = open_writer(path, durability="normal")
    ledger = Ledger(connection)
    ledger.begin()
    for number, (status, parent) in enumerate(runs, 1):
        ledger.insert_run(RunRow(number, "p", status, days_ago(100 - number), parent_run_id=parent))
        ledger.note_run(number, [(NOW.isoformat(), "ERROR", "no route")])
    rows = [
        AttemptRow(
            number, run_id, task, attempt, f"task {task}", status, message="m" * 200, finished_at=days_ago(ended)
        )
        for number, (run_id, task, attempt, status, ended) in enumerate(attempts, 1)
    ]
    ledger.insert_attempts(rows)
    ledger.insert_logs((row.id, 1, NOW.isoformat(), "INFO", "a line") for row in rows)
    ledger.commit()
    close_writer(connection)
    return path


def left(path: Path) -> dict[str, list[int]]:
    connection = sqlite3.connect(path)
    try:
        found = {
            "attempts": "SELECT id FROM task_runs",
            "logs": "SELECT task_run_id FROM task_logs",
            "runs": "SELECT id FROM pipeline_runs",
        }
        return {name: [row[0] for row in connection.execute(sql + " ORDER BY 1")] for name, sql in found.items()}
    finally:
        connection.close()


def test_a_run_in_which_nothing_had_changed_stays(tmp_path: Path) -> None:
    attempts = [(run_id, 1, 1, Status.DONE, 90) for run_id in (1, 4)]
    path = make(tmp_path / "etl.db", [(DONE, None)] * 5, attempts)
    connection = sqlite3.connect(path)
    connection.execute("UPDATE pipeline_runs SET unchanged=iif(id=3, 0, 9) WHERE id IN (2, 3, 4)")
    connection.commit()
    connection.close()
    assert pruned(path, Policy(done_for_days=9))["runs"] == [2, 5]


DONE, ERROR = RunStatus.DONE, RunStatus.ERROR


def pruned(path: Path, policy: Policy) -> dict[str, list[int]]:
    """Prune the file, and see that the plan told what came."""
    before = left(path)
    doomed = plan(path, policy, now=NOW)
    result = prune(path, policy, now=NOW)
    after = left(path)
    assert (doomed.attempts, doomed.logs, doomed.runs) == tuple(
        len(before[name]) - len(after[name]) for name in ("attempts", "logs", "runs")
    )
    assert (result.attempts, result.runs, result.complete) == (doomed.attempts, doomed.runs, True)
    with closing(sqlite3.connect(path)) as connection:
        noted = [run_id for (run_id,) in connection.execute("SELECT run_id FROM run_logs ORDER BY 1")]
    assert noted == after["runs"]  # the log of a run goes with it
    return after


def test_the_last_runs_of_each_task_stay_with_all_their_attempts(db_path: Path) -> None:
    make(
        db_path,
        [(DONE, None)] * 3,
        [
            (1, "a", 1, Status.DONE, 9),
            (1, "b", 1, Status.DONE, 9),
            (2, "a", 1, Status.ERROR, 8),
            (2, "a", 2, Status.DONE, 8),
            (3, "b", 1, Status.DONE, 7),
        ],
    )
    assert pruned(db_path, Policy(keep_last=1)) == {"attempts": [3, 4, 5], "logs": [3, 4, 5], "runs": [2, 3]}


def test_done_attempts_go_by_age_and_failures_only_by_an_age_of_their_own(db_path: Path) -> None:
    ends = [(Status.DONE, 40), (Status.ERROR, 40), (Status.CANCELLED, 100), (Status.INTERRUPTED, 100), (Status.DONE, 5)]
    make(db_path, [(DONE, None)], [(1, number, 1, status, age) for number, (status, age) in enumerate(ends)])
    assert pruned(db_path, Policy(done_for_days=30))["attempts"] == [2, 3, 4, 5]
    assert pruned(db_path, Policy(failed_for_days=90))["attempts"] == [2, 5]
    assert pruned(db_path, Policy(done_for_days=1, failed_for_days=1)) == {"attempts": [], "logs": [], "runs": []}


def test_an_attempt_goes_only_when_every_rule_and_the_filter_let_it_go(db_path: Path) -> None:
    make(
        db_path,
        [(DONE, None)] * 2,
        [
            (1, "a", 1, Status.DONE, 40),
            (1, "b", 1, Status.DONE, 40),
            (2, "a", 1, Status.DONE, 40),
            (1, "c", 1, Status.ERROR, 40),
        ],
    )
    assert pruned(db_path, Policy(keep_last=1, done_for_days=50))["attempts"] == [1, 2, 3, 4]
    assert pruned(db_path, Policy(done_for_days=30, where=parse("task:b")))["attempts"] == [1, 3, 4]
    assert pruned(db_path, Policy(keep_last=1, done_for_days=30))["attempts"] == [3, 4]


def test_two_pipelines_may_have_tasks_of_the_same_id(db_path: Path) -> None:
    make(db_path, [(DONE, None)] * 2, [(1, "a", 1, Status.DONE, 9), (2, "a", 1, Status.DONE, 8)])
    connection = sqlite3.connect(db_path)
    connection.execute("UPDATE pipeline_runs SET pipeline='other' WHERE id=1")
    connection.commit()
    connection.close()
    assert pruned(db_path, Policy(keep_last=1))["attempts"] == [1, 2]


def test_what_is_open_stays(db_path: Path) -> None:
    make(
        db_path,
        [(RunStatus.RUNNING, None), (DONE, None)],
        [(1, "a", 1, Status.DONE, 90), (1, "b", 1, Status.RUNNING, 90), (2, "a", 1, Status.DONE, 90)],
    )
    assert pruned(db_path, Policy(done_for_days=1)) == {"attempts": [1, 2], "logs": [1, 2], "runs": [1]}


def test_what_a_run_that_can_be_resumed_stands_on_stays(db_path: Path) -> None:
    attempts = [(1, "a", 1, Status.DONE, 90), (2, "b", 1, Status.DONE, 90), (3, "c", 1, Status.DONE, 90)]
    make(db_path, [(DONE, None), (ERROR, None), (RunStatus.INTERRUPTED, 2)], attempts)
    assert pruned(db_path, Policy(done_for_days=1)) == {"attempts": [2, 3], "logs": [2, 3], "runs": [2, 3]}


def test_a_run_without_attempts_stays_while_one_that_stays_continues_it(db_path: Path) -> None:
    attempts = [(1, "a", 1, Status.DONE, 90), (2, "b", 1, Status.DONE, 90), (3, "b", 1, Status.DONE, 2)]
    make(db_path, [(ERROR, None), (ERROR, 1), (DONE, 2)], attempts)
    assert pruned(db_path, Policy(keep_last=1, where=parse("b"))) == {
        "attempts": [1, 3],
        "logs": [1, 3],
        "runs": [1, 2, 3],
    }


def test_a_run_that_never_had_a_task_goes_unless_it_is_the_last(db_path: Path) -> None:
    make(db_path, [(DONE, None)] * 3, [(2, "a", 1, Status.DONE, 90), (2, "b", 1, Status.DONE, 1)])
    assert pruned(db_path, Policy(done_for_days=30))["runs"] == [2, 3]


def test_a_plan_changes_nothing(db_path: Path) -> None:
    make(db_path, [(DONE, None)], [(1, "a", 1, Status.DONE, 90)])
    before = hashlib.sha256(db_path.read_bytes()).digest()
    assert plan(db_path, Policy(done_for_days=1), now=NOW).attempts == 1
    assert hashlib.sha256(db_path.read_bytes()).digest() == before


def test_the_size_that_a_plan_tells_is_about_what_is_given_back(db_path: Path) -> None:
    make(db_path, [(DONE, None)], [(1, number, 1, Status.DONE, 90 * (number % 10 > 0)) for number in range(10_000)])
    before = db_path.stat().st_size
    doomed = plan(db_path, Policy(done_for_days=30), now=NOW)
    result = prune(db_path, Policy(done_for_days=30), now=NOW)
    assert result.given_back == before - db_path.stat().st_size
    assert 0.7 < doomed.size / result.given_back < 1.3
    connection = sqlite3.connect(db_path)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


def test_a_file_with_little_free_room_is_left_as_it_is(db_path: Path) -> None:
    make(db_path, [(DONE, None)], [(1, number, 1, Status.DONE, 90 * (number < 200)) for number in range(2_000)])
    result = prune(db_path, Policy(done_for_days=30), now=NOW)
    assert (result.attempts, result.given_back, "stays in the file" in result.remark) == (200, 0, True)


def test_a_disk_without_room_keeps_the_free_pages_in_the_file(db_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(db_path, [(DONE, None)], [(1, number, 1, Status.DONE, 90) for number in range(2_000)])
    full = shutil.disk_usage("/")._replace(free=1000)
    monkeypatch.setattr("pipeloom.store.maintenance.prune.shutil.disk_usage", lambda path: full)
    result = prune(db_path, Policy(done_for_days=30), now=NOW)
    assert (result.attempts, result.complete, "disk is too full" in result.remark) == (2_000, True, True)


def test_a_machine_without_temporary_files_keeps_them_too(db_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_found() -> str:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")

    make(db_path, [(DONE, None)], [(1, number, 1, Status.DONE, 90) for number in range(2_000)])
    monkeypatch.setattr("tempfile.gettempdir", none_found)
    result = prune(db_path, Policy(done_for_days=30), now=NOW)
    assert (result.attempts, result.complete, "No usable temporary" in result.remark) == (2_000, True, True)


def test_it_goes_in_small_commits_and_what_is_gone_stays_gone_when_it_is_stopped(
    db_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning, "AT_ONCE", 10)
    make(db_path, [(DONE, None)] * 2, [(1 + number // 30, number, 1, Status.DONE, 90) for number in range(60)])
    seen: list[tuple[int, int]] = []
    result = prune(
        db_path,
        Policy(done_for_days=30),
        now=NOW,
        progress=lambda *at: seen.append(at),
        should_stop=lambda: len(seen) == 4,
    )
    assert seen == [(10, 60), (20, 60), (30, 60), (40, 60)]
    assert (result.attempts, result.complete) == (40, False)
    assert left(db_path)["attempts"] == list(range(41, 61))
    assert prune(db_path, Policy(done_for_days=30), now=NOW).runs == 2


def test_it_can_be_stopped_before_anything_is_gone(db_path: Path) -> None:
    make(db_path, [(DONE, None)], [(1, number, 1, Status.DONE, 90) for number in range(3_000)])
    result = prune(db_path, Policy(done_for_days=30), now=NOW, should_stop=lambda: True)
    assert not result.complete
    assert len(left(db_path)["attempts"]) == 3_000 - result.attempts


def test_a_file_that_is_in_use_is_refused_by_name_and_can_be_planned_for(db_path: Path) -> None:
    make(db_path, [(DONE, None)], [(1, "a", 1, Status.DONE, 90)])
    lock = OwnerLock(db_path)
    lock.acquire(NOW.isoformat())
    try:
        assert plan(db_path, Policy(done_for_days=1), now=NOW).attempts == 1
        with pytest.raises(FileBusyError, match="in use by pipeloom process"):
            prune(db_path, Policy(done_for_days=1), now=NOW)
    finally:
        lock.release()
    assert left(db_path)["attempts"] == [1]


def test_a_file_that_may_only_be_read_is_refused(make_file: MakeFile, tmp_path: Path) -> None:
    for sql, words in (
        (NEWER, "newer pipeloom: it is only read"),
        (("DROP TABLE task_logs",), "altered: it is only read"),
    ):
        path = make_file([AttemptRow(1, 1, 1, 1, "a", Status.DONE)], name=f"{len(sql)}.db", sql=sql)
        assert plan(path, Policy(keep_last=1)).logs == 0
        with pytest.raises(StoreError, match=words):
            prune(path, Policy(keep_last=1))
    with pytest.raises(StoreError, match="There is no file"):
        prune(tmp_path / "new.db", Policy(keep_last=1))
    assert not (tmp_path / "new.db").exists()


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        (Policy(), "Say what may go"),
        (Policy(keep_last=0), "keep-last 1"),
        (Policy(done_for_days=-1), "between 0"),
        (Policy(failed_for_days=float("nan")), "between 0"),
    ],
)
def test_a_policy_that_lets_everything_go_or_makes_no_sense_is_refused(
    db_path: Path, policy: Policy, words: str
) -> None:
    for call in (plan, prune):
        with pytest.raises(UsageError, match=words):
            call(db_path, policy)


def test_a_file_that_is_replaced_meanwhile_is_left_alone(db_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruning, "AT_ONCE", 10)
    make(db_path, [(DONE, None)], [(1, number, 1, Status.DONE, 90) for number in range(30)])

    def replace(gone: int, total: int) -> None:
        db_path.rename(db_path.with_name("moved.db"))
        db_path.write_bytes(b"")

    with pytest.raises(StoreError, match="replaced by another file"):
        prune(db_path, Policy(done_for_days=30), now=NOW, progress=replace)
    assert db_path.read_bytes() == b""


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        (Policy(keep_last=9), "5 attempts stay: 1 of runs that go on or are not done, 4 of the last 9 runs of their task."),
        (Policy(keep_last=1, where=parse("task:1")), "1 attempt that passes the filter stays, of the last run of its task."),
        (Policy(done_for_days=30), "5 attempts stay: 1 of runs that go on or are not done, 4 not done, or not older than 30 days."),
        (Policy(done_for_days=1, where=parse("status:error")),
         "2 attempts that pass the filter stay: 1 of runs that go on or are not done, 1 not done, or not older than 1 day."),
        (Policy(failed_for_days=0.5, where=parse("status:done")),
         "3 attempts that pass the filter stay, all done, or not older than 0.5 days."),
        (Policy(done_for_days=30, failed_for_days=30, where=parse("task:2,3")),
         "2 attempts that pass the filter stay, all not older than 30 days."),
        (Policy(done_for_days=30, failed_for_days=60, where=parse("task:2,3")),
         "2 attempts that pass the filter stay, all not older than 30 days (done) or 60 days (others)."),
        (Policy(keep_last=1, where=parse("nothing-of-this-name")), "no attempt passes the filter."),
        (Policy(done_for_days=9, keep_last=1, where=parse("task:1,2")),
         "2 attempts that pass the filter stay: 1 not done, or not older than 9 days, 1 of the last run of their task."),
    ],
)  # fmt: skip
def test_a_plan_without_a_result_says_what_keeps_the_attempts(db_path: Path, policy: Policy, words: str) -> None:
    runs = [(RunStatus.DONE, None), (RunStatus.ERROR, None)]
    make(
        db_path,
        runs,
        [
            (1, 1, 1, Status.DONE, 20),
            (1, 2, 1, Status.DONE, 3),
            (1, 3, 1, Status.ERROR, 3),
            (1, 4, 1, Status.DONE, 3),
            (2, 5, 1, Status.ERROR, 1),
        ],
    )
    preview = plan(db_path, policy, now=NOW)
    assert (preview.attempts, why_nothing(preview, policy)) == (0, words)


def test_a_plan_for_a_file_without_attempts_says_so(db_path: Path) -> None:
    make(db_path, [(RunStatus.DONE, None)], [])
    policy = Policy(keep_last=1)
    assert why_nothing(plan(db_path, policy), policy) == "there is no attempt in the file."


def test_what_has_not_ended_is_told_first(db_path: Path) -> None:
    make(db_path, [(RunStatus.RUNNING, None)], [(1, 1, 1, Status.RUNNING, 9), (1, 2, 1, Status.DONE, 9)])
    policy = Policy(done_for_days=1)
    words = "2 attempts stay: 1 not ended, 1 of runs that go on or are not done."
    assert why_nothing(plan(db_path, policy, now=NOW), policy) == words
