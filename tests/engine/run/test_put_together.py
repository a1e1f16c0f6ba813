"""What one `put` takes is stored together: messages, the state that the task goes on from, and tasks that it has found."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.engine.conftest import Bench, Gate

from pipeloom.engine.run.resume import Resume
from pipeloom.errors import MessageError
from pipeloom.messages import MsgTaskFinished, MsgTaskLog, MsgTaskProgress, TaskDef
from pipeloom.pipeline import Pipeline, RetryPolicy
from pipeloom.protocols import Channel
from pipeloom.tui.session.resume_dialog import resume_dialog

NUMBERS = itertools.count()
AT = "2026-08-01T12:00:00+00:00"


@dataclass(frozen=True)
class Page:
    """A row of the user's own table; a negative number is refused by its handler."""

    number: int


def storing(tasks: list[TaskDef] | None = None, name: str = "bench") -> Pipeline:
    """Return a pipeline that stores pages."""
    pipeline = Pipeline(name, tasks or [TaskDef("a")], lambda task, q: None)
    pipeline.schemas.append(lambda conn: conn.execute("CREATE TABLE IF NOT EXISTS pages (number INTEGER) STRICT"))

    @pipeline.handler(Page)
    def store(conn: Any, msg: Page) -> None:
        conn.execute("INSERT INTO pages VALUES (?)", (msg.number,))
        if msg.number < 0:
            raise ValueError("no such page")

    return pipeline


def run(bench: Bench, worker: Any, tasks: list[TaskDef] | None = None, **options: Any) -> None:
    bench.run(worker, tasks or [TaskDef("a")], pipeline=storing(), **options)


def pages(bench: Bench) -> list[int]:
    return [number for (number,) in bench.rows("SELECT number FROM pages ORDER BY number")]


def state(bench: Bench, task_id: int | str = "a") -> Any:
    kept = bench.rows("SELECT state FROM task_state WHERE task_id=?", task_id)
    return json.loads(kept[0][0]) if kept else None


# -- state -----------------------------------------------------------------------------------------------------------------


def load_three(task: TaskDef, q: Channel) -> None:
    """Load pages after the one that is noted in the state; fail after three of them."""
    first = q.state.get("page", 0) + 1
    for number in range(first, first + 3):
        q.put(Page(number), state={"page": number})
    raise RuntimeError("the line is dead")


def test_a_retry_goes_on_where_the_attempt_before_it_ended(bench: Bench) -> None:
    run(bench, load_three, retry=RetryPolicy(2, backoff=0.0))
    assert pages(bench) == list(range(1, 10))
    assert state(bench) == {"page": 9}


@pytest.mark.parametrize("resume", [Resume(), None], ids=["resumed", "next run"])
def test_the_next_run_begins_with_the_state_that_is_kept(bench: Bench, resume: Resume | None) -> None:
    run(bench, load_three)
    run(bench, load_three, resume=resume)
    assert pages(bench) == list(range(1, 7))


def test_state_is_that_of_the_task_in_its_pipeline(bench: Bench) -> None:
    seen: dict[Any, Mapping[str, Any]] = {}

    def look(task: TaskDef, q: Channel) -> None:
        seen[task.task_id] = q.state
        q.put(state={"of": task.task_id})

    tasks = [TaskDef(1), TaskDef("1"), TaskDef("b")]
    bench.run(look, tasks, pipeline=storing(name="one"))
    bench.run(look, tasks, pipeline=storing(name="two"))
    assert seen == {1: {}, "1": {}, "b": {}}
    bench.run(look, tasks, pipeline=storing(name="one"))
    assert seen == {1: {"of": 1}, "1": {"of": "1"}, "b": {"of": "b"}}


def test_a_row_that_is_refused_leaves_the_state_as_it_was(bench: Bench) -> None:
    def work(task: TaskDef, q: Channel) -> None:
        q.put(Page(1), state={"page": 1})
        q.put(Page(2), Page(-1), TaskDef("found"), state={"page": 2})

    run(bench, work)
    assert (pages(bench), state(bench)) == ([1], {"page": 1})
    assert bench.rows("SELECT task_id, status FROM task_runs") == [("a", "error")]
    assert bench.one("message", "a") == "handler for Page: ValueError: no such page"


def test_an_attempt_reads_its_own_state_and_what_it_changes_in_it_changes_nothing(bench: Bench) -> None:
    seen: list[Mapping[str, Any]] = []

    def work(task: TaskDef, q: Channel) -> None:
        cursor = {"seen": [1]}
        q.put(state=cursor)
        cursor["seen"].append(2)
        q.state["seen"].append(3)
        seen.append(q.state)

    run(bench, work)
    assert seen == [{"seen": [1]}]
    assert state(bench) == {"seen": [1]}


def test_an_empty_state_is_none(bench: Bench) -> None:
    def work(task: TaskDef, q: Channel) -> None:
        q.put(state={"page": 1})
        q.put(state={})
        assert q.state == {}

    run(bench, work)
    assert bench.rows("SELECT count(*) FROM task_state") == [(0,)]


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({"at": object()}, "state must be JSON: Object of type object is not JSON serializable"),
        ({"at": math.nan}, "state must be JSON"),
        ([1], "state must be a dict, not list"),
        ({"at": "x" * (1 << 20)}, "characters of JSON; at most 1,048,576 are taken"),
    ],
    ids=["object", "NaN", "list", "long"],
)
def test_a_state_that_is_no_json_is_refused_in_put_with_all_that_comes_with_it(
    bench: Bench, bad: Any, said: str
) -> None:
    def work(task: TaskDef, q: Channel) -> None:
        q.put(Page(1), state=bad)

    run(bench, work)
    assert bench.one("error_type", "a") == MessageError.__name__
    assert said in bench.one("message", "a")
    assert pages(bench) == []


def test_a_run_that_keeps_pipelooms_tables_out_of_the_file_refuses_state(bench: Bench) -> None:
    said: list[str] = []

    def work(task: TaskDef, q: Channel) -> None:
        with pytest.raises(MessageError) as refused:
            q.put(Page(1), state={"page": 1})
        said.append(str(refused.value))

    run(bench, work, store_task_status=False)
    assert said == ["state= needs pipeloom's own tables, which this run keeps out of the file."]
    assert pages(bench) == []


ODD = st.text(st.characters(), max_size=8)  # lone surrogates among them
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | ODD,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ODD, inner, max_size=3),
    max_leaves=6,
)


@given(value=st.dictionaries(ODD, JSON, max_size=4))
@example(value={"path": "data/caf\udce9.csv"})
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_travels_in_states_and_params_and_harms_no_other_task(tmp_path: Path, value: dict[str, Any]) -> None:
    bench = Bench(tmp_path / f"etl-{next(NUMBERS)}.db")
    seen: list[Any] = []

    def work(task: TaskDef, q: Channel) -> None:
        if task.task_id == "a":
            q.put(Page(1), TaskDef("b", params={"given": value}), state={"left": value})
            seen.append(q.state["left"])
        elif task.task_id == "b":
            seen.append(task.params["given"])

    bench.run(work, [TaskDef("a"), TaskDef("c")], pipeline=storing())
    assert seen == [value, value]
    assert bench.rows("SELECT task_id, status FROM task_runs ORDER BY task_id") == [(name, "done") for name in "abc"]
    bench.run(work, [TaskDef("a"), TaskDef("c")], pipeline=storing(), resume=Resume())
    assert bench.rows("SELECT count(*) FROM task_runs WHERE run_id=2") == [(0,)], "it is the same task in the file"


def test_the_state_that_is_read_cannot_be_changed_in_place_unnoticed(bench: Bench) -> None:
    def work(task: TaskDef, q: Channel) -> None:
        q.state["page"] = 1  # type: ignore[index]

    run(bench, work)
    assert bench.one("error_type", "a") == "TypeError"


# -- several messages ------------------------------------------------------------------------------------------------------


def test_messages_that_are_put_together_are_stored_together_or_not_at_all(bench: Bench) -> None:
    def work(task: TaskDef, q: Channel) -> None:
        q.put(Page(1), Page(2))
        q.put(Page(3), Page(-1))

    run(bench, work)
    assert pages(bench) == [1, 2]


@pytest.mark.parametrize(
    "msg",
    [MsgTaskProgress("a", 1, 2), MsgTaskLog("a", "line"), MsgTaskFinished("a", "done", AT)],
    ids=lambda msg: type(msg).__name__,
)
def test_a_lifecycle_message_needs_a_put_of_its_own(bench: Bench, msg: object) -> None:
    def work(task: TaskDef, q: Channel) -> None:
        q.put(Page(1), msg)

    run(bench, work)
    assert bench.one("message", "a") == (
        f"MessageError: {type(msg).__name__} needs a put of its own: it is not stored together with others."
    )
    assert pages(bench) == []


def test_the_short_forms_say_what_the_messages_say(bench: Bench) -> None:
    def work(task: TaskDef, q: Channel) -> None:
        q.progress(1, 4, "a quarter")
        q.result({"rows": 7})

    run(bench, work)
    assert bench.rows("SELECT step, total, message, result FROM task_runs") == [(1.0, 4.0, "a quarter", '{"rows": 7}')]


@pytest.mark.parametrize(
    ("returned", "result"),
    [(7, "7"), ({"rows": [1, 2]}, '{"rows": [1, 2]}'), (0, "0"), (False, "false"), ("", '""'), (None, None),
     ({"mean": math.nan}, '{"mean": null}')],
    ids=str,
)  # fmt: skip
def test_what_a_worker_function_returns_is_its_result(bench: Bench, returned: object, result: str | None) -> None:
    run(bench, lambda task, q: returned)
    assert bench.rows("SELECT status, result FROM task_runs") == [("done", result)]


def test_a_result_that_a_worker_has_reported_itself_stays(bench: Bench) -> None:
    def work(task: TaskDef, q: Channel) -> object:
        q.put(MsgTaskFinished("a", "done", AT, result="reported"))
        return "returned"

    run(bench, work)
    assert bench.one("result", "a") == '"reported"'


def test_what_is_put_together_has_a_bound(bench: Bench) -> None:
    pipeline = storing()
    wide = pipeline.table("wide", {"text": str})

    def work(task: TaskDef, q: Channel) -> None:
        q.put(*(wide.rows([("x" * (7 << 20),)]) for _ in range(5)))

    bench.run(work, [TaskDef("a")], pipeline=pipeline)
    assert "What is put together holds about 35 MiB; at most 32 are taken" in bench.one("message", "a")
    assert bench.rows("SELECT count(*) FROM wide") == [(0,)]


def test_rows_of_a_table_are_stored_together_with_the_state(bench: Bench) -> None:
    pipeline = storing()
    orders = pipeline.table("orders", {"id": int})

    def work(task: TaskDef, q: Channel) -> None:
        q.put(orders.rows([(1,), (2,)]), orders.rows([(3,)]), state={"page": 1})
        q.put(orders.rows([(4,)]), Page(-1), state={"page": 2})

    bench.run(work, [TaskDef("a")], pipeline=pipeline)
    assert bench.rows("SELECT id, _attempt FROM orders") == [(1, 1), (2, 1), (3, 1)]
    assert state(bench) == {"page": 1}
    assert bench.one("rows", "a") == 3


# -- tasks that are found --------------------------------------------------------------------------------------------------


def find(*names: str) -> Callable[[TaskDef, Channel], None]:
    """Return a worker that finds tasks; those it finds find nothing."""

    def work(task: TaskDef, q: Channel) -> None:
        if task.task_id == "a":
            q.put(Page(1), *(TaskDef(name, name.upper(), params={"url": name}) for name in names))

    return work


def test_a_task_that_is_put_runs_once_however_often_it_is_found(bench: Bench) -> None:
    ran: list[Any] = []

    def work(task: TaskDef, q: Channel) -> None:
        ran.append((task.task_id, dict(task.params)))
        if task.params.get("depth", 0) < 3:
            for name in "xyz":
                q.put(TaskDef(name, params={"depth": task.params.get("depth", 0) + 1}))
            q.put(TaskDef("a"), TaskDef("a"), TaskDef("b"))

    run(bench, work, workers=4)
    assert sorted(task_id for task_id, _ in ran) == ["a", "b", "x", "y", "z"]
    assert bench.rows("SELECT task_id, attempt, status FROM task_runs ORDER BY task_id") == [
        (task_id, 1, "done") for task_id in "abxyz"
    ]
    assert bench.rows("SELECT status FROM pipeline_runs") == [("done",)]


def test_a_found_task_has_what_it_was_put_with(bench: Bench) -> None:
    given: list[TaskDef] = []

    def work(task: TaskDef, q: Channel) -> None:
        if task.task_id == "a":
            q.put(TaskDef(7, "seven", 12, params={"day": [1, None]}, retries=1, timeout=60.0))
        else:
            given.append(task)
            raise ValueError("once more")

    run(bench, work, retry=RetryPolicy(0, backoff=0.0))
    assert given == [TaskDef(7, "seven", 12, params={"day": [1, None]}, retries=1, timeout=60.0)] * 2
    assert bench.rows("SELECT attempt, name, params, status FROM task_runs WHERE task_id=7") == [
        (1, "seven", '{"day": [1, null]}', "error"),
        (2, "seven", '{"day": [1, null]}', "error"),
    ]


@pytest.mark.parametrize(
    ("task", "said"),
    [
        (TaskDef("b", params={"at": object()}), "The params of task 'b', which is put, must be JSON"),
        (TaskDef(1 << 70), "does not fit SQLite's 64-bit integers"),
        (TaskDef("b\0"), "holds characters that SQLite cannot keep"),
        (TaskDef(), "has no task_id"),
        (TaskDef("b", steps="x"), "steps must be a whole number, not 'x'"),  # type: ignore[arg-type]
    ],
    ids=["params", "large id", "odd id", "no id", "steps"],
)
def test_a_task_that_cannot_be_found_again_is_refused_in_put(bench: Bench, task: TaskDef, said: str) -> None:
    def work(_task: TaskDef, q: Channel) -> None:
        q.put(Page(1), task)

    run(bench, work)
    assert said in bench.one("message", "a")
    assert pages(bench) == []


def test_a_resumed_run_goes_on_with_the_tasks_that_were_found(bench: Bench) -> None:
    ran: list[Any] = []
    broken = {"x", "y"}

    def work(task: TaskDef, q: Channel) -> None:
        ran.append(task.task_id)
        if task.task_id == "a":
            q.put(*(TaskDef(name, params={"url": name}, retries=0) for name in "xyz"))
        elif task.task_id in broken:
            raise RuntimeError("the line is dead")
        elif task.task_id == "x":
            q.put(TaskDef("z"), TaskDef("a"), TaskDef("new"))

    run(bench, work)
    broken.discard("x")
    ran.clear()
    run(bench, work, resume=Resume())
    assert sorted(ran) == ["new", "x", "y"]
    broken.clear()
    ran.clear()
    run(bench, work, resume=Resume())
    assert ran == ["y"], "what the first run found is found in the third as well"
    ran.clear()
    run(bench, work)
    assert sorted(ran) == ["a", "new", "x", "y", "z"], "a run that continues none finds all of them again"


def test_what_a_resume_would_run_is_counted_with_the_tasks_that_were_found(bench: Bench) -> None:
    def work(task: TaskDef, q: Channel) -> None:
        if task.task_id == "a":
            q.put(*(TaskDef(f"b-{n}") for n in range(9)))
        elif task.task_id != "b-0":
            raise ValueError("not yet")

    run(bench, work)
    engine = bench.engine(work, [TaskDef("a")], pipeline=storing())
    earlier = engine.earlier()
    assert earlier is not None
    shown = resume_dialog(earlier, engine.today)._body_content().plain
    assert shown == "2 of its 10 tasks are done. What it did stays as it is."


def test_cancelling_a_finder_cancels_what_it_has_found(bench: Bench, gate: Gate) -> None:
    def work(task: TaskDef, q: Channel) -> None:
        assert task.task_id == "a"
        gate.pass_through()
        q.put(Page(1))
        q.sleep(600)

    engine = bench.engine(work, [TaskDef("a")], pipeline=storing(), workers=1)
    engine.start()
    gate.await_arrival()
    gate.open()
    bench.recorder.wait_until(lambda: pages(bench))
    engine.cancel()
    assert engine.wait(20)
    assert bench.rows() == [("a", 1, "cancelled")]


def test_a_run_that_is_closed_leaves_what_was_found_interrupted_and_a_resume_runs_it(bench: Bench) -> None:
    def work(task: TaskDef, q: Channel) -> None:
        q.put(TaskDef("b"))
        q.sleep(600)

    engine = bench.engine(work, [TaskDef("a")], pipeline=storing(), workers=1)
    engine.start()
    bench.recorder.wait_for_status("queued", "b")
    engine.close()
    assert bench.rows() == [("a", 1, "interrupted"), ("b", 1, "interrupted")]
    run(bench, lambda task, q: None, resume=Resume())
    assert bench.rows("SELECT task_id, status FROM task_runs WHERE run_id=2") == [("a", "done"), ("b", "done")]


def test_the_commit_that_holds_a_found_task_tells_the_sinks_of_it(bench: Bench) -> None:
    run(bench, find("x", "y"))
    found = [task for batch in bench.recorder.batches for task in batch.found]
    assert [(task.row.task_id, task.row.name, task.by) for task in found] == [("x", "X", 1), ("y", "Y", 1)]
    for task in found:
        assert task.row.id in {row.id for batch in bench.recorder.batches for row in batch.attempts}
