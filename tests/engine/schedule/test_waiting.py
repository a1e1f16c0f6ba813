"""Why attempts wait, and which ones wait for something: what the engine says of a run that is under way."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.engine.conftest import Bench
from tests.engine.schedule.test_limits import Workers, limited

from pipeloom import Limit, Pipeline, RetryPolicy, TaskDef
from pipeloom.engine.control.client import ControlClient
from pipeloom.engine.control.request import RequestError, as_bits, from_bits
from pipeloom.engine.control.spool import MAX_BYTES
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


def test_places_stay_right_when_tasks_leave_the_middle_of_the_line(bench: Bench, workers: Workers) -> None:
    tasks = [TaskDef(f"t{number:02}") for number in range(13)]
    engine = limited(bench, workers, tasks, {}, workers=1)
    workers.wait_for("t00")
    rows = {number: bench.recorder.wait_for_status("queued", f"t{number:02}").id for number in range(1, 13)}
    engine.cancel(rows[number] for number in range(3, 9))
    told = engine.why_waiting(rows.values())
    assert [told[rows[number]][-len("1st in line") :] for number in (1, 2, 9, 10, 11, 12)] == [
        "1st in line", "2nd in line", "3rd in line", "4th in line", "5th in line", "6th in line"
    ]  # fmt: skip
    engine.cancel(rows[number] for number in (1, 2, 9, 10, 11))
    assert engine.why_waiting(rows.values()) == {rows[12]: "1 worker busy, 1st in line"}
    workers.let_go()
    assert engine.wait(20)
    assert workers.order == ["t00", "t12"]


def test_places_among_as_many_lanes_as_tasks(bench: Bench, workers: Workers) -> None:
    tasks = [TaskDef(f"t{number}", limits=[f"host:{number % 4}"], priority=number % 2) for number in range(8)]
    engine = limited(bench, workers, tasks, {"host:*": Limit(9)}, workers=1)
    workers.wait_for("t1")
    rows = {number: bench.recorder.wait_for_status("queued", f"t{number}").id for number in (0, 2, 3, 4, 5, 6, 7)}
    told = engine.why_waiting(rows.values())
    order = [3, 5, 7, 0, 2, 4, 6]
    assert [told[rows[number]] for number in order] == [
        f"1 worker busy, {ordinal(place)} in line" for place in range(1, 8)
    ]
    workers.let_go()
    assert engine.wait(20)
    assert workers.order == [f"t{number}" for number in (1, *order)]


def test_a_task_waits_for_each_of_its_limits_that_are_used_up(bench: Bench, workers: Workers) -> None:
    tasks = [TaskDef("a", limits=["api", "host:x"]), TaskDef("b", limits=["api", "host:x"])]
    engine = limited(bench, workers, tasks, {"api": Limit(1), "host:*": Limit(1)}, workers=2)
    workers.wait_for("a")
    bench.recorder.wait_for_status("queued", "b")
    for what in ("api", "host:x", "host:*", "limit"):
        assert waiting(bench, engine, what) == ["b"]


def test_the_answers_to_questions_are_not_kept(bench: Bench, workers: Workers) -> None:
    engine = limited(bench, workers, [TaskDef("a"), TaskDef("b")], {}, workers=1)
    workers.wait_for("a")
    client = ControlClient(bench.path, engine.run_id, clock=bench.clock)
    for _ in range(3):
        client.waiting_for(["workers"])
    client.pause()
    assert len(engine._parts._control._answers) == 1


@given(st.sets(st.integers(0, 10_000), max_size=50))
def test_ids_travel_as_bits(ids: set[int]) -> None:
    assert from_bits(json.loads(json.dumps(as_bits(ids)))) == tuple(sorted(ids))


@pytest.mark.parametrize("sent", [None, 7, [1], ["x", "AA=="], [1, "no base64 "], [1, 2], {"a": 1}])
def test_what_is_no_bits_is_refused(sent: object) -> None:
    with pytest.raises(RequestError):
        from_bits(sent)


def test_every_other_attempt_of_a_million_fits_into_an_answer() -> None:
    assert len(json.dumps(as_bits(range(0, 1_000_000, 2)))) < MAX_BYTES / 4
