"""The file as the writer has it open."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

from pipeloom.engine.writer.tries import Tries
from pipeloom.errors import StoreError
from pipeloom.store.file.identity import FileIdentity
from pipeloom.store.write.connect import close_writer, leave_writer
from pipeloom.store.write.handler_connection import HandlerAuthorizer
from pipeloom.store.write.ledger import Ledger


class OpenFile:
    """The connection, and what works over it: all are made again when the file is opened again."""

    connection: sqlite3.Connection
    authorizer: HandlerAuthorizer
    ledger: Ledger

    def __init__(self, path: Path, open_connection: Callable[[], sqlite3.Connection]) -> None:
        """Open the file; raises what `open_connection` raises, and `sqlite3.Error`."""
        self._path = path
        self._open_connection = open_connection
        self._connect()
        try:
            self.identity = FileIdentity(path, self.connection)
            self.connection.execute("PRAGMA foreign_keys=ON")
        except BaseException:
            self.close()
            raise

    def _connect(self) -> None:
        self.connection = self._open_connection()
        self.authorizer = HandlerAuthorizer(self.connection)
        self.ledger = Ledger(self.connection)

    def note_foreign_keys(self) -> None:
        """Note whether a schema helper has turned foreign keys off."""
        (self._foreign_keys,) = self.connection.execute("PRAGMA foreign_keys").fetchone()

    def commits_on_disk(self, run_id: int, tries: Tries, waiting: Callable[[], object]) -> int | None:
        """Open the file again and return the number of the run's transactions that it holds, None without the run.

        A failed fsync says nothing about what is on disk, and the old connection would answer from its cache. Calls
        `waiting` before each try; raises `StoreError` when the writer is stopped before the file can tell.
        """
        self.connection.close()
        while True:
            waiting()
            self.identity.check_path()
            try:
                self._connect()
                self.identity.follow(self.connection)
                self.connection.execute(f"PRAGMA foreign_keys={self._foreign_keys}")
                return self.ledger.commits(run_id)
            except (StoreError, sqlite3.Error) as trouble:
                tries.wait(trouble)

    def close(self) -> None:
        """Close it, so that one complete file is left."""
        close_writer(self.connection)

    def leave(self) -> None:
        """Close it as it is: it has lost content."""
        leave_writer(self.connection, self._path)
