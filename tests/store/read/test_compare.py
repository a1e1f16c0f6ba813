"""What is different between two runs, and what of that is noise."""

from __future__ import annotations

import random
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeloom.status import RunStatus, Status
from pipeloom.store.read.compare import Change, RunComparison, compare_runs, noise
from pipeloom.store.read.history import History
from pipeloom.store.rows import AttemptRow, RunRow
from pipeloom.store.write.connect import close_writer, open_writer
from pipeloom.store.write.ledger import Ledger

START = "2026-08-01T12:00:00.000000+00:00"


def write(path: Path, runs: Iterable[str], rows: Iterable[AttemptRow]) -> Path:
    connection = open_writer(path, durability="normal")
    ledger = Ledger(connection)
    ledger.begin()
    for pipeline in runs:
        ledger.insert_run(RunRow(0, pipeline, RunStatus.DONE, START))
    ledger.insert_attempts(list(rows))
    ledger.commit()
    close_writer(connection)
    return path


def row(run: int, task: int, status: Status = Status.DONE, took: float | None = 1.0, **changes: Any) -> AttemptRow:
    base = AttemptRow(run * 1000 + task * 10, run, task, 1, f"task-{task}", status, duration_s=took)
    return base._replace(**changes)


def compared(path: Path, left: int, right: int) -> RunComparison:
    with History(path) as history:
        found = compare_runs(history, left, right)
    assert found is not None
    return found


def changes(found: RunComparison) -> dict[str, Change]:
    return {task.name: task.change for task in found.tasks}


def test_every_kind_of_change_is_told_and_the_most_urgent_come_first(tmp_path: Path) -> None:
    past = [row(run, task, took=1.0 + run / 100) for run in range(1, 7) for task in range(1, 10)]
    was = [
        row(7, 1), row(7, 2, Status.ERROR), row(7, 3), row(7, 4, took=9.0), row(7, 6), row(7, 7, Status.CANCELLED),
        row(7, 8), row(7, 9, Status.ERROR),
    ]  # fmt: skip
    now = [
        row(8, 1, Status.ERROR), row(8, 2), row(8, 3, took=5.0), row(8, 4), row(8, 5), row(8, 7, Status.RUNNING, None),
        row(8, 8, took=1.05), row(8, 9, Status.ERROR),
    ]  # fmt: skip
    found = compared(write(tmp_path / "etl.db", ["etl"] * 8, [*past, *was, *now]), 8, 7)
    assert list(changes(found).items()) == [
        ("task-1", Change.FAILS),
        ("task-2", Change.PASSES),
        ("task-3", Change.SLOWER),
        ("task-4", Change.FASTER),
        ("task-5", Change.NEW),
        ("task-6", Change.VANISHED),
        ("task-7", Change.OTHER),
        ("task-9", Change.SAME),
        ("task-8", Change.SAME),
    ]
    slower = found.tasks[2]
    assert (slower.difference_s, slower.past) == (4.0, 7)
    assert (found.was.run.id, found.now.run.id) == (7, 8)
    assert found.counts == Counter(task.change for task in found.tasks)


def test_the_latest_attempt_of_a_task_counts(tmp_path: Path) -> None:
    was = [row(1, 1, Status.ERROR), row(1, 1, id=1011, attempt=2)]
    now = [row(2, 1, Status.ERROR), row(2, 1, Status.ERROR, id=2011, attempt=2)]
    found = compared(write(tmp_path / "etl.db", ["etl"] * 2, [*was, *now]), 1, 2)
    assert changes(found) == {"task-1": Change.FAILS}
    assert (found.was.statuses, found.now.statuses) == ({Status.DONE: 1}, {Status.ERROR: 1})


def test_only_what_was_done_before_the_later_run_in_its_pipeline_makes_the_past(tmp_path: Path) -> None:
    rows = [row(run, 1, took=1.0) for run in range(1, 7)]
    rows += [row(7, 1, took=500.0), row(8, 1, took=1.5), row(9, 1, took=900.0), row(5, 2, Status.ERROR)]
    pipelines = ["etl"] * 6 + ["other", "etl", "etl"]
    found = compared(write(tmp_path / "etl.db", pipelines, rows), 6, 8)
    assert changes(found) == {"task-1": Change.SLOWER}
    assert found.tasks[0].noise_s == pytest.approx(0.1)
    assert found.tasks[0].past == 6


def test_runs_of_different_pipelines_are_matched_by_name(tmp_path: Path) -> None:
    rows = [row(1, 1), row(1, 2), row(2, 1, name="task-2"), row(2, 2, name="task-9")]
    found = compared(write(tmp_path / "etl.db", ["one", "two"], rows), 1, 2)
    assert changes(found) == {"task-2": Change.SAME, "task-9": Change.NEW, "task-1": Change.VANISHED}


def test_a_run_that_is_not_in_the_file_cannot_be_compared(tmp_path: Path) -> None:
    with History(write(tmp_path / "etl.db", ["etl"], [row(1, 1)])) as history:
        assert compare_runs(history, 1, 2) is None


def test_values_that_we_never_write_do_no_harm(tmp_path: Path) -> None:
    path = write(tmp_path / "etl.db", ["etl"] * 2, [])
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA ignore_check_constraints=ON")
    insert = "INSERT INTO task_runs (run_id, task_id, attempt, name, status, duration_s) VALUES (?, ?, ?, ?, ?, ?)"
    hostile = [(b"x", -1, "", "long", 1e999), (1.5, 0, "[/]", "nonsense", -1e999), ("1", 1, "a", "done", 1e999)]
    connection.executemany(insert, [(run, *given) for run in (1, 2) for given in hostile])
    connection.commit()
    connection.close()
    found = compared(path, 1, 2)
    assert found.was.statuses == {Status.INTERRUPTED: 2, Status.DONE: 1}
    assert {task.change for task in found.tasks} == {Change.SAME}


def test_by_chance_alone_few_tasks_pass_for_changed() -> None:
    chance = random.Random(1)

    def took() -> float:
        return chance.lognormvariate(0.6, 0.35)

    changed = 0
    for _ in range(2000):
        was, now = took(), took()
        changed += abs(now - was) > noise([took() for _ in range(20)], was, now)
    assert changed / 2000 < 0.03


@given(past=st.lists(st.floats(0, 1e6), max_size=25), was=st.floats(0, 1e6), now=st.floats(0, 1e6))
def test_the_noise_is_no_less_than_the_floor_and_grows_with_the_spread(
    past: list[float], was: float, now: float
) -> None:
    known = noise(past, was, now)
    assert known >= 0.1
    assert noise(past, now, was) == known
    if len(past) >= 5:
        assert noise([2 * value for value in past], was, now) >= known


tasks = st.dictionaries(
    st.integers(1, 9), st.tuples(st.sampled_from(list(Status)), st.none() | st.floats(0, 100)), max_size=9
)

Side = dict[Any, tuple[Status, Any]]


@settings(max_examples=40)
@given(was=tasks, now=tasks)
def test_every_task_of_either_run_is_told_once_and_by_the_rules(was: Side, now: Side) -> None:
    with tempfile.TemporaryDirectory() as folder:
        rows = [row(run, task, *value) for run, side in ((1, was), (2, now)) for task, value in side.items()]
        found = compared(write(Path(folder) / "etl.db", ["etl"] * 2, rows), 1, 2)
    assert sorted(str(task.key) for task in found.tasks) == sorted(map(str, was.keys() | now.keys()))
    assert (found.was.tasks, found.now.tasks) == (len(was), len(now))
    for task in found.tasks:
        match task.change:
            case Change.NEW:
                assert task.key not in was
            case Change.VANISHED:
                assert task.key not in now
            case Change.PASSES:
                assert was[task.key][0] is not Status.DONE
                assert now[task.key][0] is Status.DONE
            case Change.FAILS:
                assert now[task.key][0] in (Status.ERROR, Status.INTERRUPTED)
            case Change.SLOWER | Change.FASTER:
                assert was[task.key][0] is now[task.key][0] is Status.DONE
                assert (now[task.key][1] > was[task.key][1]) is (task.change is Change.SLOWER)
            case Change.SAME:
                assert was[task.key][0] is now[task.key][0]


def test_each_run_has_the_code_that_its_tasks_ran_the_commonest_first(tmp_path: Path) -> None:
    was = [row(1, task, code="old") for task in range(3)]
    now = [row(2, 1, code="old"), row(2, 2, code="new"), row(2, 3, code="new"), row(2, 4)]
    found = compared(write(tmp_path / "etl.db", ["etl"] * 2, [*was, *now]), 1, 2)
    assert (found.was.codes, found.now.codes) == (("old",), ("new", "old"))
