"""`pipeloom plan` beside `pipeloom run --changed`: the same tasks, reasons told, and nothing is written."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from tests.cli.conftest import Run

SHOP = """
from pathlib import Path
from pipeloom import *

def load(task, q):
    if task.name == "bad.csv" and not Path("mended").exists():
        raise KeyError("temp_max")

print("imported")
pipeline = Pipeline("shop", worker_fn=load)

@pipeline.tasks
def files(day: str = "2026-11-01"):
    print("listed")
    for path in sorted(Path("in").iterdir()):
        version = "2" if path.name == "new.csv" and Path("mended").exists() else "1"
        yield TaskDef(path.name, inputs=[path], version=version, params={"day": day})
"""


@pytest.fixture
def shop(folder: Path) -> Path:
    """The folder, with a pipeline of four files, one of which fails until there is a file `mended`."""
    (folder / "p.py").write_text(SHOP, encoding="utf-8")
    (folder / "in").mkdir()
    for name in ("a.csv", "b.csv", "bad.csv", "new.csv"):
        path = folder / "in" / name
        path.write_text(name, encoding="utf-8")
        os.utime(path, (1_700_000_000, 1_700_000_000))
    return folder


def test_the_plan_tells_what_a_run_then_does(run: Run, shop: Path) -> None:
    first = run("pipeloom", "plan", "etl.db", "p.py", "--changed")
    assert first.stdout.splitlines() == [
        "shop with day=2026-11-01: 4 tasks would run, 0 unchanged",
        "  a.csv    never done",
        "  b.csv    never done",
        "  bad.csv  never done",
        "  new.csv  never done",
    ]
    assert (first.stderr, first.returncode) == ("imported\nlisted\n", 0)
    assert not list(shop.glob("etl.db*"))

    assert run("pipeloom", "run", "etl.db", "p.py", "--changed").returncode == 1
    shown = run("pipeloom", "show", "etl.db", "status:done name:a.csv", "--json").stdout
    _, _, inputs = run("pipeloom", "show", "etl.db", str(json.loads(shown)["id"])).stdout.partition("\ninputs:\n")
    version, file = inputs.splitlines()[:2]
    assert version == "  version 1"
    assert re.fullmatch(r"  \S*in/a.csv  5 bytes, changed 2023-11-1[45] \d\d:13:20 \S+", file)
    (shop / "mended").touch()
    (shop / "in" / "a.csv").touch()
    (shop / "in" / "b.csv").unlink()
    plan = run("pipeloom", "plan", "etl.db", "p.py", "--changed")
    assert plan.stdout.splitlines() == [
        "shop with day=2026-11-01: 2 tasks would run, 1 unchanged, 1 gone",
        "  bad.csv  last attempt failed",
        "  new.csv  version 1 -> 2",
        "  gone: b.csv",
    ]
    told = json.loads(run("pipeloom", "plan", "etl.db", "p.py", "--changed", "--first", "1", "--json").stdout)
    assert told == {
        "db": str(shop / "etl.db"),
        "pipeline": "shop",
        "params": {"day": "2026-11-01"},
        "resumes": None,
        "tasks": [{"task_id": "bad.csv", "name": "bad.csv", "why": ["last attempt failed"]}],
        "would_run": 1,
        "unchanged": 1,
        "left_out": 1,
        "gone": [{"task_id": "b.csv", "name": "b.csv"}],
    }

    done = run("pipeloom", "run", "etl.db", "p.py", "--changed", "--json")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert {line["name"] for line in lines[:-1]} == {"bad.csv", "new.csv"}
    assert (lines[-1]["unchanged"], lines[-1]["gone"], done.returncode) == (1, ["b.csv"], 0)

    again = run("pipeloom", "run", "etl.db", "p.py", "--changed")
    assert again.returncode == 0
    assert "shop  run 3 with day=2026-11-01: nothing has changed, 3 unchanged in " in again.stderr
    assert "\n  gone: b.csv\n" in again.stderr
    assert run("pipeloom", "status", "etl.db").stdout.splitlines()[2] == "  3 unchanged"
    assert "2 done, 1 unchanged" in run("pipeloom", "runs", "etl.db").stdout


def test_the_plan_of_a_run_of_all_and_of_one_that_goes_on(run: Run, shop: Path) -> None:
    run("pipeloom", "run", "etl.db", "p.py")
    everything = run("pipeloom", "plan", "etl.db", "p.py", "-p", "day=x", "--only", "a.csv")
    assert everything.stdout.splitlines() == [
        "shop with day=x: 1 task would run, 3 left out",
        "  a.csv  all tasks run",
    ]
    rest = run("pipeloom", "plan", "etl.db", "p.py", "--resume")
    assert rest.stdout.splitlines() == [
        "shop with day=2026-11-01: 1 task of what run 1 left would run, 3 left out",
        "  bad.csv  last attempt failed",
    ]


def test_what_cannot_be_planned_is_told_in_one_sentence(run: Run, shop: Path) -> None:
    (shop / "no.db").write_text("no database at all, and long enough to be read as one", encoding="utf-8")
    for arguments, words in (
        (("etl.db", "p.py", "--resume", "--changed"), "Give either --resume or --changed"),
        (("no.db", "p.py"), "no.db"),
        (("etl.db", "p.py", "--only", "status:done"), "--only takes words, name: and task:"),
    ):
        done = run("pipeloom", "plan", *arguments)
        assert (done.returncode, done.stdout, "Traceback" in done.stderr) == (2, "", False)
        assert words in done.stderr
