"""Parameters on the command line: what is refused, what the file keeps, and how runs are resumed with them."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import Run

SHOP = """
from __future__ import annotations
import os
from datetime import date, timedelta
from pipeloom import Pipeline, TaskDef

def load(task, q):
    if task.name.endswith("03") and not os.path.exists("mended"):
        raise KeyError("temp_max")

pipeline = Pipeline("shop", worker_fn=load, executor=os.environ.get("EXECUTOR"))

@pipeline.tasks
def days(start: date, end: date, region: list[str] = ["eu"]):
    \"\"\"Days of the shop.

    One task for each day.
    \"\"\"
    with open("listed", "a") as file:
        print(os.getpid(), file=file)
    for number in range((end - start).days + 1):
        for one in region:
            day = start + timedelta(number)
            yield TaskDef(f"{one}-{day}", f"{one} {day}", params={"day": str(day)})
"""
FIVE = ("-p", "start=2026-11-01", "-p", "end=2026-11-05")


@pytest.fixture
def shop(folder: Path) -> Path:
    """The folder, with a pipeline that has parameters; the third day fails until there is a file `mended`."""
    (folder / "shop.py").write_text(SHOP, encoding="utf-8")
    return folder


def rows(folder: Path, sql: str) -> list[Any]:
    with closing(sqlite3.connect(folder / "etl.db")) as connection:
        return connection.execute(sql).fetchall()


def names(folder: Path, run_id: int) -> list[str]:
    return [name for (name,) in rows(folder, f"SELECT name FROM task_runs WHERE run_id = {run_id} ORDER BY id")]


@pytest.mark.parametrize("program", ["pipeloom run", "pipeloom-tui"])
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "shop needs start and end, as -p start=…: it has start (date as 2026-11-30), end"),
        (["-p", "start=2026-11-01"], "shop needs end, as -p end=…"),
        ([*FIVE, "-p", "day=1"], "shop has no parameter 'day': it has start"),
        ([*FIVE, "-p", "end=x"], "['2026-11-05', 'x'] is not what end takes: date"),
        (["-p", "start=today", "-p", "end=2026-11-05"], "'today' is not what start takes: date as 2026-11-30"),
        (["-p", "start"], "-p takes NAME=VALUE, not 'start'"),
        ([*FIVE, "--first", "0"], "--first must be 1 or more"),
        ([*FIVE, "--only", "status:error"], "--only takes words, name: and task:, and not status:"),
        ([*FIVE, "--only", "us"], "None of the 5 tasks passes --only 'us'"),
        ([*FIVE, "--only", "no:x"], "There is no field 'no'"),
    ],
)
def test_what_does_not_fit_is_one_sentence_and_nothing_is_written(
    run: Run, shop: Path, program: str, options: list[str], words: str
) -> None:
    name, *more = program.split(" ")
    done = run(name, *more, "etl.db", "shop.py", *options)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1), done.stderr
    assert words in done.stderr
    assert not (shop / "etl.db").exists()


@pytest.mark.parametrize("program", ["pipeloom run", "pipeloom-tui"])
def test_the_help_beside_a_pipeline_lists_its_parameters(run: Run, shop: Path, program: str) -> None:
    name, *more = program.split(" ")
    done = run(name, *more, "etl.db", "shop.py", "--help")
    assert done.returncode == 0
    assert done.stdout.split("Parameters of shop.py:\n")[1].splitlines() == [
        "  Days of the shop.",
        "  -p start=…   date as 2026-11-30",
        "  -p end=…     date as 2026-11-30",
        "  -p region=…  list of str; eu unless given",
    ]
    assert "It takes none." in run(name, *more, "etl.db", "one.py", "-h").stdout
    assert "There is no file missing.py" in run(name, *more, "etl.db", "missing.py", "-h").stdout
    assert not (shop / "listed").exists()


def test_values_reach_the_function_once_and_the_file_as_texts(
    run: Run, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXECUTOR", "process")
    done = run("pipeloom", "run", "etl.db", "shop.py", *FIVE, "-p", "region=eu", "-p", "region=us", "--json")
    assert done.returncode == 1, done.stderr
    assert len(names(shop, 1)) == 10
    assert len((shop / "listed").read_text().splitlines()) == 1
    given = {"start": "2026-11-01", "end": "2026-11-05", "region": ["eu", "us"]}
    assert [json.loads(text) for (text,) in rows(shop, "SELECT params FROM pipeline_runs")] == [given]
    assert json.loads(done.stdout.splitlines()[-1])["params"] == given


def test_a_resumed_run_keeps_its_parameters_and_refuses_others_with_both_shown(run: Run, shop: Path) -> None:
    run("pipeloom", "run", "etl.db", "shop.py", *FIVE)
    done = run("pipeloom", "run", "etl.db", "shop.py", "--resume")
    assert "shop  run 2 (continues run 1) with start=2026-11-01 end=2026-11-05 region=eu: 1 error" in done.stderr
    done = run("pipeloom", "run", "etl.db", "shop.py", "--resume", "-p", "start=2026-11-01", "-p", "end=2026-11-06")
    assert done.returncode == 2
    assert "Run 2 had end=2026-11-05, and this one has end=2026-11-06: leave -p out to resume it" in done.stderr
    (shop / "mended").touch()
    done = run("pipeloom", "run", "etl.db", "shop.py", "--resume", "--other-params", "-p", "end=2026-11-06")
    assert done.returncode == 0, done.stderr
    assert names(shop, 3) == ["eu 2026-11-03", "eu 2026-11-06"]


def test_a_retry_lists_the_tasks_as_the_run_did_that_it_names(run: Run, shop: Path) -> None:
    run("pipeloom", "run", "etl.db", "shop.py", *FIVE, "-p", "region=us")
    run("pipeloom", "run", "etl.db", "shop.py", *FIVE)
    (shop / "mended").touch()
    done = run("pipeloom", "retry", "etl.db", "status:error run:1", "shop.py")
    assert done.returncode == 0, done.stderr
    assert names(shop, 3) == ["us 2026-11-03"]
    assert rows(shop, "SELECT params FROM pipeline_runs WHERE id IN (1, 3) GROUP BY params HAVING count(*) = 2")


SECRET = """
from pipeloom import Pipeline, Secret, TaskDef

def load(task, q):
    if task.params["token"].reveal() != "token-of-today":
        raise PermissionError("401")

pipeline = Pipeline("sec", worker_fn=load)

@pipeline.tasks
def pages(token: Secret, pages: int = 2):
    return [TaskDef(f"page-{page}", params={"token": token}) for page in range(pages)]
"""


def test_a_retry_takes_what_the_file_does_not_keep_and_refuses_other_values(run: Run, folder: Path) -> None:
    (folder / "sec.py").write_text(SECRET, encoding="utf-8")
    assert run("pipeloom", "run", "etl.db", "sec.py", "-p", "token=token-of-old", "-p", "pages=3").returncode == 1
    retry = ("retry", "etl.db", "status:error", "sec.py")
    assert "sec needs token, as -p token=…" in run("pipeloom", *retry).stderr
    done = run("pipeloom", *retry, "-p", "token=token-of-today", "-p", "pages=1")
    assert done.returncode == 2
    assert "Run 1 had pages=3, and this one has pages=1: leave -p out: tasks are run again with" in done.stderr
    done = run("pipeloom", *retry, "-p", "token=token-of-today", "-p", "pages=3")
    assert (done.returncode, names(folder, 2)) == (0, ["page-0", "page-1", "page-2"]), done.stderr
    ((kept,),) = rows(folder, "SELECT DISTINCT params FROM pipeline_runs")
    assert json.loads(kept) == {"token": "•••", "pages": "3"}


def test_a_try_of_a_few_tasks_says_so_and_is_not_what_is_resumed(run: Run, shop: Path) -> None:
    run("pipeloom", "run", "etl.db", "shop.py", *FIVE)
    done = run("pipeloom", "run", "etl.db", "shop.py", *FIVE, "--first", "2", "--only", "task:eu-2026-11-02..")
    assert "shop  run 2 with --only task:eu-2026-11-02.. --first 2 start=2026-11-01" in done.stderr
    assert "--only task:eu-2026-11-02.. --first 2 start=" in run("pipeloom", "status", "etl.db").stdout
    assert "1 done, 1 error  --only task:eu-2026-11-02.." in run("pipeloom", "runs", "etl.db").stdout
    assert names(shop, 2) == ["eu 2026-11-02", "eu 2026-11-03"]
    assert run("pipeloom", "retry", "etl.db", "2026-11-02", "shop.py").returncode == 0
    assert rows(shop, "SELECT parent_run_id FROM pipeline_runs WHERE id = 3") == [(2,)]
    (shop / "mended").touch()
    done = run("pipeloom", "run", "etl.db", "shop.py", "--resume")
    assert "shop  run 4 (continues run 1) with start=2026-11-01 end=2026-11-05 region=eu: 1 done in" in done.stderr


def test_a_few_of_what_is_left_are_tried_in_a_run_that_goes_on(run: Run, shop: Path) -> None:
    run("pipeloom", "run", "etl.db", "shop.py", *FIVE)
    (shop / "mended").touch()
    more = ("--resume", "--other-params", "-p", "end=2026-11-08")
    run("pipeloom", "run", "etl.db", "shop.py", *more, "--first", "2")
    assert names(shop, 2) == ["eu 2026-11-03", "eu 2026-11-06"]
    run("pipeloom", "run", "etl.db", "shop.py", "--resume")
    assert names(shop, 3) == ["eu 2026-11-07", "eu 2026-11-08"]


def test_prune_keeps_what_a_resume_after_a_try_needs(run: Run, shop: Path) -> None:
    run("pipeloom", "run", "etl.db", "shop.py", *FIVE)
    run("pipeloom", "run", "etl.db", "shop.py", *FIVE, "--first", "1")
    run("pipeloom", "retry", "etl.db", "run:2", "shop.py")
    assert run("pipeloom", "prune", "etl.db", "--done-for", "0", "--failed-for", "0", "--yes").returncode == 0
    assert rows(shop, "SELECT run_id, count(*) FROM task_runs GROUP BY 1") == [(1, 5)]
