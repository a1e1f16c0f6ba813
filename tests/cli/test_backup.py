"""backup: a whole copy beside a run, private, checked, that overwrites nothing."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from tests.cli.conftest import Run

from pipeloom.errors import StoreError
from pipeloom.store.file.kind import FileKind, file_kind
from pipeloom.store.maintenance.backup import back_up
from pipeloom.store.write.connect import close_writer, leave_writer, open_writer


def loaded(path: Path, rows: int = 200) -> sqlite3.Connection:
    """Return a writer's connection to a file of which a part is in its write-ahead log."""
    connection = open_writer(path, durability="normal")
    connection.execute("CREATE TABLE loaded (n INTEGER, text)")
    connection.executemany("INSERT INTO loaded VALUES (?, ?)", [(n, "x" * 2_000) for n in range(rows)])
    return connection


def count(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return int(connection.execute("SELECT count(*) FROM loaded").fetchone()[0])


def test_a_backup_beside_a_writer_is_whole_and_of_one_moment(tmp_path: Path) -> None:
    path, copy = tmp_path / "etl.db", tmp_path / "copy.db"
    writer = loaded(path, 5_000)

    def write_meanwhile(_done: int, _total: int) -> None:
        writer.execute("INSERT INTO loaded VALUES (1, 'meanwhile')")

    assert back_up(path, copy, write_meanwhile) == copy.stat().st_size
    close_writer(writer)
    assert count(copy) == 5_000
    assert count(path) > 5_000
    assert copy.stat().st_mode & 0o777 == 0o600
    assert file_kind(copy, write=True) is FileKind.OURS
    assert {entry.name for entry in tmp_path.iterdir()} == {"etl.db", "copy.db"}


@pytest.mark.parametrize("there", ["copy.db", "copy.db-wal", "copy.db-journal"])
def test_a_backup_overwrites_and_joins_nothing(run: Run, folder: Path, there: str) -> None:
    close_writer(loaded(folder / "etl.db"))
    (folder / there).write_text("mine")
    done = run("run", "backup", "etl.db", "copy.db")
    assert done.returncode == 2
    assert "is there already" in done.stderr
    assert (folder / there).read_text() == "mine"


def test_the_command_says_what_it_has_copied(run: Run, folder: Path) -> None:
    writer = loaded(folder / "etl.db")
    done = run("run", "backup", "etl.db", "copy.db")
    writer.close()
    assert done.returncode == 0, done.stderr
    assert "copy.db is a copy of etl.db" in done.stderr
    assert count(folder / "copy.db") == 200


@pytest.mark.parametrize("arguments", [("new.db", "copy.db"), ("etl.db", "no/copy.db"), ("etl.db", "etl.db")])
def test_what_cannot_be_copied_is_one_sentence(run: Run, folder: Path, arguments: tuple[str, str]) -> None:
    close_writer(loaded(folder / "etl.db"))
    before = {entry.name for entry in folder.iterdir()}
    done = run("run", "backup", *arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert {entry.name for entry in folder.iterdir()} == before


def test_a_damaged_file_has_no_copy(tmp_path: Path) -> None:
    path, copy = tmp_path / "etl.db", tmp_path / "copy.db"
    close_writer(loaded(path))
    content = bytearray(path.read_bytes())
    content[4096 * 30 : 4096 * 33] = b"\xff" * 4096 * 3
    path.write_bytes(content)
    with pytest.raises(StoreError, match="is damaged"):
        back_up(path, copy)
    assert {entry.name for entry in tmp_path.iterdir()} <= {"etl.db", "etl.db-wal", "etl.db-shm"}


def left_by_a_crash(path: Path) -> None:
    """Make a file whose last commits are in a log that nobody has folded in."""
    writer = loaded(path)
    writer.execute("PRAGMA wal_checkpoint").fetchall()
    writer.execute("CREATE TABLE later (text)")
    writer.execute("DELETE FROM loaded WHERE n % 2")
    writer.executemany("INSERT INTO later VALUES (?)", [("y" * 3_000,)] * 300)
    leave_writer(writer, path)
    assert path.with_name(f"{path.name}-wal").stat().st_size > 0


@pytest.mark.parametrize("preserve", [False, True], ids=["cp", "cp -p"])
def test_a_backup_that_is_restored_beside_an_old_log_is_named_and_stays(tmp_path: Path, preserve: bool) -> None:
    path, copy = tmp_path / "etl.db", tmp_path / "copy.db"
    close_writer(loaded(path, 20))
    back_up(path, copy)
    path.unlink()
    left_by_a_crash(path)
    path.write_bytes(copy.read_bytes())
    log = tmp_path / "etl.db-wal"
    before, log_before = path.read_bytes(), log.read_bytes()
    if not preserve:
        os.utime(log, (0, path.stat().st_mtime - 60))
    else:
        os.utime(path, (0, log.stat().st_mtime - 60))
    with pytest.raises(StoreError, match=r"etl\.db-wal.*old log\?"):
        open_writer(path)
    assert (path.read_bytes(), log.read_bytes()) == (before, log_before)
    log.unlink()
    close_writer(open_writer(path))
    assert count(path) == 20


@pytest.mark.parametrize("checkpointed", [False, True])
def test_a_log_that_a_crash_has_left_is_folded_in(tmp_path: Path, checkpointed: bool) -> None:
    path = tmp_path / "etl.db"
    left_by_a_crash(path)
    if checkpointed:
        writer = open_writer(path)
        writer.execute("PRAGMA wal_checkpoint").fetchall()
        leave_writer(writer, path)
        os.utime(path.with_name("etl.db-wal"), (0, path.stat().st_mtime - 60))
    close_writer(open_writer(path))
    assert count(path) == 100
