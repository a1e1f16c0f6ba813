"""Notices what other processes do to the file: a thread of its own looks once a second, which costs nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from textual.message import Message

from pipeloom.errors import StoreError
from pipeloom.store.file.owner import other_owner
from pipeloom.store.maintenance.recovery import recover
from pipeloom.store.read.history import History

LOOK_S: Final = 1.0


@dataclass
class FileChanged(Message):
    """Another process has committed to the file, or its owner is another one; `owner` names it, if it has one."""

    owner: str | None


class Watcher:
    """Tells of every change by another process. When the owner of the file dies, it makes the file honest again."""

    def __init__(self, path: Path, post: Callable[[Message], bool], *, recovers: bool = True) -> None:
        self._path = path
        self._recovers = recovers
        self._post = post
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._main, name="pipeloom-watcher", daemon=True)

    def start(self) -> None:
        """Start looking."""
        self._thread.start()

    def stop(self) -> None:
        """Let the thread end."""
        self._stopped.set()

    def _main(self) -> None:
        seen: tuple[str | None, int] | None = None
        while not self._stopped.is_set():
            try:
                with History(self._path) as history:
                    seen = self._look(history, seen)
            except (StoreError, OSError):
                self._stopped.wait(LOOK_S)  # it has gone, or cannot be read just now: screens say so themselves

    def _look(self, history: History, seen: tuple[str | None, int] | None) -> tuple[str | None, int] | None:
        """Look until stopped, or until the file is another one."""
        file = self._path.stat().st_ino
        while not self._stopped.wait(LOOK_S) and self._path.exists() and self._path.stat().st_ino == file:
            owner = other_owner(self._path)
            now = (owner, history.data_version())
            if self._recovers and owner is None and (seen is None or seen[0] is not None):
                recover(self._path)
            if now != seen:
                seen = now
                try:
                    self._post(FileChanged(owner))
                except RuntimeError:
                    return seen  # the app's event loop is closed
        return seen
