"""What lies beside a database: lock files that are no files, and files that hold no database."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeloom.errors import StoreError
from pipeloom.store.file.kind import file_kind
from pipeloom.store.file.owner import OwnerLock, is_owned, lock_path, other_owner, owner, owner_name
from pipeloom.store.maintenance.recovery import recover
from pipeloom.store.write.connect import open_writer

NOW = "2026-08-01T12:00:00.000000+00:00"
KINDS: dict[str, Callable[[Path], None]] = {
    "a pipe": os.mkfifo,
    "a directory": Path.mkdir,
    "a device": lambda lock: os.mknod(lock, 0o20600, os.makedev(1, 3)),
    "a link": lambda lock: lock.symlink_to(lock.with_name("other")),
}

LOOKING = """
import sys
from pathlib import Path
from pipeloom.errors import StoreError
from pipeloom.store.file.owner import OwnerLock, is_owned, other_owner, owner, owner_name
path = Path(sys.argv[1])
for ask in (is_owned, lambda path: OwnerLock(path).acquire("now")):
    try:
        print("answered:", ask(path))
    except StoreError as error:
        print(error)
print(other_owner(path), owner(path), owner_name(path))
"""


@pytest.mark.parametrize("kind", KINDS)
def test_a_lock_file_that_is_no_file_is_refused_in_a_sentence_and_never_waited_for(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "etl.db"
    (tmp_path / "other").write_text("mine")
    try:
        KINDS[kind](lock_path(path))
    except PermissionError:
        pytest.skip("only root can make a device")
    done = subprocess.run(
        [sys.executable, "-c", LOOKING, str(path)], capture_output=True, text=True, check=True, timeout=60
    )
    refused = f"{path}.lock is {kind}, not a lock file: remove it."
    assert done.stdout.splitlines() == [refused, refused, "None {} another pipeloom process"]
    assert (tmp_path / "other").read_text() == "mine"


def test_a_lock_file_that_is_a_dangling_link_makes_no_file(tmp_path: Path) -> None:
    path = tmp_path / "etl.db"
    lock_path(path).symlink_to(tmp_path / "nowhere")
    with pytest.raises(StoreError, match="is a link, not a lock file"):
        OwnerLock(path).acquire(NOW)
    assert not (tmp_path / "nowhere").exists()


# The tests may run as root, who may read anything: a child that is another user has to try.
AS_NOBODY = """
import os, sys
from pathlib import Path
from pipeloom.errors import StoreError
from pipeloom.store.file.owner import is_owned, other_owner, owner
path = Path(sys.argv[1])
os.setgid(65534); os.setuid(65534)  # from here on nothing more can be imported
try:
    print(is_owned(path))
except StoreError as error:
    print(error)
print(other_owner(path), owner(path))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_who_owns_a_file_cannot_be_told_by_a_lock_that_may_not_be_read(tmp_path: Path) -> None:
    folder = Path("/tmp") / f"pipeloom-lock-{os.getpid()}"
    folder.mkdir()
    try:
        lock = OwnerLock(folder / "etl.db")
        lock.acquire(NOW)
        done = subprocess.run(
            [sys.executable, "-c", AS_NOBODY, str(folder / "etl.db")], capture_output=True, text=True, check=True, cwd="/",
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip
        lock.release()
        told = f"{folder}/etl.db.lock cannot be read (Permission denied): it cannot be told who owns {folder}/etl.db."
        assert done.stdout.splitlines() == [told, "None {}"]
    finally:
        for left in folder.iterdir():
            left.unlink()
        folder.rmdir()


def test_a_long_lock_file_is_not_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "etl.db"
    with lock_path(path).open("wb") as lock:
        lock.truncate(1 << 40)
    assert (is_owned(path), other_owner(path), owner(path)) == (False, None, {})
    assert owner_name(path) == "another pipeloom process"


@pytest.mark.parametrize("content", [b"x", b"\n", b"\0", b"hello", b"SQLite format 3\0", b"\0" * 4096, b"x" * 511])
def test_a_file_that_is_no_database_is_refused_and_stays(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes"
    path.write_bytes(content)
    for ask in (file_kind, open_writer, recover, lambda path: open_writer(path, store=False)):
        with pytest.raises(StoreError, match="cannot be read as an SQLite database"):
            ask(path)
    assert path.read_bytes() == content
    assert [found.name for found in tmp_path.iterdir()] == ["notes"]


def test_a_process_never_takes_itself_for_another_owner(tmp_path: Path) -> None:
    path, seen, over = tmp_path / "etl.db", set[str | None](), threading.Event()
    lock_path(path).write_text(json.dumps({"pid": 1, "host": "elsewhere"}))  # of an earlier owner

    def look() -> None:
        while not over.is_set():
            seen.add(other_owner(path))

    looking = threading.Thread(target=look)
    looking.start()
    lock = OwnerLock(path)
    for _ in range(300):
        lock.acquire(NOW)
        lock.release()
    over.set()
    looking.join()
    assert seen == {None}
