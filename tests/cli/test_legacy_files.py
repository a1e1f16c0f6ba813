"""The commands on a file of pipeloom 0.0.x: those that read leave it as it is, those that write refuse it."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from tests.cli.conftest import Run

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
