"""The commands on a file of pipeloom 0.0.x: those that read leave it as it is, those that write refuse it."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from tests.cli.conftest import Run
from tests.cli.spec.test_spec import fits

SCHEMA = """
CREATE TABLE task_runs (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    status TEXT NOT NULL,
    progress REAL NOT NULL DEFAULT 0.0,
    message TEXT,
    started_at TEXT,
    finished_at TEXT,
    result TEXT
);
"""
RESULTS = [None, "", "not JSON", "NaN", '{"a": NaN, "b": 1e999}', "9" * 5000, "[" * 100_000, '"x"']


@pytest.fixture
def legacy(folder: Path) -> Path:
    """A file of pipeloom 0.0.7 with results of all kinds."""
    path = folder / "old.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA journal_mode=wal")
        connection.execute(SCHEMA)
        connection.executemany(
            "INSERT INTO task_runs VALUES (?, 'etl', 'done', 1, 'ok', '2025-03-01T10:00:00', NULL, ?)",
            list(enumerate(RESULTS, 1)),
        )
        connection.execute("UPDATE task_runs SET status = 'error', message = 'ValueError: bad row' WHERE id = 2")
    return path


def files(folder: Path) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir() if file.is_file()}


def test_commands_that_read_leave_such_a_file_as_it_is(legacy: Path, run: Run) -> None:
    before = files(legacy.parent)
    commands = ("status", "runs", "show", "show 2", "export", "export --case 2", "prune --keep-last 1")
    for command in commands:
        name, *rest = command.split()
        done = run("pipeloom", name, "old.db", *rest)
        assert (done.returncode, done.stderr) == (int(name == "status"), ""), command  # one task has failed
        assert done.stdout
    assert files(legacy.parent) == before


READING = [
    "status old.db", "status old.db --json", "runs old.db", "runs old.db --json", "show old.db", "show old.db --json",
    "show old.db 2", "show old.db 2 --json", "show old.db status:error", "export old.db", "export old.db --json",
    "export old.db --case 2", "state old.db", "plan old.db good.py:pipeline", "plan old.db good.py:pipeline --json",
]  # fmt: skip
"""Command lines that only read."""


def listing(folder: Path) -> dict[str, tuple[object, ...]]:
    """Return name, content, size and time of all entries; the index of a log in use changes with its readers."""
    there = (path for path in folder.rglob("*") if not path.name.endswith(("-shm", ".pyc", "__pycache__")))
    return {
        str(path): (path.stat().st_mtime_ns, path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest())
        for path in there
    }


@pytest.mark.parametrize("state", ["at rest", "rollback journal", "open elsewhere", "killed"])
def test_every_command_that_reads_leaves_file_and_folder_as_they_are(folder: Path, run: Run, state: str) -> None:
    path = folder / "data" / "old.db"
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as other:
        other.execute(f"PRAGMA journal_mode={'delete' if state == 'rollback journal' else 'wal'}")
        other.executescript(SCHEMA)
        other.execute("INSERT INTO task_runs VALUES (1, 'one', 'done', 1, 'ok', '2025-03-01T10:00:00', NULL, 'x')")
        other.execute("INSERT INTO task_runs VALUES (2, 'two', 'error', 0, 'no', '2025-03-01T10:00:00', NULL, NULL)")
        other.commit()
        if state == "killed":  # as a program leaves it that did not come to its end
            copy = folder / "killed"
            copy.mkdir()
            for name in ("old.db", "old.db-wal", "old.db-shm"):
                (copy / name).write_bytes((path.parent / name).read_bytes())
            path = copy / "old.db"
        elif state != "open elsewhere":
            other.close()
        before = listing(path.parent)
        assert len(before) == (1 if state in {"at rest", "rollback journal"} else 2)
        for line in READING if state == "at rest" else READING[::4]:
            name, _, *rest = line.split()
            done = run("pipeloom", name, path, *rest)
            assert (done.returncode, done.stderr) == (int(name == "status"), ""), line
            assert done.stdout, line
            if "--json" in rest:
                fits(name, done.stdout)
            assert listing(path.parent) == before, line


def test_every_result_can_be_exported_and_shown(legacy: Path, run: Run) -> None:
    lines = run("pipeloom", "export", "old.db", "-f", "jsonl").stdout.splitlines()
    rows = [json.loads(line, parse_constant=pytest.fail) for line in lines]
    assert {row["id"]: row["result"] for row in rows} == {**dict(enumerate(RESULTS, 1)), 8: "x"}
    for number in range(1, len(RESULTS) + 1):
        done = run("pipeloom", "show", "old.db", number, "--json")
        assert (done.returncode, done.stderr) == (0, ""), number
        json.loads(done.stdout, parse_constant=pytest.fail)


@pytest.mark.parametrize(
    "command",
    [
        "retry old.db status:error",
        "retry old.db status:error good.py:pipeline",
        "cancel old.db status:error",
        "prune old.db --keep-last 1 --yes",
    ],
)
def test_commands_that_write_refuse_such_a_file_in_a_sentence(legacy: Path, run: Run, command: str) -> None:
    before = files(legacy.parent)
    done = run("pipeloom", *command.split())
    assert done.returncode == 2
    assert "`pipeloom-tui old.db` or `pipeloom run old.db PIPELINE`" in done.stderr
    assert files(legacy.parent) == before
