"""Tasks that come after others, on the command line: what is refused, how a run with skipped tasks is told, a kill."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import Popen, Run, first_line

SHOP = """
import os
from pipeloom import Pipeline, TaskDef

def load(task, q):
    if not os.path.exists("mended"):
        raise ValueError("no answer")
    return {"rows": 7}

def merge(task, q):
    return q.results["load"]["rows"] * 2

def slow(task, q):
    print("in", flush=True)
    while not os.path.exists("go"):
        q.sleep(0.05)
    return q.results["first"]

def seven(task, q):
    return 7

shop = Pipeline("shop", [
    TaskDef("report", after="*", worker_fn=lambda task, q: sorted(q.results)),
    TaskDef("merge", after=["load"], worker_fn=merge),
    TaskDef("load", worker_fn=load),
])
ring = Pipeline("ring", [TaskDef("a", after=["b"]), TaskDef("b", after=["a"])], seven)
held = Pipeline("held", [
    TaskDef("first", worker_fn=seven),
    TaskDef("slow", after=["first"], worker_fn=slow),
    TaskDef("last", after=["first", "slow"], worker_fn=lambda task, q: sum(q.results.values())),
])
"""


@pytest.fixture
def shop(folder: Path) -> Path:
    (folder / "p.py").write_text(SHOP, encoding="utf-8")
    return folder


def rows(folder: Path, sql: str) -> list[Any]:
    with closing(sqlite3.connect(folder / "etl.db")) as connection:
        return connection.execute(sql).fetchall()


def test_a_cycle_is_refused_with_its_way(run: Run, shop: Path) -> None:
    done = run("pipeloom", "run", "etl.db", "p.py:ring")
    assert (done.returncode, (shop / "etl.db").exists()) == (2, False)
    assert "These tasks wait for each other, and none could ever run: a -> b -> a." in done.stderr


def test_skipped_tasks_are_told_everywhere_and_run_with_what_they_wait_for(run: Run, shop: Path) -> None:
    done = run("pipeloom", "run", "etl.db", "p.py:shop")
    told = done.stdout + done.stderr
    assert done.returncode == 1
    assert "skipped     merge  load failed" in told
    assert "1 error, 2 skipped" in told
    status = run("pipeloom", "status", "etl.db")
    assert (status.returncode, status.stdout.splitlines()[1]) == (1, "  1 error, 2 skipped")
    assert json.loads(run("pipeloom", "status", "etl.db", "--json").stdout)["counts"] == {"error": 1, "skipped": 2}
    exported = run("pipeloom", "export", "etl.db", "status:skipped", "--format", "jsonl").stdout
    assert [json.loads(line)["message"] for line in exported.splitlines()] == ["load failed"] * 2
    (shop / "mended").touch()
    again = run("pipeloom", "retry", "etl.db", "status:error", "p.py:shop", "--json")
    assert again.returncode == 0
    assert json.loads(again.stdout.splitlines()[-1])["counts"] == {"done": 3}
    assert rows(shop, "SELECT task_id, result FROM task_runs WHERE run_id=2 ORDER BY task_id") == [
        ("load", '{"rows": 7}'),
        ("merge", "14"),
        ("report", '["load", "merge"]'),
    ]


def test_a_dry_run_of_a_retry_tells_the_skipped_tasks_that_come_along(run: Run, shop: Path) -> None:
    run("pipeloom", "run", "etl.db", "p.py:shop")
    told = run("pipeloom", "retry", "etl.db", "status:error", "p.py:shop", "--dry-run").stdout.splitlines()
    assert told == [
        "retry would be asked for 1 task of run 1 of shop",
        "       3  error        load",
        "with 2 tasks that were skipped and come after them",
        "          skipped      report",
        "          skipped      merge",
    ]
    (one,) = run("pipeloom", "retry", "etl.db", "status:error", "p.py:shop", "--dry-run", "--json").stdout.splitlines()
    assert [task["name"] for task in json.loads(one)["followers"]] == ["report", "merge"]
    unnamed = run("pipeloom", "retry", "etl.db", "status:error", "--dry-run")
    assert unnamed.stderr == "pipeloom: Tasks that were skipped after them run, too: name the pipeline to see which.\n"
    json_of = run("pipeloom", "retry", "etl.db", "status:error", "--dry-run", "--json").stdout
    assert json.loads(json_of)["followers"] is None
    all_of_it = run("pipeloom", "retry", "etl.db", "status:error,skipped", "--dry-run")
    assert (len(all_of_it.stdout.splitlines()), all_of_it.stderr) == (4, "")
    (shop / "mended").touch()
    again = run("pipeloom", "retry", "etl.db", "status:error", "p.py:shop", "--json")
    assert json.loads(again.stdout.splitlines()[-1])["counts"] == {"done": 3}, "as many as the dry run has told"


@pytest.mark.kill
def test_after_a_kill_a_run_goes_on_in_its_order_with_the_results_of_the_file(
    run: Run, popen: Popen, shop: Path
) -> None:
    process = popen("pipeloom", "run", "etl.db", "p.py:held")
    while first_line(process).strip() != "in":
        assert process.poll() is None
    process.kill()
    process.wait()
    assert rows(shop, "SELECT task_id, status FROM task_runs ORDER BY id")[0] == ("first", "done")
    (shop / "go").touch()
    assert run("pipeloom", "run", "etl.db", "p.py:held", "--resume").returncode == 0
    assert rows(shop, "SELECT task_id, status, result FROM task_runs WHERE run_id=2 ORDER BY task_id") == [
        ("last", "done", "14"),
        ("slow", "done", "7"),
    ]
