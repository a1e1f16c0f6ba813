"""Options from variables of the environment, and how much is told: --quiet, --log-level, NO_COLOR."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import Run, command

from pipeloom.cli.cockpit import program as cockpit
from pipeloom.cli.main import COMMANDS, command_named
from pipeloom.cli.shell.variables import OTHERS, given_by, variable_of
from pipeloom.errors import UsageError
from pipeloom.tui.style.glyphs import wants_ascii

LOGS = """
import logging
from pipeloom import *
def work(task, q):
    logging.getLogger("mine").info("read %s", task.name)
    logging.getLogger("mine").debug("all of %s", task.name)
    if task.name == "bad":
        raise KeyError("temp_max")
pipeline = Pipeline("logs", [TaskDef(0, "one")], work)
failing = Pipeline("failing", [TaskDef(0, "bad")], work)
"""


@pytest.fixture
def with_variables(run: Run, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that runs `pipeloom` with variables set."""

    def start(line: str, **variables: str) -> subprocess.CompletedProcess[str]:
        for name, value in variables.items():
            monkeypatch.setenv(f"PIPELOOM_{name}", value)
        done = run("pipeloom", *line.split())
        for name in variables:
            monkeypatch.delenv(f"PIPELOOM_{name}")
        return done

    return start


def options() -> list[Any]:
    import typer

    commands = [*map(command_named, COMMANDS), typer.main.get_command(cockpit)]
    return [option for one in commands for option in one.params if option.param_type_name == "option"]


def test_every_option_has_a_variable_which_means_the_same_everywhere() -> None:
    kinds: dict[str, set[tuple[object, ...]]] = {}
    for option in options():
        if (variable := variable_of(option)) is not None:
            assert variable not in OTHERS
            kinds.setdefault(variable, set()).add(
                (option.is_flag, option.multiple, str(option.type).partition(" at 0x")[0])
            )
        else:
            assert option.name in {"version", "help"}
    assert {"PIPELOOM_WORKERS", "PIPELOOM_NO_WAL", "PIPELOOM_PARAM", "PIPELOOM_ASCII", "PIPELOOM_JSON"} <= kinds.keys()
    assert {name: kind for name, kind in kinds.items() if len(kind) > 1} == {}


def test_a_variable_stands_for_its_option_and_what_is_typed_comes_first(with_variables: Any) -> None:
    done = with_variables("run etl.db good.py:pipeline", JSON="1", WORKERS="1", QUIET="off", FIRST="2", RESUME="")
    assert (done.returncode, json.loads(done.stdout.splitlines()[-1])["counts"]) == (0, {"done": 2})
    assert len(with_variables("show etl.db", LIMIT="1", SORT="name").stdout.splitlines()) == 2
    assert len(with_variables("show etl.db --limit 2", LIMIT="1").stdout.splitlines()) == 3
    assert len(with_variables("show etl.db --limit=2", LIMIT="nonsense").stdout.splitlines()) == 3


@pytest.mark.parametrize(
    ("line", "name", "value", "told"),
    [
        ("show etl.db", "LIMIT", "x", "PIPELOOM_LIMIT needs a whole number: see pipeloom show --help"),
        ("show etl.db", "JSON", "perhaps", "PIPELOOM_JSON needs 1 or 0, and not 'perhaps'."),
        ("show etl.db", "SORT", "x", "PIPELOOM_SORT has a wrong value: 'x' is not one of 'time', 'duration', 'name',"),
        ("run etl.db good.py:pipeline", "WORKERS", "0", "(PIPELOOM_WORKERS is set.)"),
        ("run etl.db good.py:pipeline", "ONLY", "status:done", "(PIPELOOM_ONLY is set.)"),
        ("run etl.db good.py:pipeline", "PARAM", "'a=1", "PIPELOOM_PARAM has a quotation mark that is not closed."),
        ("run etl.db good.py:pipeline", "PARAM", "'month=a b'", "(PIPELOOM_PARAM is set.)"),
        ("run etl.db good.py:pipeline", "LOG_LEVEL", "loud", "PIPELOOM_LOG_LEVEL has a wrong value: 'loud'"),
    ],
)
def test_a_wrong_value_is_told_with_its_variable(
    with_variables: Any, line: str, name: str, value: str, told: str
) -> None:
    assert with_variables("run etl.db good.py:pipeline").returncode == 0
    done = with_variables(line, **{name: value})
    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_mistake_that_has_nothing_to_do_with_a_variable_does_not_name_it(with_variables: Any) -> None:
    assert "PIPELOOM" not in with_variables("run etl.db nosuch.py", WORKERS="3", QUIET="1").stderr


def test_a_list_is_split_as_a_shell_does() -> None:
    (param,) = {option.name: option for option in options() if option.name == "params"}.values()
    assert given_by({"PIPELOOM_PARAM": "a=1 'b=two words'"}, [param]) == {"params": ["a=1", "b=two words"]}
    with pytest.raises(UsageError):
        given_by({"PIPELOOM_PARAM": '"a'}, [param])


def test_a_worker_process_reads_no_options(with_variables: Any, folder: Path) -> None:
    (folder / "odd.py").write_text(LOGS)
    done = with_variables("run odd.db odd.py:pipeline", EXECUTOR="process", WORKERS="1", JSON="1")
    assert (done.returncode, json.loads(done.stdout.splitlines()[-1])["counts"]) == (0, {"done": 1})


def test_ascii_can_be_turned_off_by_its_variable() -> None:
    assert [wants_ascii({"PIPELOOM_ASCII": text}, "UTF-8") for text in ("1", "on", "0", "")] == [
        True,
        True,
        False,
        False,
    ]


# -- what is told --------------------------------------------------------------------------------------------------


def test_quiet_tells_only_what_goes_wrong(run: Run, folder: Path) -> None:
    (folder / "logs.py").write_text(LOGS)
    good = run("pipeloom", "run", "etl.db", "logs.py:pipeline", "--quiet")
    assert (good.returncode, good.stdout, good.stderr) == (0, "", "")
    bad = run("pipeloom", "run", "etl.db", "logs.py:failing", "-q")
    assert (bad.returncode, bad.stdout) == (1, "")
    assert "1 error" in bad.stderr
    assert "KeyError: 'temp_max'" in bad.stderr
    lines = run("pipeloom", "run", "etl.db", "logs.py:pipeline", "-q", "--json")
    assert json.loads(lines.stdout.splitlines()[-1])["type"] == "summary"
    for made in (("backup", "etl.db", "copy.db"), ("export", "etl.db", "-o", "out.csv")):
        assert run("pipeloom", *made).stderr != ""
        (folder / made[-1]).unlink()
        quiet = run("pipeloom", *made, "-q")
        assert (quiet.returncode, quiet.stderr) == (0, "")
    assert "There is no file" in run("pipeloom", "show", "nosuch.db", "-q").stderr
    assert run("pipeloom", "runs", "etl.db", "-q").stdout == run("pipeloom", "runs", "etl.db").stdout


def test_the_log_is_shown_from_its_level_on_and_the_file_keeps_what_it_keeps(run: Run, folder: Path) -> None:
    (folder / "logs.py").write_text(LOGS)

    def logged(*options: str) -> tuple[bool, bool, list[str]]:
        done = run("pipeloom", "run", "etl.db", "logs.py:pipeline", *options)
        (number, *_) = json.loads(run("pipeloom", "show", "etl.db", "--json", "-n", "1").stdout)["id"], 0
        log = json.loads(run("pipeloom", "show", "etl.db", str(number), "--json").stdout)["log"]
        return "read one" in done.stderr, "all of one" in done.stderr, [line["text"] for line in log]

    assert logged() == (False, False, ["read one"])
    assert logged("--log-level", "error") == (False, False, ["read one"])
    assert logged("--log-level", "info") == (True, False, ["read one"])
    shown, all_shown, kept = logged("--log-level", "debug")
    assert shown
    assert all_shown
    assert {"read one", "all of one"} <= set(kept)


def test_no_color_is_kept_to(folder: Path) -> None:
    (folder / "logs.py").write_text(LOGS)

    def on_terminal(**more: str) -> bytes:
        leader, follower = pty.openpty()
        environment = {**os.environ, "HOME": str(folder), **more}
        arguments = command("pipeloom", "run", "etl.db", "logs.py:failing")
        process = subprocess.Popen(
            arguments, cwd=folder, env=environment, stdin=follower, stderr=follower, stdout=follower
        )
        os.close(follower)
        seen = b""
        try:
            while chunk := os.read(leader, 65536):
                seen += chunk
        except OSError:
            pass
        process.wait(60)
        os.close(leader)
        return seen

    assert b"\x1b[31m" in on_terminal()  # red
    plain = on_terminal(NO_COLOR="1")
    assert b"error" in plain
    assert b"\x1b[3" not in plain
