"""`pipeloom run` with a schedule, and the hooks of both programs, as a supervisor and a user see them."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import Popen, Run, command, first_line

WAITS = """
import pathlib, time
from pipeloom import *
def work(task, q):
    pathlib.Path("arrived").touch()
    while not pathlib.Path("open").exists():
        q.sleep(0.02)
pipeline = Pipeline("waits", [TaskDef(1, "one")], work)
"""
NEVER = ("--at", "0 0 29 2 *")


def lines_until(process: subprocess.Popen[str], text: str) -> list[str]:
    """The lines up to the one with `text`."""
    seen: list[str] = []
    while not seen or text not in seen[-1]:
        seen.append(first_line(process))
        assert seen[-1], f"it ended without {text!r}: {seen}"
    return seen


def await_file(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, f"there is no {path.name}"
        time.sleep(0.02)


def runs(folder: Path) -> list[str]:
    with closing(sqlite3.connect(folder / "etl.db")) as connection:
        return [status for (status,) in connection.execute("SELECT status FROM pipeline_runs ORDER BY id")]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=str)
@pytest.mark.parametrize("program", ["pipeloom", "pipeloom-tui"])
def test_a_signal_between_two_runs_ends_it_with_0(popen: Popen, folder: Path, number: int, program: str) -> None:
    process = popen(program, *["run"] * (program == "pipeloom"), "etl.db", "good.py:pipeline", *NEVER)
    lines_until(process, "Next start ")
    process.send_signal(number)
    assert process.wait(60) == 0
    assert not (folder / "etl.db").exists()


def test_a_signal_during_a_run_interrupts_it_and_there_is_no_next(popen: Popen, folder: Path) -> None:
    (folder / "waits.py").write_text(WAITS, encoding="utf-8")
    process = popen("pipeloom", "run", "etl.db", "waits.py", "--every", "1s")
    await_file(folder / "arrived")
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 128 + signal.SIGTERM
    assert runs(folder) == ["interrupted"]


def test_a_run_that_fails_is_followed_by_the_next(popen: Popen, folder: Path) -> None:
    process = popen("pipeloom", "run", "etl.db", "good.py:failing", "--every", "1s")
    told = lines_until(process, "failing  run 2:")
    assert sum("Next start 2" in line for line in told) == 1
    process.terminate()
    assert process.wait(60) in (0, 143)
    assert runs(folder)[:2] == ["error", "error"]


def test_quiet_leaves_out_when_the_next_start_is(popen: Popen) -> None:
    process = popen("pipeloom", "run", "etl.db", "good.py:failing", "--every", "1s", "--quiet")
    assert not [line for line in lines_until(process, "failing  run 2:") if "Next start" in line]


def test_json_has_a_line_for_each_run(folder: Path) -> None:
    arguments = ("run", "etl.db", "good.py:pipeline", "good.py:failing", "--every", "1s", "--json")
    with subprocess.Popen(
        command("pipeloom", *arguments), cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        told = [json.loads(first_line(process)) for _ in range(4)]
        process.terminate()
    assert [(line["type"], line["run_id"], line["pipeline"], line["status"]) for line in told] == [
        ("summary", 1, "good", "done"),
        ("summary", 2, "failing", "error"),
        ("summary", 3, "good", "done"),
        ("summary", 4, "failing", "error"),
    ]


def test_a_file_that_is_in_use_is_told_and_the_next_start_is_tried(popen: Popen, folder: Path) -> None:
    (folder / "waits.py").write_text(WAITS, encoding="utf-8")
    other = popen("pipeloom", "run", "etl.db", "waits.py")
    await_file(folder / "arrived")
    process = popen("pipeloom", "run", "etl.db", "good.py:pipeline", "--every", "1s")
    assert "in use" in lines_until(process, "Not started: ")[-1]
    (folder / "open").touch()
    assert other.wait(60) == 0
    lines_until(process, "good  run 2:")
    process.terminate()
    process.wait(60)


def test_a_file_that_comes_starts_a_run(popen: Popen, folder: Path) -> None:
    (folder / "in").mkdir()
    process = popen("pipeloom", "run", "in/etl.db", "good.py:pipeline", "--watch", "in")
    lines_until(process, "Waiting for files.")
    (folder / "in" / "new.csv").write_text("1", encoding="utf-8")
    lines_until(process, "good  run 2:")
    lines_until(process, "Waiting for files.")
    process.terminate()
    assert process.wait(60) == 0


@pytest.mark.parametrize(
    ("program", "wrong"),
    [
        ("pipeloom run", ["--every", "soon"]),
        ("pipeloom run", ["--every", "1h30"]),
        ("pipeloom-tui", ["--at", "25 25 * * *"]),
        ("pipeloom unit", ["--at", ""]),
        ("pipeloom unit", ["--every", ""]),
    ],
)
def test_a_schedule_that_cannot_be_is_a_sentence(run: Run, folder: Path, program: str, wrong: list[str]) -> None:
    done = run(*program.split(), "etl.db", "good.py:pipeline", *wrong)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("pipeloom: ")
    assert not (folder / "etl.db").exists()


def test_a_pipeline_that_cannot_be_run_is_told_at_once(run: Run) -> None:
    assert run("pipeloom", "run", "etl.db", "none.py", *NEVER).returncode == 2
    assert run("pipeloom", "run", "no/folder/etl.db", "good.py:pipeline", *NEVER).returncode == 2
    assert run("pipeloom-tui", "etl.db", *NEVER).returncode == 2


# -- hooks -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def settings(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The settings file of the user who runs the programs."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
    path = folder / "config" / "pipeloom" / "settings.toml"
    path.parent.mkdir(parents=True)
    return path


def seen(folder: Path) -> dict[str, Any] | None:
    path = folder / "seen.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


@pytest.mark.parametrize(
    "arguments", [("pipeloom", "run", "etl.db"), ("pipeloom-tui", "etl.db")], ids=["run", "tui without a terminal"]
)
def test_the_command_of_the_settings_gets_the_summary(
    run: Run, folder: Path, settings: Path, arguments: tuple[str, ...]
) -> None:
    settings.write_text('[notify]\non_failure = "cat > seen.json"\n', encoding="utf-8")
    assert run(*arguments, "good.py:pipeline").returncode == 0
    assert seen(folder) is None
    assert run(*arguments, "good.py:failing").returncode == 1
    told = seen(folder)
    assert told is not None
    assert (told["pipeline"], told["status"], told["failed"][0]["name"]) == ("failing", "error", "bad")


def test_tasks_that_are_run_again_and_fail_are_told_too(run: Run, folder: Path, settings: Path) -> None:
    assert run("pipeloom", "run", "etl.db", "good.py:failing").returncode == 1
    settings.write_text(f'[notify]\non_failure = ["{sys.executable}", "note.py"]\n', encoding="utf-8")
    (folder / "note.py").write_text("import sys; open('seen.json', 'w').write(sys.stdin.read())", encoding="utf-8")
    assert run("pipeloom", "retry", "etl.db", "status:error", "good.py:failing").returncode == 1
    told = seen(folder)
    assert told is not None
    assert (told["run_id"], told["parent_run_id"]) == (2, 1)


def test_a_command_that_fails_is_in_the_log_of_the_run(run: Run, settings: Path) -> None:
    settings.write_text('[notify]\non_failure = "echo no route; exit 3"\n', encoding="utf-8")
    done = run("pipeloom", "run", "etl.db", "good.py:failing")
    assert done.returncode == 1
    assert "  ! [notify] on_failure: the command ended with code 3: no route\n" in done.stderr
    assert "log:\n  ERROR   [notify] on_failure: the command ended" in run("pipeloom", "status", "etl.db").stdout
    told = json.loads(run("pipeloom", "status", "etl.db", "--json").stdout)
    assert [line["level"] for line in told["log"]] == ["ERROR"]


HOOKED = """
from pipeloom import Pipeline, TaskDef
pipeline = Pipeline("hooked", [TaskDef(1, "a")], lambda task, q: None)
@pipeline.on_end
def tell_the_team(summary):
    print("calling")
    raise ConnectionError("no route to host")
"""


def test_who_looks_later_sees_that_a_hook_failed(run: Run, folder: Path) -> None:
    (folder / "hooked.py").write_text(HOOKED, encoding="utf-8")
    for spec in ("hooked.py", "good.py:pipeline", "good.py:pipeline"):
        assert run("pipeloom", "run", "etl.db", spec).returncode == 0
    listed = run("pipeloom", "runs", "etl.db").stdout.splitlines()
    assert [line.endswith("1 done  ! 1 error in its log") for line in listed] == [False, False, False, True]
    told = [json.loads(line) for line in run("pipeloom", "runs", "etl.db", "--json").stdout.splitlines()]
    assert [(one["id"], one["log_errors"]) for one in told] == [(3, 0), (2, 0), (1, 1)]
    shown = run("pipeloom", "show", "etl.db", "--run", "1", zone="UTC").stdout
    assert shown.startswith("hooked  run 1: done, since ")
    log = shown.partition("log (UTC):\n")[2].splitlines()
    assert [line.split(maxsplit=1)[1] for line in log[:2]] == [
        "STDOUT   calling",
        "ERROR    tell_the_team: ConnectionError: no route to host",
    ]
    assert any("Traceback" in line for line in log)
    assert "Nothing was logged about the run itself." in run("pipeloom", "show", "etl.db", "--run", "2").stdout
    one = json.loads(run("pipeloom", "show", "etl.db", "--run", "1", "--json").stdout)
    assert (one["run"]["id"], one["counts"], [line["level"] for line in one["log"]]) == (
        1,
        {"done": 1},
        ["STDOUT", "ERROR"],
    )
    case = run("pipeloom", "export", "etl.db", "--case", "1").stdout
    assert "## Log of the run\n" in case
    assert "tell_the_team: ConnectionError: no route to host" in case.partition("## Log of the run")[2]
    assert "## Log of the run" not in run("pipeloom", "export", "etl.db", "--case", "2").stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--run", "9"], "There is no run 9 in "),
        (["--run", "x"], "--run needs a whole number"),
        (["--run", "1", "status:error"], "--run N shows one run: leave the rest out"),
    ],
)
def test_a_run_that_cannot_be_shown_is_a_sentence(run: Run, words: list[str], told: str) -> None:
    run("pipeloom", "run", "etl.db", "good.py:pipeline")
    done = run("pipeloom", "show", "etl.db", *words)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert told in done.stderr


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[notify]\non_failure = 3\n", "on_failure must be a command"),
        ("[notify]\non_failure = []\n", "on_failure must be a command"),
        ("[notify]\non_fail = 'x'\n", "unknown setting 'on_fail' in [notify]"),
        ("notify = 1\n", "notify must be a table"),
    ],
)
def test_a_mistake_in_the_setting_is_told_and_the_run_goes_on(run: Run, settings: Path, text: str, told: str) -> None:
    settings.write_text(text, encoding="utf-8")
    done = run("pipeloom", "run", "etl.db", "good.py:pipeline")
    assert done.returncode == 0
    assert told in done.stderr.splitlines()[0]


def test_settings_that_are_no_toml_are_told_and_the_run_goes_on(run: Run, settings: Path) -> None:
    settings.write_text("[notify\n", encoding="utf-8")
    done = run("pipeloom", "run", "etl.db", "good.py:pipeline")
    assert done.returncode == 0
    assert "settings.toml is no TOML: " in done.stderr.splitlines()[0]
