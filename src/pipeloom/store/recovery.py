"""Makes a file honest again whose owner has died: what it left open is closed as of its last heartbeat."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from pathlib import Path

from pipeloom.errors import FileBusyError, StoreError
from pipeloom.store.connect import close_writer, open_writer
from pipeloom.store.history import History
from pipeloom.store.inspect import WRITABLE, inspect
from pipeloom.store.ledger import Ledger
from pipeloom.store.owner import OwnerLock


def recover(path: Path) -> int:
    """Close what a dead owner left open in the file; returns the number of attempts.

    Changes nothing, and returns 0, while a living process owns the file, when nothing is open in it, or when it may not
    be written to. Starts nothing.
    """
    if inspect(path) not in WRITABLE:
        return 0
    with History(path) as history:
        if not history.has_open_runs():
            return 0
    lock = OwnerLock(path)
    try:
        lock.acquire(datetime.now(UTC).isoformat(timespec="microseconds"))
    except (FileBusyError, StoreError):
        return 0
    try:
        return _recover(path)
    except (StoreError, sqlite3.Error):
        return 0  # a file that cannot be written is shown as it is
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
