"""What is wrong with a command line is one sentence, and the help of each command is text that a reader can take in."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import NamedTuple, Protocol

import pytest
from tests.cli.conftest import Run

from pipeloom.cli import cockpit, main
from pipeloom.cli.command import _reworded
from pipeloom.cli.common import exit_code_of
from pipeloom.cli.main import COMMANDS


class Said(NamedTuple):
    """What a program has left: its exit code, and what it wrote."""

    code: int
    out: str
    err: str


class Typed(Protocol):
    """Runs a command line in this process."""

    def __call__(self, *words: str) -> Said: ...


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Typed:
    """Return a function that runs a command line in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def start(*words: str) -> Said:
        monkeypatch.setattr(sys, "argv", [*words])
        try:
            program = cockpit.program if words[0] == "pipeloom-tui" else main.program
            code = exit_code_of(lambda: program(prog_name=words[0]))
        except SystemExit as left:
            code = int(left.code or 0)
        return Said(code, *capfd.readouterr())

    return start


WITHOUT_DB = {"completion", "config", "info", "spec"}
WRONG = [
    ("pipeloom run", [], "DB is missing: type pipeloom run DB PIPELINE [OPTIONS]:"),
    ("pipeloom run", ["etl.db"], "PIPELINE is missing: type pipeloom run DB PIPELINE [OPTIONS]:"),
    ("pipeloom runs", ["etl.db", "run:1", "more"], "There are more arguments than it takes: more:"),
    ("pipeloom-tui", ["etl.db", "one.py", "a", "b"], "There are more arguments than it takes: a b:"),
    ("pipeloom run", ["etl.db", "one.py", "--worker", "2"], "There is no option --worker; there is --workers:"),
    ("pipeloom run", ["etl.db", "one.py", "--nothing-like-it"], "There is no option --nothing-like-it:"),
    ("pipeloom run", ["etl.db", "one.py", "-x"], "There is no option -x:"),
    ("pipeloom run", ["etl.db", "one.py", "--workers"], "--workers needs a value:"),
    ("pipeloom run", ["etl.db", "one.py", "--workers", "many"], "--workers needs a whole number:"),
    ("pipeloom run", ["etl.db", "one.py", "--grace", "long"], "--grace needs a number:"),
    ("pipeloom run", ["etl.db", "one.py", "--executor", "ray"], "--executor has a wrong value: 'ray' is not one of 'thread', 'process', 'dask', 'async':"),
    ("pipeloom run", ["etl.db", "one.py", "--json=yes"], "--json takes no value:"),
    ("pipeloom show", ["etl.db", "-n", "0"], "--limit must be 1 or more:"),
    ("pipeloom export", ["etl.db", "--case", "-1"], "--case must be 0 or more:"),
    ("pipeloom export", ["etl.db", "--format", "xml"], "--format has a wrong value: 'xml' is not one of 'csv', 'jsonl', 'md':"),
    ("pipeloom retry", ["etl.db"], "FILTER is missing: type pipeloom retry DB FILTER [PIPELINE] [OPTIONS]:"),
    ("pipeloom", ["rnu"], "There is no command 'rnu'; there is 'run'"),
    ("pipeloom", ["nothing-like-it"], "There is no command 'nothing-like-it':"),
    ("pipeloom", ["--nothing-like-it"], "There is no option --nothing-like-it:"),
    ("pipeloom", ["\x1b[31m"], r"There is no command '\x1b[31m':"),
    ("pipeloom-tui", ["etl.db", "one.py", "more"], "There are more arguments than it takes: more:"),
    ("pipeloom-tui", ["--nothing-like-it"], "There is no option --nothing-like-it:"),
    *((f"pipeloom {name}", [], "DB is missing:") for name in COMMANDS if name not in WITHOUT_DB),
    *((f"pipeloom {name}", ["a", "--nothing-like-it"], "There is no option --nothing-like-it:") for name in COMMANDS if name not in WITHOUT_DB),
]  # fmt: skip


@pytest.mark.parametrize(("program", "arguments", "words"), WRONG)
def test_a_wrong_command_line_is_one_sentence_that_names_the_help(
    typed: Typed, program: str, arguments: list[str], words: str
) -> None:
    code, out, said = typed(*program.split(), *arguments)
    assert (code, out) == (2, "")
    assert said.startswith("pipeloom: ")
    assert words in said
    assert said.endswith(f": see {program} --help\n"), said
    assert len(said.splitlines()) == 1, said


@pytest.mark.parametrize("program", ["pipeloom", "pipeloom-tui"])
def test_a_program_of_its_own_says_it_in_one_sentence_too(run: Run, program: str) -> None:
    done = run(program, "--nothing-like-it")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"pipeloom: There is no option --nothing-like-it: see {program} --help\n"


def test_a_long_word_leaves_room_for_where_the_help_is(typed: Typed) -> None:
    code, _, said = typed("pipeloom", "x" * 10_000)
    assert (code, len(said) < 400, said.endswith("…: see pipeloom --help\n")) == (2, True, True)


READERS = [
    ["status"], ["runs"], ["show"], ["export"], ["prune", "--keep-last", "1"], ["retry", "status:error"],
    ["cancel", "status:error"], ["backup", "copy.db"],
]  # fmt: skip


@pytest.mark.parametrize("arguments", READERS, ids=lambda arguments: arguments[0])
def test_a_file_that_is_not_there_or_empty_is_told_with_what_makes_it(typed: Typed, arguments: list[str]) -> None:
    command, *rest = arguments
    code, out, said = typed("pipeloom", command, "no such.db", *rest)
    assert (code, out) == (2, "")
    assert said == (
        "pipeloom: There is no file no such.db: name one that is there, or make it with "
        "pipeloom run 'no such.db' PIPELINE\n"
    )
    assert not Path("no such.db").exists()
    Path("empty.db").touch()
    code, out, said = typed("pipeloom", command, "empty.db", *rest)
    assert (code, out) == (2, "")
    assert said == "pipeloom: empty.db is empty: fill it with pipeloom run empty.db PIPELINE\n"


def test_a_path_that_begins_with_a_dash_is_told_so_that_it_can_be_typed(typed: Typed) -> None:
    assert "pipeloom run ./-x.db PIPELINE" in typed("pipeloom", "status", "--", "-x.db").err


def test_without_any_argument_the_help_is_shown(typed: Typed) -> None:
    code, out, said = typed("pipeloom")
    assert (code, "Usage: pipeloom [OPTIONS] COMMAND" in out + said) == (2, True)


HELPS = ["pipeloom", "pipeloom-tui", *(f"pipeloom {name}" for name in COMMANDS)]


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("program", HELPS)
def test_the_help_has_no_words_of_programmers_and_cuts_no_sentence(
    typed: Typed, monkeypatch: pytest.MonkeyPatch, program: str, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    code, out, said = typed(*program.split(), "--help")
    assert (code, said) == (0, "")
    assert not re.search(r"<[a-z |]+>|[{}╭│]|\[\[|x>=|\[required\]|(?<!ARGS\])\.\.\.", out)
    assert max(map(len, out.splitlines())) <= columns
    usage, *rest = out.splitlines()
    assert usage.startswith(f"Usage: {program} ")
    assert any(line.split() == ["-h,", "--help", "Show", "this", "message", "and", "exit."] for line in rest)


def test_a_file_that_may_not_be_read_is_named_plainly() -> None:
    assert _reworded("Path 'etl.db' is not readable.") == "'etl.db' may not be read by this user"
