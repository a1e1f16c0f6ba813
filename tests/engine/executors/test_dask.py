"""What is Dask's own: clusters that are started by their own commands, that grow, lose workers, or go away."""

from __future__ import annotations

import logging
import os
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from distributed import Client
from tests.conftest import WaitFor
from tests.engine.conftest import Bench, Gate

from pipeloom import run_pipeline
from pipeloom.code.sources import Source, load_sources
from pipeloom.engine.attempt import Attempt, Outcome, OutcomeKind
from pipeloom.engine.engine import Engine
from pipeloom.engine.executors.dask import control
from pipeloom.engine.executors.dask.attempts import Lookahead
from pipeloom.engine.executors.dask.cluster import Cluster
from pipeloom.engine.executors.dask.executor import DaskExecutor
from pipeloom.engine.executors.dask.serialization import packed, unpacked
from pipeloom.engine.executors.dask.worker.outbox import BATCH_BYTES, Outbox
from pipeloom.engine.options import EngineOptions
from pipeloom.errors import UsageError
from pipeloom.loader import import_file
from pipeloom.messages import TaskDef
from pipeloom.pipeline import Pipeline, RetryPolicy, WorkerFn
from pipeloom.protocols import Channel
from pipeloom.status import Exit

jobs: Any = import_file(str(Path(__file__).parents[1] / "jobs.py"))
DASK = Path(sys.executable).with_name("dask")
LONG_S = 120.0
"""Seconds within which what is waited for comes on a busy machine too: a bound for what never comes, not a measure."""


class Commands:
    """A scheduler and workers, as somebody starts them on two machines: with Dask's own settings."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = folder / "scheduler.json"
        self.processes: list[subprocess.Popen[bytes]] = []
        self._start(
            "scheduler",
            "--host",
            "127.0.0.1",
            "--port",
            "0",
            "--dashboard-address",
            "127.0.0.1:0",
            "--scheduler-file",
            self._file,
        )
        self.scheduler = self.processes[0]

    def add_worker(self) -> None:
        """Add one, which finds the scheduler when that is there."""
        self._start(
            "worker", "--host", "127.0.0.1", "--nthreads", "1", "--no-dashboard", "--scheduler-file", self._file
        )

    def address(self, wait_for: WaitFor) -> str:
        import json

        wait_for(self._file.exists, LONG_S)
        wait_for(lambda: self._file.read_text().strip().endswith("}"), LONG_S)
        return str(json.loads(self._file.read_text())["address"])

    def stop(self) -> None:
        for process in self.processes:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(20)

    def _start(self, *command: object) -> None:
        with (self._folder / f"dask-{len(self.processes)}.log").open("wb") as log:
            self.processes.append(
                subprocess.Popen(
                    [DASK, *map(str, command)],
                    cwd=self._folder,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            )


@pytest.fixture
def commands(tmp_path: Path) -> Iterator[Commands]:
    made = Commands(tmp_path)
    for _ in range(2):
        made.add_worker()
    yield made
    made.stop()


class Waiting:
    """A `Reports` for an executor that is looked at, not listened to."""

    def __init__(self) -> None:
        self.at: dict[int, list[float]] = {}
        self.ends: dict[int, Outcome] = {}

    def has_heard(self, attempt_id: int, messages: int) -> bool:
        return len(self.at.get(attempt_id, ())) >= messages

    def started(self, attempt_id: int, worker: str) -> None:
        self.at.setdefault(attempt_id, [])

    def message(self, attempt_id: int, msg: Any) -> None:
        self.at[attempt_id].append(time.time() - msg.value)

    def ended(self, attempt_id: int, outcome: Outcome) -> None:
        self.ends[attempt_id] = outcome

    def broken(self, error: BaseException) -> None:
        raise error

    def has_room(self, attempt_id: int) -> bool:
        return False

    def slots_changed(self) -> None:
        pass

    def lost(self, reason: str) -> None:
        pass


def is_gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def pipeline_at(address: str, job: WorkerFn, tasks: int = 1, **more: Any) -> Pipeline:
    made = Pipeline(
        "dask", [TaskDef(n, "a") for n in range(1, tasks + 1)], job, executor="dask", address=address, **more
    )
    made.schema(lambda conn: conn.execute("CREATE TABLE IF NOT EXISTS notes (task_id, value)"))
    made.handler(jobs.Note)(lambda conn, msg: conn.execute("INSERT INTO notes VALUES (?, ?)", (msg.task_id, msg.value)))
    return made


@pytest.mark.kill
def test_a_cluster_of_their_own_commands_loses_a_worker_and_then_its_scheduler(
    commands: Commands, bench: Bench, wait_for: WaitFor
) -> None:
    """Dask would run the lost attempt again by itself: it is the history that must tell of it, by a next attempt."""
    address = commands.address(wait_for)
    pipeline = pipeline_at(address, jobs.wait, 3, retry=RetryPolicy(retries=3, backoff=0))
    engine = bench.engine(jobs.wait, 3, pipeline=pipeline)
    engine.start()
    wait_for(lambda: engine.load().workers == 2, LONG_S)
    bench.recorder.wait_until(lambda: len(bench.rows("SELECT value FROM notes")) == 2)
    ((pid, task_id), *_) = bench.rows("SELECT value, task_id FROM notes")
    os.kill(pid, signal.SIGKILL)
    lost = bench.recorder.wait_for_status("error", task_id)
    assert lost.error_type == "WorkerLost"
    assert lost.message == f"WorkerLost: worker tcp://{lost.worker} lost"
    bench.recorder.wait_for_status("retrying", task_id, attempt=2)
    # Each attempt ran once: nobody has heard of a second run of the lost one.
    assert bench.rows("SELECT count(*) FROM notes WHERE value = ?", pid) == [(1,)]
    commands.scheduler.kill()
    assert engine.wait(LONG_S)
    gone = f"the Dask scheduler {address} is gone"
    ended = bench.rows("SELECT status, message FROM task_runs WHERE status != 'error'")
    assert ended == [("interrupted", gone)] * 3
    assert bench.rows("SELECT status FROM pipeline_runs") == [("interrupted",)]
    begun = time.monotonic()
    engine.close()
    assert time.monotonic() - begun < 5
    assert engine.summary().trouble == gone
    assert engine.summary().exit_code is Exit.FAILED
    assert engine.retry([1]).accepted == ()


def test_an_address_that_nobody_answers_at_is_one_sentence_and_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeloom.engine.executors.dask.cluster.CONNECT_S", 0.2)
    with pytest.raises(
        UsageError, match=r"^There is no Dask scheduler to talk to at 'tcp://127\.0\.0\.1:9': [^.].*\.$"
    ):
        run_pipeline(tmp_path / "etl.db", [TaskDef(1, "a")], worker_fn=jobs.nothing, address="tcp://127.0.0.1:9")
    assert not (tmp_path / "etl.db").exists()


def test_the_programs_say_so_too_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "p.py").write_text("from pipeloom import *\npipeline = Pipeline('p', [TaskDef(1, 'a')], print)\n")
    refused = [
        (["--address", "tcp://127.0.0.1:9"], "There is no Dask scheduler to talk to at 'tcp://127.0.0.1:9': "),
        (["--address", "tcp://127.0.0.1"], "There is no Dask scheduler to talk to at 'tcp://127.0.0.1': missing port"),
        (["--address", "tcp://127.0.0.1:9", "--executor", "thread"], "address goes with executor="),
    ]

    def run(name: str, arguments: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "pipeloom", "run", name, "p.py", *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=LONG_S,
            check=False,
        )

    with ThreadPoolExecutor(len(refused)) as side_by_side:
        ended = list(side_by_side.map(run, ("a.db", "b.db", "c.db"), [arguments for arguments, _ in refused]))
    for done, (_, words) in zip(ended, refused, strict=True):
        assert (done.returncode, done.stdout) == (Exit.USAGE, "")
        assert done.stderr.startswith(f"pipeloom: {words}")
        assert done.stderr.count("\n") == 1
    assert not list(tmp_path.glob("*.db"))


@pytest.mark.parametrize(
    "address",
    ["nonsense://x", "tcp://", "", "tls://127.0.0.1:9", "tcp://127.0.0.1", "localhost", "tcp://a:b", "inproc://x"],
)
def test_what_is_no_address_is_told_so(tmp_path: Path, address: str) -> None:
    with pytest.raises(UsageError, match=r"Dask.*': \w.*\.$"):
        run_pipeline(tmp_path / "etl.db", [TaskDef(1, "a")], worker_fn=jobs.nothing, address=address)


def test_who_listens_and_says_nothing_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dask waits for the handshake without end."""
    monkeypatch.setattr("pipeloom.engine.executors.dask.cluster.CONNECT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        address = f"tcp://127.0.0.1:{mute.getsockname()[1]}"
        with pytest.raises(UsageError, match="does not answer as Dask does"):
            run_pipeline(tmp_path / "etl.db", [TaskDef(1, "a")], worker_fn=jobs.nothing, address=address)


def test_the_address_of_a_worker_is_told_to_be_one(tmp_path: Path, cluster: Cluster) -> None:
    nannies = [one["nanny"] for one in cluster.info().values()]
    for address, who in ((next(iter(cluster.info())), "worker"), (nannies[0], "nanny")):
        with pytest.raises(UsageError, match=f"a Dask {who} listens there"):
            run_pipeline(tmp_path / "etl.db", [TaskDef(1, "a")], worker_fn=jobs.nothing, address=address)


def test_a_cluster_that_wants_certificates_gets_them_from_dasks_own_configuration(bench: Bench, tmp_path: Path) -> None:
    import dask
    from distributed import LocalCluster
    from distributed.security import Security

    security = Security.temporary()
    options = {"n_workers": 1, "threads_per_worker": 1, "host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
    with LocalCluster(security=security, protocol="tls", silence_logs=logging.CRITICAL, **options) as cluster:
        address = cluster.scheduler_address
        files = {}
        for role, value in (
            ("ca-file", security.tls_ca_file),
            ("cert", security.tls_client_cert),
            ("key", security.tls_client_key),
        ):
            files[role] = tmp_path / role
            files[role].write_text(value)
        client = {"cert": str(files["cert"]), "key": str(files["key"])}
        settings = {"distributed.comm.tls.ca-file": str(files["ca-file"]), "distributed.comm.tls.client": client}
        with dask.config.set(settings):
            bench.run(jobs.count, [TaskDef(1, "a", params={"messages": 5})], pipeline=pipeline_at(address, jobs.count))
        assert bench.rows("SELECT count(*) FROM notes") == [(5,)]


def test_an_address_goes_with_dask_alone() -> None:
    with pytest.raises(UsageError, match='address goes with executor="dask"'):
        EngineOptions(executor="thread", address="tcp://127.0.0.1:8786")
    pipeline = Pipeline("p", [], jobs.nothing, executor="process")
    options = EngineOptions(address="tcp://127.0.0.1:8786")
    assert options.executor_for(pipeline) == "dask"
    assert options.limit_for(pipeline) is None
    assert EngineOptions(executor="thread").address_for(pipeline) is None


def test_a_worker_function_that_cannot_travel_is_refused_before_anything_starts(tmp_path: Path) -> None:
    import threading

    lock = threading.Lock()

    def work(task: TaskDef, q: Channel) -> None:
        with lock:
            pass

    with pytest.raises(UsageError, match="worker_fn must be picklable"):
        run_pipeline(tmp_path / "etl.db", [TaskDef(1, "a")], worker_fn=work, executor="dask")
    assert list(tmp_path.iterdir()) == []


def test_without_the_extra_the_sentence_names_it(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['distributed'] = None\n"
        "from pipeloom import TaskDef, run_pipeline\n"
        "run_pipeline('etl.db', [TaskDef(1, 'a')], worker_fn=print, executor='dask')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1].endswith(
        "UsageError: The dask executor needs Dask's distributed: pip install 'pipeloom[dask]'"
    )


def test_dask_is_loaded_by_nobody_who_does_not_ask_for_it(tmp_path: Path) -> None:
    code = (
        "import sys, pipeloom.cli.main, pipeloom.cli.cockpit, pipeloom.executors\n"
        "from pipeloom import TaskDef, run_pipeline\n"
        "run_pipeline('etl.db', [TaskDef(1, 'a')], worker_fn=lambda task, q: None, ui='none')\n"
        "print(*{name.split('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert not {"dask", "distributed", "cloudpickle", "tornado", "psutil"} & set(done.stdout.split())


def test_a_cluster_of_our_own_grows_keeps_to_this_machine_and_leaves_nothing(bench: Bench, wait_for: WaitFor) -> None:
    handlers = logging.getLogger("distributed").handlers
    pipeline = pipeline_at("", jobs.wait, 3, workers=1)
    pipeline.address = None
    engine = bench.engine(jobs.wait, 3, pipeline=pipeline)
    engine.start()
    bench.recorder.wait_until(lambda: len(bench.rows("SELECT value FROM notes")) == 1)
    assert engine.load().workers == 1
    assert not listening_elsewhere(os.getpid())
    engine.set_workers(2)
    bench.recorder.wait_until(lambda: len(bench.rows("SELECT value FROM notes")) == 2)
    assert engine.load().workers == engine.load().wanted == 2
    (first, _) = engine.commands.workers()
    assert first.name.startswith("tcp://127.0.0.1:")
    assert first.slots == 1
    assert sorted(number for one in engine.commands.workers() for number in one.attempts) == [1, 2]
    wait_for(lambda: all(worker.memory for worker in engine.commands.workers()))  # comes with a heartbeat
    (pid, other) = (value for (value,) in bench.rows("SELECT value FROM notes"))
    os.kill(pid, signal.SIGKILL)
    bench.recorder.wait_for_status("error", bench.rows("SELECT task_id FROM notes WHERE value=?", pid)[0][0])
    engine.close(1.0)
    for number in (pid, other):
        wait_for(partial(is_gone, number))
    assert logging.getLogger("distributed").handlers == handlers


def test_what_dask_has_to_say_of_a_dead_worker_reaches_nobodys_screen(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import os\nfrom pipeloom import TaskDef, run_pipeline\n"
        "def work(task, q):\n    print('printed')\n    os.write(1, b'') if task.task_id > 1 else os._exit(1)\n"
        "if __name__ == '__main__':\n    tasks = [TaskDef(number, 'a') for number in range(1, 5)]\n"
        "    print(run_pipeline('etl.db', tasks, worker_fn=work, workers=2, executor='dask', ui='none').failed[0].error)\n"
    )
    done = subprocess.run(
        [sys.executable, script], cwd=tmp_path, capture_output=True, text=True, timeout=LONG_S, check=False
    )
    assert done.stdout.startswith("WorkerLost: worker tcp://127.0.0.1:")
    assert (done.stdout.count("\n"), done.stderr) == (1, "")


def test_workers_that_are_ended_by_force_are_nobodys_news(tmp_path: Path) -> None:
    """A machine under load is slow to close a cluster: Dask then finds out what has become of its workers."""
    (tmp_path / "script.py").write_text("""
import os, signal, time
from pipeloom.engine.executors.dask.executor import DaskExecutor
class Nobody:
    def slots_changed(self): pass
if __name__ == "__main__":
    executor = DaskExecutor(1)
    executor.start(Nobody())
    for pid in executor._cluster.pids:
        os.kill(pid, signal.SIGSTOP)
    executor.shutdown(0.0)
""")
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=LONG_S, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_dasks_loggers_are_silent_while_a_run_goes_on_and_what_they_say_is_in_our_log() -> None:
    code = (
        "import distributed, logging\nfrom pipeloom.engine.executors.dask.log_routing import quiet_loggers\n"
        "names = ('distributed', 'distributed.client', 'distributed.scheduler', 'tornado.application', 'bokeh')\n"
        "ours, kept = logging.getLogger('pipeloom.dask'), []\n"
        "ours.setLevel(logging.DEBUG)\nours.propagate = False\nours.addHandler(logging.NullHandler())\n"
        "ours.addFilter(lambda record: kept.append(record) or True)\n"
        "quiet_loggers.start()\nquiet_loggers.start()\nquiet_loggers.stop()\n"
        "for name in names:\n    logging.getLogger(name).critical('noise of %s', name)\n"
        "quiet_loggers.stop()\nlogging.getLogger('distributed').critical('back')\nprint(len(kept))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=LONG_S, check=True)
    assert (done.stdout, done.stderr.count("\n"), "back" in done.stderr) == ("5\n", 1, True), done.stderr


def test_what_the_loops_of_dask_leave_behind_reaches_nobodys_screen(tmp_path: Path) -> None:
    """Its senders wait for news until a deadline; one that passes while the loop ends is nobody's to hear of."""
    (tmp_path / "script.py").write_text("""
import asyncio, gc, threading
from dataclasses import dataclass
from distributed import get_worker
from distributed.utils import LoopRunner
from pipeloom import Pipeline, TaskDef, run_pipeline

@dataclass
class Hello:
    task_id: int

def leave_a_future_behind(loop):
    left = threading.Event()
    def leave():
        asyncio.Future().set_exception(TimeoutError("Timeout"))
        gc.collect()
        left.set()
    loop.asyncio_loop.call_soon_threadsafe(leave)
    assert left.wait(20)

def work(task, q):
    leave_a_future_behind(get_worker().loop)
    q.put(Hello(task.task_id))

if __name__ == "__main__":
    pipeline = Pipeline("p", [TaskDef(1, "a")], work)
    pipeline.handler(Hello)(lambda conn, msg: [leave_a_future_behind(loop) for loop in list(LoopRunner._all_loops)])
    summary = run_pipeline("etl.db", pipeline, executor="dask", ui="none")
    print(summary.ok, *[task.error for task in summary.failed])
""")
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=LONG_S, check=False
    )
    assert (done.stdout, done.stderr) == ("True\n", "")


def listening_elsewhere(pid: int) -> list[str]:
    """Return the addresses but this machine's own that the process, or a child of it, accepts connections at."""
    inodes = set()
    for process in [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]:
        for entry in Path(f"/proc/{process}/fd").iterdir():
            try:
                target = str(entry.readlink())
            except OSError:
                continue
            if target.startswith("socket:["):
                inodes.add(target.removeprefix("socket:[").removesuffix("]"))
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:] + Path("/proc/net/tcp6").read_text().splitlines()[1:]
    found = [line.split() for line in lines]
    return [line[1] for line in found if line[3] == "0A" and line[9] in inodes and not line[1].startswith("0100007F:")]


@pytest.mark.alone
def test_messages_arrive_while_the_task_runs_and_a_cancel_gets_there_at_once(
    cluster: Cluster, wait_for: WaitFor
) -> None:
    executor, reports = DaskExecutor(2, cluster.address), Waiting()
    executor.start(reports)
    stops = []
    for number in range(1, 6):
        executor.submit(Attempt(number, 1, TaskDef(number, "a"), jobs.tick, frozenset({jobs.Note})))
        wait_for(partial(reports.has_heard, number, 20))
        asked = time.monotonic()
        executor.cancel([number])
        wait_for(partial(reports.ends.__contains__, number))
        stops.append(time.monotonic() - asked)
        assert reports.ends[number].kind is OutcomeKind.CANCELLED
    executor.shutdown(1.0)
    assert statistics.median([late for lates in reports.at.values() for late in lates]) < 0.3
    assert statistics.median(stops) < 0.2


def test_what_waits_at_a_cluster_follows_from_how_long_tasks_take() -> None:
    lookahead = Lookahead()
    assert lookahead.per_slot == 0
    for _ in range(20):
        lookahead.add(0.001)
    assert lookahead.per_slot > 0
    for _ in range(20):
        lookahead.add(5)
    assert lookahead.per_slot == 0


def test_a_file_that_the_worker_does_not_have_travels_as_its_text(tmp_path: Path) -> None:
    source = Source("pipeloom_file_elsewhere_00000000", str(tmp_path / "elsewhere.py"), b"def f():\n    return 1\n")
    load_sources([source])
    assert sys.modules[source.name].f() == 1
    newer = Source(source.name, source.path, b"def f():\n    return 1 / 0\n")
    load_sources([newer])
    source_again = sys.modules[source.name]
    load_sources([newer])
    assert sys.modules[source.name] is source_again
    with pytest.raises(ZeroDivisionError) as caught:
        source_again.f()
    assert "return 1 / 0" in str(caught.getrepr(style="native"))
    broken = Source(source.name, source.path, b"raise KeyError('on import')\n")
    with pytest.raises(KeyError):
        load_sources([broken])
    assert source.name not in sys.modules


def test_what_was_not_sent_along_is_imported_from_there(tmp_path: Path) -> None:
    path = tmp_path / "here.py"
    path.write_text("import neighbour\nvalue = neighbour.value\n")
    (tmp_path / "neighbour.py").write_text("value = 7\n")
    module = import_file(str(path))
    source = Source(module.__name__, str(path), path.read_bytes())
    del sys.modules[module.__name__]
    load_sources([source])
    assert sys.modules[module.__name__].value == 7


def test_a_class_of_a_script_comes_back_as_the_same_class() -> None:
    code = (
        "from dataclasses import dataclass\n"
        "from pipeloom.engine.executors.dask.serialization import packed, packed_code, unpacked, unpacked_code\n"
        "@dataclass(frozen=True)\nclass Note:\n    value: int\n"
        "first = packed(Note(1))\n"
        "assert type(unpacked(first)) is Note\n"
        "code = packed_code((print, frozenset({Note}), ()))\n"
        "assert len(packed(Note(1))) < len(first) / 4, 'what both ends know need not travel'\n"
        "assert unpacked_code(code)[1] == {Note} and type(unpacked(packed(Note(1)))) is Note\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert unpacked(packed(jobs.Note(1, 2))) == jobs.Note(1, 2)


async def test_an_outbox_keeps_order_bounds_what_waits_and_lets_go_of_who_gives_up() -> None:
    import asyncio
    import pickle

    batches: list[bytes] = []
    may_go, taken = asyncio.Event(), asyncio.Event()

    async def put(batch: bytes) -> None:
        batches.append(batch)
        taken.set()
        await may_go.wait()

    outbox = Outbox(asyncio.get_running_loop(), put)
    assert outbox.add(("message", 1, 0), 10, lambda: False) == 1
    await asyncio.wait_for(taken.wait(), LONG_S)
    for number in range(1, 5):
        outbox.add(("message", 1, number), BATCH_BYTES // 2, lambda: False)
    assert outbox.add(("message", 1, "too much"), 10, lambda: True) is None
    assert outbox.add(("ended", 1, None), 10) == 6
    may_go.set()
    assert await asyncio.to_thread(outbox.await_sent, 6, lambda: False)
    sent = [pickle.loads(batch) for batch in batches]
    assert [value for batch in sent for _, _, value in batch] == [0, 1, 2, 3, 4, None]
    assert len(sent) == 4


async def test_an_outbox_without_a_scheduler_takes_nothing_more() -> None:
    import asyncio

    async def put(batch: bytes) -> None:
        raise OSError("gone")

    outbox = Outbox(asyncio.get_running_loop(), put)
    number = outbox.add(("message", 1, 0), 10, lambda: False)
    assert number == 1
    assert not await asyncio.to_thread(outbox.await_sent, number, lambda: False)
    assert outbox.add(("message", 1, 1), 10, lambda: False) is None


def test_a_run_whose_size_nobody_has_named_takes_all_of_the_cluster(bench: Bench, cluster: Cluster) -> None:
    engine: Engine = bench.engine(jobs.nothing, 3, pipeline=pipeline_at(cluster.address, jobs.nothing, 3))
    engine.start()
    assert engine.load().workers == 2
    assert engine.wait(LONG_S)
    engine.close()
    assert bench.rows("SELECT workers, executor FROM pipeline_runs") == [(2, "dask")]
    assert bench.rows("SELECT DISTINCT status FROM task_runs") == [("done",)]


def test_what_is_done_is_not_run_again_when_its_worker_dies_before_the_program_has_heard_of_it(
    cluster: Cluster, tmp_path: Path, gate: Gate, wait_for: WaitFor
) -> None:
    class Busy(Waiting):
        def started(self, attempt_id: int, worker: str) -> None:
            if attempt_id == 1:
                gate.pass_through()

    reports = Busy()
    executor = DaskExecutor(2, cluster.address)
    executor.start(reports)
    task = [TaskDef(n, "a", params={"folder": str(tmp_path)}) for n in (1, 2)]
    executor.submit(Attempt(1, 1, task[0], jobs.touch, frozenset()))
    gate.await_arrival()
    wait_for(lambda: "finished" in [future.status for future in executor._cluster.client.futures.values()], LONG_S)
    first = (tmp_path / "1").read_text()
    os.kill(int(first), signal.SIGKILL)
    executor.submit(Attempt(2, 1, task[1], jobs.touch, frozenset()))
    wait_for(lambda: 2 in reports.ends, LONG_S)
    gate.open()
    wait_for(lambda: 1 in reports.ends, LONG_S)
    assert executor.shutdown(5.0) == 0
    assert (tmp_path / "1").read_text() == first
    assert {end.kind for end in reports.ends.values()} == {OutcomeKind.OK}


def left_at(client: Client) -> tuple[list[str], list[str]]:
    """Return what the scheduler still has of pipeloom's: queues, and plugins for workers to come."""

    def look(dask_scheduler: Any) -> tuple[list[str], list[str]]:
        return list(dask_scheduler.extensions["queues"].queues), [
            name
            for name in (*dask_scheduler.worker_plugins, *dask_scheduler.plugins)
            if str(name).startswith("pipeloom")
        ]

    found: tuple[list[str], list[str]] = client.run_on_scheduler(look)
    return found


def test_a_scheduler_keeps_nothing_of_a_run_that_is_over(tmp_path: Path, cluster: Cluster) -> None:
    run_pipeline(tmp_path / "etl.db", [TaskDef(1, "a")], worker_fn=jobs.nothing, address=cluster.address)
    assert left_at(cluster.client) == ([], [])


def test_a_scheduler_keeps_nothing_of_a_program_that_was_killed(commands: Commands, wait_for: WaitFor) -> None:
    """Workers that come later would get ready for it for ever."""
    address = commands.address(wait_for)
    code = f"""
import os, signal
from pipeloom.engine.executors.dask.executor import DaskExecutor
class Nobody:
    def slots_changed(self): pass
executor = DaskExecutor(None, {address!r})
executor.start(Nobody())
print(executor.slots, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    with Client(address, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=LONG_S)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=LONG_S, check=False)
        assert (done.stdout, done.returncode) == ("2\n", -signal.SIGKILL), done.stderr
        wait_for(lambda: left_at(client) == ([], []), LONG_S)


def test_a_worker_that_is_gone_already_is_ended_without_a_word(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "_RESTART_AFTER_S", 0.0)
    before = set(threading.enumerate())
    failed: list[object] = []
    monkeypatch.setattr(threading, "excepthook", failed.append)
    control.WorkerControl("run", cluster).kill("key", "tcp://127.0.0.1:9", lambda: False)
    for timer in set(threading.enumerate()) - before:
        timer.join(20)
    assert failed == []
