"""The engine against a simple model: whatever is asked of it in whatever order, the file says what the model says.

The workers are puppets that do one thing at a time, the clock is told the time, and after every step the file is
compared with the model. `PIPELOOM_MODEL_EXAMPLES=500 pytest tests/engine/test_model.py` runs longer.
"""

from __future__ import annotations

import os
import queue
import shutil
import subprocess
import tempfile
import time
from collections import deque
from dataclasses import dataclass, field
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
from pipeloom.messages import MsgTaskFinished, MsgTaskProgress, TaskDef
from pipeloom.pipeline import Pipeline, RetryPolicy
from pipeloom.store.maintenance.recovery import recover
from pipeloom.store.write.handler_connection import HandlerConnection

TASKS = 4
RETRIES = 2
LIMIT_S = 50.0
OPEN = ("queued", "retrying", "running", "cancelling")
POLICY = RetryPolicy(retries=RETRIES, backoff=10.0, retry_on=(ValueError, TimeoutError))


@dataclass(frozen=True)
class Loaded:
    number: int


@dataclass
class Attempt:
    """What the model knows of an attempt."""

    id: int
    run: int
    task: int
    number: int
    status: str = "queued"
    progress: float | None = None
    started: float = 0.0
    stop: str = ""
    due: float = 0.0

    def row(self) -> tuple[Any, ...]:
        return (self.id, self.run, self.task, self.number, self.status, self.progress)


@dataclass
class Model:
    """What must come of it."""

    now: float = 0.0
    run: int = 0
    attempts: dict[int, Attempt] = field(default_factory=dict)
    """All that ever were."""
    latest: dict[int, Attempt] = field(default_factory=dict)
    """Of the run, by task."""
    ready: deque[Attempt] = field(default_factory=deque)
    held: set[int] = field(default_factory=set)
    """Attempts whose worker has not come back."""
    workers: int = 2
    paused: bool = False
    loaded: list[int] = field(default_factory=list)
    runs: dict[int, str] = field(default_factory=dict)

    def add(self, task: int, number: int, due: float | None = None) -> Attempt:
        attempt = Attempt(len(self.attempts) + 1, self.run, task, number)
        self.attempts[attempt.id] = self.latest[task] = attempt
        if due is None:
            self.ready.append(attempt)
        else:
            attempt.status, attempt.due = "retrying", due
        return attempt

    def fill(self) -> None:
        while not self.paused and len(self.held) < self.workers and self.ready:
            attempt = self.ready.popleft()
            if attempt.status == "queued":
                attempt.status, attempt.started = "running", self.now
                self.held.add(attempt.id)

    def end(self, attempt: Attempt, status: str, retryable: bool = False) -> None:
        if attempt.stop == "rejected" and status != "interrupted":
            status, retryable = "error", True
        attempt.status = status
        if status == "error" and retryable and attempt.number <= RETRIES and self.latest[attempt.task] is attempt:
            self.add(attempt.task, attempt.number + 1, self.now + 10.0 * 2 ** (attempt.number - 1))
        self.fill()

    def back(self, attempt: Attempt, status: str, retryable: bool = False) -> None:
        """The worker has come back."""
        self.held.remove(attempt.id)
        if attempt.status not in OPEN:
            self.fill()
        else:
            self.end(attempt, status, retryable)

    def stopped(self, attempt: Attempt) -> None:
        """The worker has come back because it was asked to stop."""
        limit = attempt.stop == "limit"
        self.back(attempt, "error" if limit else "cancelled", limit)

    def ask(self, attempt: Attempt, why: str) -> None:
        if not attempt.stop:
            attempt.stop, attempt.status = why, "cancelling"

    def run_status(self) -> str:
        ends = {attempt.status for attempt in self.latest.values()}
        if ends & set(OPEN):
            return "running"
        return next((status for status in ("interrupted", "error", "cancelled") if status in ends), "done")


class Puppets:
    """The worker function: each call waits for what it is to do."""

    def __init__(self) -> None:
        self._orders: dict[int, queue.SimpleQueue[Any]] = {}
        self.called: set[int] = set()
        """Attempts whose worker function was called: until then one that is cancelled ends without it."""
        self.to_put = 0
        self.put: list[int] = []
        """What was put, by attempt: a message that repeats another leaves no trace in the file."""

    def order(self, attempt_id: int, *what: object) -> None:
        self.to_put += what[0] == "put"
        self._orders.setdefault(attempt_id, queue.SimpleQueue()).put(what)

    def __call__(self, task: TaskDef, q: WorkerChannel) -> None:
        orders = self._orders.setdefault(q.attempt_id, queue.SimpleQueue())
        self.called.add(q.attempt_id)
        while True:
            what, *values = orders.get(timeout=60)
            if what == "put":
                try:
                    q.put(*values)
                finally:
                    self.put.append(q.attempt_id)
            elif what == "raise":
                raise values[0]
            else:
                return


class Life(RuleBasedStateMachine):
    """Random lives of runs."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="pipeloom-model-"))
        self.bench = Bench(self.folder / "etl.db")
        self.model = Model()
        self.puppets = Puppets()
        self.engine: Engine

    @initialize()
    def begin(self) -> None:
        self._start(None)
        for task in range(TASKS):
            self.model.add(task, 1)
        self.model.fill()
        self.check()

    def _start(self, resume: Resume | None) -> None:
        pipeline = Pipeline("model", [TaskDef(n, f"task {n}") for n in range(TASKS)], self.puppets, retry=POLICY)
        pipeline.timeout = LIMIT_S
        pipeline.schema(lambda conn: conn.execute("CREATE TABLE IF NOT EXISTS loaded (number)"))

        @pipeline.handler(Loaded)
        def load(conn: HandlerConnection, msg: Loaded) -> None:
            conn.execute("INSERT INTO loaded VALUES (?)", (msg.number,))
            if msg.number < 0:
                raise ValueError("not this one")

        options = EngineOptions(workers=2, durability="normal", resume=resume)
        self.engine = Engine(self.bench.path, pipeline, options, clock=self.bench.clock, random=lambda: 0.0)
        self.engine.add_sink(self.bench.recorder)
        self.model.run += 1
        self.model.latest = {}
        self.model.ready.clear()
        self.model.held.clear()
        self.model.workers, self.model.paused = 2, False
        self.engine.start()

    def teardown(self) -> None:
        if self.model.run:
            self.engine.close(0.0)
            self._release()
        shutil.rmtree(self.folder)

    def _release(self) -> None:
        for attempt_id in self.model.held:
            self.puppets.order(attempt_id, "return")

    # -- what is compared ----------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Wait until file and engine say what the model says; fail when it does not come to that."""
        model = self.model
        model.runs[model.run] = model.run_status()
        active = sum(attempt.status in ("running", "cancelling") for attempt in model.latest.values())
        wanted = (
            [attempt.row() for attempt in model.attempts.values()],
            [(number,) for number in model.loaded],
            sorted(model.runs.items()),
            (len(model.held), len(model.held) - active, model.paused),
            set(model.held),
            self.puppets.to_put,
        )
        deadline = time.monotonic() + 5
        while (found := self._found()) != wanted and time.monotonic() < deadline:
            self.bench.recorder.wait_for_news(0.005)  # a worker that comes back late is no news
        assert found == wanted

    def _found(self) -> Any:
        rows, load = self.bench.rows, self.engine.load()
        return (
            rows("SELECT id, run_id, task_id, attempt, status, progress FROM task_runs ORDER BY id"),
            rows("SELECT number FROM loaded ORDER BY rowid"),
            rows("SELECT id, status FROM pipeline_runs ORDER BY id"),
            (load.busy, load.lost, load.paused),
            self.model.held & self.puppets.called,
            len(self.puppets.put),
        )

    def pick(self, which: int, *statuses: str) -> Attempt | None:
        found = [attempt for attempt in self.model.latest.values() if attempt.status in statuses]
        return found[which % len(found)] if found else None

    def held(self, which: int) -> Attempt | None:
        held = sorted(self.model.held)
        return self.model.attempts[held[which % len(held)]] if held else None

    # -- what workers do -----------------------------------------------------------------------------------------------

    which = st.integers(0, 7)

    @precondition(lambda self: self.model.held)
    @rule(which=which, step=st.sampled_from([0, 1, 2, 3, 4, 5]))
    def progress(self, which: int, step: int) -> None:
        attempt = self.held(which)
        assert attempt is not None
        self.puppets.order(attempt.id, "put", MsgTaskProgress(attempt.task, step, 4))
        if attempt.status == "running":
            attempt.progress = max(attempt.progress or 0.0, min(step / 4, 1.0))
        else:
            self.model.stopped(attempt)
        self.check()

    @precondition(lambda self: self.model.held)
    @rule(which=which, good=st.booleans())
    def publish(self, which: int, good: bool) -> None:
        attempt = self.held(which)
        assert attempt is not None
        number = len(self.model.loaded) + 1
        self.puppets.order(attempt.id, "put", Loaded(number if good else -number))
        if attempt.status != "running":
            self.model.stopped(attempt)
        elif good:
            self.model.loaded.append(number)
        else:
            self.model.ask(attempt, "rejected")
        self.check()

    @precondition(lambda self: self.model.held)
    @rule(which=which, resolve_outcome=st.sampled_from(["done", "error", "cancelled"]))
    def finish(self, which: int, resolve_outcome: str) -> None:
        attempt = self.held(which)
        assert attempt is not None
        self.puppets.order(attempt.id, "put", MsgTaskFinished(attempt.task, resolve_outcome, "", "as it says"))
        self.puppets.order(attempt.id, "return")
        if resolve_outcome == "done" and attempt.status in OPEN and attempt.stop != "rejected":
            attempt.progress = 1.0
        self.model.back(attempt, resolve_outcome)
        self.check()

    @precondition(lambda self: self.model.held)
    @rule(which=which, error=st.sampled_from([None, ValueError("again"), KeyError("never again")]))
    def come_back(self, which: int, error: Exception | None) -> None:
        attempt = self.held(which)
        assert attempt is not None
        self.puppets.order(attempt.id, *(["return"] if error is None else ["raise", error]))
        if error is None and attempt.status in OPEN and attempt.stop != "rejected":
            attempt.progress = 1.0
        self.model.back(attempt, "done" if error is None else "error", isinstance(error, ValueError))
        self.check()

    # -- what the user does --------------------------------------------------------------------------------------------

    @rule(which=which)
    def cancel(self, which: int) -> None:
        attempt = self.pick(which, *OPEN, "done", "error", "cancelled", "interrupted")
        if attempt is None:
            return
        may = attempt.status in OPEN
        self._cancel(attempt)
        result = self.engine.cancel([attempt.id])
        assert (result.accepted, list(result.refused)) == (((attempt.id,), []) if may else ((), [attempt.id]))
        self.check()

    def _cancel(self, attempt: Attempt) -> None:
        if attempt.status in ("queued", "retrying"):
            attempt.status = "cancelled"
        elif attempt.status in OPEN:
            self.model.ask(attempt, "cancel")

    @rule()
    def cancel_all(self) -> None:
        self.engine.cancel()
        for attempt in self.model.latest.values():
            self._cancel(attempt)
        self.check()

    @rule(which=which, twice=st.booleans())
    def retry(self, which: int, twice: bool) -> None:
        attempt = self.pick(which, *OPEN, "done", "error", "cancelled", "interrupted")
        if attempt is None:
            return
        result = self.engine.retry([attempt.id, attempt.id])
        if attempt.status == "retrying":
            attempt.status = "queued"
            self.model.ready.append(attempt)
            wanted: tuple[int, ...] = (attempt.id,)
        elif attempt.status in OPEN:
            wanted = ()
        else:
            wanted = (self.model.add(attempt.task, attempt.number + 1).id,)
        assert result.accepted == wanted
        if twice and wanted and wanted != (attempt.id,):
            assert self.engine.retry([attempt.id]).accepted == ()
        self.model.fill()
        self.check()

    @rule(which=which)
    def abandon(self, which: int) -> None:
        attempt = self.pick(which, "running", "cancelling")
        if attempt is None:
            return
        result = self.engine.abandon([attempt.id])
        assert bool(result.accepted) == (attempt.status == "cancelling")
        if result.accepted:
            self.model.end(attempt, "cancelled")
        self.check()

    @rule()
    def pause(self) -> None:
        self.engine.pause()
        self.model.paused = True
        self.check()

    @rule()
    def resume(self) -> None:
        self.engine.resume()
        self.model.paused = False
        self.model.fill()
        self.check()

    @rule(workers=st.integers(1, 5))
    def set_workers(self, workers: int) -> None:
        self.engine.set_workers(workers)
        self.model.workers = workers
        self.model.fill()
        self.check()

    # -- what happens --------------------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([1.0, 9.0, 10.0, 25.0, 50.0]))
    def time_passes(self, seconds: float) -> None:
        model = self.model
        model.now += seconds
        due = [each for each in model.latest.values() if each.status == "retrying" and each.due <= model.now]
        for attempt in sorted(due, key=lambda each: (each.due, each.id)):
            attempt.status = "queued"
            model.ready.append(attempt)
        for attempt in model.latest.values():
            if attempt.status == "running" and attempt.started + LIMIT_S <= model.now:
                model.ask(attempt, "limit")
        model.fill()
        self.bench.clock.advance(seconds)
        self.check()

    @rule()
    def leave_and_resume(self) -> None:
        model = self.model
        waited = {each.task: each for each in model.latest.values() if each.status == "retrying"}
        self.engine.close(0.0)
        self._release()
        for attempt in model.latest.values():
            if attempt.status in OPEN:
                attempt.status = "interrupted"
        model.runs[model.run] = model.run_status()
        standings = {task: model.latest.get(task) or self._earlier(task) for task in range(TASKS)}
        self._start(Resume())
        for task, before in standings.items():
            if before.status == "done":
                continue
            if task in waited:
                model.add(task, before.number, None if before.due <= model.now else before.due)
            else:
                model.add(task, 1)
        model.fill()
        self.check()

    def _earlier(self, task: int) -> Attempt:
        return [attempt for attempt in self.model.attempts.values() if attempt.task == task][-1]

    @rule()
    def crash(self) -> None:
        """Look at what a crash at this moment would leave: the file and its log as they are on disk."""
        place = self.folder / "crashed"
        place.mkdir()
        for name in ("etl.db", "etl.db-wal"):
            if (self.folder / name).exists():  # read by another process: closing it in this one would drop locks
                subprocess.run(["cp", self.folder / name, place / name], check=True)
        still_open = [attempt.id for attempt in self.model.attempts.values() if attempt.status in OPEN]
        assert recover(place / "etl.db") == len(still_open)
        crashed = Bench(place / "etl.db").rows("SELECT id, status, error_type FROM task_runs ORDER BY id")
        for attempt, (attempt_id, status, error_type) in zip(self.model.attempts.values(), crashed, strict=True):
            assert attempt_id == attempt.id
            if attempt.status in OPEN:
                assert (status, error_type) == ("interrupted", "ProcessDied")
            else:
                assert status == attempt.status
        shutil.rmtree(place)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the writer commit without waiting for company."""
    monkeypatch.setattr("pipeloom.engine.writer.writer.WINDOW_S", 0.0005)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_engine_agrees_with_the_model() -> None:
    examples = int(os.environ.get("PIPELOOM_MODEL_EXAMPLES", "120"))
    run_state_machine_as_test(Life, settings=settings(max_examples=examples, stateful_step_count=40, deadline=None))
