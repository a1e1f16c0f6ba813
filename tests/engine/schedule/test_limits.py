"""Limits, priorities and waits of a run, by what its workers and its file see."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from tests.engine.conftest import Bench, Gate

from pipeloom import Limit, Pipeline, RetryAfter, RetryPolicy, TaskDef
from pipeloom.engine.clock import SYSTEM_CLOCK
from pipeloom.engine.control.client import ControlClient
from pipeloom.engine.engine import Engine
from pipeloom.engine.run.resume import Resume
from pipeloom.engine.worker import runner
from pipeloom.errors import ControlError, UsageError
from pipeloom.limits.limit import limit_of
from pipeloom.protocols import AsyncChannel, Channel


class Workers:
    """Worker functions that stay until they are let go, and who is in one."""

    def __init__(self) -> None:
        self.inside: list[Any] = []
        self.order: list[Any] = []
        self._changed = threading.Condition()
        self._may_go: set[Any] = set()

    def __call__(self, task: TaskDef, q: Channel) -> None:
        with self._changed:
            self.inside.append(task.task_id)
            self.order.append(task.task_id)
            self._changed.notify_all()
            assert self._changed.wait_for(lambda: task.task_id in self._may_go or None in self._may_go, 60)
            self.inside.remove(task.task_id)
            self._changed.notify_all()

    def let_go(self, *task_ids: Any) -> None:
        """Let these return; none: all, now and later."""
        with self._changed:
            self._may_go.update(task_ids or (None,))
            self._changed.notify_all()

    def wait_for(self, *task_ids: Any) -> None:
        """Wait until exactly these are inside."""
        with self._changed:
            assert self._changed.wait_for(lambda: sorted(self.inside) == sorted(task_ids), 60), self.inside


@pytest.fixture
def workers() -> Any:
    made = Workers()
    yield made
    made.let_go()


def limited(bench: Bench, worker: Any, tasks: list[TaskDef], limits: dict[str, Limit], **options: Any) -> Engine:
    engine = bench.engine(worker, tasks, pipeline=Pipeline("bench", tasks, worker, limits=limits), **options)
    engine.start()
    return engine


def named(*limits: str, **ids: int) -> list[TaskDef]:
    """Return `a0`, `a1` … with these limits, as many as are said."""
    return [TaskDef(f"{letter}{number}", limits=limits) for letter, most in ids.items() for number in range(most)]


def test_a_limit_that_is_used_up_takes_no_slot_from_other_tasks(bench: Bench, workers: Workers) -> None:
    engine = limited(bench, workers, [*named("api", a=5), *named(f=3)], {"api": Limit(2)}, workers=4)
    workers.wait_for("a0", "a1", "f0", "f1")
    (use,) = engine.load().limits
    assert (use.name, use.at_once, use.per_second, use.held, use.waiting) == ("api", 2, None, 2, 3)
    workers.let_go("f0")
    workers.wait_for("a0", "a1", "f1", "f2")
    workers.let_go("f1", "f2")
    workers.wait_for("a0", "a1")
    assert engine.load().busy == 2
    workers.let_go("a1")
    workers.wait_for("a0", "a2")
    workers.let_go()
    assert engine.wait(20)
    assert [use.held for use in engine.load().limits] == [0]


def test_each_value_of_a_limit_has_a_budget_of_its_own(bench: Bench, workers: Workers) -> None:
    tasks = [*named("host:a.org", a=3), *named("host:b.org", b=3), *named("host:slow.org", s=2)]
    limited(bench, workers, tasks, {"host:*": Limit(2), "host:slow.org": Limit(1)}, workers=9)
    workers.wait_for("a0", "a1", "b0", "b1", "s0")
    workers.let_go("b0")
    workers.wait_for("a0", "a1", "b1", "b2", "s0")


def test_a_higher_priority_goes_first_and_a_retry_keeps_priority_and_limits(bench: Bench) -> None:
    ran: list[Any] = []
    limits: list[Any] = []

    def worker(task: TaskDef, q: Channel) -> None:
        ran.append(task.task_id)
        limits.append([use.held for use in engine.load().limits])
        if task.task_id == "high" and q.attempt == 1:
            raise ValueError("once more")

    tasks = [
        TaskDef("low", priority=-1),
        TaskDef("plain"),
        TaskDef("high", limits=["api"], priority=5, retries=1),
        TaskDef("next"),
    ]
    pipeline = Pipeline("bench", tasks, worker, RetryPolicy(0, backoff=0.0), limits={"api": Limit(1)})
    engine = bench.engine(worker, tasks, pipeline=pipeline, workers=1)
    engine.start()
    assert engine.wait(20)
    assert [task for task in ran if task != "high"] == ["plain", "next", "low"]
    assert ran[0] == "high"
    assert [held for task, held in zip(ran, limits, strict=True) if task == "high"] == [[1], [1]]


def test_an_abandoned_attempt_holds_its_limit_until_its_worker_is_back(bench: Bench, workers: Workers) -> None:
    engine = limited(bench, workers, named("api", a=2), {"api": Limit(1)}, workers=4)
    workers.wait_for("a0")
    row = bench.recorder.wait_for_status("running", "a0")
    engine.cancel([row.id])
    engine.abandon([row.id])
    bench.recorder.wait_for_status("cancelled", "a0")
    assert engine.load().limits[0].held == 1
    assert workers.order == ["a0"]
    workers.let_go()
    assert engine.wait(20)
    assert workers.order == ["a0", "a1"]


def test_what_is_cancelled_while_it_waits_waits_no_longer(bench: Bench, workers: Workers) -> None:
    engine = limited(bench, workers, named("api", a=5), {"api": Limit(1)}, workers=2)
    workers.wait_for("a0")
    ids = [bench.recorder.wait_for_status("queued", f"a{number}").id for number in (1, 2, 3)]
    engine.cancel(ids)
    assert (engine.load().waiting, engine.load().limits[0].waiting) == (1, 1)
    workers.let_go()
    assert engine.wait(20)
    assert workers.order == ["a0", "a4"]


def test_a_limit_is_changed_while_tasks_run(bench: Bench, workers: Workers) -> None:
    engine = limited(bench, workers, named("api", a=6), {"api": Limit(1)}, workers=8)
    workers.wait_for("a0")
    assert engine.set_limit("api", Limit(3)) == Limit(3)
    workers.wait_for("a0", "a1", "a2")
    client = ControlClient(bench.path, 1, clock=bench.clock)
    client.set_limit("api", Limit(2, 4))
    load = client.load()
    assert load == engine.load()
    assert (load.limits[0].at_once, load.limits[0].per_second, load.limits[0].held) == (2, 4, 3)
    with pytest.raises(UsageError, match="The pipeline has no limit 'other'"):
        engine.set_limit("other", Limit(1))
    with pytest.raises(ControlError, match="The pipeline has no limit 'other'"):
        client.set_limit("other", Limit(1))
    workers.let_go()
    assert engine.wait(20)
    engine.close()
    assert bench.rows("SELECT command, arguments, answer FROM commands") == [
        ("set_limit", '{"limit": ["api", 2, 4]}', "done"),
        ("set_limit", '{"limit": ["other", 1, null]}', "refused: The pipeline has no limit 'other'."),
    ]


def test_starts_are_spaced_by_the_clock(bench: Bench, workers: Workers) -> None:
    tasks = [*named("api", a=4), *named("slow", s=2)]
    limited(bench, workers, tasks, {"api": Limit(per_second=2), "slow": Limit(per_second=0.2)}, workers=9)
    workers.wait_for("a0", "a1", "s0")
    for task in ("a0", "a1", "s0"):
        bench.recorder.wait_for_status("running", task)
    bench.clock.advance(0.9)
    workers.let_go("a0", "a1", "s0")
    workers.wait_for()
    bench.recorder.wait_for_status("done", "a0")
    bench.clock.advance(0.2)
    workers.wait_for("a2", "a3")
    bench.clock.advance(4.0)
    workers.wait_for("a2", "a3", "s1")


@pytest.mark.parametrize("executor", ["thread", "async"])
def test_a_start_counts_from_the_call_of_the_function_and_not_from_what_comes_before(
    bench: Bench, gate: Gate, monkeypatch: pytest.MonkeyPatch, executor: str
) -> None:
    """A worker that reads large input files first begins later than it was given its attempt."""
    order: list[Any] = []

    def look(attempt: Any, *_: object) -> None:
        order.append(f"looks at {attempt.task.task_id}")
        if attempt.task.task_id == "a0":
            gate.pass_through()

    def work(task: TaskDef, q: Channel) -> None:
        order.append(task.task_id)

    async def work_async(task: TaskDef, q: AsyncChannel) -> None:
        order.append(task.task_id)

    monkeypatch.setattr(runner, "_look_at_inputs", look)
    worker = work if executor == "thread" else work_async
    tasks = [TaskDef(f"a{number}", limits=["api"], inputs=["orders.csv"]) for number in range(2)]
    engine = limited(bench, worker, tasks, {"api": Limit(per_second=1)}, workers=2)
    gate.await_arrival()
    bench.recorder.wait_for_status("running", "a0")
    bench.clock.advance(60)
    assert [use.waiting for use in engine.load().limits] == [1], "nothing has begun, so no time passes for the limit"
    gate.open()
    bench.recorder.wait_for_status("done", "a0")
    bench.clock.advance(0.9)
    assert order == ["looks at a0", "a0"]
    bench.clock.advance(0.2)
    assert engine.wait(20)
    assert order == ["looks at a0", "a0", "looks at a1", "a1"]


class Watch:
    """Notes the starts of a run as its workers and its dispatcher see them, and finds what breaks a limit."""

    def __init__(self, limits: dict[str, Limit], now: Callable[[], float]) -> None:
        self.limits = limits
        self.now = now
        self.inside = Counter[str]()
        self.starts: dict[str, list[float]] = {}
        self.faults: list[str] = []
        self._lock = threading.Lock()

    def enter(self, names: tuple[str, ...]) -> None:
        with self._lock:
            for name in names:
                limit, starts = self.limits[limit_of(name, self.limits) or ""], self.starts.setdefault(name, [])
                self.inside[name] += 1
                if limit.at_once is not None and self.inside[name] > limit.at_once:
                    self.faults.append(f"{name}: {self.inside[name]} at once")
                starts.append(self.now())
                first = starts[-limit.starts - 1] if len(starts) > limit.starts else None
                if limit.per_second is not None and first is not None and starts[-1] - first < limit.seconds - 1e-6:
                    self.faults.append(f"{name}: {limit.starts + 1} starts in {starts[-1] - first:.3f} s")

    def leave(self, names: tuple[str, ...]) -> None:
        with self._lock:
            self.inside.subtract(names)


@pytest.mark.parametrize("seed", range(3))
def test_no_second_has_more_starts_than_allowed_with_errors_waits_cancels_and_a_clock_that_jumps(
    bench: Bench, seed: int
) -> None:
    choose = random.Random(seed)
    limits = {"api": Limit(3, 5), "host:*": Limit(2), "slow": Limit(per_second=0.5)}
    watch = Watch(limits, bench.clock.monotonic)
    failed: set[Any] = set()

    def worker(task: TaskDef, q: Channel) -> None:
        watch.enter(task.limits)  # type: ignore[arg-type]
        try:
            if task.task_id not in failed:
                failed.add(task.task_id)
                if task.task_id % 5 == 0:
                    raise ValueError("once more")
                if task.task_id % 7 == 0:
                    raise RetryAfter(0.7)
        finally:
            watch.leave(task.limits)  # type: ignore[arg-type]

    names = ["api", "host:a", "host:b", "slow"]
    tasks = [
        TaskDef(number, limits=choose.sample(names, choose.choice([0, 1, 1, 2])), priority=choose.choice([0, 0, 1]))
        for number in range(80)
    ]
    pipeline = Pipeline("bench", tasks, worker, RetryPolicy(1, backoff=0.3), limits=limits)
    engine = bench.engine(worker, tasks, pipeline=pipeline, workers=6)
    engine.start()
    while not engine.wait(0.003):
        bench.clock.advance(choose.choice([0.05, 0.2, 0.5, 1.0]))
    assert watch.faults == []
    counts = bench.rows("SELECT count(*), count(DISTINCT task_id) FROM task_runs WHERE status='done'")
    assert counts == [(80, 80)]
    assert [use.held for use in engine.load().limits] == [0, 0, 0]


def test_the_first_starts_of_a_run_count_those_of_the_last(bench: Bench) -> None:
    tasks, limits = named("api", a=1), {"api": Limit(per_second=1)}
    ended: list[int] = []

    def worker(task: TaskDef, q: Channel) -> None:
        ended.append(1)

    assert limited(bench, worker, tasks, limits).wait(20)
    bench.engines[-1].close()
    bench.clock.advance(0.5)
    engine = limited(bench, worker, tasks, limits)
    assert not engine.wait(0.1)
    bench.clock.advance(0.5)
    assert engine.wait(20)
    assert len(ended) == 2


# -- RetryAfter --------------------------------------------------------------------------------------------------------


def test_a_worker_that_asks_to_come_back_frees_its_slot_and_its_limits_and_uses_up_no_retry(
    bench: Bench,
) -> None:
    tries = Counter[Any]()

    def worker(task: TaskDef, q: Channel) -> None:
        tries[task.task_id] += 1
        if task.task_id == "asks" and tries["asks"] <= 3:
            raise RetryAfter(3.0)
        if task.task_id == "asks" and tries["asks"] == 4:
            raise ValueError("an error")

    tasks = [TaskDef("asks", limits=["api"], retries=1), TaskDef("other", limits=["api"])]
    pipeline = Pipeline("bench", tasks, worker, RetryPolicy(0, backoff=1.0), limits={"api": Limit(1)})
    engine = bench.engine(worker, tasks, pipeline=pipeline, workers=1)
    engine.start()
    bench.recorder.wait_for_status("done", "other")
    for attempt in (2, 3, 4):
        bench.recorder.wait_for_status("retrying", "asks", attempt)
        bench.clock.advance(2.999)
        assert tries["asks"] == attempt - 1
        bench.clock.advance(0.001)
    bench.recorder.wait_for_status("retrying", "asks", 5)
    bench.clock.advance(1.0)
    assert engine.wait(20)
    assert bench.rows(
        "SELECT attempt, status, error_type, message FROM task_runs WHERE task_id='asks' ORDER BY id"
    ) == [
        *((number, "error", "RetryAfter", "retry after 3 s") for number in (1, 2, 3)),
        (4, "error", "ValueError", "ValueError: an error"),
        (5, "done", None, ""),
    ]


def test_a_resumed_run_counts_no_wait_as_a_retry(bench: Bench) -> None:
    fails = False

    def worker(task: TaskDef, q: Channel) -> None:
        if fails:
            raise ValueError("an error")
        raise RetryAfter(5.0)

    tasks = [TaskDef("a", retries=1)]
    engine = bench.engine(worker, tasks)
    engine.start()
    for attempt in (2, 3):
        bench.recorder.wait_for_status("retrying", "a", attempt)
        bench.clock.advance(5.0)
    bench.recorder.wait_for_status("retrying", "a", 4)
    engine.close(0.0)
    fails = True
    engine = bench.engine(worker, tasks, resume=Resume(), retry=RetryPolicy(backoff=0.0))
    engine.start()
    bench.clock.advance(5.0)
    assert engine.wait(20)
    assert bench.rows("SELECT attempt, status FROM task_runs WHERE run_id=2") == [(4, "error"), (5, "error")]


async def asks_once(task: TaskDef, q: AsyncChannel) -> None:
    if q.attempt == 1:
        raise RetryAfter(1.0)


def test_a_coroutine_comes_back_too(bench: Bench) -> None:
    engine = limited(bench, asks_once, named("api", a=1), {"api": Limit(1)})
    bench.recorder.wait_for_status("retrying", "a0", 2)
    assert engine.load().limits[0].held == 0
    bench.clock.advance(1.0)
    assert engine.wait(20)
    assert bench.rows() == [("a0", 1, "error"), ("a0", 2, "done")]


def test_asking_has_an_end_and_begins_again_when_the_task_is_started_by_hand(bench: Bench) -> None:
    def worker(task: TaskDef, q: Channel) -> None:
        raise RetryAfter(0)

    pipeline = Pipeline("bench", [], worker, RetryPolicy(retries=5, waits=2))
    engine = bench.engine(worker, 1, pipeline=pipeline)
    engine.start()

    def end(attempt: int) -> Any:
        assert engine.wait(20)
        return bench.one("message", 1, attempt)

    assert end(3) == "retry after 0 s: asked 3 times, and RetryPolicy(waits=2) ends it"
    assert bench.rows() == [(1, 1, "error"), (1, 2, "error"), (1, 3, "error")]
    engine.retry([bench.recorder.wait_for_status("error", 1, 3).id])
    bench.recorder.wait_for_status("error", 1, 6)
    assert end(6).endswith("ends it")
    assert len(bench.rows()) == 6


def test_a_task_that_is_being_cancelled_does_not_come_back(bench: Bench, gate: Gate) -> None:
    def worker(task: TaskDef, q: Channel) -> None:
        gate.pass_through()
        raise RetryAfter(0)

    engine = bench.engine(worker)
    engine.start()
    gate.await_arrival()
    engine.cancel([bench.recorder.wait_for_status("running").id])
    gate.open()
    assert engine.wait(20)
    assert bench.rows() == [(1, 1, "cancelled")]


@pytest.mark.parametrize("waits", [-1, True])
def test_a_wrong_number_of_waits_is_refused(waits: Any) -> None:
    with pytest.raises(UsageError, match="waits must be 0 or more"):
        RetryPolicy(waits=waits)


# -- tasks that workers find -------------------------------------------------------------------------------------------


def test_found_tasks_keep_limits_and_priority_in_this_run_and_in_a_resumed_one(bench: Bench) -> None:
    """The finder fails after its put, and so do all that it has found: the second run runs all of them again."""
    ran: list[Any] = []
    held: list[Any] = []
    broken = True

    def worker(task: TaskDef, q: Channel) -> None:
        if task.task_id == "a":
            q.put(
                TaskDef("low", limits=["host:x"], priority=-3),
                TaskDef("plain"),
                TaskDef("high", limits=["host:x", "api"], priority=2),
            )
        else:
            ran.append(task.task_id)
            held.append({use.name: use.held for use in bench.engines[-1].load().limits})
        if broken:
            raise ValueError("the line is dead")

    limits = {"api": Limit(1), "host:*": Limit(1)}
    wanted = (["high", "plain", "low"], [{"api": 1, "host:*": 1}, {"api": 0, "host:*": 0}, {"api": 0, "host:*": 1}])
    assert limited(bench, worker, [TaskDef("a")], limits, workers=1).wait(20)
    assert (ran, held) == wanted
    assert bench.rows("SELECT task_id, limits, priority FROM found_tasks ORDER BY task_id") == [
        ("high", '["host:x", "api"]', 2),
        ("low", '["host:x"]', -3),
        ("plain", None, 0),
    ]
    bench.engines[-1].close()
    ran.clear()
    held.clear()
    broken = False
    with pytest.raises(UsageError, match="names the limit 'host:x'"):
        limited(bench, worker, [TaskDef("a")], {"api": Limit(1)}, workers=1, resume=Resume())
    assert limited(bench, worker, [TaskDef("a")], limits, workers=1, resume=Resume()).wait(20)
    assert (ran, held) == wanted


@pytest.mark.parametrize(
    ("task", "said"),
    [
        (TaskDef("b", limits=["apo"]), "Task 'b' names the limit 'apo'. The pipeline has these: api."),
        (TaskDef("b", limits="api"), "limits must be a list of names"),
        (TaskDef("b", priority=1.5), "priority must be a whole number"),  # type: ignore[arg-type]
    ],
)
def test_a_task_that_names_what_is_not_there_is_refused_in_put(bench: Bench, task: TaskDef, said: str) -> None:
    def worker(_task: TaskDef, q: Channel) -> None:
        q.put(task)

    assert limited(bench, worker, [TaskDef("a")], {"api": Limit(1)}).wait(20)
    assert said in bench.one("message", "a")


# -- with the machine's own clock ------------------------------------------------------------------------------------------


def test_the_rate_is_reached(tmp_path: Any) -> None:
    """Twenty starts of ten a second take one second and not much more."""
    tasks = named("api", a=20)
    pipeline = Pipeline("rate", tasks, lambda task, q: None, limits={"api": Limit(per_second=10)})
    engine = Engine(tmp_path / "etl.db", pipeline)
    begin = SYSTEM_CLOCK.monotonic()
    engine.start()
    assert engine.wait(20)
    took = SYSTEM_CLOCK.monotonic() - begin
    engine.close()
    assert 1.0 <= took < 15
