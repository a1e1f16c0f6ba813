"""Takes away what tasks go on from: they begin from the start again."""

from __future__ import annotations

from pathlib import Path

from pipeloom.errors import StoreError
from pipeloom.filters import Filter
from pipeloom.store.file.kind import WRITABLE, file_kind, why_only_read
from pipeloom.store.file.owner import OwnerLock
from pipeloom.store.read.tasks import state_filter
from pipeloom.store.schema import transaction
from pipeloom.store.write.connect import closing_writer, open_writer
from pipeloom.times import now_stamp


def reset_states(path: Path, where: Filter) -> int:
    """Remove the states that attempts have left which pass the filter, as the owner of the file; return their number.

    Raises `StoreError` when the file cannot be written, or another process owns it.
    """
    if file_kind(path, write=True) not in WRITABLE:
        raise StoreError(why_only_read(path))
    lock = OwnerLock(path)
    lock.acquire(now_stamp())
    try:
        connection = open_writer(path, wal=None)
        with closing_writer(connection, path), transaction(connection):
            condition, bound = state_filter(where)
            return connection.execute(f"DELETE FROM task_state WHERE {condition}", bound).rowcount
    finally:
        lock.release()
