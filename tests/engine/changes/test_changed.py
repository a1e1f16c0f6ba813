"""Runs of what has changed: the plan and the run agree, each reason is told, and nothing but a change counts."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.engine.conftest import Bench, Gate

from pipeloom.engine.changes import past
from pipeloom.engine.changes.input_key import key_of
from pipeloom.engine.changes.plan import Plan, plan_run
from pipeloom.engine.engine import Engine
from pipeloom.engine.options import EngineOptions
from pipeloom.engine.run.few import Few
from pipeloom.engine.run.resume import Resume, list_today
from pipeloom.engine.schedule.order import After, late_of, reached
from pipeloom.errors import TaskCancelled, UsageError
from pipeloom.filters import parse
from pipeloom.messages import TaskDef, TaskId, TaskLike
from pipeloom.pipeline import Pipeline, checked_tasks
from pipeloom.protocols import Channel
from pipeloom.status import Exit, RunStatus, Status
from pipeloom.store import schema
from pipeloom.store.file.kind import FileKind, file_kind
from pipeloom.times import utc_now

OLD_S = 1_700_000_000


def fine(task: TaskDef, q: Channel) -> None:
    pass


def failing(task: TaskDef, q: Channel) -> None:
    raise KeyError("temp_max")


@dataclass
class Shop:
    """A pipeline of one task for each file of a folder."""

    bench: Bench
    folder: Path

    def write(self, name: str, text: str, at_s: int = OLD_S) -> Path:
        """Write a file, with a time of change of its own."""
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        os.utime(path, (at_s, at_s))
        return path

    def task(self, name: str, **more: Any) -> TaskDef:
        return TaskDef(name, **{"inputs": [self.folder / name], "version": "1", **more})

    def tasks(self) -> list[TaskLike]:
        return [self.task(path.name) for path in sorted(self.folder.iterdir())]

    def run(self, worker: Any = fine, tasks: list[TaskLike] | None = None, **options: Any) -> Engine:
        """Run what has changed, unless the options say otherwise."""
        if "resume" not in options:
            options.setdefault("changed", True)
        return self.bench.run(worker, self.tasks() if tasks is None else tasks, **options)

    def plan(self, tasks: list[TaskLike] | None = None, resume: Resume | None = None, **options: Any) -> Plan:
        options = {} if resume is not None else {"changed": True, **options}
        pipeline = Pipeline("bench", self.tasks() if tasks is None else tasks, fine)
        today = list_today(self.bench.path, pipeline, resume)
        return plan_run(self.bench.path, pipeline, today, EngineOptions(**options), resume, self.bench.clock.now())

    def why(self, tasks: list[TaskLike] | None = None, **options: Any) -> dict[Any, str]:
        """The tasks that would run, with their reasons; where the files lie and what time it is are left out."""
        told = {one.start.task.task_id: "; ".join(one.why) for one in self.plan(tasks, **options).tasks}
        return {key: why.replace(f"{self.folder}/", "") for key, why in told.items()}

    def ran(self, run_id: int) -> list[Any]:
        return [key for (key,) in self.bench.rows("SELECT task_id FROM task_runs WHERE run_id=? ORDER BY id", run_id)]


@pytest.fixture
def shop(bench: Bench, tmp_path: Path) -> Shop:
    (folder := tmp_path / "in").mkdir()
    return Shop(bench, folder)


def test_of_a_thousand_files_those_run_that_have_changed_each_with_what_was_and_what_is(shop: Shop) -> None:
    names = [f"f{number}.csv" for number in range(1_000)]
    for name in names:
        shop.write(name, name)
    first = [shop.task(name, params={"day": "2026-11-01"}) for name in names]
    shop.run(fine, [*first])
    assert shop.why([*first]) == {}

    shop.write("f3.csv", "F3.csv", OLD_S + 3600)
    for name in names[100:200]:
        os.utime(shop.folder / name)  # touched: nothing has changed
    tasks = {task.name: task for task in first}
    tasks["f5.csv"] = replace(tasks["f5.csv"], params={"day": "2026-11-02"})
    for name in names[20:30]:
        tasks[name] = replace(tasks[name], version="2")
    del tasks["f17.csv"]

    why, plan = shop.why([*tasks.values()]), shop.plan([*tasks.values()])
    assert re.fullmatch(r"inputs: f3.csv changed 2023-11-14 \d\d:\d\d", why.pop("f3.csv"))
    assert why == {
        "f5.csv": "params.day: 2026-11-01 -> 2026-11-02",
        **{f"f{number}.csv": "version 1 -> 2" for number in range(20, 30)},
    }
    assert (len(plan.tasks), len(plan.unchanged or ()), plan.gone) == (12, 987, (("f17.csv", "f17.csv"),))

    summary = shop.run(fine, [*tasks.values()]).summary()
    assert shop.ran(2) == [one.start.task.task_id for one in plan.tasks]
    assert (summary.counts, summary.unchanged, summary.gone) == ({Status.DONE: 12}, 987, ("f17.csv",))
    assert shop.bench.rows("SELECT unchanged FROM pipeline_runs") == [(0,), (987,)]
    assert shop.why([*tasks.values()]) == {}


def test_when_nothing_has_changed_the_run_ends_at_once_as_done_without_rows(shop: Shop) -> None:
    shop.write("a.csv", "1")
    shop.run()
    summary = shop.run().summary()
    assert (summary.counts, summary.unchanged, summary.ok, summary.exit_code) == ({}, 1, True, Exit.DONE)
    assert shop.ran(2) == []
    assert shop.bench.rows("SELECT status, unchanged FROM pipeline_runs WHERE id=2") == [(RunStatus.DONE, 1)]


def test_files_of_the_same_size_and_time_are_not_read(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.write("a.csv", "1")
    shop.run()
    read: list[str] = []

    def digest_of(name: str) -> str:
        read.append(name)
        return "other"

    monkeypatch.setattr(past, "digest_of", digest_of)
    assert (shop.why(), read) == ({}, [])
    shop.write("a.csv", "2", OLD_S + 1)
    assert "changed" in shop.why()["a.csv"]
    assert read == [str(shop.folder / "a.csv")]
    shop.write("a.csv", "longer", OLD_S + 2)
    assert shop.why()["a.csv"].endswith(", 1 bytes -> 6 bytes")
    assert len(read) == 1  # the size says enough


def test_a_change_within_one_step_of_the_filesystems_clock_is_seen(shop: Shop) -> None:
    """A file is written at the same time as the key is taken, and again then: its size and its time stay."""
    path = shop.write("a.csv", "1", now := int(utc_now().timestamp()) + 3600)
    shop.run()
    assert shop.why() == {}
    path.write_text("2", encoding="utf-8")
    os.utime(path, (now, now))
    assert shop.why()["a.csv"].startswith("inputs: a.csv changed ")


def test_an_input_that_changes_while_the_task_runs_counts_as_changed(shop: Shop, gate: Gate) -> None:
    shop.write("a.csv", "1")

    def work(task: TaskDef, q: Channel) -> None:
        gate.pass_through()

    engine = shop.bench.engine(work, shop.tasks())
    engine.start()
    gate.await_arrival()
    shop.write("a.csv", "2", OLD_S + 1)
    gate.open()
    assert engine.wait(60)
    engine.close()
    assert list(shop.why()) == ["a.csv"]


@pytest.mark.parametrize(
    ("end", "why"),
    [
        (KeyError, "last attempt failed"),
        (TaskCancelled, "last attempt was cancelled"),
    ],
)
def test_what_did_not_end_as_done_runs_again(shop: Shop, end: type[BaseException], why: str) -> None:
    def work(task: TaskDef, q: Channel) -> None:
        raise end

    shop.write("a.csv", "1")
    assert shop.why() == {"a.csv": "never done"}
    shop.run(work)
    assert shop.why() == {"a.csv": why}
    shop.run()
    assert shop.why() == {}
    shop.write("a.csv", "22", OLD_S + 1)
    shop.run(work)
    assert shop.why()["a.csv"].startswith(f"{why}; inputs: a.csv changed")
    shop.write("a.csv", "1")
    assert shop.why() == {"a.csv": why}  # as when it was done, but what failed may have left a half


def test_what_a_killed_program_has_left_runs_again(shop: Shop) -> None:
    shop.write("a.csv", "1")
    shop.run()
    for status, why in (("running", "did not end"), ("interrupted", "was interrupted")):
        connection = sqlite3.connect(shop.bench.path)
        connection.execute(f"UPDATE task_runs SET status='{status}'")
        connection.commit()
        connection.close()
        assert shop.why() == {"a.csv": f"last attempt {why}"}


def test_what_differs_is_told(shop: Shop) -> None:
    for name in ("a.csv", "b.csv", "c.csv", "dir.csv"):
        shop.write(name, name)
    before: list[TaskLike] = [
        TaskDef("p", params={"n": 1, "gone": None, "text": "x", "same": [1, {"a": 2}]}),
        TaskDef("v"),
        TaskDef("i", inputs=[shop.folder / "a.csv", shop.folder / "b.csv"]),
        TaskDef(7, "page-7"),
        TaskDef("m", inputs=[shop.folder / "c.csv", shop.folder / "dir.csv"]),
        TaskDef("plain"),
    ]
    shop.run(fine, before)
    assert shop.why(before) == {}
    (shop.folder / "c.csv").unlink()
    (shop.folder / "dir.csv").unlink()
    (shop.folder / "dir.csv").mkdir()
    after: list[TaskLike] = [
        TaskDef("p", params={"same": [1, {"a": 2}], "n": "1", "text": "y z", "new": True}),
        TaskDef("v", version="3"),
        TaskDef("i", inputs=[shop.folder / "a.csv", shop.folder / "b.csv"][:1], version=None),
        TaskDef(7, "page-8"),
        before[4],
        TaskDef("plain"),
    ]
    assert shop.why(after) == {
        "p": 'params.n: 1 -> "1"; params.gone: null -> (none); params.text: x -> y z; params.new: (none) -> true',
        "v": "version (none) -> 3",
        "i": "inputs: b.csv left out",
        7: "name: page-7 -> page-8",
        "m": "inputs: c.csv is missing; inputs: dir.csv is a folder: name the files in it",
    }


def test_a_bool_is_no_number_and_the_order_of_a_dict_no_change(shop: Shop) -> None:
    before: list[TaskLike] = [
        TaskDef("b", params={"x": True, "n": [0, {"deep": False}], "f": 1, "same": {"a": 1, "b": 2}}),
        TaskDef("o", params={"same": {"a": 1, "b": 2}, "y": 1}),
    ]
    shop.run(fine, before)
    after: list[TaskLike] = [
        TaskDef("b", params={"x": 1, "n": [False, {"deep": False}], "f": 1.0, "same": {"b": 2, "a": 1}}),
        TaskDef("o", params={"y": 1, "same": {"b": 2, "a": 1}}),
    ]
    told = 'params.x: true -> 1; params.n: [0, {"deep": false}] -> [false, {"deep": false}]; params.f: 1 -> 1.0'
    assert shop.why(after) == {"b": told}


class Plain:
    """Has no text of its own."""


def test_an_object_without_a_text_of_its_own_is_told_in_one_sentence_and_its_task_always_runs(shop: Shop) -> None:
    def tasks() -> list[TaskLike]:
        return [
            TaskDef("o", params={"n": 1, "x": Plain()}),
            TaskDef("in", params={"x": [{"a": Plain()}]}),
            TaskDef("text", params={"x": "an <X object at 0x7f0012345678>, as a text"}),
        ]

    kept = tasks()
    shop.run(fine, kept)
    for again in (tasks(), kept):
        told = shop.why(again)
        words = f"params.x has no fixed form ({__name__}.Plain object at …): the task always runs"
        assert told == {"o": words, "in": words}
    changed = shop.why([TaskDef("o", params={"n": 2, "x": Plain()})])["o"]
    assert changed.startswith("params.n: 1 -> 2; params.x has no fixed form (")


def test_a_missing_input_fails_its_task_alone_in_one_sentence(shop: Shop) -> None:
    shop.write("a.csv", "1")
    for changed in (True, False):
        shop.run(fine, [shop.task("a.csv"), shop.task("b.csv"), TaskDef("c", inputs=[shop.folder])], changed=changed)
    missing, folder = (
        f"InputError: The input {shop.folder}/b.csv is missing.",
        f"InputError: The input {shop.folder} is a folder: name the files in it.",
    )
    rows = shop.bench.rows(
        "SELECT task_id, status, error_type, message, error FROM task_runs WHERE run_id=2 ORDER BY 1"
    )
    assert [row[:4] for row in rows] == [
        ("a.csv", "done", None, ""),
        ("b.csv", "error", "InputError", missing),
        ("c", "error", "InputError", folder),
    ]
    assert "Traceback" not in f"{rows}"


def test_a_task_with_params_alone_and_one_of_another_class_are_compared_too(shop: Shop) -> None:
    shop.write("a.csv", "1")
    other = SimpleNamespace(
        task_id="o", name="o", params={"n": 1}, inputs=[str(shop.folder / "a.csv")], version="1", more=object()
    )
    tasks: list[TaskLike] = [TaskDef(1, params={"n": 1}), other]
    shop.run(fine, tasks)
    assert shop.why(tasks) == {}
    shop.write("a.csv", "2", OLD_S + 1)
    other.version = "2"
    tasks[0] = TaskDef(1, params={"n": 2})
    told = shop.why(tasks)
    assert told[1] == "params.n: 1 -> 2"
    assert told["o"].startswith("version 1 -> 2; inputs: a.csv changed ")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"inputs": "a.csv"}, "Task 1: inputs must be a list of paths, not 'a.csv'."),
        ({"inputs": 3}, "Task 1: inputs must be a list of paths, not 3."),
        ({"inputs": [b"a"]}, "Task 1: inputs must be paths, and b'a' is none."),
        ({"inputs": ["a\0b"]}, "Task 1: inputs must be paths, and 'a\\x00b' is none."),
        ({"version": 2}, 'Task 1: version must be a text such as "2", not 2.'),
    ],
)
def test_inputs_that_are_none_are_refused(given: Any, words: str) -> None:
    with pytest.raises(UsageError, match=re.escape(words)):
        checked_tasks([TaskDef(1, **given)])


def test_inputs_may_be_an_iterator(shop: Shop) -> None:
    shop.write("a.csv", "1")
    task = TaskDef(1, inputs=shop.folder.glob("*"))
    assert task.inputs == (shop.folder / "a.csv",)
    assert hash(task) == hash(replace(task, inputs=[]))


def test_the_file_of_the_run_is_no_input(shop: Shop) -> None:
    with pytest.raises(UsageError, match=r"Task 1: its input .* is the file that the run writes to"):
        shop.run(fine, [TaskDef(1, inputs=[shop.bench.path])])


def test_changed_goes_neither_with_resume_nor_without_a_file() -> None:
    with pytest.raises(UsageError, match="Give either --resume or --changed"):
        EngineOptions(changed=True, resume=Resume())
    with pytest.raises(UsageError, match="--no-store keeps them out of it"):
        Engine(Path("x.db"), Pipeline("p", [TaskDef(1)], fine), EngineOptions(changed=True, store_task_status=False))


def test_the_pipeline_may_ask_for_it_and_the_call_may_not(shop: Shop) -> None:
    tasks: list[TaskLike] = [TaskDef(1)]
    for changed, ran in ((None, [1]), (None, []), (False, [1])):
        engine = shop.bench.run(fine, tasks, pipeline=Pipeline("bench", tasks, fine, changed=True), changed=changed)
        assert shop.ran(engine.run_id) == ran


def test_the_last_attempt_that_was_done_counts_and_none_before_it(shop: Shop) -> None:
    for day in (1, 2):
        shop.run(fine, [TaskDef("a", params={"day": day})])
    assert shop.why([TaskDef("a", params={"day": 1})]) == {"a": "params.day: 2 -> 1"}


def test_ids_tell_tasks_apart_and_so_do_pipelines(shop: Shop) -> None:
    shop.run(fine, [TaskDef(1, "load"), TaskDef("2", "load")])
    tasks: list[TaskLike] = [TaskDef(1, "load"), TaskDef(2, "load"), TaskDef("3", "load")]
    assert shop.why(tasks) == {2: "never done", "3": "never done"}
    shop.bench.run(fine, tasks, pipeline=Pipeline("other", tasks, fine))
    assert shop.why(tasks) == {2: "never done", "3": "never done"}


def test_a_few_of_what_has_changed_are_tried(shop: Shop) -> None:
    for name in ("a1", "a2", "a3", "b1"):
        shop.write(name, name)
    shop.run()
    for name in ("a1", "a2", "b1"):
        shop.write(name, "other", OLD_S + 1)
    few = Few(parse("a"), 1)
    plan = shop.plan(few=few)
    assert ([one.start.task.name for one in plan.tasks], len(plan.unchanged or ()), plan.left_out) == (["a1"], 1, 2)
    assert shop.run(few=few).summary().unchanged == 1
    assert list(shop.why()) == ["a2", "b1"]
    assert shop.plan(few=Few(parse("a3"))).tasks == []


def test_only_runs_with_the_same_parameters_tell_what_is_gone(bench: Bench) -> None:
    pipeline = Pipeline("bench", worker_fn=fine)

    @pipeline.tasks
    def days(day: int, also: bool = True) -> Iterator[TaskDef]:
        yield TaskDef(f"day-{day}")
        if also:
            yield TaskDef(f"also-{day}")

    for day in (1, 2):
        bench.run(fine, pipeline=pipeline, params={"day": day}, changed=True)
    pipeline.tasks.source = lambda day, also=True: [TaskDef(f"day-{day}")]
    pipeline.tasks.source.__annotations__ = {"day": int, "also": bool}
    assert bench.run(fine, pipeline=pipeline, params={"day": 2}, changed=True).summary().gone == ("also-2",)


# -- a run for what has changed that was resumed, and reruns ---------------------------------------------------------------


def test_resuming_a_run_for_what_had_changed_leaves_the_unchanged_alone(shop: Shop) -> None:
    for name in ("a", "b", "c"):
        shop.write(name, name)
    shop.run()
    shop.write("b", "other", OLD_S + 1)
    shop.run(failing)
    shop.write("d", "new")
    plan = shop.plan(resume=Resume())
    assert {one.start.task.name: one.why for one in plan.tasks} == {"b": ("last attempt failed",), "d": ("new",)}
    summary = shop.run(resume=Resume()).summary()
    assert (shop.ran(3), summary.unchanged, summary.parent_run_id) == (["b", "d"], 2, 2)
    shop.write("a", "other", OLD_S + 1)
    assert shop.run(resume=Resume()).summary().unchanged == 1  # and two were done in the runs that it continues
    assert shop.ran(4) == ["a"]


def test_tasks_that_are_chosen_run_whatever_has_changed(shop: Shop) -> None:
    shop.write("a", "a")
    shop.run()
    shop.write("b", "b")
    chosen = shop.run(resume=Resume(run_id=1, task_ids=frozenset({"a"})))
    assert (shop.ran(2), chosen.summary().unchanged) == (["a"], None)
    shop.run(resume=Resume())  # of that rerun, which continues a run for what had changed
    assert shop.ran(3) == ["b"]
    engine = shop.bench.engine(fine, [TaskDef(1)], pipeline=Pipeline("bench", [TaskDef(1)], fine, changed=True))
    assert engine.again(1).options.changed is False


# -- tasks that workers find -----------------------------------------------------------------------------------------------


def finding(shop: Shop, broken: str = "") -> Callable[[TaskDef, Channel], None]:
    """Return a worker of a task that finds the files of the folder."""

    def work(task: TaskDef, q: Channel) -> None:
        if task.name == "find":
            for path in sorted(shop.folder.iterdir()):
                q.put(TaskDef(path.name, inputs=[path], version="1"))
        elif task.name == broken:
            raise KeyError("temp_max")

    return work


@pytest.mark.parametrize("atomic", [False, True])
def test_a_task_that_is_found_and_unchanged_is_counted_and_not_run(shop: Shop, atomic: bool) -> None:
    for name in ("a", "b"):
        shop.write(name, name)
    shop.run(finding(shop), [TaskDef("find", version="1", atomic=atomic)])
    assert shop.ran(1) == ["find", "a", "b"]
    shop.write("b", "other", OLD_S + 1)
    shop.write("c", "c")
    engine = shop.run(finding(shop), [TaskDef("find", version="2", atomic=atomic)])
    assert shop.ran(2) == ["find", "b", "c"]
    assert engine.summary().unchanged == 1
    assert shop.bench.rows("SELECT unchanged FROM pipeline_runs WHERE id=2") == [(1,)]


def test_what_an_unchanged_task_has_found_is_compared_like_a_listed_one(shop: Shop) -> None:
    for name in ("a", "b"):
        shop.write(name, name)
    tasks: list[TaskLike] = [TaskDef("find", version="1")]
    shop.run(finding(shop, broken="a"), tasks)
    assert shop.why(tasks) == {"a": "last attempt failed"}
    assert shop.plan(tasks).gone == ()
    engine = shop.run(finding(shop), tasks)
    assert (shop.ran(2), engine.summary().unchanged) == (["a"], 2)
    assert shop.why(tasks) == {}
    shop.write("b", "other", OLD_S + 1)
    assert list(shop.why(tasks)) == ["b"]


def test_inputs_and_version_of_a_found_task_survive_a_resume(shop: Shop) -> None:
    shop.write("a", "a")
    tasks: list[TaskLike] = [TaskDef("find", version="1")]
    shop.run(finding(shop, broken="a"), tasks, changed=False)
    shop.run(finding(shop), tasks, resume=Resume())
    assert shop.ran(2) == ["a"]
    key = json.loads(shop.bench.rows("SELECT input_key FROM task_runs WHERE run_id=2")[0][0])
    assert (key["version"], list(key["inputs"])) == ("1", [str(shop.folder / "a")])


def test_what_a_rerun_finds_runs_whatever_has_changed(shop: Shop) -> None:
    shop.write("a", "a")
    shop.run(finding(shop), [TaskDef("find")])
    shop.run(finding(shop), [TaskDef("find")], resume=Resume(run_id=1, task_ids=frozenset({"find"})))
    assert shop.ran(2) == ["find"]  # as the run that it continues has found it
    shop.run(finding(shop), [TaskDef("find", version="2")], changed=False)
    assert shop.ran(3) == ["find", "a"]


# -- the plan changes nothing ----------------------------------------------------------------------------------------------


def everything(folder: Path) -> dict[str, bytes]:
    """Return the files with their bytes, without those beside the database that every reader of SQLite makes."""
    return {
        str(path): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.endswith(("-wal", "-shm"))
    }


def test_the_plan_writes_nothing(shop: Shop, tmp_path: Path) -> None:
    shop.write("a", "a")
    before = everything(tmp_path)
    assert shop.why() == {"a": "never done"}
    assert everything(tmp_path) == before
    shop.run()
    before = everything(tmp_path)
    assert shop.why() == {}
    assert everything(tmp_path) == before


def test_the_plan_is_made_beside_a_run(shop: Shop, gate: Gate) -> None:
    shop.write("a", "a")
    engine = shop.bench.engine(lambda task, q: gate.pass_through(), shop.tasks())
    engine.start()
    gate.await_arrival()
    shop.bench.recorder.wait_for_status("running", "a")
    assert shop.why() == {"a": "last attempt did not end"}
    gate.open()


def test_rows_of_an_older_file_are_compared_by_what_they_have(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks: list[TaskLike] = [TaskDef("a", params={"n": 1}), TaskDef("b")]
    shop.run(fine, tasks)
    older = shop.bench.path.with_name("older.db")
    with closing(sqlite3.connect(older)) as connection, connection, monkeypatch.context() as patch:
        connection.execute("ATTACH ? AS newer", (str(shop.bench.path),))
        patch.setattr(schema, "SCHEMA_VERSION", 3)
        schema.run_steps(connection, 0)
        for table in ("pipeline_runs", "task_runs"):
            columns = ", ".join(name for _, name, *_ in connection.execute(f"PRAGMA main.table_info({table})"))
            connection.execute(f"INSERT INTO {table} ({columns}) SELECT {columns} FROM newer.{table}")
    older.replace(shop.bench.path)
    assert file_kind(shop.bench.path) is FileKind.OLDER
    tasks[1] = TaskDef("b", version="1")
    assert shop.why(tasks) == {"b": "version (none) -> 1"}


def test_what_comes_after_a_task_that_runs_runs_too(shop: Shop) -> None:
    def tasks(version: str) -> list[TaskLike]:
        return [
            TaskDef("report", after="*"),
            TaskDef("mail", after=["report"]),
            TaskDef("sum", after=["load"]),
            TaskDef("load", after=["extract"]),
            TaskDef("extract", version=version),
            TaskDef("other"),
        ]

    shop.run(fine, tasks("1"))
    assert shop.why(tasks("1")) == {}
    assert shop.why(tasks("2")) == {
        "report": "extract runs",
        "mail": "report runs",
        "sum": "load runs",
        "load": "extract runs",
        "extract": "version 1 -> 2",
    }
    shop.run(fine, tasks("2"))
    assert len(shop.ran(2)) == 5
    assert shop.why(tasks("2")) == {}


def test_what_comes_after_a_task_that_has_run_since_runs(shop: Shop) -> None:
    tasks: list[TaskLike] = [TaskDef("report", after="*"), TaskDef("load", after=["extract"]), TaskDef("extract")]
    shop.run(fine, tasks)
    shop.bench.clock.advance(60)
    shop.run(fine, tasks, changed=False, few=Few(parse("task:extract")))
    shop.bench.clock.advance(60)
    assert shop.why(tasks) == {"report": "extract has run since", "load": "extract has run since"}
    shop.run(fine, tasks)
    assert shop.why(tasks) == {}


def test_a_long_chain_is_planned_in_one_pass() -> None:
    count = 20_000
    chain: dict[TaskId, After] = {number: (number - 1,) for number in reversed(range(1, count))}
    assert reached(chain, [0]) == {number: number - 1 for number in range(1, count)}
    assert late_of([TaskDef(0, after="*"), *(TaskDef(n, after=names) for n, names in chain.items())]) == set(
        range(count)
    )


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (None, []),
        ('{"version":"2"}', ["version 2"]),
        ('{"version":"2","inputs":{"a.csv":[5,null,"x"],"b.csv":[2000,0,"x"]}}',
         ["version 2", "a.csv  5 bytes", "b.csv  2.0 kB, changed 1970-01-01 00:00:00 UTC"]),
        ('{"inputs":{"a.csv":["big",0,"x"]}}', []),
        ('{"inputs":{"a.csv":[5,100000000000000000000000000,"x"]}}', []),
        ('{"inputs":[1]}', []),
        ("no JSON", []),
    ],
)  # fmt: skip
def test_the_key_of_an_attempt_in_words(text: str | None, lines: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    assert key_of(text).lines() == lines
