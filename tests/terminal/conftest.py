"""The real program in a pseudo-terminal: its keys, its screen, its file."""

from __future__ import annotations

import os
import sqlite3
import sys
import termios
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ptyprocess
import pyte
import pytest

PATIENCE_S = 40.0


class Terminal:
    """Runs `pipeloom-tui` on a pseudo-terminal and keeps its screen."""

    def __init__(self, cwd: Path, *arguments: object, size: tuple[int, int] = (40, 120), **environment: str) -> None:
        code = "from pipeloom.cli import tui_main; tui_main()"
        self.process = ptyprocess.PtyProcess.spawn(
            [sys.executable, "-c", code, *map(str, arguments)],
            cwd=str(cwd),
            env={**os.environ, "XDG_STATE_HOME": str(cwd / "state"), "HOME": str(cwd), **environment},
            dimensions=size,
        )
        self.before = termios.tcgetattr(self.process.fd)
        self.screen = pyte.Screen(size[1], size[0])
        self.raw = b""
        self._stream = pyte.ByteStream(self.screen)
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                data = self.process.read(65536)
            except (EOFError, OSError, ValueError):  # ended, or closed by the end of the test
                data = b""
            with self._changed:
                self.raw += data
                self._stream.feed(data)
                self._changed.notify_all()
            if not data:
                return

    @property
    def text(self) -> str:
        return "\n".join(self.screen.display)

    def wait_for(self, *words: str, gone: str | None = None) -> None:
        def there() -> bool:
            return all(word in self.text for word in words) and (gone is None or gone not in self.text)

        with self._changed:
            assert self._changed.wait_for(there, PATIENCE_S), f"{words} did not appear:\n{self.text}"

    def press(self, keys: str) -> None:
        self.process.write(keys.encode())

    def end(self) -> int:
        """Wait for the end and return the exit code."""
        self._reader.join(PATIENCE_S)
        assert not self._reader.is_alive(), f"the program did not end:\n{self.text}"
        self.process.wait()
        return -self.process.signalstatus if self.process.signalstatus else int(self.process.exitstatus or 0)


Start = Callable[..., Terminal]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[Terminal] = []

    def make(*arguments: object, **options: Any) -> Terminal:
        started.append(Terminal(tmp_path, *arguments, **options))
        return started[-1]

    yield make
    for terminal in started:
        terminal.process.close(force=True)


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    """Return a function that writes a pipeline file: `write(name, body)`."""

    def make(name: str, body: str) -> Path:
        path = tmp_path / name
        path.write_text(f"import os, sys, time, threading\nfrom pipeloom import *\n{body}", encoding="utf-8")
        return path

    return make


@pytest.fixture
def rows(tmp_path: Path) -> Callable[[str], list[Any]]:
    """Return a function that asks the file that the program has written: `rows(sql)`."""

    def ask(sql: str) -> list[Any]:
        connection = sqlite3.connect(tmp_path / "etl.db")
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()

    return ask
