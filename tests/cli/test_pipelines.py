"""Several pipelines in one file, and a file that is in use."""

from __future__ import annotations

import json
import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import GOOD, Popen, Run, first_line

TWO = """
import os
from pipeloom import *

def extracted(task, q):
    if not os.path.exists("mended"):
        raise ValueError("no page")

def held(task, q):
    print("in", flush=True)
    while not os.path.exists("go"):
        q.sleep(0.05)

extract = Pipeline("extract", [TaskDef(n, f"e{n}") for n in range(3)], extracted)
load = Pipeline("load", [TaskDef(n, f"l{n}") for n in range(2)], lambda task, q: None)
hold = Pipeline("hold", [TaskDef(1)], held)
sized = Pipeline("sized", lambda size: [TaskDef(n) for n in range(size)], lambda task, q: None)
late = Pipeline("late", lambda: [TaskDef("late" if os.path.exists("go") else "early")], lambda task, q: None)
sized.tasks.function.__annotations__["size"] = int
"""


@pytest.fixture
def two(folder: Path) -> Path:
    """The folder, with two pipelines; one fails until there is a file `mended`, a third waits for a file `go`."""
    (folder / "p.py").write_text(TWO, encoding="utf-8")
    return folder


def rows(folder: Path, sql: str) -> list[Any]:
    with closing(sqlite3.connect(folder / "etl.db")) as connection:
        return connection.execute(sql).fetchall()


def test_the_last_run_of_each_pipeline_has_a_line_and_a_part_in_the_exit_code(run: Run, two: Path) -> None:
    run("pipeloom", "run", "etl.db", "p.py:extract")
    run("pipeloom", "run", "etl.db", "p.py:load")
    done = run("pipeloom", "status", "etl.db")
    lines = done.stdout.splitlines()
    assert (done.returncode, lines[0][:18], lines[1]) == (1, "load  run 2: done,", "  2 done")
    assert lines[2].startswith("extract  run 1: error, since ")
    assert lines[2].endswith(": 3 error")
    told = json.loads(run("pipeloom", "status", "etl.db", "--json").stdout)
    assert (told["run"]["pipeline"], told["counts"]) == ("load", {"done": 2})
    assert [(one["run"]["pipeline"], one["counts"]) for one in told["others"]] == [("extract", {"error": 3})]


@pytest.mark.parametrize(
    ("where", "code", "first"),
    [
        ("pipeline:load", 0, "load  run 2"),
        ("pipeline:extract", 1, "extract  run 1"),
        ("attempt:1 -pipeline:load", 1, "extract  run 1"),
        ("pipeline:extract -task:0..2", 0, "extract  run 1"),
        ("pipeline:other", 0, "Nothing that passes the filter has run"),
    ],
)
def test_status_is_of_the_pipelines_that_the_filter_names(
    run: Run, two: Path, where: str, code: int, first: str
) -> None:
    run("pipeloom", "run", "etl.db", "p.py:extract")
    run("pipeloom", "run", "etl.db", "p.py:load")
    done = run("pipeloom", "status", "etl.db", where)
    assert (done.returncode, done.stdout[: len(first)]) == (code, first)


def test_a_retry_takes_the_last_run_of_its_pipeline_and_what_that_one_continued(run: Run, two: Path) -> None:
    run("pipeloom", "run", "etl.db", "p.py:extract")
    run("pipeloom", "run", "etl.db", "p.py:load")
    (two / "mended").touch()
    assert run("pipeloom", "retry", "etl.db", "task:0", "p.py:extract").returncode == 0
    assert run("pipeloom", "retry", "etl.db", "status:error", "p.py:extract").returncode == 0
    assert rows(two, "SELECT run_id, task_id FROM task_runs WHERE run_id > 2 ORDER BY id") == [(3, 0), (4, 1), (4, 2)]
    assert rows(two, "SELECT id, parent_run_id FROM pipeline_runs WHERE id > 2") == [(3, 1), (4, 3)]
    done = run("pipeloom", "retry", "etl.db", "status:error pipeline:extract", "--dry-run")
    assert done.stdout.splitlines() == ["retry would be asked for 0 tasks of run 4 of extract"]
    done = run("pipeloom", "retry", "etl.db", "attempt:>0", "p.py:hold")
    assert (done.returncode, done.stderr) == (2, "pipeloom: There is no such run of hold in etl.db.\n")


def test_pipelines_run_in_turn_and_none_after_one_that_fails(run: Run, two: Path) -> None:
    done = run("pipeloom", "run", "etl.db", "p.py:extract", "p.py:load")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith("pipeloom: extract did not end well: 1 pipeline not run.\n")
    assert rows(two, "SELECT pipeline FROM pipeline_runs") == [("extract",)]
    (two / "mended").touch()
    done = run("pipeloom", "run", "etl.db", "p.py:extract", "p.py:load", "--json")
    summaries = [told for line in done.stdout.splitlines() if (told := json.loads(line))["type"] == "summary"]
    assert (done.returncode, [told["pipeline"] for told in summaries]) == (0, ["extract", "load"])
    assert rows(two, "SELECT pipeline FROM pipeline_runs WHERE id > 1") == [("extract",), ("load",)]


def test_each_of_several_pipelines_gets_the_parameters_that_it_has(run: Run, two: Path) -> None:
    done = run("pipeloom", "run", "etl.db", "p.py:load", "p.py:sized", "-p", "size=2")
    assert done.returncode == 0, done.stderr
    assert rows(two, "SELECT pipeline, params FROM pipeline_runs") == [("load", None), ("sized", '{"size": "2"}')]
    done = run("pipeloom", "run", "etl.db", "p.py:load", "p.py:sized", "-p", "width=2")
    assert (done.returncode, done.stderr) == (2, "pipeloom: No pipeline has a parameter 'width': they have size.\n")
    done = run("pipeloom", "run", "etl.db", "p.py:load", "p.py:sized", "--help")
    assert done.stdout.endswith(
        "Parameters of p.py:load:\n  It takes none.\n\nParameters of p.py:sized:\n  -p size=…  int\n"
    )


def test_a_signal_during_the_second_pipeline_is_the_exit_code(popen: Popen, two: Path) -> None:
    process = popen("pipeloom", "run", "etl.db", "p.py:load", "p.py:hold")
    lines = iter(lambda: first_line(process), "")
    assert "in\n" in lines
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGTERM
    assert rows(two, "SELECT status FROM pipeline_runs ORDER BY id") == [("done",), ("interrupted",)]


def test_a_run_waits_for_a_file_that_is_in_use(popen: Popen, run: Run, two: Path) -> None:
    owner = popen("pipeloom", "run", "etl.db", "p.py:hold")
    assert first_line(owner) == "in\n"
    done = run("pipeloom", "run", "etl.db", "p.py:load", "--wait", "100ms")
    assert (done.returncode, f"in use by pipeloom process {owner.pid}" in done.stderr) == (6, True)
    waiting = popen("pipeloom", "run", "etl.db", "p.py:late", "--wait", "1m")
    assert first_line(waiting).startswith(
        f"pipeloom: Waiting for {two / 'etl.db'}, in use by pipeloom process {owner.pid}"
    )
    (two / "go").touch()
    waiting.communicate(timeout=60)
    assert waiting.returncode == 0
    assert rows(two, "SELECT pipeline, status FROM pipeline_runs ORDER BY id") == [("hold", "done"), ("late", "done")]
    assert rows(two, "SELECT name FROM task_runs WHERE run_id = 2") == [("late",)]  # listed when the wait was over


def test_a_wait_that_is_no_time_is_refused(run: Run, two: Path) -> None:
    done = run("pipeloom", "run", "etl.db", "p.py:load", "--wait", "soon")
    assert (done.returncode, done.stderr) == (
        2,
        "pipeloom: --wait needs a time such as 90s, 10m or 1h30m, not 'soon'.\n",
    )


ROWS = """
import os
from pipeloom import *

load = Pipeline("load", [TaskDef(1, "orders"), TaskDef(2, "users")], lambda task, q: q.put(table.rows([(n,) for n in range(count(task))])))
table = load.table("t", {"n": int})
after = Pipeline("after", [TaskDef(1)], lambda task, q: None)

def count(task):
    return 12 if os.path.exists("few") and task.name == "orders" else 1000
"""


def test_a_run_with_odd_rows_has_an_exit_code_of_its_own_when_that_is_asked_for(run: Run, folder: Path) -> None:
    (folder / "r.py").write_text(ROWS, encoding="utf-8")
    for _ in range(5):
        assert run("pipeloom", "run", "etl.db", "r.py:load", "--strict-rows").returncode == 0
    (folder / "few").touch()
    told = run("pipeloom", "run", "etl.db", "r.py:load")
    assert (told.returncode, "! orders  12 rows, usually 664 to 1,504" in told.stdout + told.stderr) == (0, True)
    strict = run("pipeloom", "run", "etl.db", "r.py:load", "r.py:after", "--strict-rows", "--json")
    assert strict.returncode == 7
    assert json.loads(strict.stdout.splitlines()[-1])["odd"] == [
        {"task_id": 1, "name": "orders", "rows": 12, "usual": [664, 1504]}
    ]
    assert "load did not end well: 1 pipeline not run." in strict.stderr
    found = run("pipeloom", "export", "etl.db", "rows:odd", "--format", "jsonl").stdout.splitlines()
    assert [(json.loads(line)["name"], json.loads(line)["rows_high"]) for line in found] == [("orders", 1504)] * 2
    assert "12, usually 664 to 1,504" in run("pipeloom", "show", "etl.db", json.loads(found[0])["id"]).stdout


def test_the_garbage_collector_works_while_tasks_run(folder: Path, run: Run) -> None:
    body = GOOD.replace("def work(task, q):", "def work(task, q):\n    import gc\n    assert gc.isenabled()")
    (folder / "good.py").write_text(body, encoding="utf-8")
    assert run("pipeloom", "run", "etl.db", "good.py:pipeline").returncode == 0
