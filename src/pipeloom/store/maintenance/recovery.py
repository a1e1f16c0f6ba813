"""Makes a file ready for reading: migrates an older one, and ends what a dead owner left open."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from pipeloom.errors import StoreError
from pipeloom.store.file.kind import WRITABLE, FileKind, file_kind
from pipeloom.store.file.owner import OwnerLock
from pipeloom.store.read.history import History
from pipeloom.store.write.connect import check_writable, close_writer, open_writer
from pipeloom.store.write.ledger import Ledger
from pipeloom.times import now_stamp


def recover(path: Path) -> int:
    """Migrate an older file, and end what a dead owner left open in it; returns the number of attempts that were ended.

    Changes nothing and returns 0 while a living process owns the file, when there is nothing to do, or when the file
    may not be written to: an older file, and one of pipeloom 0.0.x, is then read as it is. Starts no task.
    """
    kind = file_kind(path)
    if kind not in WRITABLE and kind is not FileKind.LEGACY:
        return 0
    if kind is FileKind.OURS:
        with History(path) as history:
            if not history.has_open_runs():
                return 0
    try:
        return _as_owner(path)
    except (StoreError, sqlite3.Error):
        return 0  # a file that cannot be written is read as it is


def _as_owner(path: Path) -> int:
    check_writable(path)
    lock = OwnerLock(path)
    lock.acquire(now_stamp())
    try:
        return _recover(path)
    finally:
        lock.release()


def _recover(path: Path) -> int:
    connection = open_writer(path, wal=None)
    try:
        ledger = Ledger(connection)
        ledger.begin()
        closed = ledger.recover()
        ledger.commit()
    finally:
        close_writer(connection)
    return closed
