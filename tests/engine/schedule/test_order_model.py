"""Random graphs of tasks against a simple model: never a task before what it comes after, none forgotten, none twice.

Workers are puppets that wait for what they are to do, and there are enough of them, so that every task that may run
does; after each step the file is compared with the model. `PIPELOOM_MODEL_EXAMPLES=500` runs longer.
"""

from __future__ import annotations

import os
import queue
import shutil
import sqlite3
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from tests.engine.conftest import Bench

from pipeloom.engine.engine import Engine
from pipeloom.engine.options import EngineOptions
from pipeloom.engine.run.resume import Resume
from pipeloom.engine.worker.channel import WorkerChannel
from pipeloom.messages import TaskDef
from pipeloom.pipeline import Pipeline, RetryPolicy

TASKS = 7
WAIT_S = 10.0
POLICY = RetryPolicy(retries=1, backoff=WAIT_S, factor=1.0, retry_on=(ValueError,))
OPEN = ("queued", "retrying", "running")
BAD = ("error", "cancelled", "skipped", "interrupted")
LATEST = "SELECT status FROM task_runs WHERE task_id=? ORDER BY id DESC LIMIT 1"


@dataclass
class Latest:
    """The latest attempt of a task in the run, as the model has it."""

    number: int = 1
    status: str = "queued"
    due: float = 0.0


class Puppets:
    """The worker function: each attempt waits for its order, and looks into the file first."""

    def __init__(self) -> None:
        self.path = Path()
        self.after: dict[int, list[int]] = {}
        self.orders: dict[tuple[int, int], queue.SimpleQueue[BaseException | None]] = {}
        self.began: list[tuple[int, int]] = []
        self.too_early: list[str] = []
        self._lock = threading.Lock()

    def __call__(self, task: TaskDef, q: WorkerChannel) -> int:
        assert isinstance(task.task_id, int)
        attempt = task.task_id, q.attempt_id
        connection = sqlite3.connect(self.path)
        for name in self.after[task.task_id]:
            (status,) = connection.execute(LATEST, (name,)).fetchone()
            if status != "done" or q.results[name] != name * 10:
                self.too_early.append(f"{task.task_id} began while {name} was {status}")
        connection.close()
        with self._lock:
            orders = self.orders.setdefault(attempt, queue.SimpleQueue())
            self.began.append(attempt)
        order = orders.get(timeout=60)
        if order is not None:
            raise order
        return task.task_id * 10

    def order(self, attempt: tuple[int, int], what: BaseException | None) -> None:
        with self._lock:
            self.orders.setdefault(attempt, queue.SimpleQueue()).put(what)


class Life(RuleBasedStateMachine):
    """Random lives of runs of one graph."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="pipeloom-order-"))
        self.puppets = Puppets()
        self.engine: Engine | None = None
        self.kills = 0
        self.now = 0.0
        self.latest: dict[int, Latest] = {}
        self.done_earlier: set[int] = set()

    @initialize(
        edges=st.sets(st.tuples(st.integers(0, TASKS - 1), st.integers(0, TASKS - 1)), max_size=12),
        last=st.sets(st.integers(TASKS - 2, TASKS - 1)),
        order=st.permutations(range(TASKS)),
    )
    def begin(self, edges: set[tuple[int, int]], last: set[int], order: list[int]) -> None:
        after: dict[int, list[int]] = {task: [] for task in range(TASKS)}
        for one, other in edges:
            if one != other and max(one, other) not in last:
                after[max(one, other)].append(min(one, other))
        late = set(last)
        for task in range(TASKS):
            late |= {task} if late & set(after[task]) else set()
        tasks = [TaskDef(task, after="*" if task in last else after[task]) for task in order]
        self.after = {task: [n for n in order if n not in late] if task in last else after[task] for task in order}
        self.tasks, self.puppets.after = tasks, self.after
        self.bench = Bench(self.folder / "0.db")
        self._start(None)
        self.latest = {task: Latest() for task in order}
        self.check()

    def _start(self, resume: Resume | None) -> None:
        self.puppets.path = self.bench.path
        pipeline = Pipeline("model", self.tasks, self.puppets, retry=POLICY)
        options = EngineOptions(workers=3 * TASKS, durability="normal", resume=resume)
        self.engine = Engine(self.bench.path, pipeline, options, clock=self.bench.clock, random=lambda: 0.0)
        self.engine.add_sink(self.bench.recorder)
        self.engine.start()

    def teardown(self) -> None:
        if self.engine is not None:
            self._finish()
            self.engine.close(0.0)
            self._let_go()
        shutil.rmtree(self.folder)
        assert self.puppets.too_early == []

    def _let_go(self) -> None:
        for attempt in list(self.puppets.began):
            self.puppets.order(attempt, None)

    def _finish(self) -> None:
        """Let everything succeed: then all tasks are done, so that none was forgotten."""
        for _ in range(2 * TASKS):
            self.time_passes()
            for task in self._in("running"):
                self.come_back(task, None)
            for task in self._in("error", "cancelled"):
                if self._blocked(task) is None:
                    self._retry([task])
        assert [one.status for one in self.latest.values()] == ["done"] * len(self.latest)

    # -- the model ---------------------------------------------------------------------------------------------------

    def _in(self, *statuses: str) -> list[int]:
        return [task for task, one in self.latest.items() if one.status in statuses]

    def _is_done(self, task: int) -> bool:
        return self.latest[task].status == "done" if task in self.latest else task in self.done_earlier

    def _blocked(self, task: int) -> int | None:
        """What the task comes after and that has ended badly."""
        return next(
            (name for name in self.after[task] if name in self.latest and self.latest[name].status in BAD), None
        )

    def _settle(self) -> None:
        """Let follow what follows by itself."""
        changed = True
        while changed:
            changed = False
            for task, one in self.latest.items():
                if one.status in ("queued", "retrying") and self._blocked(task) is not None:
                    one.status = "skipped"
                elif one.status == "queued" and all(map(self._is_done, self.after[task])):
                    one.status = "running"
                elif one.status == "skipped" and all(map(self._is_done, self.after[task])):
                    one.number, one.status = one.number + 1, "running"
                else:
                    continue
                changed = True

    def check(self) -> None:
        """Wait until the file says what the model says; fail when it does not come to that."""
        self._settle()
        wanted = sorted((task, one.number, one.status) for task, one in self.latest.items())
        deadline = time.monotonic() + 5
        while (found := self._found()) != (wanted, True) and time.monotonic() < deadline:
            self.bench.recorder.wait_for_news(0.005)
        assert found == (wanted, True)
        assert self.puppets.too_early == []

    def _found(self) -> tuple[list[Any], bool]:
        rows = self.bench.rows(
            "SELECT task_id, attempt, status, id FROM task_runs WHERE run_id=(SELECT max(id) FROM pipeline_runs) AND "
            "id IN (SELECT max(id) FROM task_runs GROUP BY run_id, task_id) ORDER BY task_id"
        )
        self.ids = {task: attempt_id for task, _, _, attempt_id in rows}
        running = [(task, attempt_id) for task, _, status, attempt_id in rows if status == "running"]
        return [row[:3] for row in rows], set(running) <= set(self.puppets.began)

    # -- what happens ------------------------------------------------------------------------------------------------

    which = st.integers(0, TASKS - 1)

    def come_back(self, task: int, error: Exception | None) -> None:
        one = self.latest[task]
        self.puppets.order((task, self.ids[task]), error)
        one.status = "done" if error is None else "error"
        if isinstance(error, ValueError) and one.number == 1:
            one.number, one.status, one.due = 2, "retrying", self.now + WAIT_S
        self.check()

    @precondition(lambda self: self._in("running"))
    @rule(which=which, error=st.sampled_from([None, None, ValueError("again"), KeyError("never again")]))
    def work(self, which: int, error: Exception | None) -> None:
        running = self._in("running")
        self.come_back(running[which % len(running)], error)

    @rule(which=which)
    def cancel(self, which: int) -> None:
        assert self.engine is not None
        if waiting := self._in("queued", "retrying"):
            task = waiting[which % len(waiting)]
            assert self.engine.cancel([self.ids[task]]).accepted
            self.latest[task].status = "cancelled"
            self.check()

    @precondition(lambda self: self._in("running"))
    @rule(which=which)
    def cancel_running(self, which: int) -> None:
        assert self.engine is not None
        running = self._in("running")
        task = running[which % len(running)]
        assert self.engine.cancel([self.ids[task]]).accepted
        self.engine.abandon([self.ids[task]])
        self.puppets.order((task, self.ids[task]), None)
        self.latest[task].status = "cancelled"
        self.check()

    @rule(chosen=st.lists(which, min_size=1, max_size=3, unique=True))
    def retry(self, chosen: list[int]) -> None:
        self._retry([task for task in chosen if task in self.latest])

    @precondition(lambda self: self._in("error", "cancelled"))
    @rule(which=which)
    def retry_what_failed(self, which: int) -> None:
        failed = self._in("error", "cancelled")
        self._retry([failed[which % len(failed)]])

    @precondition(lambda self: self._in("done") and self._in("queued"))
    @rule(which=which)
    def run_again_what_is_done(self, which: int) -> None:
        done = self._in("done")
        self._retry([done[which % len(done)]])

    def _retry(self, chosen: list[int]) -> None:
        assert self.engine is not None
        result = self.engine.retry([self.ids[task] for task in chosen])
        accepted = 0
        left = [task for task in chosen if self.latest[task].status not in ("queued", "running")]
        for task in [task for task in left if self.latest[task].status == "retrying"]:
            self.latest[task].status = "queued"
            left.remove(task)
            accepted += 1
        while ready := [task for task in left if self._blocked(task) is None]:
            for task in ready:
                one = self.latest[task]
                one.number, one.status = one.number + 1, "queued"
                left.remove(task)
                accepted += 1
        assert len(result.accepted) == accepted
        self.check()

    @rule()
    def time_passes(self) -> None:
        self.now += WAIT_S
        for task in self._in("retrying"):
            if self.latest[task].due <= self.now:
                self.latest[task].status = "queued"
        self.bench.clock.advance(WAIT_S)
        self.check()

    @rule()
    def resume_run(self) -> None:
        """Leave, and go on in a new run."""
        assert self.engine is not None
        self.engine.close(0.0)
        self._let_go()
        self._go_on()

    @rule()
    def kill_and_resume(self) -> None:
        """Go on with what a kill at this moment would leave: the file and its log as they are on disk."""
        assert self.engine is not None
        self.kills += 1
        path = self.folder / f"{self.kills}.db"
        for end in ("", "-wal"):
            if Path(f"{self.bench.path}{end}").exists():  # by another process: closing it in this one would drop locks
                subprocess.run(["cp", f"{self.bench.path}{end}", f"{path}{end}"], check=True)
        self.engine.close(0.0)
        self._let_go()
        clock = self.bench.clock
        self.bench = Bench(path)
        self.bench.clock = clock
        self._go_on()

    def _go_on(self) -> None:
        self.done_earlier |= set(self._in("done"))
        self.done_earlier -= {task for task, one in self.latest.items() if one.status != "done"}
        before, self.latest = self.latest, {}
        self.puppets.began.clear()
        self._start(Resume())
        for task in self.after:
            if task in self.done_earlier:
                continue
            one = before.get(task, Latest())
            waits = one.status == "retrying"
            due = waits and one.due > self.now
            self.latest[task] = Latest(one.number if waits else 1, "retrying" if due else "queued", one.due)
        self.check()


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the writer commit without waiting for company."""
    monkeypatch.setattr("pipeloom.engine.writer.writer.WINDOW_S", 0.0005)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_random_graphs_agree_with_the_model() -> None:
    examples = int(os.environ.get("PIPELOOM_MODEL_EXAMPLES", "40"))
    run_state_machine_as_test(Life, settings=settings(max_examples=examples, stateful_step_count=25, deadline=None))
