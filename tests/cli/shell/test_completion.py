"""Completion: what the program answers each shell, and what real shells make of it."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from tests.cli.conftest import GOOD, Run
from tests.cli.shell.conftest import OpenShell, shells

from pipeloom.cli.main import COMMANDS
from pipeloom.cli.shell.completion import answer
from pipeloom.cli.shell.typed_line import escaped, split_line
from pipeloom.filters import FIELDS, grammar
from pipeloom.status import Status

BREAKS = " \t\n\"'@><=;|&(:"
"""COMP_WORDBREAKS of bash."""


@pytest.fixture
def files(folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a database in which two pipelines have run, and files around it."""
    (folder / "spaced.py").write_text(GOOD.replace("task-{n}", "two words {n}").replace("good", "spa ced", 1))
    for spec in ("good.py:pipeline", "spaced.py:pipeline"):
        assert run("pipeloom", "run", "etl.db", spec).returncode == 0
    with closing(sqlite3.connect(folder / "my data.db")) as connection:
        connection.execute("CREATE TABLE mine (a)")
    shutil.copy(folder / "my data.db", folder / "we[ir]*.db")
    (folder / "notes.txt").write_text("no database")
    (folder / "copy of.txt").touch()
    monkeypatch.chdir(folder)
    return folder


def contents(folder: Path) -> dict[str, str]:
    there = (path for path in folder.rglob("*") if "home" not in path.parts and "__pycache__" not in path.parts)
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in there if path.is_file()}


def told(shell: str, line: str, program: str = "pipeloom") -> list[str]:
    """Return the values that the program answers to a line up to the cursor."""
    typed = split_line(line)
    given = [*typed.words[1:], typed.word] if shell == "zsh" else [line, BREAKS]
    lines = answer(program, shell, given).splitlines()
    if shell == "bash" or lines == ["files"]:
        return lines[1:] if shell == "bash" and lines != ["files"] else lines
    return [line.split("\t")[1 if shell == "zsh" else 0] for line in lines]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_commands_options_and_values_are_told_to_each_shell(files: Path, shell: str) -> None:
    assert told(shell, "pipeloom ") == [*COMMANDS]
    assert told(shell, "pipeloom sta") == ["status", "state"]
    assert told(shell, "pipeloom run etl.db --exec") == ["--executor"]
    assert told(shell, "pipeloom run etl.db --executor ") == ["thread", "process", "dask", "async"]
    assert told(shell, "pipeloom run --workers ") == []
    assert told(shell, "pipeloom show etl.db --") > ["--help"]
    assert told(shell, "pipeloom show my") == ["my\\ data.db" if shell == "bash" else "my data.db"]
    assert {"etl.db", "state/"} < {*told(shell, "pipeloom show ")}
    assert told(shell, "pipeloom plan etl.db ") == ["good.py", "one.py", "spaced.py", "state/"]
    assert told(shell, "pipeloom-tui etl.db good.py:", "pipeloom-tui")[-1].endswith("failing")
    assert told(shell, "pipeloom backup etl.db ") == ["files"]
    assert told(shell, "pipeloom status ~/") == ["files"]
    assert told(shell, "pipeloom export etl.db -o ") == ["files"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_fields_of_the_filter_and_values_of_the_file_are_told(files: Path, shell: str) -> None:
    before = contents(files)
    assert told(shell, "pipeloom show etl.db '") == [f"{field}:" for field in FIELDS]
    assert told(shell, "pipeloom show etl.db 'status:") == [f"status:{status}" for status in Status]
    assert told(shell, "pipeloom show etl.db 'status:done,err") == ["status:done,error"]
    assert told(shell, "pipeloom show etl.db 'x -pipeline:") == ["x -pipeline:good", 'x -pipeline:"spa ced"']
    assert told(shell, "pipeloom show etl.db 'run:1,") == ["run:1,2"]
    assert told(shell, "pipeloom retry etl.db 'name:task-1") == ["name:task-1"]
    assert told(shell, "pipeloom runs etl.db 'name:\"two words 0") == ['name:"two words 0"']
    assert told(shell, "pipeloom show nosuch.db 'pipeline:") == []
    assert contents(files) == before


def test_every_field_of_the_grammar_is_offered() -> None:
    assert [*FIELDS] == [*grammar._FIELDS]


def test_bash_gets_what_follows_the_last_break_of_a_word(files: Path) -> None:
    assert told("bash", "pipeloom show etl.db status:er") == ["error"]
    assert told("bash", "pipeloom show etl.db --sort=n") == ["name"]
    assert told("bash", "pipeloom show etl.db 'status:er") == ["status:error"]
    assert told("bash", 'x=1 pipeloom show etl.db pipeline:\\"spa') == ['\\"spa\\ ced\\"']
    assert told("bash", "pipeloom show etl.db > ") == ["files"]
    assert told("bash", "pipeloom show etl.db 2>er") == ["files"]


def test_what_is_no_command_of_ours_has_no_completion(files: Path) -> None:
    assert told("bash", "pipeloom nosuch ") == []
    assert answer("pipeloom", "tcsh", ["pipeloom "]) == answer("pipeloom", "bash", []) == ""


def test_names_that_a_terminal_would_obey_are_not_offered(files: Path) -> None:
    (files / "a\x1b[31m.py").touch()
    (files / "b\n.py").touch()
    assert told("zsh", "pipeloom plan etl.db ") == ["good.py", "one.py", "spaced.py", "state/"]


def test_a_line_is_split_as_shells_split_it() -> None:
    line = split_line("""cd x; a=1 pipeloom 'it'\\''s' "a \\"b\\" $" c\\ d >out e'f g""")
    assert line.words == ("a=1", "pipeloom", "it's", 'a "b" $', "c d")
    assert (line.word, line.quote, line.typed) == ("ef g", "'", "e'f g")
    assert [escaped("it's a", quote) for quote in ("", "'", '"')] == ["it\\'s\\ a", "it'\\''s a", "it's a"]


TYPED = [
    ("pipeloom expo\t", ["export"]),
    ("pipeloom show et\tstatus:err\t", ["show", "etl.db", "status:error"]),
    ("pipeloom show etl.db 'status:error pipe\tg\t", ["show", "etl.db", "status:error pipeline:good"]),
    ("pipeloom show etl.db 'pipeline:\"s\t", ["show", "etl.db", 'pipeline:"spa ced"']),
    ("pipeloom run etl.db --exec\tp\t", ["run", "etl.db", "--executor", "process"]),
    ("pipeloom show etl.db --sort=na\t", ["show", "etl.db", "--sort=name"]),
    ("pipeloom status my\t", ["status", "my data.db"]),
    ("pipeloom status we\t", ["status", "we[ir]*.db"]),
    ("~/bin/pipeloom status my\t", ["status", "my data.db"]),
    ("pipeloom-tui etl.db good.py:f\t", ["etl.db", "good.py:failing"]),
    ("pipeloom backup etl.db cop\t", ["backup", "etl.db", "copy of.txt"]),
]


@pytest.mark.pty
@pytest.mark.parametrize("shell", shells())
def test_a_real_shell_completes(files: Path, open_shell: OpenShell, shell: str) -> None:
    before = contents(files)
    terminal = open_shell(shell)
    assert [(line, terminal.completed(line)) for line, _ in TYPED] == TYPED
    assert contents(files) == before


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_installed_once(folder: Path, run: Run, shell: str) -> None:
    def there() -> dict[str, str]:
        hidden = (path for path in folder.rglob("*") if path.is_file() and ".py" not in path.name)
        return {str(path.relative_to(folder)): path.read_text(encoding="utf-8") for path in hidden}

    assert run("pipeloom", "completion", shell, "--install").returncode == 0
    first = there()
    printed = run("pipeloom", "completion", shell).stdout
    assert printed in first.values()
    again = run("pipeloom", "completion", shell, "--install")
    assert (again.returncode, there()) == (0, first)
    if shell == "bash":
        done = subprocess.run(
            ["bash", "-c", ". ./.bashrc; complete -p pipeloom-tui"],
            cwd=folder, env={**os.environ, "HOME": str(folder)}, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert "_pipeloom_complete pipeloom-tui" in done.stdout
