"""`pipeloom show --row`: from a row of the user's back to the attempt that wrote it."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from tests.cli.conftest import Run

SHOP = """
from datetime import date
from pipeloom import MsgTaskLog, Pipeline, TaskDef

def load(task, q):
    q.put(MsgTaskLog(task.task_id, f"log of {task.name}"))
    q.put(orders.rows([(task.task_id, "ada"), (100, "bob")]))
    q.put(days.rows([("oslo", date(2026, 1, 1 + task.task_id), 0.5)]))
    q.put(seen.rows([(task.task_id,)]))
    q.put(odd.rows([(f"'{task.task_id}", 1)]))

pipeline = Pipeline("shop", [TaskDef(n, f"page-{n}") for n in (1, 2, 3)], load, workers=1)
orders = pipeline.table("orders", {"id": int, "customer": str}, key="id")
days = pipeline.table("days", {"city": str, "day": date, "rain": float}, key=["day", "city"])
seen = pipeline.table("seen", {"page": int})
odd = pipeline.table('o"dd', {'k"': str, "_": int}, key='k"')
"""


@pytest.fixture
def shop(folder: Path, run: Run) -> Path:
    (folder / "shop.py").write_text(SHOP, encoding="utf-8")
    done = run("pipeloom", "run", "etl.db", "shop.py")
    assert done.returncode == 0, done.stderr
    with closing(sqlite3.connect(folder / "etl.db")) as connection:
        connection.execute("CREATE TABLE plain (id INTEGER PRIMARY KEY)")
        connection.execute("INSERT INTO orders VALUES (7, 'by hand', NULL), (8, 'pruned', 99)")
        connection.commit()
    return folder / "etl.db"


@pytest.mark.parametrize(
    ("arguments", "attempt"),
    [
        (["orders", "2"], 2),
        (["ORDERS", "100"], 3),
        (["days", "2026-01-03", "oslo"], 2),
        (["seen", "1"], 1),
        (['o"dd', "'3"], 3),
    ],
)
def test_a_row_leads_to_its_attempt_and_its_log(run: Run, shop: Path, arguments: list[str], attempt: int) -> None:
    done = run("pipeloom", "show", shop, "--row", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"page-{attempt}  done\n")
    assert f"log of page-{attempt}" in done.stdout
    assert "  rows      5\n" in done.stdout
    told = json.loads(run("pipeloom", "show", shop, "--json", "--row", *arguments).stdout)
    assert (told["id"], told["name"], told["rows"]) == (attempt, f"page-{attempt}", 5)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--row", "missing", "1"], "There is no table missing in"),
        (["--row", "plain", "1"], "The table plain does not say who wrote its rows"),
        (["--row", "task_runs", "1"], "The table task_runs does not say who wrote its rows"),
        (["--row", "orders", "5"], "There is no row 5 in orders"),
        (["--row", "orders", "x"], "There is no row x in orders"),
        (["--row", "orders"], 'A row of orders is named by "id": give a value for each'),
        (["--row", "days", "2026-01-02"], 'A row of days is named by "day", "city"'),
        (["--row", "orders", "7"], "does not say who wrote it"),
        (["--row", "orders", "8"], "was written by attempt 99, which was removed"),
        (["status:done", "page"], "A filter of several words goes in quotes: 'status:done page'"),
    ],
)
def test_a_row_that_leads_nowhere_is_a_sentence(run: Run, shop: Path, arguments: list[str], said: str) -> None:
    done = run("pipeloom", "show", shop, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_runs_and_status_say_how_many_rows_were_written(run: Run, shop: Path) -> None:
    assert json.loads(run("pipeloom", "runs", shop, "--json").stdout)["rows"] == 15
    told = json.loads(run("pipeloom", "status", shop, "--json").stdout)
    assert told["run"]["rows"] == 15
    exported = [
        json.loads(line)["rows"] for line in run("pipeloom", "export", shop, "--format", "jsonl").stdout.splitlines()
    ]
    assert exported == [5, 5, 5]
    listed = run("pipeloom", "show", shop, "rows:>4", "--json").stdout.splitlines()
    assert len(listed) == 3
    assert run("pipeloom", "show", shop, "rows:0", "--json").stdout == ""
