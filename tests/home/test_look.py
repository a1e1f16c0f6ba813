"""What is told of a file, whatever it is; and that a look leaves it as it was."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeloom import Pipeline, TaskDef, run_pipeline
from pipeloom.home.known import KnownFile
from pipeloom.home.look import FileSummary, look
from pipeloom.status import RunStatus, Status
from pipeloom.store.schema import SCHEMA_VERSION

LEGACY = """
CREATE TABLE task_runs (id INTEGER PRIMARY KEY, name TEXT NOT NULL, status TEXT NOT NULL, progress REAL NOT NULL,
message TEXT, started_at TEXT, finished_at TEXT, result TEXT);
INSERT INTO task_runs VALUES (1, 'a', 'done', 1.0, '', '2025-01-01T00:00:00+00:00', '2025-01-01T00:00:01+00:00', NULL);
"""


def fill(path: Path, runs: int = 1) -> Path:
    def work(task: Any, q: Any) -> None:
        if task.name == "bad":
            raise ValueError(task.name)

    tasks = [TaskDef(1, "a"), TaskDef(2, "bad"), TaskDef(3, "b")]
    for _ in range(runs):
        run_pipeline(path, Pipeline("good", tasks, work), ui="none")
    return path


def sql(path: Path, script: str) -> Path:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)
    return path


def no_permission(path: Path) -> None:
    fill(path)
    path.chmod(0)


def left_open(path: Path) -> None:
    """What a program leaves that was killed, without the memory that it shared."""
    fill(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE pipeline_runs SET status = 'running'")
        connection.commit()
        copy = path.with_name("copy.db")
        shutil.copy(path, copy)
        shutil.copy(f"{path}-wal", f"{copy}-wal")
    copy.replace(path)
    Path(f"{copy}-wal").replace(f"{path}-wal")


def cut_short(path: Path) -> None:
    fill(path)
    os.truncate(path, 8192)


Make = Callable[[Path], object]

KINDS: dict[str, tuple[Make, str, str]] = {
    "gone": (lambda path: None, "gone", ""),
    "in no folder": (lambda path: path.parent.rmdir(), "gone", ""),
    "a folder": (lambda path: path.mkdir(), "no file", ""),
    "a pipe": (os.mkfifo, "no file", ""),
    "empty": (lambda path: path.touch(), "empty", ""),
    "a byte": (lambda path: path.write_text("x"), "no database", ""),
    "text": (lambda path: path.write_text("hello\n" * 1000), "no database", ""),
    "damaged": (cut_short, "damaged", ""),
    "of another": (lambda path: sql(path, "CREATE TABLE t (a)"), "not ours", ""),
    "of another program": (lambda path: sql(path, "CREATE TABLE task_runs (a); PRAGMA application_id = 7"), "not ours", ""),
    "ours": (fill, "", ""),
    "newer": (lambda path: sql(fill(path), f"PRAGMA user_version = {SCHEMA_VERSION + 1}"), "", "newer"),
    "altered": (lambda path: sql(fill(path), "ALTER TABLE task_runs RENAME COLUMN status TO was"), "altered", ""),
    "without a run": (lambda path: sql(fill(path), "DELETE FROM task_runs; DELETE FROM pipeline_runs"), "", ""),
    "of 0.0.x": (lambda path: sql(path, LEGACY), "", "0.0.x"),
    "left open": (left_open, "", "left open"),
    "without a log": (lambda path: sql(fill(path), "PRAGMA journal_mode = delete"), "", ""),
}  # fmt: skip


def entries(folder: Path) -> dict[str, tuple[int, int, int, bytes]]:
    if not folder.exists():
        return {}
    found = {}
    for path in folder.iterdir():
        known = path.lstat()
        found[path.name] = (
            known.st_mode,
            known.st_mtime_ns,
            known.st_ino,
            path.read_bytes() if path.is_file() else b"",
        )
    return found


@pytest.mark.parametrize(("make", "trouble", "remark"), KINDS.values(), ids=KINDS)
def test_each_kind_of_file_has_a_word_and_stays_as_it_is(tmp_path: Path, make: Make, trouble: str, remark: str) -> None:
    path = tmp_path / "files" / "etl.db"
    path.parent.mkdir()
    make(path)
    before = entries(path.parent)
    seen = look(KnownFile(path))
    assert (seen.trouble, seen.remark) == (trouble, remark)
    assert entries(path.parent) == before
    assert (seen.size is not None) == path.is_file()
    assert (seen.run is None) == (bool(trouble) or "DELETE" in str(make) or make is KINDS["without a run"][0])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_has_a_word(tmp_path: Path) -> None:
    no_permission(tmp_path / "etl.db")
    assert look(KnownFile(tmp_path / "etl.db")).trouble == "no permission"


def test_a_file_that_may_not_be_read_has_a_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path / "etl.db")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert look(KnownFile(tmp_path / "etl.db")).trouble == "no permission"


def test_the_last_run_is_told_with_its_tasks(tmp_path: Path) -> None:
    fill(tmp_path / "etl.db", runs=2)
    seen = look(KnownFile(tmp_path / "etl.db"))
    assert seen.run is not None
    assert (seen.run.id, seen.run.status) == (2, RunStatus.ERROR)
    assert (seen.counts, seen.status) == ({Status.DONE: 2, Status.ERROR: 1}, Status.ERROR)
    assert seen.size == (tmp_path / "etl.db").stat().st_size


def test_a_run_that_goes_on_is_seen_beside_its_writer(tmp_path: Path, own: Any) -> None:
    owner = own(3)
    before = {name: found[2] for name, found in entries(tmp_path).items()}
    seen = look(KnownFile(tmp_path / "etl.db"))
    assert (seen.trouble, seen.status) == ("", Status.RUNNING)
    assert {name: found[2] for name, found in entries(tmp_path).items()} == before
    owner.kill()
    assert look(KnownFile(tmp_path / "etl.db")).status is Status.INTERRUPTED


def test_a_file_that_is_locked_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "etl.db"
    fill(path)
    sql(path, "PRAGMA journal_mode = delete")
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("PRAGMA cache_size = 1")
        writer.execute("BEGIN EXCLUSIVE")
        writer.execute("UPDATE pipeline_runs SET pipeline = 'x'")
        assert look(KnownFile(path)).trouble == "locked"
        writer.execute("ROLLBACK")
    assert look(KnownFile(path)).trouble == ""


def test_a_file_is_late_by_its_own_rhythm_and_never_while_it_runs(tmp_path: Path) -> None:
    path = tmp_path / "etl.db"
    fill(path, runs=7)
    sql(path, "UPDATE pipeline_runs SET started_at = '2026-08-0' || id || 'T00:00:00.000000+00:00'")
    sql(
        path, "UPDATE pipeline_runs SET parent_run_id = 1 WHERE id = 7"
    )  # one by hand: it says nothing about the rhythm
    seen = look(KnownFile(path))
    assert seen.rhythm is not None
    assert (seen.rhythm.usual_s, seen.rhythm.known_s) == (86_400.0, 5 * 86_400.0)
    last = 1_786_060_800.0  # 2026-08-07
    assert [seen.is_late(last + hours * 3600) for hours in (25, 29, 31, 60)] == [False, False, True, True]
    assert seen.run is not None
    going_on = replace(seen, run=replace(seen.run, status=RunStatus.RUNNING))
    assert not going_on.is_late(last + 60 * 3600)
    assert not FileSummary(seen.file).is_late(last)
