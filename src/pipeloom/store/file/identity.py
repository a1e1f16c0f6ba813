"""Notices harm that other programs do to the file and its write-ahead log: a commit would be lost then.

Uses `stat` and SQLite alone: opening and closing one of the files would drop SQLite's locks.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from pathlib import Path
from typing import Final

from pipeloom.errors import DamagedFileError, StoreError
from pipeloom.store.file.damage import damaged, is_damage
from pipeloom.store.file.kind import open_reader

_SETTLES_S: Final = 0.1
_log = logging.getLogger(__name__)


class FileIdentity:
    """The file as it was opened, and what it has grown to since."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path = path
        self._log_path = Path(f"{os.path.realpath(path)}-wal")
        self._opened = path.stat()
        self._links = self._opened.st_nlink
        self.log_bytes = 0
        """Size of the write-ahead log at the last check."""
        self.follow(connection)

    def follow(self, connection: sqlite3.Connection) -> None:
        """Watch the files that the writer's `connection` has open: it may have been opened again."""
        self._connection = connection
        self._data_version = _data_version(connection)
        (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
        log = self._log_path.stat() if mode == "wal" else None
        self._log_file = None if log is None else (log.st_dev, log.st_ino)
        self.log_bytes = 0 if log is None else log.st_size
        self._seen = self._path.stat()

    def check(self, *, committed: bool = False) -> None:
        """Raise `StoreError` when another program deleted or replaced a file, `DamagedFileError` when content is lost.

        Called before each transaction and, with `committed`, after it: nothing is acknowledged that is not in the file.
        Where it cannot look now, for want of a descriptor, it raises `sqlite3.Error` before a transaction; after one it
        looks before the next.
        """
        now = self.check_path()
        self._check_log()
        # Without a log, each commit writes the header.
        if now.st_mtime_ns != self._seen.st_mtime_ns and not (committed and self._log_file is None):
            try:
                self._look_into()
            except sqlite3.Error as error:
                if not committed:
                    raise
                _log.debug("The file is looked into later: %s", error)
                return
        self._seen = now
        if committed and self._log_file is not None:
            self._data_version = _data_version(self._connection)

    def check_path(self) -> os.stat_result:
        """Raise `StoreError` when the path no longer leads to the file, or to an empty one."""
        try:
            now = os.stat(self._path)  # noqa: PTH116 - around each commit, and a third cheaper
        except OSError as error:
            raise StoreError(
                f"{self._path} was deleted or moved while it was in use: put it back and resume."
            ) from error
        if (now.st_dev, now.st_ino) != (self._opened.st_dev, self._opened.st_ino):
            raise StoreError(f"{self._path} was replaced by another file while it was in use: resume to go on with it.")
        if now.st_size == 0 and self._opened.st_size:
            raise DamagedFileError(f"{self._path} was emptied by another program while it was in use.")
        if now.st_nlink > self._links:
            _log.warning("%s was given a hard link, which is no copy: `pipeloom backup` makes one.", self._path)
        self._links = now.st_nlink
        return now

    def _check_log(self) -> None:
        """Check that the write-ahead log is the one that is being written, with all that was in it."""
        if self._log_file is None:
            return
        try:
            now = os.stat(self._log_path)  # noqa: PTH116 - around each commit
        except OSError:
            now = None
        if now is None or (now.st_dev, now.st_ino) != self._log_file:
            raise StoreError(
                f"{self._log_path.name} was removed or replaced by another program while it was in use, and a crash "
                f"would lose what is in it: {self._path.name} is completed and closed. Resume to go on."
            )
        # SQLite empties the log after a checkpoint, and then its other connections know of it.
        if now.st_size < self.log_bytes and _data_version(self._connection) in (None, self._data_version):
            raise DamagedFileError(
                f"{self._log_path.name} was cut short by another program while it was in use: what was saved last is "
                "lost. Stop that program, then resume."
            )
        self.log_bytes = now.st_size

    def _look_into(self) -> None:
        """Check the header of the file, and that it has all the pages that the header counts.

        The writer's connection has the header in its cache, and a log may hide it. A checkpoint of another program may
        be half done: the file is damaged when it stays so.
        """
        before = None
        while (error := _trouble_in(self._path, immutable=self._log_file is not None)) is not None:
            now = self.check_path()
            if before is not None and (before.st_mtime_ns, before.st_size) == (now.st_mtime_ns, now.st_size):
                raise damaged(self._path, f"another program has changed it: {error}") from error
            before = now
            time.sleep(_SETTLES_S)


def _data_version(connection: sqlite3.Connection) -> int | None:
    """Return a number that changes with what other connections do to the file; None when it cannot be read."""
    try:
        (version,) = connection.execute("PRAGMA data_version").fetchone()
    except sqlite3.Error:
        return None
    return int(version)


def _trouble_in(path: Path, *, immutable: bool) -> sqlite3.Error | None:
    """Return the error of a fresh connection that finds no whole database; `immutable`: without its log.

    Raises `sqlite3.Error` when no file can be opened now.
    """
    try:
        reader = open_reader(path, immutable=immutable)
    except StoreError as error:
        if isinstance(error.__cause__, sqlite3.Error):
            raise error.__cause__ from None
        raise
    try:
        reader.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except sqlite3.Error as error:
        return error if is_damage(error) else None
    finally:
        reader.close()
    return None
