"""Tasks that come after others: when they run, what they read, and what becomes of them when one of those fails."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.engine.conftest import Bench, Gate, refusals

from pipeloom.engine.engine import Engine
from pipeloom.engine.run.few import Few
from pipeloom.engine.run.resume import FAILED, Resume
from pipeloom.errors import UsageError
from pipeloom.filters import parse
from pipeloom.loader import import_file
from pipeloom.messages import TaskDef
from pipeloom.pipeline import RetryPolicy
from pipeloom.protocols import Channel

after_jobs: Any = import_file(str(Path(__file__).parents[1] / "after_jobs.py"))
ONE_RETRY = RetryPolicy(retries=1, backoff=10.0)


class Jobs:
    """A worker function that notes the order of its calls, waits at gates, and fails as often as a task's `fails`."""

    def __init__(self, **gates: Gate) -> None:
        self.gates = gates
        self.began: list[Any] = []
        self.fails: dict[Any, int] = {}
        self.results: dict[Any, Any] = {}

    def __call__(self, task: TaskDef, q: Channel) -> object:
        self.began.append(task.task_id)
        self.results[task.task_id] = dict(q.results)
        if (gate := self.gates.get(str(task.task_id))) is not None:
            gate.pass_through()
            q.raise_if_cancelled()
        if self.fails.get(task.task_id, 0) > 0:
            self.fails[task.task_id] -= 1
            raise ValueError("no")
        return {"of": task.task_id}


def after(task_id: str | int, *names: str | int, **more: Any) -> TaskDef:
    return TaskDef(task_id, after=names, **more)


def statuses(bench: Bench, run: int | None = None) -> dict[Any, str]:
    """The status of the latest attempt of each task, of a run or of all."""
    sql = "SELECT task_id, status FROM task_runs WHERE ?1 IS NULL OR run_id=?1 ORDER BY id"
    return dict(bench.rows(sql, run))


def messages(bench: Bench) -> dict[Any, str]:
    return dict(bench.rows("SELECT task_id, message FROM task_runs WHERE status='skipped' ORDER BY id"))


def ids(bench: Bench, *task_ids: Any) -> list[int]:
    """The newest attempts of tasks."""
    return [bench.rows("SELECT max(id) FROM task_runs WHERE task_id=?", one)[0][0] for one in task_ids]


# -- when they run ---------------------------------------------------------------------------------------------------


def test_a_task_starts_when_all_that_it_comes_after_are_done_and_on_disk(bench: Bench, gate: Gate) -> None:
    jobs = Jobs(b=gate)
    engine = bench.engine(jobs, [after("c", "a", "b"), TaskDef("a"), TaskDef("b")], workers=3)
    engine.start()
    gate.await_arrival()
    bench.recorder.wait_for_status("done", "a")
    held = bench.recorder.wait_for_status("queued", "c")
    state = engine._parts.run.attempts.get(held.id)
    assert state is not None
    assert list(engine._parts.run.dependencies.waits_for(state)) == ["b"]
    assert (jobs.began.count("c"), engine.load().waiting, statuses(bench)["c"]) == (0, 0, "queued")
    gate.open()
    assert engine.wait(60)
    assert jobs.began[2:] == ["c"]
    assert jobs.results["c"] == {"a": {"of": "a"}, "b": {"of": "b"}}


def test_after_all_comes_behind_everything_that_does_not_come_after_all_itself(bench: Bench) -> None:
    jobs = Jobs()
    tasks = [
        TaskDef("sum", after="*"),
        after("mail", "sum"),
        TaskDef("count", after="*"),
        TaskDef("a"),
        after("b", "a"),
    ]
    bench.run(jobs, tasks, workers=1)
    assert jobs.began == ["a", "b", "sum", "count", "mail"]
    assert set(jobs.results["sum"]) == set(jobs.results["count"]) == {"a", "b"}
    assert set(jobs.results["mail"]) == {"sum"}


def test_a_run_of_tasks_that_all_come_after_all_others_has_nothing_to_wait_for(bench: Bench) -> None:
    bench.run(Jobs(), [TaskDef("a", after="*"), TaskDef("b", after="*")])
    assert statuses(bench) == {"a": "done", "b": "done"}


def test_any_object_with_the_attributes_of_a_task_works(bench: Bench) -> None:
    class Mine:
        def __init__(self, task_id: int, after: object, worker_fn: object = None) -> None:
            self.task_id, self.name, self.after, self.worker_fn = task_id, f"mine {task_id}", after, worker_fn

    seen: list[object] = []
    bench.run(Jobs(), [Mine(2, [1], lambda task, q: seen.append(q.results[1])), Mine(1, None)])
    assert seen == [{"of": 1}]


def test_a_task_is_not_changed_by_the_list_that_it_was_given() -> None:
    names = ["a"]
    task = TaskDef("b", after=names)
    names.append("c")
    assert task.after == ("a",)


# -- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tasks", "words"),
    [
        ([after("a", "b"), after("b", "a")], "none could ever run: a -> b -> a."),
        ([after("x", "a"), after("a", "b"), after("b", "c"), after("c", "a")], "run: a -> b -> c -> a."),
        ([after("a", "a")], "run: a -> a."),
        ([after(n, (n + 1) % 50) for n in range(50)], "0 -> 1 -> 2 -> 3 -> 4 -> 5 -> 6 -> 7 -> 8 -> 9 -> … 40 more … -> 0."),
        ([after("a", "z")], "Task 'a' comes after 'z', which no task of the list is."),
        ([after("a", "7"), TaskDef(7)], "which no task of the list is. There is 7, of the other type."),
        ([after("a", 7), TaskDef("7")], "There is '7', of the other type."),
        ([TaskDef("b"), TaskDef("a", after="b")], """Task 'a': after must be a list of task ids, or "*": write after=['b']."""),
        ([TaskDef(1), TaskDef(2, after=1)], "write after=[1]."),  # type: ignore[arg-type]
        ([TaskDef(2, after={"a": 1}, name="x")], "Task 2 comes after 'a'"),  # type: ignore[arg-type]
        ([TaskDef(2, after=2.5)], "not float"),  # type: ignore[arg-type]
        ([TaskDef(2, after=[None])], "after holds None"),  # type: ignore[list-item]
        ([TaskDef(2, after=[True])], "after holds True"),
        ([TaskDef(2, worker_fn=3)], "Task 2: worker_fn must be a function of (task, q), not int."),  # type: ignore[arg-type]
        ([TaskDef(2, worker_fn=after_jobs.soon)], "soon is `async def` and nothing is not"),
    ],
)  # fmt: skip
def test_what_can_never_run_is_refused_before_anything_starts(bench: Bench, tasks: Any, words: str) -> None:
    with pytest.raises(UsageError) as raised:
        bench.engine(after_jobs.nothing, tasks)
    assert words in str(raised.value)
    assert not bench.path.exists()


def test_a_pipeline_needs_no_function_when_each_task_has_one(bench: Bench) -> None:
    bench.run(None, [TaskDef("a", worker_fn=after_jobs.nothing)])  # type: ignore[arg-type]
    assert statuses(bench) == {"a": "done"}
    with pytest.raises(UsageError, match="Task 'b' has no worker_fn: give it, or the pipeline, a function"):
        bench.engine(None, [TaskDef("a", worker_fn=after_jobs.nothing), TaskDef("b")])  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="There is no worker_fn"):
        bench.engine(None, [])  # type: ignore[arg-type]


def test_functions_that_are_coroutines_choose_the_executor(bench: Bench) -> None:
    engine = bench.run(None, [TaskDef("a", worker_fn=after_jobs.soon)])  # type: ignore[arg-type]
    assert (engine.options.executor, bench.one("result", "a")) == ("async", "7")


# -- what they read --------------------------------------------------------------------------------------------------


def test_only_what_a_task_comes_after_can_be_read_and_reading_cannot_change_it(bench: Bench) -> None:
    told: dict[str, Any] = {}

    def worker(task: TaskDef, q: Channel) -> object:
        if task.task_id == "silent":
            return None
        if task.task_id == "c":
            told["mapping"] = not hasattr(q.results, "__setitem__")
            q.results["a"]["rows"] = 7
            told["again"], told["silent"], told["len"] = q.results["a"], q.results["silent"], len(q.results)
            told["get"] = q.results.get("b", "none")
            with pytest.raises(KeyError) as missing:
                q.results["b"]
            told["missing"] = str(missing.value)
        return {"rows": 5}

    bench.run(worker, [TaskDef("a"), TaskDef("b"), TaskDef("silent"), after("c", "a", "silent")])
    assert told == {
        "mapping": True,
        "again": {"rows": 5},
        "silent": None,
        "len": 2,
        "get": "none",
        "missing": "Task 'c' does not come after 'b': name that in its `after`.",
    }


@pytest.mark.parametrize("executor", ["thread", "process", "async"])
def test_results_and_own_functions_work_on_each_executor(bench: Bench, executor: str) -> None:
    of = after_jobs.of(executor)
    tasks = [TaskDef("a", worker_fn=of["seven"]), after("b", "a", worker_fn=of["double"]), after("c", "b")]
    bench.run(of["nothing"], tasks, executor=executor)
    assert [bench.one("result", one) for one in "abc"] == ["7", "14", None]


def test_results_and_own_functions_work_on_a_dask_cluster(bench: Bench, cluster: Any) -> None:
    of = after_jobs.of("dask")
    tasks = [TaskDef("a", worker_fn=of["seven"]), after("b", "a", worker_fn=of["double"])]
    bench.run(of["nothing"], tasks, executor="dask", address=cluster.address)
    assert [bench.one("result", one) for one in "ab"] == ["7", "14"]


# -- what becomes of them --------------------------------------------------------------------------------------------


def chain(bench: Bench, jobs: Jobs, **options: Any) -> Engine:
    return bench.engine(jobs, [TaskDef("a"), after("b", "a"), after("c", "b"), TaskDef("d")], **options)


def test_what_comes_after_a_failure_is_skipped_and_runs_when_a_retry_succeeds(bench: Bench) -> None:
    jobs = Jobs()
    jobs.fails["a"] = 2
    engine = chain(bench, jobs)
    engine.start()
    assert engine.wait(60)
    assert statuses(bench) == {"a": "error", "b": "skipped", "c": "skipped", "d": "done"}
    assert messages(bench) == {"b": "a failed", "c": "a failed"}
    assert (engine.summary().exit_code, bench.rows("SELECT status FROM pipeline_runs")) == (1, [("error",)])
    refused = engine.retry(ids(bench, "b"))
    assert list(refusals(refused).values()) == ["a failed: run that again, and this one follows"]
    engine.retry(ids(bench, "a"))
    assert engine.wait(60)
    assert bench.rows("SELECT task_id, attempt FROM task_runs WHERE status='skipped'") == [("b", 1), ("c", 1)]
    engine.retry(ids(bench, "a"))
    assert engine.wait(60)
    assert statuses(bench) == {"a": "done", "b": "done", "c": "done", "d": "done"}
    assert jobs.began[-3:] == ["a", "b", "c"]
    assert bench.rows("SELECT attempt FROM task_runs WHERE task_id='c'") == [(1,), (2,)]
    assert bench.rows("SELECT status FROM pipeline_runs") == [("done",)]


def test_while_a_retry_is_to_come_nothing_is_skipped(bench: Bench) -> None:
    jobs = Jobs()
    jobs.fails["a"] = 1
    engine = chain(bench, jobs, retry=ONE_RETRY)
    engine.start()
    bench.recorder.wait_for_status("retrying", "a", 2)
    bench.clock.advance(10)
    assert engine.wait(60)
    assert bench.rows("SELECT count(*) FROM task_runs WHERE status='skipped'") == [(0,)]
    assert set(statuses(bench).values()) == {"done"}


def test_a_retry_that_is_cancelled_skips_what_comes_after(bench: Bench) -> None:
    jobs = Jobs()
    jobs.fails["a"] = 1
    engine = chain(bench, jobs, retry=ONE_RETRY)
    engine.start()
    row = bench.recorder.wait_for_status("retrying", "a", 2)
    engine.cancel([row.id])
    assert engine.wait(60)
    assert messages(bench) == {"b": "a was cancelled", "c": "a was cancelled"}
    assert engine.summary().exit_code == 3


def test_cancelling_one_that_waits_skips_what_comes_after_it(bench: Bench, gate: Gate) -> None:
    jobs = Jobs(a=gate)
    engine = chain(bench, jobs)
    engine.start()
    gate.await_arrival()
    bench.recorder.wait_for_status("queued", "c")
    engine.cancel(ids(bench, "b"))
    bench.recorder.wait_for_status("skipped", "c")
    gate.open()
    assert engine.wait(60)
    assert statuses(bench) == {"a": "done", "b": "cancelled", "c": "skipped", "d": "done"}
    assert messages(bench) == {"c": "b was cancelled"}
    engine.retry(ids(bench, "b"))
    assert engine.wait(60)
    assert set(statuses(bench).values()) == {"done"}


def test_marked_together_a_failure_and_what_was_skipped_run_again_in_their_order(bench: Bench) -> None:
    jobs = Jobs()
    jobs.fails["a"] = 1
    engine = chain(bench, jobs)
    engine.start()
    assert engine.wait(60)
    result = engine.retry(ids(bench, "c", "b", "a"))
    assert (len(result.accepted), result.refused) == (3, {})
    assert engine.wait(60)
    assert jobs.began[-3:] == ["a", "b", "c"]


def test_what_still_waits_waits_again_for_a_task_that_is_done_again(bench: Bench) -> None:
    late, again = Gate(), Gate()
    jobs = Jobs(late=late)
    engine = bench.engine(jobs, [TaskDef("a"), TaskDef("late"), after("b", "a", "late")], workers=3)
    engine.start()
    bench.recorder.wait_for_status("done", "a")
    jobs.gates["a"] = again
    engine.retry(ids(bench, "a"))
    again.await_arrival()
    late.open()
    bench.recorder.wait_for_status("done", "late")
    assert "b" not in jobs.began
    again.open()
    assert engine.wait(60)
    assert jobs.began[-1] == "b"


def test_one_that_is_retried_alone_after_its_source_failed_says_so(bench: Bench) -> None:
    jobs = Jobs()
    engine = chain(bench, jobs)
    engine.start()
    assert engine.wait(60)
    jobs.fails["a"] = 1
    engine.retry(ids(bench, "a"))
    assert engine.wait(60)
    assert statuses(bench)["b"] == "done"
    assert list(refusals(engine.retry(ids(bench, "b"))).values()) == ["a failed: run that again, and this one follows"]


def test_after_all_names_the_first_failure_and_runs_when_all_are_done(bench: Bench) -> None:
    jobs = Jobs()
    jobs.fails = {"a": 1, "b": 1}
    engine = bench.engine(jobs, [TaskDef("sum", after="*"), TaskDef("a"), TaskDef("b"), TaskDef("c")], workers=1)
    engine.start()
    assert engine.wait(60)
    assert messages(bench) == {"sum": "a failed"}
    engine.retry(ids(bench, "a"))
    assert engine.wait(60)
    assert "sum" not in jobs.began
    engine.retry(ids(bench, "b"))
    assert engine.wait(60)
    assert set(jobs.results["sum"]) == {"a", "b", "c"}


def test_an_integer_id_is_told_as_a_task(bench: Bench) -> None:
    jobs = Jobs()
    jobs.fails[7] = 1
    bench.run(jobs, [TaskDef(7), after(8, 7)])
    assert messages(bench) == {8: "task 7 failed"}


def test_closing_interrupts_what_waits(bench: Bench, gate: Gate) -> None:
    jobs = Jobs(a=gate)
    engine = chain(bench, jobs)
    engine.start()
    gate.await_arrival()
    bench.recorder.wait_for_status("done", "d")
    engine.close(0.0)
    gate.open()
    assert statuses(bench) == {"a": "interrupted", "b": "interrupted", "c": "interrupted", "d": "done"}


# -- runs that go on -------------------------------------------------------------------------------------------------


def test_a_run_that_goes_on_reads_the_results_of_the_earlier_one_from_the_file(bench: Bench) -> None:
    jobs = Jobs()
    jobs.fails["b"] = 1
    tasks = [TaskDef("a"), after("b", "a"), after("c", "b"), TaskDef("sum", after="*")]
    bench.run(jobs, tasks)
    assert statuses(bench) == {"a": "done", "b": "error", "c": "skipped", "sum": "skipped"}
    jobs.began.clear()
    bench.run(jobs, tasks, resume=Resume())
    assert jobs.began == ["b", "c", "sum"]
    assert jobs.results["b"] == {"a": {"of": "a"}}
    assert set(jobs.results["sum"]) == {"a", "b", "c"}


@pytest.mark.parametrize("resume", [Resume(statuses=FAILED), Resume(task_ids=frozenset({"a"}))])
def test_with_a_task_that_is_run_again_come_those_that_were_skipped_because_of_it(bench: Bench, resume: Resume) -> None:
    jobs = Jobs()
    jobs.fails["a"] = 1
    chain_of = [TaskDef("a"), after("b", "a"), after("c", "b"), TaskDef("d")]
    bench.run(jobs, chain_of)
    jobs.began.clear()
    bench.run(jobs, chain_of, resume=resume)
    assert jobs.began == ["a", "b", "c"]


def test_what_a_run_leaves_out_undone_keeps_others_from_running(bench: Bench) -> None:
    jobs = Jobs()
    jobs.fails["a"] = 1
    tasks = [TaskDef("a"), after("b", "a"), TaskDef("sum", after="*")]
    bench.run(jobs, tasks)
    jobs.began.clear()
    engine = bench.run(jobs, tasks, resume=Resume(task_ids=frozenset({"b", "sum"})))
    assert (jobs.began, statuses(bench, 2)) == ([], {"b": "skipped", "sum": "skipped"})
    assert messages(bench) == {"b": "a failed", "sum": "a failed"}
    assert engine.summary().exit_code == 1


def test_after_all_does_not_wait_for_another_of_its_kind_that_a_run_leaves_out(bench: Bench) -> None:
    jobs = Jobs()
    jobs.fails = {"count": 1, "sum": 1}
    tasks = [TaskDef("a"), TaskDef("sum", after="*"), TaskDef("count", after="*"), after("mail", "count")]
    bench.run(jobs, tasks)
    assert statuses(bench) == {"a": "done", "sum": "error", "count": "error", "mail": "skipped"}
    bench.run(jobs, tasks, resume=Resume(task_ids=frozenset({"sum"})))
    assert statuses(bench, 2) == {"sum": "done"}
    assert set(jobs.results["sum"]) == {"a"}


def test_what_only_and_first_leave_out_is_not_waited_for(bench: Bench) -> None:
    jobs, tasks = Jobs(), [TaskDef("a"), after("b", "a"), TaskDef("c")]
    told: list[str] = []

    def worker(task: TaskDef, q: Channel) -> object:
        try:
            told.append(json.dumps(q.results["a"]))
        except KeyError as error:
            told.append(str(error))
        return jobs(task, q)

    bench.run(worker, tasks, few=Few(parse("task:b")))
    assert told == ["There is no result of 'a': this run leaves that task out, and no earlier one has done it."]
    bench.run(worker, tasks)
    told.clear()
    bench.run(worker, tasks, few=Few(parse("task:b")))
    assert told == ['{"of": "a"}']


# -- tasks that workers find -----------------------------------------------------------------------------------------


def finding(*found: TaskDef, then: Callable[[Channel], object] | None = None) -> Callable[[TaskDef, Channel], object]:
    def worker(task: TaskDef, q: Channel) -> object:
        if task.task_id == "list":
            q.put(*found)
        return None if task.task_id == "silent" else {"of": task.task_id}

    return worker


def test_found_tasks_come_after_known_ones_and_after_those_of_the_same_put(bench: Bench) -> None:
    tasks = [TaskDef("list"), TaskDef("a"), TaskDef("sum", after="*", worker_fn=after_jobs.names)]
    bench.run(finding(after("page", "part", "list", "a"), after("part", "a", worker_fn=after_jobs.seven)), tasks)
    assert set(statuses(bench).values()) == {"done"}
    assert bench.rows("SELECT task_id, after, worker_fn FROM found_tasks ORDER BY task_id") == [
        ("page", '["part", "list", "a"]', None),
        ("part", '["a"]', f"{after_jobs.__name__}:seven"),
    ]
    assert json.loads(bench.one("result", "sum")) == ["a", "list", "page", "part"]
    assert bench.one("result", "part") == "7"


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (after("page", "nobody"), "Task 'page', which was put, comes after 'nobody', which no task of this run is."),
        (after("page", "page"), "none could ever run: page -> page."),
        (TaskDef("page", after="a"), "write after=['a']"),
        (TaskDef("page", worker_fn=lambda task, q: None), "may have a worker_fn that is defined at the top level"),
        (TaskDef("page", worker_fn=after_jobs.soon), "its worker_fn soon must be a plain function"),
    ],
)
def test_a_found_task_that_can_never_run_fails_the_task_that_puts_it(bench: Bench, found: TaskDef, words: str) -> None:
    bench.run(finding(found), [TaskDef("list"), TaskDef("a")])
    assert statuses(bench) == {"list": "error", "a": "done"}
    assert words in bench.one("message", "list")


def test_a_found_task_comes_after_one_that_has_failed_already(bench: Bench) -> None:
    jobs = Jobs()
    jobs.fails["a"] = 1

    def worker(task: TaskDef, q: Channel) -> None:
        if task.task_id == "list":
            q.put(after("page", "a"))
            return
        jobs(task, q)

    bench.run(worker, [TaskDef("a"), TaskDef("list")], workers=1)
    assert statuses(bench) == {"a": "error", "list": "done", "page": "skipped"}
    assert messages(bench) == {"page": "a failed"}


def test_a_found_task_keeps_its_order_and_its_function_in_a_run_that_goes_on(bench: Bench) -> None:
    def worker(task: TaskDef, q: Channel) -> object:
        if task.task_id == "list":
            q.put(after("page", "a"), after("last", "page", worker_fn=after_jobs.double_page))
        if task.task_id == "page" and not again:
            raise ValueError("no")
        return 4

    again: list[int] = []
    bench.run(worker, [TaskDef("a"), TaskDef("list")])
    assert statuses(bench) == {"a": "done", "list": "done", "page": "error", "last": "skipped"}
    again.append(1)
    bench.run(worker, [TaskDef("a"), TaskDef("list")], resume=Resume())
    assert statuses(bench, 2) == {"page": "done", "last": "done"}
    assert bench.rows("SELECT result FROM task_runs WHERE run_id=2 AND task_id='last'") == [("8",)]
    bench.run(worker, [TaskDef("a"), TaskDef("list")], resume=Resume(run_id=1, task_ids=frozenset({"last"})))
    assert statuses(bench, 3) == {"last": "skipped"}


def test_a_function_that_is_gone_is_told_before_a_run_goes_on(bench: Bench) -> None:
    bench.run(finding(TaskDef("page", worker_fn=after_jobs.fails)), [TaskDef("list")])
    connection = sqlite3.connect(bench.path)
    connection.execute("UPDATE found_tasks SET worker_fn=?", (f"{after_jobs.__name__}:gone",))
    connection.commit()
    connection.close()
    with pytest.raises(UsageError, match="The worker function gone is not there any more"):
        bench.engine(finding(), [TaskDef("list")], resume=Resume()).start()
