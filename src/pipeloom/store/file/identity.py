"""Notices when the path no longer leads to the file that is being written: a commit would be lost then."""

from __future__ import annotations

import os
from pathlib import Path

from pipeloom.errors import StoreError


class FileIdentity:
    """The file as it was opened. Uses `stat` alone: opening and closing the file would drop SQLite's locks."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._opened = path.stat()

    def check(self) -> None:
        """Raise `StoreError` when another program deleted, replaced, linked or emptied the file."""
        try:
            now = os.stat(self._path)  # noqa: PTH116 - around each commit, and a third cheaper
        except OSError as error:
            raise StoreError(
                f"{self._path} was deleted or moved while it was in use: put it back and resume."
            ) from error
        if (now.st_dev, now.st_ino) != (self._opened.st_dev, self._opened.st_ino):
            raise StoreError(f"{self._path} was replaced by another file while it was in use: resume to go on with it.")
        if now.st_nlink != 1:
            raise StoreError(f"{self._path} has been given {now.st_nlink} hard links, which SQLite cannot keep apart.")
        if now.st_size == 0 and self._opened.st_size:
            raise StoreError(f"{self._path} was emptied by another program while it was in use.")
