"""Why tasks wait, on the command line: `status`, `cancel` and `retry` ask the process that has the run under way."""

from __future__ import annotations

import json
import os
import signal

import pytest
from tests.cli.conftest import Run
from tests.conftest import Own

pytestmark = pytest.mark.kill


def open_lines(told: str) -> list[str]:
    return [line.split(None, 3)[3] for line in told.partition("open:\n")[2].splitlines()]


def test_status_says_why_tasks_wait_and_how_much_of_the_limits_is_used(run: Run, own: Own) -> None:
    owner = own(4)
    told = run("pipeloom", "status", "etl.db").stdout
    assert "  limits: api 0 of 2\n" in told
    assert [line.partition(") ")[2].strip() for line in open_lines(told)] == [
        "running    half of it",
        "running    half of it",
        "queued     2 workers busy, 1st in line",
        "queued     2 workers busy, 2nd in line",
    ]
    read = json.loads(run("pipeloom", "status", "etl.db", "--json").stdout)
    waits = [None, None, "2 workers busy, 1st in line", "2 workers busy, 2nd in line"]
    assert [task["waits"] for task in read["open"]] == waits
    assert read["limits"] == [{"name": "api", "at_once": 2, "per_second": None, "held": 0, "waiting": 0}]
    assert read["paused"] is False
    found = json.loads(run("pipeloom", "status", "etl.db", "waits:workers", "--json").stdout)
    assert (found["counts"], [task["task_id"] for task in found["open"]]) == ({"queued": 2}, [3, 4])
    asked = json.loads(run("pipeloom", "cancel", "etl.db", "waits:workers task:4", "--json").stdout)
    assert [task["task_id"] for task in asked["tasks"]] == [4]
    assert json.loads(run("pipeloom", "retry", "etl.db", "waits:retry", "--json", "--dry-run").stdout)["tasks"] == []
    owner.kill()
    left = json.loads(run("pipeloom", "status", "etl.db", "--json").stdout)
    assert (left["limits"], [task["waits"] for task in left["open"]]) == ([], [None] * 3)
    assert json.loads(run("pipeloom", "status", "etl.db", "waits:workers", "--json").stdout)["counts"] == {}


def test_status_does_without_an_answer(run: Run, own: Own) -> None:
    owner = own(3)
    os.kill(owner.process.pid, signal.SIGSTOP)
    try:
        told = run("pipeloom", "status", "etl.db")
        assert (told.returncode, open_lines(told.stdout)[2].split()) == (0, ["(3)", "queued"])
        refused = run("pipeloom", "status", "etl.db", "waits:workers")
        assert refused.returncode == 2
        assert "did not answer within 10 s" in refused.stderr
    finally:
        os.kill(owner.process.pid, signal.SIGCONT)


@pytest.mark.parametrize("command", ["runs", "export", "state"])
def test_what_reads_the_past_says_that_nothing_in_it_waits(run: Run, own: Own, command: str) -> None:
    own(2)
    done = run("pipeloom", command, "etl.db", "waits:api")
    assert (done.returncode, done.stdout) == (2, "")
    assert (
        "waits: is for a run that goes on: the live screen, status, cancel and retry take it. (column 1" in done.stderr
    )
