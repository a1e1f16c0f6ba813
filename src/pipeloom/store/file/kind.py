"""The kind of a file, found before anything touches it; and readers that cannot change it.

Nothing here calls plain `open()` on a database: closing such a handle would drop SQLite's locks for the whole process.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from enum import Enum, auto
from functools import lru_cache
from pathlib import Path
from typing import Final

from pipeloom.errors import StoreError
from pipeloom.store.file.damage import said
from pipeloom.store.schema import (
    APPLICATION_ID,
    LEGACY_COLUMNS,
    OUR_TABLES,
    READ_TABLES,
    SCHEMA_VERSION,
    expected_columns,
    marked_version,
    tables_of,
    version_of,
)
from pipeloom.text import as_typed, decoded, kind_of_entry

_LONGEST_PATH: Final = 504
"""Bytes of a path that SQLite takes: 512 with the longest ending that it adds."""
_LIMITS: Final = {
    sqlite3.SQLITE_LIMIT_LENGTH: 16 << 20,
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: 1 << 20,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 500,
    sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH: 10,
}


class FileKind(Enum):
    """What a path leads to."""

    MISSING = auto()
    EMPTY = auto()
    """A file of 0 bytes, used like a new one."""
    OURS = auto()
    OLDER = auto()
    """Ours, of an earlier schema: it is migrated before it is written."""
    NEWER = auto()
    """Ours, but of a schema that this version does not know: only for reading."""
    ALTERED = auto()
    """Ours, but with tables that were changed or have triggers: only for reading."""
    LEGACY = auto()
    """Written by pipeloom 0.0.x: a `task_runs` of eight columns."""
    FOREIGN = auto()
    """An SQLite file without anything of ours."""
    OTHER_PROGRAM = auto()
    """The same, but its `application_id` says that it belongs to another program."""
    CONFLICT = auto()
    """An SQLite file where something that is not ours has the name of one of our tables."""


READABLE: Final = frozenset({FileKind.OURS, FileKind.OLDER, FileKind.NEWER, FileKind.ALTERED, FileKind.LEGACY})
"""Kinds that can be browsed."""

WRITABLE: Final = frozenset({FileKind.OURS, FileKind.OLDER})
"""Kinds of ours that can be written."""


def file_kind(path: Path, *, write: bool = False) -> FileKind:
    """Return the kind of the file at `path`; raises `StoreError` when it cannot be a database. Changes nothing."""
    found = _stat(path)
    if found is None:
        return FileKind.MISSING
    kind = kind_of_entry(found.st_mode)
    if kind is not None:
        raise StoreError(f"{path} is {kind}, not a database file: name a file, for example {path / 'etl.db'}.")
    if write and found.st_nlink > 1:
        raise StoreError(f"{path} has {found.st_nlink} hard links, which SQLite cannot keep apart: copy it first.")
    if write and not os.access(path, os.W_OK):
        raise StoreError(f"{path} is read-only: choose a file that you may write to.")
    if found.st_size == 0:
        return FileKind.EMPTY
    if found.st_size == 1:  # which SQLite takes for an empty one
        raise StoreError(f"{path} cannot be read as an SQLite database: file is not a database.")
    return _identified(path)


def why_only_read(path: Path) -> str:
    """Return why a file that can be browsed is not written to; "" when it may be."""
    try:
        kind = file_kind(path)
    except StoreError:
        return ""  # the reader says so
    match kind:
        case FileKind.NEWER:
            return f"{path.name} was written by a newer pipeloom: it is only read."
        case FileKind.ALTERED:
            return f"{path.name} has tables that were altered: it is only read."
        case FileKind.LEGACY:
            return (
                f"{path.name} was written by pipeloom 0.0.x: it is only read until `pipeloom-tui {path}` or "
                f"`pipeloom run {path} PIPELINE` takes it over, after a copy."
            )
        case _:
            return ""


def why_unreadable(path: Path, kind: FileKind, program: str = "pipeloom run") -> str:
    """Return why a file of this kind cannot be browsed, and what `program` can do about it."""
    remedy = f"{program} {as_typed(path)} PIPELINE"
    match kind:
        case FileKind.MISSING:
            return f"There is no file {path}: name one that is there, or make it with {remedy}"
        case FileKind.EMPTY:
            return f"{path} is empty: fill it with {remedy}"
        case FileKind.CONFLICT:
            return f"{path} has tables named like pipeloom's that are not pipeloom's: choose another file."
        case FileKind.OTHER_PROGRAM:
            return f"{path} belongs to another program, by its application id: it has no runs of pipeloom's."
        case _:
            return f"{path} is an SQLite file, but not one of pipeloom's: add to it with {remedy}"


def _identified(path: Path) -> FileKind:
    """Return the kind of a file that is not empty. Reading one without a WAL leaves no side files behind."""
    if not _has_wal(path, with_content=True):
        try:
            return _read_kind(path, immutable=True)
        except StoreError:
            pass  # it may be changing just now: read it again with locks
    return _read_kind(path, immutable=False)


def _read_kind(path: Path, *, immutable: bool) -> FileKind:
    connection = open_reader(path, immutable=immutable)
    try:
        return _kind_of(connection)
    except (sqlite3.Error, UnicodeError) as error:  # the latter over a message that quotes what is broken
        raise StoreError(f"{path} cannot be read as an SQLite database: {said(error)}.") from error
    finally:
        connection.close()


def open_reader(path: Path, *, immutable: bool = False) -> sqlite3.Connection:
    """Open a connection that can only read: `mode=ro` and `query_only`, so that it cannot checkpoint either."""
    try:
        connection = sqlite3.connect(
            _reader_uri(path, immutable=immutable), uri=True, isolation_level=None, timeout=5.0
        )
    except sqlite3.Error as error:
        raise StoreError(f"{path} cannot be opened: {error}.") from error
    try:
        _restrain(connection)
    except sqlite3.Error as error:
        connection.close()
        raise StoreError(f"{path} cannot be opened: {error}.") from error
    return connection


def open_imported(path: Path) -> sqlite3.Connection:
    """Open a copy in memory of a file of pipeloom 0.0.x, as the import would make it. The file stays as it is."""
    content = _imported(path, _state_of(path))
    connection = sqlite3.connect(":memory:", isolation_level=None)
    try:
        connection.deserialize(content)
        _restrain(connection)
    except BaseException:
        connection.close()
        raise
    return connection


_State = tuple[tuple[int, ...] | None, ...]
"""What changes when the file or its log does."""


def _state_of(path: Path) -> _State:
    def of(name: str) -> tuple[int, ...] | None:
        try:
            found = os.stat(name)  # noqa: PTH116 - a path as text
        except OSError:
            return None
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns

    real = os.path.realpath(path)
    return of(real), of(f"{real}-wal")


@lru_cache(maxsize=1)  # a screen opens the file for each of its queries
def _imported(path: Path, state: _State) -> bytes:
    if not _has_wal(path):
        with suppress(StoreError):  # it may be changing just now: read it again with locks
            made = _import(path, immutable=True)
            if _state_of(path) == state:
                return made
    return _import(path, immutable=False)


def _import(path: Path, *, immutable: bool) -> bytes:
    from pipeloom.store.legacy import as_imported

    connection = open_reader(path, immutable=immutable)
    try:
        return as_imported(connection)
    except sqlite3.Error as error:
        raise StoreError(f"{path} cannot be read as a file of pipeloom 0.0.x: {error}.") from error
    finally:
        connection.close()


def _restrain(connection: sqlite3.Connection) -> None:
    """Set the limits of a connection that reads a file from elsewhere."""
    for limit, value in _LIMITS.items():
        connection.setlimit(limit, value)
    connection.text_factory = decoded
    for pragma in ("query_only=ON", "trusted_schema=OFF", "cell_size_check=ON", "mmap_size=0"):
        connection.execute(f"PRAGMA {pragma}")


def _stat(path: Path) -> os.stat_result | None:
    if str(path) in ("", ".") or path.name == ":memory:":
        raise StoreError("pipeloom needs a database file: name one, for example etl.db.")
    if (length := len(os.fsencode(os.path.realpath(path)))) > _LONGEST_PATH:
        raise StoreError(
            f"{path} has {length} bytes, and SQLite takes a path of {_LONGEST_PATH}: choose a shorter one."
        )
    try:
        return path.stat()
    except FileNotFoundError:
        if path.is_symlink():
            target = os.path.realpath(path)
            raise StoreError(f"{path} is a link to {target}, which does not exist: remove it or name that.") from None
        if not path.parent.is_dir():
            raise StoreError(f"There is no folder {path.parent}: create it first.") from None
        return None
    except NotADirectoryError:
        raise StoreError(f"{path.parent} is not a folder: choose another path.") from None
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} cannot be looked at: {getattr(error, 'strerror', None) or error}.") from error


def _reader_uri(path: Path, *, immutable: bool) -> str:
    """Return the URI that opens a file for reading only.

    A file in write-ahead mode without its -wal and -shm, in a folder that may not be written to, can only be read as
    immutable; with a -wal it must not be, because the rows in it would be missed.
    """
    real = Path(os.path.realpath(path))
    locked = not os.access(real.parent, os.W_OK) and not _has_wal(real)
    return f"{real.as_uri()}?mode=ro" + ("&immutable=1" if immutable or locked else "")


def _has_wal(path: Path, *, with_content: bool = False) -> bool:
    real = Path(os.path.realpath(path))
    try:
        return real.with_name(real.name + "-wal").stat().st_size > 0 or not with_content
    except OSError:
        return False


def _kind_of(connection: sqlite3.Connection) -> FileKind:
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    named = connection.execute("SELECT type, lower(name), lower(tbl_name) FROM sqlite_schema").fetchall()
    ours = [(kind, name, table) for kind, name, table in named if name in OUR_TABLES or table in OUR_TABLES]
    if not ours and application_id != APPLICATION_ID:
        return FileKind.OTHER_PROGRAM if application_id else FileKind.FOREIGN
    marked = marked_version(connection)
    if marked <= SCHEMA_VERSION and (version := version_of(connection)):
        return FileKind.OURS if version == SCHEMA_VERSION else FileKind.OLDER
    if application_id != APPLICATION_ID and not marked:
        return FileKind.LEGACY if _is_legacy(connection, ours) else FileKind.CONFLICT
    if not _is_readable(connection):
        return FileKind.CONFLICT
    (number,) = connection.execute("PRAGMA user_version").fetchone()
    return FileKind.NEWER if (marked or number) > SCHEMA_VERSION else FileKind.ALTERED


def _is_readable(connection: sqlite3.Connection) -> bool:
    """Tell whether runs and attempts are ordinary tables that store at least the columns of schema 1.

    The id has to be the rowid: pages go by it, and with other values they might never end.
    """
    if not tables_of(connection) >= READ_TABLES or not all(_has_rowid_id(connection, table) for table in READ_TABLES):
        return False
    sql = "SELECT name FROM pragma_table_xinfo(?) WHERE hidden = 0"
    stored = {table: {name for (name,) in connection.execute(sql, (table,))} for table in READ_TABLES}
    return all(stored[table] >= {*expected_columns(1)[table]} for table in READ_TABLES)


def _has_rowid_id(connection: sqlite3.Connection, table: str) -> bool:
    """Tell whether `id` is the rowid; any other primary key has an index of its own."""
    columns = connection.execute("SELECT lower(type), pk FROM pragma_table_xinfo(?) WHERE name = 'id'", (table,))
    indexed = connection.execute("SELECT 1 FROM pragma_index_list(?) WHERE origin = 'pk'", (table,))
    return columns.fetchall() == [("integer", 1)] and not indexed.fetchall()


def _is_legacy(connection: sqlite3.Connection, ours: list[tuple[str, str, str]]) -> bool:
    if {(kind, name) for kind, name, _ in ours if kind != "index"} != {("table", "task_runs")}:
        return False
    columns = {row[0] for row in connection.execute("SELECT name FROM pragma_table_info('task_runs')")}
    return columns == LEGACY_COLUMNS
