"""Faults of files: locks that vanish, folders that may not be written to, network file systems, damage at creation."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import WaitFor
from tests.store.conftest import MakeFile, MakeSqlite

from pipeloom.errors import FileBusyError, StoreError
from pipeloom.status import Status
from pipeloom.store.file.filesystem import filesystem_of
from pipeloom.store.file.kind import FileKind, file_kind
from pipeloom.store.file.owner import OwnerLock, is_owned, lock_path
from pipeloom.store.rows import AttemptRow
from pipeloom.store.write.connect import close_writer, open_writer

NOW = "2026-08-01T12:00:00.000000+00:00"


class Interrupted(sqlite3.Connection):
    """Fails at one statement, as a program that is killed there."""

    left = 0

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        Interrupted.left -= 1
        if Interrupted.left == 0:
            raise sqlite3.OperationalError("killed here")
        return super().execute(sql, *values)


@pytest.mark.parametrize("statement", range(1, 24))
def test_a_file_is_set_up_wholly_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, statement: int) -> None:
    path = tmp_path / "etl.db"
    path.touch()
    with monkeypatch.context() as patched:
        patched.setattr("pipeloom.store.write.connect.sqlite3.connect", partial(sqlite3.connect, factory=Interrupted))
        patched.setattr(Interrupted, "left", statement)
        try:
            open_writer(path).close()
        except (StoreError, sqlite3.Error):
            connection = sqlite3.connect(path)
            tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
            connection.close()
            assert tables == 0
    close_writer(open_writer(path))
    assert file_kind(path) is FileKind.OURS


# The tests may run as root, who may write anywhere: a child that is nobody has to try.
AS_NOBODY = """
import os, sys, traceback
from pathlib import Path
from pipeloom.errors import PipeloomError
from pipeloom.store.read.history import History
from pipeloom.store.write.connect import open_writer
path = Path(sys.argv[1])
path.as_uri()  # imports more
os.setgid(65534); os.setuid(65534)  # from here on nothing more can be imported
try:
    open_writer(path).close()
except PipeloomError as error:
    print("refused:", error)
with History(path) as history:
    print("rows:", history.count())
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_file_in_a_folder_that_may_not_be_written_to_is_refused_for_writing_and_can_be_read(
    tmp_path_factory: pytest.TempPathFactory, make_file: MakeFile
) -> None:
    folder = Path("/tmp") / f"pipeloom-readonly-{os.getpid()}"
    folder.mkdir()
    try:
        source = make_file(AttemptRow(number, 1, number, 1, "name", Status.DONE) for number in range(1, 4))
        path = folder / "etl.db"
        path.write_bytes(source.read_bytes())
        path.chmod(0o444)
        folder.chmod(0o555)
        done = subprocess.run(
            [sys.executable, "-c", AS_NOBODY, str(path)],
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert "refused:" in done.stdout, done.stderr
        assert "read-only" in done.stdout
        assert "rows: 3" in done.stdout
    finally:
        folder.chmod(0o755)
        for left in folder.iterdir():
            left.unlink()
        folder.rmdir()


def test_a_users_file_is_not_refused_for_what_is_in_its_tables(make_sqlite: MakeSqlite) -> None:
    path = make_sqlite("CREATE TABLE t (a, b); INSERT INTO t VALUES (NULL, 'b');")
    connection = sqlite3.connect(path)
    connection.create_collation("mine", lambda left, right: (left > right) - (left < right))
    connection.execute("CREATE INDEX by_b ON t (b COLLATE mine)")
    connection.execute("PRAGMA writable_schema=ON")
    connection.execute("UPDATE sqlite_schema SET sql='CREATE TABLE t (a NOT NULL, b CHECK (b > 1000))' WHERE name='t'")
    connection.commit()
    connection.close()
    other = make_sqlite("CREATE TABLE t (a); INSERT INTO t VALUES (NULL);", name="null.db")
    connection = sqlite3.connect(other)
    connection.execute("PRAGMA writable_schema=ON")
    connection.execute("UPDATE sqlite_schema SET sql='CREATE TABLE t (a NOT NULL)' WHERE name='t'")
    connection.commit()
    connection.close()
    for file in (path, other):
        close_writer(open_writer(file))
        assert file_kind(file) is FileKind.OURS


MOUNTS = """\
/dev/sda1 / ext4 rw 0 0
server:/home /home nfs4 rw 0 0
/dev/sdb1 /home/me/local\\040disk ext4 rw 0 0
me@host:/data /mnt/far fuse.sshfs rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/etl.db", "ext4"),
        ("/home/me/etl.db", "nfs4"),
        ("/home/me/local disk/etl.db", "ext4"),
        ("/homestead/etl.db", "ext4"),
        ("/mnt/far/etl.db", "fuse.sshfs"),
    ],
)
def test_the_file_system_of_a_path_is_that_of_the_deepest_mount(path: str, kind: str) -> None:
    assert filesystem_of(Path(path), MOUNTS) == kind


def test_on_a_network_file_system_there_is_no_write_ahead_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("pipeloom.store.write.connect.filesystem_of", lambda path: "nfs4")
    connection = open_writer(tmp_path / "etl.db")
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    close_writer(connection)
    assert "is on nfs4" in caplog.text


def test_a_lock_file_that_is_gone_or_garbled_is_no_lock_and_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / "etl.db"
    assert not is_owned(path)
    lock_path(path).write_text("not JSON at all \udcff".encode("utf-8", "replace").decode())
    assert not is_owned(path)
    lock = OwnerLock(path)
    lock.acquire(NOW)
    assert is_owned(path)
    lock.release()
    lock_path(path).unlink()
    lock = OwnerLock(path)
    lock.acquire(NOW)
    lock.release()


def test_a_lock_file_that_was_removed_under_its_owner_is_made_anew(db_path: Path) -> None:
    lock = OwnerLock(db_path)
    lock.acquire(NOW)
    lock_path(db_path).unlink()
    assert not is_owned(db_path)
    lock.keep()
    assert is_owned(db_path)
    lock_path(db_path).unlink()
    other = OwnerLock(db_path)
    other.acquire(NOW)
    with pytest.raises(FileBusyError):
        lock.keep()
    other.release()


def test_a_process_id_proves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "etl.db"
    lock_path(path).write_text(f'{{"pid": {os.getppid()}, "host": "here", "started_at": "{NOW}"}}')
    assert not is_owned(path)
    lock = OwnerLock(path)
    lock.acquire(NOW)
    with pytest.raises(FileBusyError, match=f"process {os.getpid()} "):
        OwnerLock(path).acquire(NOW)
    lock.release()


FORKING = """
import os, sys
from pathlib import Path
from pipeloom.store.file.owner import OwnerLock
OwnerLock(Path(sys.argv[1])).acquire("now")
if os.fork() == 0:
    print("child", flush=True)
    sys.stdin.readline()
os._exit(0)
"""


@pytest.mark.kill
def test_a_forked_child_does_not_keep_the_lock_of_an_owner_that_died(db_path: Path) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", FORKING, str(db_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    assert owner.stdout.readline() == "child\n"
    owner.wait()
    assert not is_owned(db_path)
    assert lock_path(db_path).stat().st_mode & 0o777 == 0o600
    owner.communicate("go\n")


STARTING = """
import sys
from pipeloom import Pipeline, TaskDef, run_pipeline
from pipeloom.errors import FileBusyError
sys.stdin.readline()
try:
    run_pipeline(sys.argv[1], [TaskDef(1, "one")], worker_fn=lambda task, q: sys.stdin.readline(), ui="none")
    print("ran")
except FileBusyError as error:
    print("busy")
"""


@pytest.mark.kill
def test_of_ten_that_start_at_once_exactly_one_writes(tmp_path: Path, wait_for: WaitFor) -> None:
    """The one that writes goes on until the nine others have answered."""
    path = tmp_path / "etl.db"
    starters = [
        subprocess.Popen(
            [sys.executable, "-c", STARTING, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(10)
    ]
    for starter in starters:
        assert starter.stdin is not None
        starter.stdin.write("go\n")
        starter.stdin.flush()
    wait_for(lambda: sum(starter.poll() is not None for starter in starters) >= 9, 60)
    said = sorted(starter.communicate("end\n")[0].strip() for starter in starters)
    assert said == ["busy"] * 9 + ["ran"]
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT status, count(*) FROM task_runs").fetchall() == [("done", 1)]
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()
