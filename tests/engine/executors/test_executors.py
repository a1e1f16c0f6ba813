"""What every executor must do: one suite, run against each of them through the protocol alone."""

from __future__ import annotations

import copy
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import Any

import dask
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.conftest import WaitFor

from pipeloom.engine.attempt import Attempt, Outcome, OutcomeKind
from pipeloom.engine.events import Begun, Finish, Found, InputsTaken, Together
from pipeloom.engine.executors import ExecutorName, make_executor
from pipeloom.engine.executors.base import Executor
from pipeloom.errors import TaskCancelled, UsageError, WriterFailedError
from pipeloom.loader import import_file
from pipeloom.messages import MsgTaskProgress, TaskDef
from pipeloom.pipeline import Pipeline
from pipeloom.status import Status

PATIENCE_S = 120.0
NUMBERS = itertools.count(10_000)
jobs: Any = import_file(str(Path(__file__).parents[1] / "jobs.py"))
async_jobs: Any = import_file(str(Path(__file__).parents[1] / "async_jobs.py"))


def is_alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


class Log:
    """A `Reports` that remembers, in the order of arrival."""

    def __init__(self) -> None:
        self.events: list[tuple[int, str, Any]] = []
        self.changed = threading.Condition()
        self.hold = threading.Event()
        self.hold.set()
        self.answer: Callable[[int], object] = lambda attempt_id: None
        self.errors: list[BaseException] = []
        self.room: Iterator[bool] = repeat(False)
        """Whether there is room for each report: without, none is made on an event loop, which would wait with it."""
        self.threads: list[str] = []
        """Names of those that have reported, in the order of the events."""

    def started(self, attempt_id: int, worker: str) -> None:
        self._note(attempt_id, "started", worker)

    def message(self, attempt_id: int, msg: object) -> None:
        assert self.hold.wait(PATIENCE_S)
        self.answer(attempt_id)
        self._note(attempt_id, "message", msg)

    def ended(self, attempt_id: int, outcome: Outcome) -> None:
        self._note(attempt_id, "ended", outcome)

    def broken(self, error: BaseException) -> None:
        self.errors.append(error)

    def has_room(self, attempt_id: int) -> bool:
        return next(self.room)

    def slots_changed(self) -> None:
        with self.changed:
            self.changed.notify_all()

    def lost(self, reason: str) -> None:
        self.errors.append(RuntimeError(reason))

    def _note(self, attempt_id: int, what: str, value: object) -> None:
        with self.changed:
            self.events.append((attempt_id, what, value))
            self.threads.append(threading.current_thread().name)
            self.changed.notify_all()

    def of(self, attempt_id: int, what: str) -> list[Any]:
        return [value for number, kind, value in self.events if (number, kind) == (attempt_id, what)]

    def kinds(self, attempt_id: int) -> list[str]:
        return [kind for number, kind, _ in self.events if number == attempt_id]

    def values(self, attempt_id: int) -> list[Any]:
        return [msg.value for msg in self.of(attempt_id, "message")]

    def wait_for(self, condition: Callable[[], object]) -> None:
        with self.changed:
            assert self.changed.wait_for(condition, PATIENCE_S), self.events[-20:]

    def outcome(self, attempt_id: int) -> Outcome:
        self.wait_for(lambda: self.of(attempt_id, "ended"))
        (outcome,) = self.of(attempt_id, "ended")
        assert isinstance(outcome, Outcome)
        return outcome

    def first_value(self, attempt_id: int) -> Any:
        self.wait_for(lambda: self.of(attempt_id, "message"))
        return self.values(attempt_id)[0]


class Rig:
    """An executor and what it reports."""

    def __init__(self, name: ExecutorName, slots: int = 2, address: str | None = None) -> None:
        self.log = Log()
        self.executor: Executor = make_executor(name, slots, address)
        self.executor.start(self.log)
        self.hard = self.executor.caps.hard_kill
        self.place = {"process": "worker process", "dask": "Dask worker"}.get(name, "")

    def submit(self, number: int, job: Callable[..., object], state: str | None = None, **params: Any) -> int:
        task = TaskDef(number, f"task-{number}", params=params)
        if self.executor.name == "async":
            job = async_jobs.of(job)
        self.executor.submit(Attempt(number, 1, task, job, frozenset({jobs.Note}), (Exception,), state))
        return number

    def run(self, number: int, job: Callable[..., object], **params: Any) -> Outcome:
        return self.log.outcome(self.submit(number, job, **params))


@contextmanager
def rig_of(request: pytest.FixtureRequest) -> Iterator[Rig]:
    # A cluster is slow to start, so all tests use one, each as a client of its own.
    address = request.getfixturevalue("cluster").address if request.param == "dask" else None
    made = Rig(request.param, address=address)
    yield made
    made.log.hold.set()
    made.executor.cancel(range(1000))
    made.executor.shutdown(0.2)
    assert made.log.errors == []


@pytest.fixture(params=["thread", "process", "dask", "async"])
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    with rig_of(request) as made:
        yield made


@pytest.fixture(params=["process", "dask"])
def own(request: pytest.FixtureRequest) -> Iterator[Rig]:
    """What has worker processes that it has started by itself."""
    made = Rig(request.param)
    yield made
    made.executor.cancel(range(1000))
    assert made.executor.shutdown(0.2) == 0


@pytest.fixture(params=["process", "dask"])
def processes(request: pytest.FixtureRequest) -> Iterator[Rig]:
    """What only an executor with processes of its own can do."""
    with rig_of(request) as made:
        yield made


def test_messages_come_in_order_between_one_start_and_one_end(rig: Rig) -> None:
    assert rig.run(1, jobs.count, messages=500) == Outcome(OutcomeKind.OK)
    assert rig.log.kinds(1) == ["started", *["message"] * 500, "ended"]
    assert rig.log.values(1) == list(range(500))


SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.binary(max_size=5)
NESTED = st.recursive(
    SCALARS | st.binary(max_size=5).map(bytearray) | st.sets(st.integers(), max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.tuples(inner, inner) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=30,
)


@given(values=st.lists(NESTED, min_size=1, max_size=20))
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_put_arrives_however_it_is_changed_afterwards(rig: Rig, values: list[Any]) -> None:
    wanted, number = copy.deepcopy(values), next(NUMBERS)
    assert rig.run(number, jobs.change_after_put, values=values) == Outcome(OutcomeKind.OK)
    assert rig.log.values(number) == wanted


def test_many_tasks_each_end_once(rig: Rig) -> None:
    for number in range(300):
        rig.submit(number, jobs.count, messages=3)
        if number:
            assert rig.log.outcome(number - 1).kind is OutcomeKind.OK
            assert rig.log.values(number - 1) == [0, 1, 2]
    rig.log.outcome(299)
    assert len([event for event in rig.log.events if event[1] == "ended"]) == 300


def test_an_exception_is_told_in_text_with_the_users_own_frames(rig: Rig) -> None:
    outcome = rig.run(1, jobs.fail)
    assert (outcome.kind, outcome.error_type, outcome.error) == (OutcomeKind.ERROR, "KeyError", "'temp_max'")
    assert "jobs.py" in outcome.traceback
    assert "runner.py" not in outcome.traceback
    assert outcome.retryable
    assert rig.log.values(1) == ["before"]


def test_the_time_after_which_a_worker_asks_to_come_back_is_told(rig: Rig) -> None:
    outcome = rig.run(1, jobs.come_back, seconds=2.5)
    assert (outcome.kind, outcome.retry_after_s, outcome.error) == (OutcomeKind.ERROR, 2.5, "retry after 2.5 s")
    assert rig.run(2, jobs.fail).retry_after_s is None


def test_limits_that_the_pipeline_lacks_are_refused_in_put_wherever_the_worker_is(rig: Rig) -> None:
    task = TaskDef(1, params={"limit": "api"})
    job = jobs.find_with_limit if rig.executor.name != "async" else async_jobs.of(jobs.find_with_limit)
    for number, limits in enumerate([frozenset[str](), frozenset({"api"})], 1):
        rig.executor.submit(Attempt(number, 1, task, job, frozenset({jobs.Note}), limits=limits))
    assert "names the limit 'api'" in rig.log.outcome(1).error
    assert rig.log.outcome(2).kind is OutcomeKind.OK
    assert rig.log.of(1, "message") == [], "without limits nothing counts a begin"
    begun, put = rig.log.of(2, "message")
    assert begun == Begun()
    assert put.found[0].limits == ("api",)


def test_an_exception_that_cannot_be_unpickled_harms_nobody(rig: Rig) -> None:
    assert rig.run(1, jobs.fail_with_two_arguments).error_type == "TwoArgumentsError"
    assert rig.run(2, jobs.nothing).kind is OutcomeKind.OK


@pytest.mark.parametrize(
    ("how", "name"), [("exit", "SystemExit"), ("interrupt", "KeyboardInterrupt"), ("generator", "GeneratorExit")]
)
def test_whatever_a_worker_raises_ends_its_attempt_and_nothing_else(rig: Rig, how: str, name: str) -> None:
    assert rig.run(1, jobs.leave, how=how).error_type == name
    assert rig.run(2, jobs.nothing).kind is OutcomeKind.OK


@pytest.mark.parametrize("job", ["wait", "compute", "flood"])
def test_what_runs_stops_when_it_is_asked_to(rig: Rig, job: str) -> None:
    rig.submit(1, getattr(jobs, job))
    rig.log.first_value(1)
    rig.executor.cancel([1])
    rig.executor.cancel([1, 99])
    assert rig.log.outcome(1) == Outcome(OutcomeKind.CANCELLED)


def test_work_that_is_finished_all_the_same_is_told_as_it_is(rig: Rig) -> None:
    rig.submit(1, jobs.finish_anyway)
    rig.log.first_value(1)
    rig.executor.cancel([1])
    assert rig.log.outcome(1).kind is OutcomeKind.OK
    assert rig.log.of(1, "message")[-1].message == "all the same"


def test_a_slow_writer_holds_the_worker_back_and_cancel_gets_through(rig: Rig) -> None:
    rig.log.hold.clear()
    rig.submit(1, jobs.flood)
    rig.log.wait_for(lambda: rig.log.of(1, "started"))
    rig.submit(2, jobs.nothing)
    assert rig.log.outcome(2).kind is OutcomeKind.OK
    assert rig.log.of(1, "message") == []
    rig.executor.cancel([1])
    rig.log.hold.set()
    assert rig.log.outcome(1).kind is OutcomeKind.CANCELLED
    values = rig.log.values(1)
    assert values == list(range(len(values)))


def test_memory_is_bounded_while_the_writer_stands_still(rig: Rig, tmp_path: Path, wait_for: WaitFor) -> None:
    rig.log.hold.clear()
    rig.submit(1, jobs.count_bytes, path=str(tmp_path / "taken"))
    rig.log.wait_for(lambda: rig.log.of(1, "started"))
    path, seen = tmp_path / "taken", [""]

    def stands_still() -> bool:
        pause.wait(0.5)
        now = path.read_text() if path.exists() else "0"
        before, seen[0] = seen[0], now
        return now != "" and now == before  # it is empty for a moment each time that it is written

    pause = threading.Event()
    wait_for(stands_still, 30)
    assert int(seen[0]) < 4_000_000
    rig.executor.cancel([1])
    rig.log.hold.set()
    assert rig.log.outcome(1).kind is OutcomeKind.CANCELLED


def test_a_message_that_the_engine_gives_up_ends_a_worker_that_is_being_stopped(rig: Rig) -> None:
    def give_up(attempt_id: int) -> None:
        raise TaskCancelled

    rig.log.answer = give_up
    rig.submit(1, jobs.flood)
    rig.log.wait_for(lambda: rig.log.of(1, "started"))
    rig.executor.cancel([1])
    assert rig.log.outcome(1).kind is OutcomeKind.CANCELLED


def test_a_dead_writer_stops_the_worker(rig: Rig) -> None:
    def fail(attempt_id: int) -> None:
        raise WriterFailedError("nothing can be saved any more")

    rig.log.answer = fail
    rig.submit(1, jobs.flood)
    assert rig.log.outcome(1).kind in (OutcomeKind.CANCELLED, OutcomeKind.ERROR)


def test_a_forked_child_cannot_publish_and_the_parent_goes_on(rig: Rig) -> None:
    assert rig.run(1, jobs.from_a_child).kind is OutcomeKind.OK
    assert rig.log.values(1) == ["MessageError"]


@pytest.mark.parametrize(("how", "code"), [("return", 0), ("exit", 3), ("raise", 1)])
def test_nothing_of_the_engine_runs_in_a_forked_child(rig: Rig, how: str, code: int) -> None:
    assert rig.run(1, partial(jobs.leave_a_fork, how=how)).kind is OutcomeKind.OK
    assert rig.log.values(1) == [str(code)]
    assert rig.run(2, jobs.nothing).kind is OutcomeKind.OK


def test_lifecycle_messages_travel_too(rig: Rig) -> None:
    assert rig.run(1, jobs.say).kind is OutcomeKind.OK
    assert rig.log.of(1, "message")[0] == MsgTaskProgress(1, 1, 2, "half")


def test_state_found_tasks_and_results_travel_too(rig: Rig) -> None:
    rig.submit(1, jobs.go_on, state='{"page": 811}')
    assert rig.log.outcome(1).kind is OutcomeKind.OK
    found = Found("found", "found", '{"n": 1}', 1, None, None)
    first = rig.log.of(1, "message")[0]
    assert first.weight > 0
    assert rig.log.of(1, "message") == [
        Together((jobs.Note(1, {"page": 811}),), (found,), '{"page": 812}', weight=first.weight),
        jobs.Note(1, {"page": 812}),
        Finish(Status.DONE, None, None, '{"rows": 2}'),
    ]


def test_the_key_of_its_inputs_is_told_before_the_users_code_runs(rig: Rig, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("1", encoding="utf-8")
    os.utime(path, (1_700_000_000, 1_700_000_000))
    job = async_jobs.of(jobs.say) if rig.executor.name == "async" else jobs.say
    for number, known in ((1, None), (2, f'{{"inputs":{{"{path}":[1,1700000000000000000,"known"]}}}}')):
        task = TaskDef(number, inputs=[path], version="3")
        rig.executor.submit(Attempt(number, 1, task, job, frozenset(), known_key=known))
        assert rig.log.outcome(number).kind is OutcomeKind.OK
        first, *others = rig.log.of(number, "message")
        key = json.loads(first.key)
        assert (type(first), len(others), key["version"]) == (InputsTaken, 3, "3")
        assert key["inputs"][str(path)][:2] == [1, 1_700_000_000_000_000_000]
        assert (key["inputs"][str(path)][2] == "known") is (known is not None)  # an unchanged file is not read


def test_an_input_that_is_missing_is_an_error_without_the_users_code(rig: Rig, tmp_path: Path) -> None:
    task = TaskDef(1, inputs=[tmp_path / "a.csv"])
    rig.executor.submit(Attempt(1, 1, task, jobs.say, frozenset()))
    outcome = rig.log.outcome(1)
    assert (outcome.error_type, outcome.traceback) == ("InputError", "")
    assert outcome.error.endswith(f"The input {tmp_path}/a.csv is missing.")
    assert rig.log.of(1, "message") == []


def test_an_idle_executor_shuts_down_at_once_and_twice(rig: Rig) -> None:
    rig.run(1, jobs.nothing)
    assert rig.executor.shutdown(PATIENCE_S) == 0
    assert rig.executor.shutdown(0.0) == 0


def test_shutting_down_leaves_a_deaf_thread_and_kills_a_deaf_process(rig: Rig, wait_for: WaitFor) -> None:
    rig.submit(1, jobs.deaf)
    pid = rig.log.first_value(1)
    assert rig.executor.shutdown(0.0) == (0 if rig.hard else 1)
    if rig.hard:
        assert rig.log.outcome(1).kind is OutcomeKind.LOST
        wait_for(lambda: not is_alive(pid))


def test_where_a_thread_or_coroutine_is_can_be_seen_and_a_process_keeps_it_to_itself(rig: Rig) -> None:
    rig.submit(1, jobs.deaf)
    rig.log.first_value(1)
    if rig.hard:
        assert rig.executor.stack(1) is None
        return
    stack = rig.executor.stack(1) or ""
    assert "in deaf" in stack
    assert "runner.py" not in stack
    assert rig.executor.stack(99) is None


def test_only_what_has_processes_can_kill(rig: Rig) -> None:
    rig.submit(1, jobs.deaf)
    rig.log.first_value(1)
    assert rig.executor.kill(1) is rig.hard
    assert rig.executor.kill(99) is False
    if rig.hard:
        assert re.search(r"SIGKILL|worker tcp://\S+ lost", rig.log.outcome(1).error)
        assert rig.run(2, jobs.nothing).kind is OutcomeKind.OK


# -- processes ---------------------------------------------------------------------------------------------------------


def test_the_memory_of_a_worker_process_is_known() -> None:
    rig = Rig("process", slots=1)
    rig.submit(1, jobs.wait)
    pid = rig.log.first_value(1)
    (worker,) = rig.executor.workers()
    assert worker.name == f"worker-1/{pid}"
    assert (worker.memory or 0) > 1_000_000
    rig.executor.cancel([1])
    assert rig.executor.shutdown(PATIENCE_S) == 0


@pytest.mark.parametrize(("how", "words"), [("kill", "SIGKILL"), ("segfault", "SIGSEGV"), ("exit", "exit code 7")])
def test_a_worker_process_that_dies_ends_its_own_attempt_only(processes: Rig, how: str, words: str) -> None:
    processes.submit(2, jobs.wait)
    neighbour = processes.log.first_value(2)
    outcome = processes.run(1, jobs.die, how=how)
    assert (outcome.kind, outcome.retryable, outcome.started) == (OutcomeKind.LOST, True, True)
    assert words in outcome.error or re.fullmatch(r"worker tcp://[\d.:]+ lost", outcome.error)
    values = processes.log.values(1)
    assert values == list(range(len(values)))
    os.kill(neighbour, 0)
    assert processes.run(3, jobs.count, messages=2).kind is OutcomeKind.OK


@pytest.mark.parametrize("name", ["process", "dask"])
def test_a_worker_process_that_dies_is_started_again_each_time(name: ExecutorName) -> None:
    # Dask gives up a worker that is not there again in this time: 15 s, and it looks after every death.
    with dask.config.set({"distributed.deploy.lost-worker-timeout": "10 ms"}):
        own = Rig(name, slots=1)
        for number in (1, 2, 3):
            assert own.run(number, jobs.die, how="exit").kind is OutcomeKind.LOST
        assert own.run(4, jobs.count, messages=2).kind is OutcomeKind.OK
        assert own.executor.shutdown(PATIENCE_S) == 0


@pytest.mark.parametrize("first", [0, 3])
def test_a_worker_process_that_has_closed_its_descriptors_ends_its_own_attempt_only(first: int) -> None:
    own = Rig("process", slots=1)
    outcome = own.run(1, jobs.close_descriptors, first=first)
    assert (outcome.kind, outcome.retryable, outcome.started) == (OutcomeKind.LOST, True, True)
    assert own.run(2, jobs.nothing).kind is OutcomeKind.OK
    assert own.executor.shutdown(PATIENCE_S) == 0


def test_a_message_that_cannot_leave_its_process_raises_in_the_workers_own_call(processes: Rig) -> None:
    outcome = processes.run(1, jobs.publish, what="unpicklable")
    assert (outcome.kind, outcome.error_type) == (OutcomeKind.ERROR, "MessageError")
    assert f"Note cannot leave its {processes.place}: TypeError: it does not want to travel" in outcome.error


def test_a_message_that_breaks_on_arrival_fails_its_attempt(processes: Rig) -> None:
    outcome = processes.run(1, jobs.publish, what="grenade")
    assert (outcome.kind, outcome.error_type) == (OutcomeKind.ERROR, "RuntimeError")
    assert f"cannot be taken from its {processes.place}: it breaks on arrival" in outcome.error
    assert processes.log.of(1, "message") == []
    assert processes.run(2, jobs.nothing).kind is OutcomeKind.OK


def test_a_task_that_cannot_be_sent_is_refused_by_itself(processes: Rig) -> None:
    processes.executor.submit(Attempt(1, 1, jobs.Unpicklable(), jobs.nothing, frozenset()))
    outcome = processes.log.outcome(1)
    assert (outcome.kind, outcome.started) == (OutcomeKind.REJECTED, False)
    assert f"cannot be sent to a {processes.place}: it does not want to travel" in outcome.error


def test_what_has_not_started_is_cancelled_without_a_start(processes: Rig) -> None:
    gate = threading.Event()
    processes.submit(1, jobs.nothing, load=jobs.Slow(gate.wait))
    processes.executor.cancel([1])
    gate.set()
    assert processes.log.outcome(1) == Outcome(OutcomeKind.CANCELLED, started=False)
    assert processes.log.kinds(1) == ["ended"]


def test_a_task_that_breaks_on_arrival_is_refused_by_itself(processes: Rig) -> None:
    outcome = processes.run(1, jobs.nothing, load=jobs.Grenade())
    assert (outcome.kind, outcome.started) == (OutcomeKind.REJECTED, False)
    assert (
        f"cannot be loaded {'in' if 'process' in processes.place else 'on'} a {processes.place}: it breaks on arrival"
        in outcome.error
    )
    assert processes.run(2, jobs.nothing).kind is OutcomeKind.OK


def test_a_worker_function_that_no_process_can_find_is_refused_before_anything_starts(tmp_path: Path) -> None:
    from pipeloom import run_pipeline

    with pytest.raises(UsageError, match="worker_fn must be defined at the top level of a module"):
        run_pipeline(tmp_path / "etl.db", Pipeline("p", [TaskDef(1, "a")], lambda task, q: None), executor="process")
    assert list(tmp_path.iterdir()) == []


def test_a_process_that_dies_while_idle_is_replaced_unseen(processes: Rig, tmp_path: Path) -> None:
    processes.run(1, jobs.touch, folder=str(tmp_path))
    first = int((tmp_path / "1").read_text())
    os.kill(first, signal.SIGKILL)
    assert processes.run(2, jobs.touch, folder=str(tmp_path)).kind is OutcomeKind.OK
    assert int((tmp_path / "2").read_text()) != first
    assert int((tmp_path / "1").read_text()) == first, "what has ended is not run again with its worker"


def test_signals_to_the_whole_group_are_not_for_the_worker_processes(own: Rig) -> None:
    own.submit(1, jobs.wait)
    pid = own.log.first_value(1)
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        os.kill(pid, number)
    own.executor.cancel([1])
    assert own.log.outcome(1) == Outcome(OutcomeKind.CANCELLED)


SCRIPT = """
import sys
from pipeloom import TaskDef, run_pipeline
def work(task, q):
    pass
if {guard}:
    summary = run_pipeline(sys.argv[1], [TaskDef(1, "a")], worker_fn=work, executor="{executor}", ui="none")
    print(summary.ok, *[task.error for task in summary.failed])
"""


@pytest.mark.parametrize("executor", ["process", "dask"])
def test_a_scripts_own_function_is_found_and_nothing_is_said_besides(tmp_path: Path, executor: str) -> None:
    done = run_script(tmp_path, executor, "__name__ == '__main__'")
    assert (done.stdout, done.stderr) == ("True\n", "")


@pytest.mark.parametrize("executor", ["process", "dask"])
def test_a_script_without_a_guard_is_told_so(tmp_path: Path, executor: str) -> None:
    done = run_script(tmp_path, executor, "True")
    assert done.stdout.startswith("False ") or done.returncode == 1
    assert "a script needs `if __name__ == '__main__':`" in done.stdout + done.stderr


def run_script(folder: Path, executor: str, guard: str) -> subprocess.CompletedProcess[str]:
    script = folder / "script.py"
    script.write_text(SCRIPT.format(guard=guard, executor=executor))
    return subprocess.run(
        [sys.executable, script, folder / "etl.db"], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.kill
@pytest.mark.parametrize("waits", ["q.sleep(600)", "child.wait()"])
def test_what_a_worker_process_has_started_does_not_outlive_the_program(
    tmp_path: Path, wait_for: WaitFor, waits: str
) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import subprocess, sys\nfrom pathlib import Path\nfrom pipeloom import TaskDef, run_pipeline\n"
        "def work(task, q):\n"
        "    child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "    Path(sys.argv[1], f'pid-{child.pid}').touch()\n"
        f"    {waits}\n"
        "if __name__ == '__main__':\n"
        "    run_pipeline(Path(sys.argv[1], 'etl.db'), [TaskDef(1, 'a')], worker_fn=work, executor='process')\n"
    )
    program = subprocess.Popen([sys.executable, script, tmp_path], stderr=subprocess.DEVNULL)
    wait_for(lambda: list(tmp_path.glob("pid-*")), 30)
    (child,) = [int(path.name.removeprefix("pid-")) for path in tmp_path.glob("pid-*")]
    program.kill()
    program.wait()
    wait_for(lambda: is_gone(child), 10)


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.kill
@pytest.mark.parametrize("executor", ["process", "dask"])
def test_worker_processes_do_not_outlive_the_program(tmp_path: Path, wait_for: WaitFor, executor: str) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, time\nfrom pathlib import Path\nfrom pipeloom import TaskDef, run_pipeline\n"
        "def work(task, q):\n    import os\n    Path(sys.argv[1], f'pid-{os.getpid()}').touch()\n    time.sleep(600)\n"
        "if __name__ == '__main__':\n"
        "    run_pipeline(Path(sys.argv[1], 'etl.db'), [TaskDef(1, 'a'), TaskDef(2, 'b')], worker_fn=work, \n"
        f"        workers=2, executor='{executor}')\n"
    )
    program = subprocess.Popen([sys.executable, script, tmp_path], stderr=subprocess.DEVNULL)
    wait_for(lambda: len(list(tmp_path.glob("pid-*"))) == 2, 30)
    workers = [int(path.name.removeprefix("pid-")) for path in tmp_path.glob("pid-*")]
    program.kill()
    program.wait()
    wait_for(lambda: not any(map(is_alive, workers)), 30)
