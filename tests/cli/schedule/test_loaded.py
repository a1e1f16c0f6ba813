"""Scheduled runs without a screen: each has the pipeline's files as they are when it starts."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from tests.cli.conftest import Popen
from tests.cli.schedule.test_runs import lines_until
from tests.schedule.test_schedules import ToldClock

from pipeloom.cli.schedule.loaded import LoadedPipelines
from pipeloom.cli.schedule.loop import again_and_again
from pipeloom.code.sources import PREFIX
from pipeloom.code.version import version_of
from pipeloom.engine.engine import Engine
from pipeloom.loader import load_pipeline
from pipeloom.pipeline import Pipeline
from pipeloom.schedule.schedules import Every
from pipeloom.store.read.history import History

T = TypeVar("T")

FILE = """\
from pipeloom import Pipeline, TaskDef
from rules_of_schedule import rate
def work(task, q):
    from late_of_schedule import more
    return [rate, more]
def second(task, q):
    return [rate]
first = Pipeline("first", lambda: [TaskDef(1, "a")], work)
other = Pipeline("other", lambda: [TaskDef(1, "a")], second)
"""


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[Path]:
    before, path = set(sys.modules), [*sys.path]
    (tmp_path / "jobs.py").write_text(FILE)
    (tmp_path / "rules_of_schedule.py").write_text("rate = 1\n")
    (tmp_path / "late_of_schedule.py").write_text("more = 1\n")
    yield tmp_path
    sys.path[:] = path
    for name in sys.modules.keys() - before:
        if name == "jobs" or "of_schedule" in name or PREFIX in name:
            del sys.modules[name]


class Night:
    """A signal that comes when there is nothing more to do, and between two runs what a user does."""

    def __init__(self, clock: ToldClock, *edits: Callable[[], object]) -> None:
        self.first: int | None = None
        self._clock, self._edits = clock, iter(edits)

    def stop(self, call: Callable[[], T]) -> T | None:
        edit = next(self._edits, None)
        if edit is None:
            return None
        edit()
        self._clock.pass_s(60)
        return call()


def night(loaded: LoadedPipelines, folder: Path, *edits: Callable[[], object]) -> list[list[object]]:
    """Run the pipelines in turn every minute, each time after an edit; return the results of each turn."""
    clock, results = ToldClock(), list[list[object]]()

    def turn() -> int:
        results.append(["not started"])
        loaded.renew()
        results[-1] = [result_of(pipeline, folder) for pipeline in loaded.now]
        return 0

    assert again_and_again(Every(60.0, clock), Night(clock, *edits), turn) == 0
    return results


def result_of(pipeline: Pipeline, folder: Path) -> object:
    engine = Engine(folder / "etl.db", pipeline)
    engine.start()
    assert engine.wait(60)
    engine.close()
    summary = engine.summary()
    assert not summary.failed, summary.failed
    with History(folder / "etl.db") as history:
        (row,) = history.attempts_of(summary.run_id, 1)
    return row.result


def nothing() -> None:
    pass


def test_each_run_has_the_files_as_they_are_then_and_what_is_wrong_leaves_out_that_run_alone(
    jobs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rules, late, file = jobs / "rules_of_schedule.py", jobs / "late_of_schedule.py", jobs / "jobs.py"
    loaded = LoadedPipelines([load_pipeline(f"{file}:first"), load_pipeline(f"{file}:other")])
    before = version_of(loaded.now[0]).hash
    results = night(
        loaded,
        jobs,
        nothing,
        nothing,
        lambda: rules.write_text("rate = 2\n"),
        lambda: file.write_text("def work(:\n"),
        nothing,
        lambda: file.write_text(FILE.replace("[rate]", "[rate, 0]")),
        lambda: late.write_text("more = 2\n"),
        rules.unlink,
        lambda: rules.write_text("rate = 3\n"),
    )
    assert results == [
        ["[1, 1]", "[1]"],
        ["[1, 1]", "[1]"],
        ["[2, 1]", "[2]"],
        ["not started"],
        ["not started"],
        ["[2, 1]", "[2, 0]"],
        ["[2, 2]", "[2, 0]"],
        ["not started"],
        ["[3, 2]", "[3, 0]"],
    ]
    told = [line.removeprefix("pipeloom: ") for line in capsys.readouterr().err.splitlines() if "Next" not in line]
    now = version_of(loaded.now[0]).hash
    assert now != before
    assert told[0].startswith("rules_of_schedule.py changed ")
    assert ": first is loaded again (code " in told[0]
    assert ": other is loaded again (code " in told[1]
    assert told[2] == told[3]
    assert told[2].startswith(f"Not started: {file} cannot be imported: SyntaxError: ")
    assert "late_of_schedule.py changed" in told[6]
    assert [line for line in told if "No module named 'rules_of_schedule'" in line and line.startswith("Not started")]
    assert told[-1].endswith(f": other is loaded again (code {now}).")
    assert len(told) == 10


def test_the_program_loads_a_changed_file_again(popen: Popen, folder: Path) -> None:
    file = folder / "good.py"
    process = popen("pipeloom", "run", "etl.db", "good.py:pipeline", "--every", "1s")
    lines_until(process, "good  run 1:")
    file.write_text("def work(:\n", encoding="utf-8")
    assert "SyntaxError" in lines_until(process, "Not started: ")[-1]
    file.write_text(
        "from pipeloom import *\npipeline = Pipeline('new', [TaskDef(1, 'a')], lambda task, q: None)\n",
        encoding="utf-8",
    )
    lines_until(process, "good.py changed ")
    lines_until(process, "new  run ")
    process.terminate()
    process.wait(60)
