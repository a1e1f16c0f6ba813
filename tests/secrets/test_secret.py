"""`Secret` and `Pipeline(secrets=…)`: what is refused, what is equal, what has to be given again."""

from __future__ import annotations

import copy
import json
import logging
import os
import pickle
import sqlite3
import sys
import threading
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from pipeloom import MsgTaskProgress, Pipeline, Secret, Status, TaskDef, run_pipeline, setup_logging
from pipeloom.engine.capture import AttemptLog
from pipeloom.engine.changes.plan import plan_run
from pipeloom.engine.engine import Engine
from pipeloom.engine.events import Ended, Logged
from pipeloom.engine.options import EngineOptions
from pipeloom.engine.run import held_back
from pipeloom.engine.writer.batch import Fold
from pipeloom.errors import UsageError
from pipeloom.protocols import Channel
from pipeloom.store.rows import AttemptRow
from pipeloom.testing import run_task
from pipeloom.text import storable
from pipeloom.times import utc_now


def test_a_secret_shows_itself_to_reveal_alone() -> None:
    secret = Secret("hunter2-shown")
    assert (str(secret), repr(secret), f"{secret}", f"{secret:>5}", f"{[secret]}") == (
        "•••", "Secret(•••)", "•••", "  •••", "[Secret(•••)]",
    )  # fmt: skip
    assert secret.reveal() == "hunter2-shown"
    assert pickle.loads(pickle.dumps(secret)) == copy.deepcopy(secret) == secret != Secret("hunter3-shown")
    assert not hasattr(secret, "__dict__")


@pytest.mark.parametrize("value", ["", "abc", "   abc\n", 12345, b"bytes"])
def test_a_value_that_cannot_be_masked_is_refused(value: Any) -> None:
    with pytest.raises(UsageError, match="A Secret h"):
        Secret(value)


@pytest.mark.parametrize(
    ("secrets", "told"),
    [
        (["KIT_MISSING"], "The environment variable KIT_MISSING is not set"),
        (["KIT_EMPTY"], "The environment variable KIT_EMPTY is not set"),
        (["KIT_SHORT"], "The environment variable KIT_SHORT .* fewer than 4 characters"),
        (["KIT_FINE", "ghp_itself"], "The environment variable that secrets names in place 2 is not set"),
        ("KIT_FINE", "must be a list of names"),
        ([7], "must be a list of names"),
    ],
)
def test_secrets_that_are_not_there_are_a_sentence_before_anything_runs(
    db_path: Path, monkeypatch: pytest.MonkeyPatch, secrets: Any, told: str
) -> None:
    for name, value in (("KIT_EMPTY", " "), ("KIT_SHORT", "abc"), ("KIT_FINE", "long enough")):
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=told) as raised:
        run_pipeline(db_path, Pipeline("p", [TaskDef(1)], _done, secrets=secrets), ui="none")
    assert "ghp" not in str(raised.value)
    assert not db_path.exists()


def _done(task: TaskDef, q: Channel) -> None:
    """Do nothing."""


def _reveal(task: TaskDef, _q: Channel) -> Any:
    return len(task.params["token"].reveal())


def _shop(*, secret: str = "hunter2-of-the-shop") -> Pipeline:
    return Pipeline("shop", [TaskDef("load", params={"token": Secret(secret), "page": 1})], _reveal, changed=True)


def test_a_worker_gets_the_secret_and_the_file_does_not(db_path: Path) -> None:
    run_pipeline(db_path, _shop(), ui="none")
    with closing(sqlite3.connect(db_path)) as connection:
        params, result = connection.execute("SELECT params, result FROM task_runs").fetchone()
    assert json.loads(params) == {"token": "•••", "page": 1}
    assert result == str(len("hunter2-of-the-shop"))


def test_another_value_changes_nothing_for_what_has_changed(db_path: Path) -> None:
    run_pipeline(db_path, _shop(), ui="none")
    engine = Engine(db_path, _shop(secret="another value"), EngineOptions())
    plan = plan_run(db_path, engine.pipeline, engine.today, engine.options, None, utc_now())
    assert not plan.tasks
    assert plan.unchanged == frozenset({"load"})


def test_a_version_and_a_path_that_hold_a_secret_count_as_unchanged(db_path: Path, tmp_path: Path) -> None:
    given = tmp_path / "in-hunter2-path.csv"
    given.write_text("1")
    task = TaskDef("load", inputs=[given], version="v-hunter2-path", params={"token": Secret("hunter2-path")})
    pipeline = Pipeline("paths", [task], _reveal, changed=True)
    run_pipeline(db_path, pipeline, ui="none")
    os.utime(given, ns=(1_000_000_000_000, 1_000_000_000_000))
    for _ in range(2):  # compared by content, then by size and time
        assert run_pipeline(db_path, pipeline, ui="none").unchanged == 1
    with closing(sqlite3.connect(db_path)) as connection:
        (key,) = connection.execute("SELECT input_key FROM task_runs").fetchone()
    assert "hunter2-path" not in key


def test_an_id_that_holds_a_secret_is_refused(db_path: Path) -> None:
    task = TaskDef("load-hunter2-id", params={"token": Secret("hunter2-id")})
    with pytest.raises(UsageError, match="Task number 1: its task_id holds a secret") as raised:
        run_pipeline(db_path, Pipeline("p", [task], _done), ui="none")
    assert "hunter2" not in str(raised.value)


def _with_parameters() -> Pipeline:
    pipeline = Pipeline("shop", worker_fn=_fails_at_first)

    @pipeline.tasks
    def tasks(token: Secret, url: str = "none") -> Iterable[TaskDef]:
        yield TaskDef("load", params={"token": token, "url": url})

    return pipeline


def _fails_at_first(task: TaskDef, q: Channel) -> Any:
    if q.attempt == 1 and task.params["token"].reveal() == "hunter2-first":
        raise ConnectionError("down")
    return task.params["url"]


def test_a_secret_parameter_is_given_again_to_resume(db_path: Path) -> None:
    run_pipeline(db_path, _with_parameters(), params={"token": "hunter2-first"}, ui="none")
    with pytest.raises(UsageError, match="shop needs token, as -p token=…"):
        run_pipeline(db_path, _with_parameters(), resume=True, ui="none")
    summary = run_pipeline(db_path, _with_parameters(), params={"token": Secret("hunter2-2nd")}, resume=True, ui="none")
    assert (summary.ok, json.loads(summary.params or "")["token"]) == (True, "•••")


def test_a_text_that_held_a_secret_is_given_again_to_resume(db_path: Path) -> None:
    params = {"token": "hunter2-first", "url": "?t=hunter2-first"}
    run_pipeline(db_path, _with_parameters(), params=params, ui="none")
    with pytest.raises(UsageError, match=r"had url=.t=•••, and this one has url=none"):
        run_pipeline(db_path, _with_parameters(), params={"token": "hunter2-first"}, resume=True, ui="none")


def test_a_run_of_the_same_tasks_keeps_the_secret_that_was_given(db_path: Path) -> None:
    options = EngineOptions(params={"token": "hunter2-again", "url": "x"})
    engine = Engine(db_path, _with_parameters(), options)
    row = engine.start()
    engine.wait()
    engine.close()
    again = engine.again(row.id)
    assert again.options.params == {"token": "hunter2-again", "url": "x"}
    assert again.tasks[0].params["token"].reveal() == "hunter2-again"  # type: ignore[attr-defined]


def test_new_code_is_refused_when_a_secret_of_it_is_missing(db_path: Path) -> None:
    engine = Engine(db_path, _shop())
    with pytest.raises(UsageError, match="KIT_MISSING is not set"):
        engine._take(replace(_shop(), secrets=["KIT_MISSING"]), engine.version)
    assert engine.pipeline.secrets == ()


@dataclass(frozen=True)
class Signed:
    """A message that holds a secret, for its handler."""

    key: Secret
    rows: list[int]


def test_what_is_held_back_in_a_file_holds_no_secret(db_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held_back, "MEMORY", 0)
    seen: list[bytes] = []
    lengths: list[int] = []

    def sign(_task: TaskDef, q: Channel) -> None:
        q.put(Signed(Secret("hunter2-held"), [1, 2]))
        seen.extend(path.read_bytes() for path in db_path.parent.glob("*held-*"))

    pipeline = Pipeline("p", [TaskDef("sign")], sign, atomic=True)

    @pipeline.handler(Signed)
    def store(_conn: Any, msg: Signed) -> None:
        lengths.append(len(msg.key.reveal()) + len(msg.rows))

    assert run_pipeline(db_path, pipeline, ui="none").ok
    assert lengths == [len("hunter2-held") + 2]
    assert len(seen) == 1
    assert b"rows" in seen[0]
    assert b"hunter2" not in seen[0]


def test_a_secret_is_no_value_of_a_row() -> None:
    pipeline = Pipeline("p", [TaskDef("load")])
    orders = pipeline.table("orders", {"token": str})

    def load(_task: TaskDef, q: Channel) -> None:
        q.put(orders.rows([{"token": Secret("hunter2-row")}]))

    pipeline.worker_fn = load
    error = run_task(pipeline, "load").error or ""
    assert "Table orders" in error
    assert "hunter2" not in error


def test_a_line_that_is_printed_in_parts_reaches_the_terminal_masked(
    db_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    value = Secret("hunter2-in-parts").reveal()

    def load(_task: TaskDef, _q: Channel) -> None:
        sys.stdout.write(value[:7])
        sys.stdout.write(value[7:] + "\n")
        sys.stdout.write("." * 70_000 + value[:7])
        sys.stdout.write(value[7:] + "." * 70_000)

    run_pipeline(db_path, Pipeline("p", [TaskDef("load")], load), ui="none")
    shown = capsys.readouterr().out
    assert shown.count("•••") == 2
    assert "hunter" not in shown
    assert "parts" not in shown


def test_the_log_file_of_a_script_is_masked(tmp_path: Path) -> None:
    root, before = logging.getLogger(), logging.getLogger().handlers[:]
    value = Secret("hunter2-log-file").reveal()
    setup_logging(2, tmp_path / "log.txt")
    try:
        root.info("token %s", value)
    finally:
        for handler in [one for one in root.handlers if one not in before]:
            root.removeHandler(handler)
            handler.close()
    assert "token •••" in (tmp_path / "log.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("parts", [1, 2, 20])
@pytest.mark.parametrize("before", [3_980, 3_990, 3_999, 4_000, 7_990])
def test_a_line_without_an_end_is_cut_beside_a_value(before: int, parts: int) -> None:
    value = Secret("correct-horse-battery").reveal()
    lines: list[str] = []
    log = AttemptLog(lambda _level, text, _at: lines.append(storable(text, 1 << 16)))
    step = len(value) // parts + 1
    log.printed("STDOUT", "." * before + (value if parts == 1 else ""))
    for start in range(0, len(value), step) if parts > 1 else ():
        log.printed("STDOUT", value[start : start + step])
    log.printed("STDOUT", "." * 9_000)
    log.close()
    assert "".join(lines).count("•••") == 1
    assert not set("".join(lines)) & set("corehsbaty")


def test_what_a_thread_of_a_worker_prints_is_masked(db_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    value = Secret("hunter2-thread").reveal()

    def load(_task: TaskDef, _q: Channel) -> None:
        thread = threading.Thread(target=print, args=[f"beside {value}"])
        thread.start()
        thread.join()

    run_pipeline(db_path, Pipeline("p", [TaskDef("load")], load), ui="none")
    assert "beside •••" in capsys.readouterr().out


def test_a_result_that_holds_a_secret_stays_json() -> None:
    Secret("2026112799")

    def load(_task: TaskDef, _q: Channel) -> Any:
        return {"n": 2026112799, "2026112799": [True, "x2026112799"]}

    assert run_task(Pipeline("p", [TaskDef("load")], load), "load").result == {"n": "•••", "•••": [True, "x•••"]}


def test_secrets_are_known_before_the_tasks_are_listed(db_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def tasks() -> Iterable[TaskDef]:
        raise ConnectionError(f"no tasks at {os.environ.get('KIT_LATE')}")

    pipeline = Pipeline("p", tasks, _done, secrets=["KIT_LATE"])
    with pytest.raises(UsageError, match="KIT_LATE is not set"):
        Engine(db_path, pipeline)
    monkeypatch.setenv("KIT_LATE", "hunter2-late")
    with pytest.raises(UsageError, match="ConnectionError: no tasks at •••"):
        Engine(db_path, pipeline)


def test_a_run_does_not_take_new_code_that_lacks_a_secret(db_path: Path) -> None:
    called: list[object] = []
    engine = Engine(db_path, _shop())
    engine.start()
    engine.wait()
    try:
        with pytest.raises(UsageError, match="KIT_MISSING is not set"):
            engine._take(replace(_shop(), secrets=["KIT_MISSING"], schemas=[called.append]), engine.version)
    finally:
        engine.close()
    assert called == []


def test_what_an_executor_of_ones_own_reports_is_masked_before_it_is_stored() -> None:
    Secret("hunter2-elsewhere")
    row = AttemptRow(1, 1, "load", 1, "load", Status.RUNNING)
    fold = Fold({1: row}, {}, "", lambda _: None)
    fold.lifecycle(1, Logged("INFO", "a hunter2-elsewhere", None, "b hunter2-elsewhere"))
    fold.progress[1] = MsgTaskProgress("load", 1, 2, "c hunter2-elsewhere")
    fold.lifecycle(
        1, Ended(Status.ERROR, "", message="hunter2-elsewhere", result='["hunter2-elsewhere"]', error="hunter2-elsewhere",
                 error_type="hunter2-elsewhere")
    )  # fmt: skip
    told = repr((fold.logs, fold.flush()))
    assert "hunter2" not in told
    assert told.count("•••") == 5
