"""What the source may never contain, because a database is data and its locks are fragile."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "pipeloom"
FILES = sorted(SOURCE.rglob("*.py"))

CODE_FROM_DATA = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "yaml", "code", "runpy"}
"""Modules that run what they read."""
MAY_PICKLE = {
    "engine/executors/process/wire.py",
    "engine/executors/process/executor.py",
    "engine/executors/process/worker.py",
    "engine/executors/dask/serialization.py",
    "engine/worker/weight.py",  # only measures
    "engine/run/held_back.py",
    "code/pickles.py",
}
"""What goes between our own processes through our own pipes, or a cluster's, and what a process has written itself."""
RUNS_CODE = {"eval", "exec", "compile", "__import__"}
OPENS = {
    "open",
    "read_bytes",
    "read_text",
    "write_text",
    "write_bytes",
    "shutil.copy",
    "shutil.move",
    "shutil.copyfile",
}
MAY_OPEN = {
    "engine/changes/input_key.py",  # `plan` refuses the file of the run
    "engine/executors/children.py",
    "environment/script.py",  # a file that ends in .py
    "environment/needs.py",  # what an installer has written
    "environment/own.py",  # our own files, and the same
    "environment/environments.py",
    "store/file/owner.py",
    "store/file/filesystem.py",
    "user_state.py",
    "tui/settings.py",
    "tui/terminal.py",
    "tui/style/theme.py",
    "console/logging.py",
    "loader.py",
    "cli/shell/command.py",  # what a shell reads
    "cli/shell/file_names.py",  # a process that only answers a shell
    "code/sources.py",
    "code/version.py",
    "web/server.py",  # its own template
    "tui/controlling_tty.py",  # a file of /proc
}
"""Modules that open files, none of them a database: closing one drops every lock that SQLite holds on it."""
MAY_BEGIN_LAZILY = {"store/maintenance/backup.py"}  # it reads alone
LAZY_BEGIN = re.compile(r"\s*BEGIN\s*(DEFERRED|TRANSACTION|/|;|$)", re.IGNORECASE)


def name_of(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").split(".")[0]


def called(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            match node.func:
                case ast.Name(id=name):
                    yield name
                case ast.Attribute(value=ast.Name(id=("os" | "shutil" | "re") as module), attr=name):
                    yield f"{module}.{name}"
                case ast.Attribute(attr=name):
                    yield name


def literals(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def faults(source: str, name: str = "x.py") -> list[str]:
    """Return what is wrong with a module."""
    tree = ast.parse(source)
    found = []
    modules, calls = set(imported(tree)), set(called(tree))
    if name not in MAY_PICKLE and (bad := modules & CODE_FROM_DATA):
        found.append(f"imports {bad}")
    if bad := {call for call in calls if call in RUNS_CODE}:
        found.append(f"calls {bad}")
    if name not in MAY_OPEN and (bad := calls & OPENS):
        found.append(f"opens files: {bad}")
    for text in literals(tree):
        if LAZY_BEGIN.match(text) and name not in MAY_BEGIN_LAZILY:
            found.append(f"begins a transaction that may fail half-way: {text!r}")
    return found


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_nothing_runs_code_from_data_begins_lazily_or_opens_a_database_by_hand(path: Path) -> None:
    assert faults(path.read_text(encoding="utf-8"), name_of(path)) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from yaml import load",
        "eval('1')",
        "connection.execute('BEGIN')",
        "connection.execute('begin deferred')",
        "open(path)",
        "path.read_bytes()",
        "shutil.copy(a, b)",
    ],
)
def test_the_lint_finds(source: str) -> None:
    assert faults(source)


def test_no_widget_takes_its_id_from_data() -> None:
    dynamic = []
    for path in (SOURCE / "tui").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                given = [word.value for word in node.keywords if word.arg in ("id", "classes", "name")]
                dynamic += [ast.unparse(value) for value in given if isinstance(value, ast.JoinedStr)]
    assert dynamic == ["f'choice-{number}'"], "only a number of our own counting may be part of an id"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_nothing_that_must_happen_waits_for_a_timer_of_textual(path: Path) -> None:
    assert ".set_timer(" not in path.read_text(encoding="utf-8"), "use call_in: Textual drops such a call at times"
