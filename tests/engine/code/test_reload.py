"""Code that is loaded again while a run goes on: what runs which version, in every executor."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.engine.conftest import PATIENCE_S, Bench

from pipeloom.code.version import Watch
from pipeloom.engine.engine import Engine
from pipeloom.engine.executors import ExecutorName
from pipeloom.engine.options import EngineOptions
from pipeloom.errors import UsageError
from pipeloom.loader import load_pipeline

if TYPE_CHECKING:
    from pipeloom.engine.executors.dask.cluster import Cluster

FILE = """\
from dataclasses import dataclass
from pathlib import Path

from pipeloom import Pipeline, TaskDef
from rules_of_reload import Mode, fails

HERE = Path(__file__).parent
CODE = "old"


@dataclass(frozen=True)
class Note:
    task_id: int
    code: str


def work(task, q):
    assert isinstance(task.params["mode"], Mode), "its params are of another version"
    if task.task_id == 0:
        (HERE / "gate").read_text()  # a named pipe: waits for the test
    if fails(task.task_id):
        raise ValueError("no luck")  # the line of the old code
    q.put(Note(task.task_id, CODE))


pipeline = Pipeline("fix", [TaskDef(n, f"t{n}", params={"mode": Mode.FAST}) for n in range(400)], work)


@pipeline.schema
def create(conn):
    conn.execute("CREATE TABLE IF NOT EXISTS notes (task_id, sent, handled)")


@pipeline.handler(Note)
def keep(conn, msg):
    assert type(msg) is Note, "the class is of another version"
    conn.execute("INSERT INTO notes VALUES (?, ?, ?)", (msg.task_id, msg.code, CODE))
"""
RULES = """\
from enum import Enum


class Mode(Enum):
    FAST = 1


def fails(task_id):
    return task_id % 4 == 3
"""


class Files:
    """A pipeline of 400 tasks, of which 100 fail, in a file with a neighbour."""

    def __init__(self, folder: Path) -> None:
        self.pipeline = folder / "pipeline.py"
        self.rules = folder / "rules_of_reload.py"
        self.gate = folder / "gate"
        self.pipeline.write_text(FILE)
        self.rules.write_text(RULES)
        os.mkfifo(self.gate)

    def fix(self) -> None:
        """Save what a user would."""
        self.pipeline.write_text("# fixed\n\n" + FILE.replace('"old"', '"new"').replace("the old code", "the new code"))
        self.rules.write_text(RULES.replace("task_id % 4 == 3", "False"))

    def let_go(self) -> None:
        """Let the task go on that waits."""
        self.gate.write_text("go")


@pytest.fixture
def files(tmp_path: Path) -> Iterator[Files]:
    before = set(sys.modules)
    (tmp_path / "jobs").mkdir()
    yield Files(tmp_path / "jobs")
    for name in sys.modules.keys() - before:
        if name in ("pipeline", "rules_of_reload") or "pipeloom_file_" in name:
            del sys.modules[name]


def engine_of(bench: Bench, spec: Path | str, **options: object) -> Engine:
    engine = Engine(bench.path, load_pipeline(str(spec)), EngineOptions(**options), clock=bench.clock)  # type: ignore[arg-type]
    engine.add_sink(bench.recorder)
    bench.engines.append(engine)
    return engine


def ended(bench: Bench) -> int:
    return len({row.id for batch in bench.recorder.batches for row in batch.attempts if row.finished_at is not None})


@pytest.mark.parametrize("executor", ["thread", "process", "dask"])
def test_a_retry_with_changed_code_runs_the_failed_tasks_alone_all_with_the_new_code(
    bench: Bench, files: Files, executor: ExecutorName, request: pytest.FixtureRequest
) -> None:
    cluster: Cluster | None = request.getfixturevalue("cluster") if executor == "dask" else None
    address = None if cluster is None else cluster.address
    engine = engine_of(bench, files.pipeline, executor=executor, workers=2, address=address)
    engine.start()
    bench.recorder.wait_until(lambda: ended(bench) == 399)
    old = engine.version.hash
    assert Watch(engine.version).look() is None
    files.fix()
    change = Watch(engine.version).look()
    assert change is not None
    assert change.others == 1
    engine.reload()
    new = engine.version.hash
    failed = [row for (row,) in bench.rows("SELECT id FROM task_runs WHERE status='error'")]
    assert len(engine.retry(failed).accepted) == 100
    bench.recorder.wait_until(lambda: ended(bench) == 499)
    files.let_go()  # a task of the old code goes on with it, its message and its handler
    assert engine.wait(PATIENCE_S)
    engine.close()
    assert bench.rows("SELECT attempt, code, status, count(*) FROM task_runs GROUP BY 1, 2, 3 ORDER BY 1, 3") == [
        (1, old, "done", 300),
        (1, old, "error", 100),
        (2, new, "done", 100),
    ]
    assert bench.rows("SELECT sent, handled, count(*) FROM notes GROUP BY 1, 2 ORDER BY 1") == [
        ("new", "new", 100),
        ("old", "old", 300),
    ]
    assert bench.rows("SELECT sent FROM notes WHERE task_id=0") == [("old",)]
    assert "the line of the old code" in bench.one("error", 3)


@pytest.mark.parametrize("executor", ["thread", "process"])
def test_a_traceback_quotes_the_code_that_ran(bench: Bench, files: Files, executor: ExecutorName) -> None:
    files.pipeline.write_text(FILE.replace("range(400)", "range(1)"))
    files.rules.write_text(RULES.replace("task_id % 4 == 3", "True"))
    engine = engine_of(bench, files.pipeline, executor=executor, workers=2)
    engine.start()
    bench.recorder.wait_for_status("running", 0)
    files.pipeline.write_text('"""Lines\nmove."""\n' + FILE.replace("the old code", "the new code"))
    engine.reload()
    files.let_go()
    bench.recorder.wait_for_status("error", 0)
    engine.retry([1])
    bench.recorder.wait_for_status("running", 0, 2)
    files.pipeline.write_text("# gone\n")
    files.let_go()
    assert engine.wait(PATIENCE_S)
    engine.close()
    old, new = bench.one("error", 0), bench.one("error", 0, 2)
    assert "line 22, in work" in old
    assert "the line of the old code" in old
    assert "line 24, in work" in new
    assert "the line of the new code" in new


def test_code_that_cannot_be_loaded_changes_nothing(bench: Bench, files: Files) -> None:
    files.pipeline.write_text(FILE.replace("range(400)", "range(1, 4)"))
    engine = engine_of(bench, files.pipeline, workers=1)
    engine.start()
    assert engine.wait(PATIENCE_S)
    before, modules = engine.version, {name: sys.modules[name] for name in engine.version.modules}
    broken = {
        "def work(task, q:\n": r"pipeline.py cannot be imported: SyntaxError: .*\(pipeline.py, line 1\)",
        FILE.replace("CODE = ", "CODE = 1 / 0 #"): r"ZeroDivisionError: division by zero \(pipeline.py, line 8\)",
        FILE.replace('Pipeline("fix"', 'Pipeline("other"'): "The pipeline is other now, and the run is one of fix",
        FILE.replace("def work", "async def work"): "runs with 'async' now, and the run goes on with 'thread'",
        FILE.replace("CREATE TABLE IF", "CREATE TABEL IF"): "Schema helper create failed",
        "import rules_of_reload\n": "holds no Pipeline",
    }
    for text, words in broken.items():
        files.pipeline.write_text(text)
        with pytest.raises(UsageError, match=words):
            engine.reload()
        assert engine.version is before
        assert {name: sys.modules[name] for name in modules} == modules
    assert engine.retry([3]).accepted == (4,)
    assert engine.wait(PATIENCE_S)
    assert bench.one("code", 3, 2) == before.hash
    assert "the line of the old code" in bench.one("error", 3, 2)


OWN = """\
from pipeloom import Pipeline, TaskDef

CODE = "old"

def named(task, q):
    if CODE == "old":
        raise ValueError(CODE)
    return CODE

def made():
    def inner(task, q):
        return named(task, q)
    return inner

pipeline = Pipeline("own", [TaskDef("t", worker_fn=FUNCTION)], workers=1)
"""


@pytest.mark.parametrize(
    ("function", "refusal"),
    [("named", ""), ("lambda task, q: named(task, q)", "<lambda>"), ("made()", "inner")],
)
def test_a_task_with_a_function_of_its_own_runs_that_of_the_new_code_or_the_code_is_refused(
    bench: Bench, files: Files, function: str, refusal: str
) -> None:
    files.pipeline.write_text(OWN.replace("FUNCTION", function))
    engine = engine_of(bench, files.pipeline)
    engine.start()
    assert engine.wait(PATIENCE_S)
    before = engine.version
    files.pipeline.write_text(OWN.replace("FUNCTION", function).replace('"old"\n\ndef', '"new"\n\ndef'))
    if refusal:
        with pytest.raises(UsageError, match=f"Task 't' has a function of its own, .*{refusal}"):
            engine.reload()
        assert engine.version is before
        return
    engine.reload()
    engine.retry([1])
    assert engine.wait(PATIENCE_S)
    assert bench.rows("SELECT status, code, result FROM task_runs ORDER BY id") == [
        ("error", before.hash, None),
        ("done", engine.version.hash, '"new"'),
    ]


def test_code_comes_while_the_engine_has_let_go_of_the_file_and_may_extend_its_tables(
    bench: Bench, files: Files
) -> None:
    files.pipeline.write_text(FILE.replace("range(400)", "range(1, 4)"))
    engine = engine_of(bench, files.pipeline, workers=1)
    engine.start()
    assert engine.wait(PATIENCE_S)
    assert engine.let_go()
    files.fix()
    text = files.pipeline.read_text().replace(
        "TABLE IF NOT EXISTS notes (task_id, sent, handled)", "VIEW v AS SELECT 7"
    )
    files.pipeline.write_text(text)
    engine.reload()
    engine.retry([3])
    assert engine.wait(PATIENCE_S)
    assert bench.rows("SELECT * FROM v") == [(7,)]
    assert bench.one("code", 3, 2) == engine.version.hash


def test_a_pipeline_in_a_package_is_loaded_again_with_its_package(bench: Bench, tmp_path: Path) -> None:
    inner = tmp_path / "reloaded_package" / "inner"
    inner.mkdir(parents=True)
    for folder in (inner, inner.parent):
        (folder / "__init__.py").write_text("")
    (inner.parent / "far.py").write_text("from .inner.near import says as far_says\n")
    (inner / "near.py").write_text("def says(): return 1 / 0\n")
    (inner / "jobs.py").write_text(
        "from pipeloom import Pipeline, TaskDef\nfrom ..far import far_says\n"
        "def work(task, q): return far_says()\npipeline = Pipeline('p', [TaskDef(1, 'a')], work)\n"
    )
    sys.path.insert(0, str(tmp_path))
    try:
        for spec in ("reloaded_package.inner.jobs", str(inner / "jobs.py")):
            (inner / "near.py").write_text("def says(): return 1 / 0\n")
            engine = engine_of(bench, spec, workers=1)
            engine.start()
            assert engine.wait(PATIENCE_S)
            assert {Path(source.path).name for source in engine.version.sources} >= {"far.py", "near.py", "jobs.py"}
            (inner / "near.py").write_text("def says(): return 7\n")
            engine.reload()
            engine.retry([bench.rows("SELECT max(id) FROM task_runs")[0][0]])
            assert engine.wait(PATIENCE_S)
            engine.close()
            assert bench.rows("SELECT result FROM task_runs ORDER BY id DESC LIMIT 1") == [("7",)]
            for name in [name for name in sys.modules if name.startswith("reloaded_package")]:
                del sys.modules[name]
    finally:
        sys.path.remove(str(tmp_path))


def test_a_pipeline_of_a_script_is_not_loaded_again(bench: Bench) -> None:
    engine = bench.engine(lambda task, q: None)
    assert engine.version.hash is not None
    with pytest.raises(UsageError, match="was not loaded from a file of its own"):
        engine.reload()


LEAK = """
import gc, sys, tracemalloc
from pathlib import Path
tracemalloc.start()
from pipeloom.engine.engine import Engine
from pipeloom.engine.options import EngineOptions
from pipeloom.loader import load_pipeline

folder = Path(sys.argv[1])
file, helper = folder / "leaking.py", folder / "helper_of_leaking.py"
TEXT = '''
from dataclasses import dataclass
from pipeloom import Pipeline, TaskDef
from helper_of_leaking import Row, Mode
table = [str(n) * 20 for n in range(2000)]
@dataclass(frozen=True)
class Note:
    rows: list
def work(task, q):
    q.put(Note([Row(n, Mode.A) for n in range(10)]))
    raise ValueError("version %d")
pipeline = Pipeline("leak", [TaskDef(n, f"t{n}", atomic=n == 1) for n in range(4)], work)
@pipeline.handler(Note)
def keep(conn, msg): pass
'''
HELPER = '''
from dataclasses import dataclass
from enum import Enum
class Mode(Enum):
    A = %d
@dataclass
class Row:
    n: int
    mode: Mode
'''
def save(number):
    file.write_text(TEXT % number); helper.write_text(HELPER % number)
save(0)
engine = Engine(folder / "leak.db", load_pipeline(str(file)), EngineOptions(workers=2))
failed = []
class Sink:
    def committed(self, batch): failed.extend(row.id for row in batch.attempts if row.error)
    def writer_waiting(self, reason): pass
    def writer_failed(self, error): pass
engine.add_sink(Sink())
engine.start()
engine.wait()
def again(number):
    save(number)
    engine.reload()
    ids, failed[:] = failed[:], []
    assert len(engine.retry(ids).accepted) == 4
    engine.wait()
for number in range(1, 6):
    again(number)
gc.collect()
before = tracemalloc.get_traced_memory()[0]
for number in range(6, 56):
    again(number)
gc.collect()
print(tracemalloc.get_traced_memory()[0] - before)
engine.close()
"""


def test_fifty_reloads_leak_less_than_a_megabyte(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LEAK, str(tmp_path)], capture_output=True, text=True, timeout=110, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 1 << 20
