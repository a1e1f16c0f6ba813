"""A copy of a whole file while it is in use: by SQLite's online backup, checked, private, complete or absent."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from pipeloom.errors import StoreError
from pipeloom.store.file.damage import damaged, is_damage
from pipeloom.store.file.kind import FileKind, file_kind, open_reader, why_unreadable
from pipeloom.store.file.neighbours import check_apart
from pipeloom.store.write.connect import check_sound

_PAGES_AT_ONCE: Final = 2_000
_BESIDE: Final = ("-wal", "-shm", "-journal")

Progress = Callable[[int, int], None]
"""Called with the number of pages that are copied, and of all."""


def back_up(path: Path, target: Path, progress: Progress = lambda _done, _total: None) -> int:
    """Copy the database `path` as it is now to the new file `target`, and return the size of the copy in bytes.

    Raises `StoreError` when there is no database, when `target` would overwrite or join anything, and when the copy is
    damaged. What `progress` raises stops it; no file is left then.
    """
    check_apart(target, path)
    if (kind := file_kind(path)) in (FileKind.MISSING, FileKind.EMPTY):
        raise StoreError(why_unreadable(path, kind))
    _check_target(target)
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name[:50]}.", dir=target.parent)
    except OSError as error:
        raise StoreError(f"{target} cannot be created: {error.strerror}.") from error
    os.fchmod(descriptor, 0o600)  # the umask may have taken rights of the user's own
    os.close(descriptor)
    part = Path(name)
    try:
        _copy(path, part, progress)
        _publish(part, target)
        return target.stat().st_size
    except sqlite3.Error as error:
        if is_damage(error):
            raise damaged(path, error) from error
        raise StoreError(f"{path} could not be copied to {target}: {error}.") from error
    except OSError as error:
        raise StoreError(f"{target} cannot be written: {error.strerror}.") from error
    finally:
        for suffix in ("", *_BESIDE):
            Path(f"{part}{suffix}").unlink(missing_ok=True)


def _check_target(target: Path) -> None:
    if not target.parent.is_dir():
        raise StoreError(f"There is no folder {target.parent}: create it first.")
    for there in (target, *(target.with_name(target.name + suffix) for suffix in _BESIDE)):
        if os.path.lexists(there):
            raise StoreError(f"{there} is there already, and a backup overwrites nothing: choose another file.")


def _copy(path: Path, part: Path, progress: Progress) -> None:
    source = open_reader(path)
    try:
        copy = sqlite3.connect(part, isolation_level=None)
        try:
            # One read transaction: the copy is of one moment, and what is written meanwhile does not start it again.
            source.execute("BEGIN")
            source.execute("SELECT 1 FROM sqlite_schema").fetchone()
            source.backup(
                copy, pages=_PAGES_AT_ONCE, progress=lambda _status, left, total: progress(total - left, total)
            )
            copy.execute("PRAGMA journal_mode=delete").fetchone()  # one complete file
            check_sound(copy, path, budget_s=float("inf"))
        finally:
            copy.close()
    finally:
        source.close()


def _publish(part: Path, target: Path) -> None:
    """Give the complete copy its name, unless there is such a file by now, and see that both are on the disk."""
    _sync(part)
    try:
        target.hardlink_to(part)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
        part.replace(target)
    part.unlink(missing_ok=True)
    _sync(target.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
