"""`pipeloom cancel` and `pipeloom retry`."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import Run
from tests.conftest import Own, WaitFor


def rows(folder: Path, sql: str) -> list[Any]:
    with closing(sqlite3.connect(folder / "etl.db")) as connection:
        return connection.execute(sql).fetchall()


def written(folder: Path, pipeline: str = "good", name: str = "mend.py", task: str = "task") -> None:
    """Write a pipeline whose tasks 1 and 2 fail until there is a file `mended`."""
    (folder / name).write_text(
        f"""
import os
from pipeloom import *
def work(task, q):
    if task.task_id in (1, 2) and not os.path.exists("mended"):
        raise KeyError("temp_max")
pipeline = Pipeline("{pipeline}", (TaskDef(n, f"{task}-{{n}}") for n in range(5)), work)
""",
        encoding="utf-8",
    )


# -- another process runs ---------------------------------------------------------------------------------------------


def test_cancel_asks_the_owner_and_prints_the_answer(run: Run, folder: Path, own: Own) -> None:
    owner = own(5)
    done = run("pipeloom", "cancel", "etl.db", "status:queued")
    assert (done.returncode, done.stdout, done.stderr) == (0, "run 1: 3 cancelled or asked to stop\n", "")
    owner.tell("go")
    owner.close()
    assert rows(folder, "SELECT task_id FROM task_runs WHERE status = 'cancelled'") == [(3,), (4,), (5,)]
    assert rows(folder, "SELECT command, answer FROM commands") == [("cancel", "3 accepted")]


def test_retry_asks_the_owner_and_imports_nothing(run: Run, folder: Path, own: Own, wait_for: WaitFor) -> None:
    owner = own(3)
    owner.tell("fail-1", "go-1")
    wait_for(lambda: rows(folder, "SELECT 1 FROM task_runs WHERE status = 'error'"))
    (folder / "fail-1").unlink()
    (folder / "trap.py").write_text("raise SystemExit('imported')")
    refused = run("pipeloom", "retry", "etl.db", "status:error", "trap.py")
    assert refused.returncode == 2
    assert "Run 1 is one of a pipeline that a script has made, and not of" in refused.stderr
    done = run("pipeloom", "retry", "etl.db", "status:error", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["command"], told["run_id"], told["accepted"], told["refused"]) == ("retry", 1, [4], [])
    assert told["tasks"] == [{"id": 1, "task_id": 1, "name": "gated-1", "status": "error"}]
    owner.tell("go")
    wait_for(lambda: not rows(folder, "SELECT 1 FROM pipeline_runs WHERE status = 'running'"))
    owner.close()
    assert rows(folder, "SELECT attempt, status FROM task_runs WHERE task_id = 1 ORDER BY 1") == [
        (1, "error"),
        (2, "done"),
    ]


def test_a_dry_run_shows_what_is_meant_and_asks_nothing(run: Run, folder: Path, own: Own) -> None:
    own(4)
    done = run("pipeloom", "cancel", "etl.db", "gated-3", "--dry-run")
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        "cancel would be asked for 1 task of run 1 of gated",
        "       3  queued       gated-3",
    ]
    told = json.loads(run("pipeloom", "cancel", "etl.db", "gated-3", "--dry-run", "--json").stdout)
    assert (told["dry_run"], [task["name"] for task in told["tasks"]]) == (True, ["gated-3"])
    assert rows(folder, "SELECT count(*) FROM task_runs WHERE status = 'queued'") == [(2,)]


def test_a_filter_that_no_task_passes_does_nothing(run: Run, folder: Path, own: Own) -> None:
    own(2)
    done = run("pipeloom", "cancel", "etl.db", "nobody", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["accepted"] == []
    assert done.stderr == "pipeloom: No task of run 1 to cancel passes the filter: nothing was done.\n"


def test_what_the_owner_refuses_is_told_with_an_exit_code(run: Run, folder: Path, own: Own) -> None:
    own(2)
    with closing(sqlite3.connect(folder / "etl.db")) as connection:  # a row that the engine knows nothing of
        connection.execute(
            "INSERT INTO task_runs (id, run_id, task_id, attempt, name, status) VALUES (900, 1, 'x', 1, 'odd', 'queued')"
        )
        connection.commit()
    done = run("pipeloom", "cancel", "etl.db", "odd")
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "run 1: 0 cancelled or asked to stop",
        "1 refused: it is not an attempt of this run",
    ]


# -- nobody runs ------------------------------------------------------------------------------------------------------


def test_cancel_without_an_owner_is_one_sentence(run: Run, folder: Path) -> None:
    run("pipeloom", "run", "etl.db", "one.py")
    done = run("pipeloom", "cancel", "etl.db", "status:running")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "pipeloom: No process runs a pipeline on etl.db: there is nothing to cancel.\n"


def test_retry_runs_the_tasks_again_as_a_new_run_that_names_its_parent(run: Run, folder: Path) -> None:
    written(folder)
    assert run("pipeloom", "run", "etl.db", "mend.py").returncode == 1
    (folder / "mended").touch()
    done = run("pipeloom", "retry", "etl.db", "err:KeyError task:2", "mend.py")
    assert done.returncode == 0, done.stderr
    assert rows(folder, "SELECT task_id, status FROM task_runs WHERE run_id = 2") == [(2, "done")]
    assert rows(folder, "SELECT id, parent_run_id FROM pipeline_runs") == [(1, None), (2, 1)]


def test_retry_of_an_earlier_run_is_asked_for_by_name(run: Run, folder: Path) -> None:
    written(folder)
    run("pipeloom", "run", "etl.db", "mend.py")
    (folder / "mended").touch()
    run("pipeloom", "run", "etl.db", "mend.py", "--no-resume")
    done = run("pipeloom", "retry", "etl.db", "status:error", "mend.py")
    assert "No task of run 2 to retry passes the filter" in done.stderr
    assert run("pipeloom", "retry", "etl.db", "run:1 status:error", "mend.py", "--json").returncode == 0
    assert rows(folder, "SELECT task_id FROM task_runs WHERE run_id = 3 ORDER BY 1") == [(1,), (2,)]
    assert rows(folder, "SELECT parent_run_id FROM pipeline_runs WHERE id = 3") == [(1,)]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["status:error"], "name the pipeline whose tasks to run again"),
        (["run:1,2", "mend.py"], "is of several runs"),
        (["run:9", "mend.py"], "There is no such run of good in etl.db"),
        (["", "mend.py"], "The filter is empty, which means every task"),
        (["status:odd", "mend.py"], "(column 8 of the filter)"),
        (["status:error", "other.py"], "There is no such run of other in etl.db"),
        (["run:2", "other.py"], "Run 2 is one of good, and not of other"),
        (["status:error", "missing.py"], "There is no file missing.py"),
    ],
)
def test_what_cannot_be_retried_is_one_sentence(run: Run, folder: Path, arguments: list[str], words: str) -> None:
    written(folder)
    written(folder, "other", "other.py")
    for _ in range(2):
        run("pipeloom", "run", "etl.db", "mend.py")
    done = run("pipeloom", "retry", "etl.db", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert rows(folder, "SELECT count(*) FROM pipeline_runs") == [(2,)]


def test_a_dry_run_of_a_retry_needs_no_pipeline_and_changes_nothing(run: Run, folder: Path) -> None:
    written(folder)
    run("pipeloom", "run", "etl.db", "mend.py")
    done = run("pipeloom", "retry", "etl.db", "status:error", "--dry-run")
    assert done.returncode == 0
    assert done.stdout.splitlines()[0] == "retry would be asked for 2 tasks of run 1 of good"
    assert rows(folder, "SELECT count(*) FROM task_runs") == [(5,)]


def test_only_the_latest_attempt_of_a_task_counts(run: Run, folder: Path, own: Own, wait_for: WaitFor) -> None:
    owner = own(2)
    owner.tell("fail-1", "go-1")
    wait_for(lambda: rows(folder, "SELECT 1 FROM task_runs WHERE status = 'error'"))
    (folder / "fail-1").unlink()
    assert run("pipeloom", "retry", "etl.db", "status:error").returncode == 0
    wait_for(lambda: rows(folder, "SELECT 1 FROM task_runs WHERE attempt = 2 AND status = 'done'"))
    done = run("pipeloom", "retry", "etl.db", "status:error", "--dry-run")
    assert done.stdout.splitlines() == ["retry would be asked for 0 tasks of run 1 of gated"]


@pytest.mark.kill
def test_a_run_whose_owner_was_killed_is_settled_before_its_tasks_are_run_again(
    run: Run, folder: Path, own: Own
) -> None:
    written(folder, "gated", task="gated")
    (folder / "mended").touch()
    own(4).kill()
    done = run("pipeloom", "retry", "etl.db", "status:interrupted", "mend.py")
    assert done.returncode == 0, done.stderr
    assert rows(folder, "SELECT task_id, status FROM task_runs WHERE run_id = 2 ORDER BY 1") == [
        (number, "done") for number in range(1, 5)
    ]


def test_a_file_that_is_not_there_is_one_sentence(run: Run, folder: Path) -> None:
    done = run("pipeloom", "retry", "new.db", "status:error", "--dry-run")
    assert (done.returncode, done.stdout) == (2, "")
    assert "There is no file new.db" in done.stderr
    assert not (folder / "new.db").exists()
