"""Watches the files of the loaded pipeline: a retry asks which code it should run once they have changed."""

from __future__ import annotations

import threading
from typing import Final

from pipeloom.code.version import Change, Version, Watch
from pipeloom.engine.engine import Engine

_LOOK_S: Final = 1.0
"""Seconds between two looks."""


class CodeWatch:
    """One thread, which looks at the files of the code that the engine gives to new attempts."""

    def __init__(self) -> None:
        self._engine: Engine | None = None
        self._found: tuple[Version, Change | None] | None = None
        self._watch: tuple[Version, Watch] | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._main, name="pipeloom-code-watch", daemon=True)

    def follow(self, engine: Engine) -> None:
        """Watch the code of an engine from now on."""
        self._engine = engine
        if self._thread.ident is None and not self._stopped.is_set():
            self._thread.start()

    def stop(self) -> None:
        """Let the thread end."""
        self._stopped.set()

    @property
    def change(self) -> Change | None:
        """What has changed of the code that the engine gives to new attempts, as of the last look."""
        engine, found = self._engine, self._found
        return found[1] if engine is not None and found is not None and found[0] is engine.version else None

    def look(self) -> None:
        """Look at the files."""
        if (engine := self._engine) is None:
            return
        version = engine.version
        if self._watch is None or self._watch[0] is not version:
            self._watch = version, Watch(version)
        self._found = version, self._watch[1].look()

    def _main(self) -> None:
        while not self._stopped.wait(_LOOK_S):
            self.look()
