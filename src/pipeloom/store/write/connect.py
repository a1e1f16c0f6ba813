"""The writer's connection: the file is created private, checked before it is changed, and set up for durability."""

from __future__ import annotations

import logging
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

from pipeloom.errors import DamagedFileError, StoreError
from pipeloom.store.file.damage import damaged, is_damage, lacks_shared_memory, primary_code
from pipeloom.store.file.filesystem import NETWORK_FILESYSTEMS, filesystem_of
from pipeloom.store.file.kind import FileKind, file_kind, open_reader
from pipeloom.store.file.old_log import check_log, has_content_in_log
from pipeloom.store.legacy import import_legacy
from pipeloom.store.schema import (
    OUR_TABLES,
    create_in_memory,
    expected_columns,
    has_rows,
    migrate,
    tables_of,
    version_of,
)
from pipeloom.store.write.backup import back_up
from pipeloom.times import monotonic

Durability = Literal["full", "normal", "off"]
"""When a commit counts as done; "off" is for a file that is thrown away: a test's."""

BUSY_TIMEOUT_S: Final = 5.0
_CHECK_BUDGET_S: Final = 2.0
_CONTENT: Final = re.compile(r"((NULL|NUMERIC|TEXT|non-\S+) value in|CHECK constraint failed in|unable to validate) ")
"""Complaints of `quick_check` about values instead of the file's structure."""
_NOT_TAKEN: Final = {
    FileKind.CONFLICT: "has tables named like pipeloom's that are not pipeloom's",
    FileKind.ALTERED: "has tables of pipeloom's that another program has altered, or has put a trigger or an index on",
    FileKind.OTHER_PROGRAM: "belongs to another program, by its application id (as a GeoPackage does)",
}
"""Why our tables are not written to a file, by its kind."""
_log = logging.getLogger(__name__)


def open_writer(
    path: Path, *, wal: bool | None = True, durability: Durability = "full", store: bool = True
) -> sqlite3.Connection:
    """Open `path` for the writer thread, creating or migrating it as needed; raises `StoreError` when that must not be.

    `wal` None leaves the journal mode as it is.
    With `store` False pipeloom's own tables are TEMP tables in memory, so that all statements stay the same, and the
    file holds the user's tables alone.
    """
    kind = check_writable(path, store=store)
    if kind is FileKind.MISSING:
        _create_private(path)
    with_log = has_content_in_log(path)
    connection = _connect(path)
    try:
        _set_up(connection, path, wal=wal, durability=durability)
        check_sound(connection, path)
        if store:
            _bring_up_to_date(connection, path, kind)
        else:
            create_in_memory(connection)
    except sqlite3.Error as error:
        if lacks_shared_memory(error) and wal is not False:
            connection.close()
            _log.warning("The log of %s cannot be shared on its file system: it does without one.", path)
            _do_without_log(path)
            return open_writer(path, wal=False, durability=durability, store=store)
        if not is_damage(error):
            connection.close()
            raise StoreError(f"{path} cannot be opened for writing: {error}.") from error
        leave_writer(connection, path)
        raise (with_log and _log_of_another(path)) or damaged(path, error) from error
    except DamagedFileError as error:
        leave_writer(connection, path)
        raise (with_log and _log_of_another(path)) or error from error.__cause__
    except BaseException:
        connection.close()
        raise
    return connection


def _log_of_another(path: Path) -> StoreError | None:
    """Return the error for a file that is sound without the write-ahead log beside it; None when it is not."""
    reader = open_reader(path, immutable=True)
    try:
        check_sound(reader, path)
    except (StoreError, sqlite3.Error):
        return None
    finally:
        reader.close()
    return StoreError(
        f"{path}-wal is not of this file, which is sound without it: a backup was restored beside an old log? "
        f"Nothing was changed. Remove {path.name}-wal and {path.name}-shm, and start again."
    )


def close_writer(connection: sqlite3.Connection) -> None:
    """Optimise, checkpoint the write-ahead log and close, so that one complete file is left."""
    try:
        connection.set_authorizer(None)
        connection.rollback()
        connection.execute("PRAGMA optimize")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    except sqlite3.Error as error:
        _log.warning("The write-ahead log stays beside the file: %s", error)
    finally:
        connection.close()


@contextmanager
def closing_writer(connection: sqlite3.Connection, path: Path) -> Iterator[None]:
    """Close the connection after the block: in order, or as the file is when that has lost content."""
    try:
        yield
    except DamagedFileError:
        leave_writer(connection, path)
        raise
    except BaseException:
        close_writer(connection)
        raise
    close_writer(connection)


def leave_writer(connection: sqlite3.Connection, path: Path) -> None:
    """Close without folding the write-ahead log into the file: what another program has left of them stays as it is.

    SQLite folds it in when the last connection closes. One that may only read, opened before, closes last and cannot.
    """
    try:
        last = open_reader(path)
    except StoreError as error:
        _log.warning("The file is closed as it is: %s", error)
        connection.close()
        return
    try:
        last.execute("SELECT 1 FROM sqlite_schema").fetchone()  # it has a lock on the file from now on
    except sqlite3.Error:
        pass  # it has the lock all the same
    finally:
        connection.close()
        last.close()


def check_writable(path: Path, *, store: bool = True) -> FileKind:
    """Return the kind of `path`; raises `StoreError` when pipeloom must not write to it. Changes nothing."""
    kind = file_kind(path, write=True)
    check_log(path)
    if kind is FileKind.NEWER:
        raise StoreError(f"{path} was written by a newer pipeloom: upgrade pipeloom to write to it.")
    if store and kind in _NOT_TAKEN:
        raise StoreError(
            f"{path} {_NOT_TAKEN[kind]}: choose another file, "
            "or keep the status out of it with --no-store (store_task_status=False)."
        )
    return kind


def _bring_up_to_date(connection: sqlite3.Connection, path: Path, kind: FileKind) -> None:
    """Bring the tables to today's schema; a file with rows of ours is copied first."""
    if kind is FileKind.LEGACY:
        back_up(connection, path)
        import_legacy(connection)
        return
    if kind is FileKind.OLDER:
        theirs = tables_of(connection) - expected_columns(version_of(connection)).keys()
        for name in sorted(theirs & OUR_TABLES):
            raise StoreError(f"{path} has a table named {name}, which pipeloom now needs itself: rename yours.")
        if has_rows(connection):
            back_up(connection, path)
    migrate(connection)


def _create_private(path: Path) -> None:
    """Create the file readable by its owner alone; SQLite gives its -wal and -shm the same mode."""
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return
    except OSError as error:
        raise StoreError(
            f"{path} cannot be created: {error.strerror}. Choose a folder that you may write to."
        ) from error
    os.fchmod(descriptor, 0o600)  # the umask may have taken rights of the user's own
    os.close(descriptor)


def _connect(path: Path) -> sqlite3.Connection:
    try:
        return sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=rw",
            uri=True,
            isolation_level=None,
            timeout=BUSY_TIMEOUT_S,
            check_same_thread=False,  # the way out past a handler that does not return is on another thread
        )
    except sqlite3.Error as error:
        raise StoreError(f"{path} cannot be opened for writing: {error}.") from error


def check_sound(connection: sqlite3.Connection, path: Path, *, budget_s: float = _CHECK_BUDGET_S) -> None:
    """Raise `StoreError` when the file's structure is broken.

    A file that is too large to check in time, or that needs something we do not have (a collation, a module), passes.
    Whether rows of the user's tables keep their constraints is not checked.
    """
    deadline = monotonic() + budget_s
    connection.set_progress_handler(lambda: monotonic() > deadline, 10_000)
    try:
        found = [line for (line,) in connection.execute("PRAGMA quick_check").fetchall()]
    except sqlite3.Error as error:
        if is_damage(error):
            raise
        return
    finally:
        connection.set_progress_handler(None, 0)
    broken = next((line for line in found if line != "ok" and not _CONTENT.match(line)), None)
    if broken is not None:
        raise damaged(path, " ".join(broken.split()))


def _set_up(connection: sqlite3.Connection, path: Path, *, wal: bool | None, durability: Durability) -> None:
    connection.execute("PRAGMA trusted_schema=OFF")
    connection.execute("PRAGMA cell_size_check=ON")
    connection.execute("PRAGMA mmap_size=0")
    connection.execute(f"PRAGMA synchronous={durability}")
    connection.execute("PRAGMA fullfsync=1")  # macOS: fsync alone leaves the data in the drive's cache
    if wal and (filesystem := filesystem_of(path)) in NETWORK_FILESYSTEMS:
        _log.warning("%s is on %s, where a write-ahead log cannot be shared: it does without one.", path, filesystem)
        wal = False
    if wal is not None:
        wanted = "wal" if wal else "delete"
        mode = connection.execute(f"PRAGMA journal_mode={wanted}").fetchone()[0]
        connection.execute("SELECT 1 FROM sqlite_schema").fetchone()  # the first use of the log
        if mode != wanted:
            _log.warning("%s stays in journal mode %s: readers may have to wait for the writer.", path, mode)


def _do_without_log(path: Path) -> None:
    """Fold the write-ahead log into the file, and let it have none.

    A connection that has the file to itself from the beginning needs no shared memory. The locks tell whether it has.
    """
    connection = _connect(path)
    try:
        connection.execute("PRAGMA locking_mode=EXCLUSIVE")
        connection.execute("PRAGMA journal_mode=delete").fetchone()
    except sqlite3.Error as error:
        raise StoreError(f"{path} cannot be opened for writing: {error}.") from error
    finally:
        connection.close()


def is_outcome_unknown(error: sqlite3.Error) -> bool:
    """Tell whether a COMMIT that failed with `error` may still be in the file."""
    return primary_code(error) == sqlite3.SQLITE_IOERR


def is_foreign_key(error: sqlite3.Error) -> bool:
    """Tell whether a foreign key is not fulfilled."""
    return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY


def is_storage_trouble(error: sqlite3.Error) -> bool:
    """Tell whether `error` may pass by itself (disk full, I/O error, file locked), so that the batch must be kept."""
    return primary_code(error) in {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_PROTOCOL,
    }
