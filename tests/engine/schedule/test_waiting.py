"""Why attempts wait, and which ones wait for something: what the engine says of a run that is under way."""

from __future__ import annotations

from typing import Any

import pytest
from tests.engine.conftest import Bench
from tests.engine.schedule.test_limits import Workers, limited

from pipeloom import Limit, Pipeline, RetryPolicy, TaskDef
from pipeloom.engine.control.client import ControlClient
from pipeloom.engine.engine import Engine
from pipeloom.errors import ControlError
from pipeloom.protocols import Channel
from pipeloom.text import ordinal


@pytest.fixture
def workers() -> Any:
    made = Workers()
    yield made
    made.let_go()


def whys(bench: Bench, asked: Engine | ControlClient) -> dict[Any, str]:
    """Why the tasks wait, by their ids."""
    tasks = dict(bench.rows("SELECT id, task_id FROM task_runs"))
    return {tasks[attempt]: why for attempt, why in asked.why_waiting(tasks).items()}


def waiting(bench: Bench, asked: Engine | ControlClient, *what: str) -> list[Any]:
    """The tasks that wait for one of `what`."""
    tasks = dict(bench.rows("SELECT id, task_id FROM task_runs"))
    return [tasks[attempt] for attempt in asked.waiting_for(what)]


TASKS = [
    TaskDef("orders-1", limits=["api"]),
    TaskDef("orders-2", limits=["api"]),
    TaskDef("orders-3", limits=["api"]),
    TaskDef("page-1", limits=["host:a.org", "slow"]),
    TaskDef("page-2", limits=["slow"]),
    TaskDef("plain-1"),
    TaskDef("plain-2"),
    TaskDef("urgent", limits=["api"], priority=5),
    TaskDef("join", after=["plain-1", "orders-1"]),
    TaskDef("wide", after=["plain-1", "orders-1", "orders-2", "orders-3", "page-1"]),
    TaskDef(7, after=["join"]),
    TaskDef("sum", after="*"),
]
LIMITS = {"api": Limit(2), "host:*": Limit(1), "slow": Limit(per_second=0.01)}
WHYS = {
    "orders-2": "limit api: 2 of 2 by urgent, orders-1",
    "orders-3": "limit api: 2 of 2 by urgent, orders-1",
    "page-2": "limit slow: 0.01 a second",
    "plain-1": "3 workers busy, 1st in line",
    "plain-2": "3 workers busy, 2nd in line",
    "join": "after plain-1, orders-1",
    "wide": "after plain-1, orders-1, orders-2 and 2 others",
    7: "after join",
    "sum": "after all others, 11 left",
}


@pytest.fixture(params=["engine", "another process"])
def asked(request: pytest.FixtureRequest, bench: Bench, workers: Workers) -> Engine | ControlClient:
    """A run with three workers and a reason of each kind, asked directly and through the spool."""
    engine = limited(bench, workers, TASKS, LIMITS, workers=3)
    workers.wait_for("urgent", "orders-1", "page-1")
    bench.recorder.wait_for_status("running", "page-1")
    return engine if request.param == "engine" else ControlClient(bench.path, engine.run_id, clock=bench.clock)


def test_each_waiting_task_says_why(bench: Bench, workers: Workers, asked: Engine | ControlClient) -> None:
    assert whys(bench, asked) == WHYS
    asked.pause()
    ready = {"orders-2", "orders-3", "page-2", "plain-1", "plain-2"}
    assert whys(bench, asked) == WHYS | dict.fromkeys(ready, "paused")
    asked.resume()
    workers.let_go("page-1")  # plain-1 takes its place
    workers.wait_for("urgent", "orders-1", "plain-1")
    bench.recorder.wait_for_status("done", "page-1")
    bench.recorder.wait_for_status("running", "plain-1")
    now = whys(bench, asked)
    assert (now["plain-2"], now["sum"]) == ("3 workers busy, 1st in line", "after all others, 10 left")
    assert "plain-1" not in now
    assert "page-1" not in now


@pytest.mark.parametrize(
    ("what", "tasks"),
    [
        (["api"], ["orders-2", "orders-3"]),
        (["slow"], ["page-2"]),
        (["api", "slow"], ["orders-2", "orders-3", "page-2"]),
        (["limit"], ["orders-2", "orders-3", "page-2"]),
        (["host:*"], []),
        (["workers"], ["plain-1", "plain-2"]),
        (["after"], ["join", "wide", 7, "sum"]),
        (["join"], [7, "sum"]),
        (["page-1"], ["wide", "sum"]),
        (["7"], ["sum"]),
        (["retry", "paused", "nobody"], []),
    ],
)
def test_what_tasks_wait_for(bench: Bench, asked: Engine | ControlClient, what: list[str], tasks: list[object]) -> None:
    assert waiting(bench, asked, *what) == tasks


def test_of_a_paused_run_what_is_ready_waits_for_that_alone(bench: Bench, asked: Engine | ControlClient) -> None:
    asked.pause()
    assert waiting(bench, asked, "paused") == ["orders-2", "orders-3", "page-2", "plain-1", "plain-2"]
    assert waiting(bench, asked, "api", "workers", "limit") == []


def test_questions_leave_no_record_and_are_bounded(bench: Bench, asked: Engine | ControlClient) -> None:
    if isinstance(asked, ControlClient):
        asked.why_waiting([1])
        asked.waiting_for(["api"])
        with pytest.raises(ControlError, match=r"of 1,000 attempts at once"):
            asked.why_waiting(range(1_001))
        with pytest.raises(ControlError, match=r"values of the wrong kind"):
            asked.waiting_for(["x" * 300])
        assert bench.rows("SELECT * FROM commands") == []


def test_each_value_of_a_limit_is_asked_for_by_itself_or_together(bench: Bench, workers: Workers) -> None:
    tasks = [TaskDef(f"{host}-{number}", limits=[f"host:{host}"]) for host in ("a", "b") for number in (1, 2)]
    engine = limited(bench, workers, tasks, {"host:*": Limit(1)}, workers=4)
    workers.wait_for("a-1", "b-1")
    bench.recorder.wait_for_status("queued", "b-2")
    assert whys(bench, engine)["a-2"] == "limit host:a: 1 of 1 by a-1"
    assert waiting(bench, engine, "host:a") == ["a-2"]
    assert waiting(bench, engine, "host:*") == ["a-2", "b-2"]


def test_a_retry_waits_for_its_time_and_then_in_line(bench: Bench, workers: Workers) -> None:
    def fail_once(task: TaskDef, q: Channel) -> None:
        if task.task_id == "fails" and q.attempt == 1:
            raise ValueError("once")
        workers(task, q)

    tasks = [TaskDef("fails"), TaskDef("stays"), TaskDef("next")]
    pipeline = Pipeline("bench", tasks, fail_once, RetryPolicy(1, backoff=60.0))
    engine = bench.engine(fail_once, tasks, pipeline=pipeline, workers=1)
    engine.start()
    workers.wait_for("stays")
    bench.recorder.wait_for_status("retrying", "fails", 2)
    assert waiting(bench, engine, "retry") == ["fails"]
    assert whys(bench, engine) == {"next": "1 worker busy, 1st in line"}  # its row has the due time of the other
    bench.clock.advance(100.0)
    bench.recorder.wait_for_status("queued", "fails", 2)
    assert waiting(bench, engine, "workers") == ["next", "fails"]
    assert whys(bench, engine)["fails"] == "1 worker busy, 2nd in line"


@pytest.mark.parametrize(
    ("place", "told"),
    [(1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (12, "12th"), (13, "13th"), (21, "21st"),
     (22, "22nd"), (101, "101st"), (111, "111th"), (1_022, "1,022nd"), (1_000_000, "1,000,000th")],
)  # fmt: skip
def test_places_in_a_line(place: int, told: str) -> None:
    assert ordinal(place) == told
