"""Real work on any machine: parse every module of Python's standard library and index what it defines.

    pipeloom-tui index.db examples/code_index.py
    python examples/code_index.py index.db

One task for each top-level package or module: some take milliseconds, some seconds. `modules`, `functions` and
`classes` tell how many lines each has; files that cannot be parsed are counted, and named in `unparsed`.

CODE_INDEX_ONLY="json,email" restricts the run to these packages.
"""

from __future__ import annotations

import ast
import os
import sys
import sysconfig
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeloom import MsgTaskFinished, MsgTaskLog, MsgTaskProgress, Pipeline, TaskDef, run_pipeline

LIBRARY = Path(sysconfig.get_path("stdlib"))
SKIPPED = {"site-packages", "dist-packages", "__pycache__"}


@dataclass(frozen=True)
class MsgModule:
    """A module and what it defines: (name, line, lines) of each function and class."""

    name: str
    path: str
    lines: int
    functions: list[tuple[str, int, int]]
    classes: list[tuple[str, int, int]]


@dataclass(frozen=True)
class MsgUnparsed:
    """A file that cannot be parsed."""

    path: str
    reason: str


def tasks(library: Path = LIBRARY) -> list[TaskDef]:
    """Return one task for each top-level package or module, in the order of their names."""
    only = {name for name in os.environ.get("CODE_INDEX_ONLY", "").split(",") if name}
    found = []
    for entry in sorted(library.iterdir()):
        name = entry.stem
        if entry.name in SKIPPED or (only and name not in only):
            continue
        if entry.suffix == ".py" or (entry.is_dir() and any(entry.rglob("*.py"))):
            found.append((name, entry))
    return [TaskDef(name=name, params={"path": str(entry)}) for name, entry in found]


def index_package(task: TaskDef, q: Any) -> None:
    """Index every file of the package."""
    root = Path(task.params["path"])
    found = [root] if root.is_file() else sorted(root.rglob("*.py"))
    files = [path for path in found if not SKIPPED & set(path.relative_to(root).parts)]
    unparsed = 0
    for number, path in enumerate(files, 1):
        shown = str(path.relative_to(LIBRARY))
        try:
            q.put(index_file(path, shown))
        except (SyntaxError, ValueError, RecursionError) as error:
            unparsed += 1
            q.put(MsgUnparsed(shown, f"{type(error).__name__}: {error}"))
            q.put(MsgTaskLog(task.task_id, f"{shown} cannot be parsed: {error}", "WARNING"))
        q.put(MsgTaskProgress(task.task_id, number, len(files), shown))
    told = f"{len(files) - unparsed} modules" + (f", {unparsed} unparsed" if unparsed else "")
    q.put(MsgTaskFinished(task.task_id, "done", "", message=told, result={"files": len(files), "unparsed": unparsed}))


def index_file(path: Path, shown: str) -> MsgModule:
    """Return what a file defines."""
    source = path.read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escapes in old test files are not our business
        tree = ast.parse(source, str(path))
    functions, classes = [], []
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            functions.append((node.name, node.lineno, lines_of(node)))
        elif isinstance(node, ast.ClassDef):
            classes.append((node.name, node.lineno, lines_of(node)))
    name = ".".join(Path(shown).with_suffix("").parts).removesuffix(".__init__")
    return MsgModule(name, shown, source.count(b"\n"), functions, classes)


def lines_of(node: ast.stmt) -> int:
    """Return how many lines a definition takes."""
    return (node.end_lineno or node.lineno) - node.lineno + 1


pipeline = Pipeline("code index", tasks(), index_package)


@pipeline.schema
def create_tables(conn: Any) -> None:
    """Create the tables that are not there yet."""
    conn.executescript(
        """
        CREATE TABLE IF NOT EXISTS modules (path TEXT PRIMARY KEY, name TEXT, lines INTEGER);
        CREATE TABLE IF NOT EXISTS functions (path TEXT, name TEXT, line INTEGER, lines INTEGER);
        CREATE TABLE IF NOT EXISTS classes (path TEXT, name TEXT, line INTEGER, lines INTEGER);
        CREATE INDEX IF NOT EXISTS functions_path ON functions (path);
        CREATE INDEX IF NOT EXISTS classes_path ON classes (path);
        CREATE TABLE IF NOT EXISTS unparsed (path TEXT PRIMARY KEY, reason TEXT);
        """
    )


@pipeline.handler(MsgModule)
def replace_module(conn: Any, msg: MsgModule) -> None:
    """Replace all that is known of a module, so that a second run leaves the same rows."""
    conn.execute("DELETE FROM unparsed WHERE path = ?", (msg.path,))
    conn.execute("INSERT OR REPLACE INTO modules VALUES (?, ?, ?)", (msg.path, msg.name, msg.lines))
    for table, found in (("functions", msg.functions), ("classes", msg.classes)):
        conn.execute(f"DELETE FROM {table} WHERE path = ?", (msg.path,))
        conn.executemany(f"INSERT INTO {table} VALUES (?, ?, ?, ?)", [(msg.path, *entry) for entry in found])


@pipeline.handler(MsgUnparsed)
def keep_unparsed(conn: Any, msg: MsgUnparsed) -> None:
    """Keep the name of a file that cannot be parsed, and nothing that was known of it before."""
    for table in ("modules", "functions", "classes"):
        conn.execute(f"DELETE FROM {table} WHERE path = ?", (msg.path,))
    conn.execute("INSERT OR REPLACE INTO unparsed VALUES (?, ?)", (msg.path, msg.reason))


if __name__ == "__main__":
    run_pipeline(Path(sys.argv[1] if len(sys.argv) > 1 else "index.db"), pipeline)
