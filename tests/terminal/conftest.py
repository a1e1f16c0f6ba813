"""The real program in a pseudo-terminal: its keys, its screen, its file."""

from __future__ import annotations

import contextlib
import os
import re
import select
import shlex
import signal
import sqlite3
import sys
import termios
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import ptyprocess
import pyte
import pytest

PATIENCE_S = 40.0


# In a session of its own the program is not told when the terminal is gone: it has to see for itself.
DETACH = """
import os, signal
signal.signal(signal.SIGHUP, signal.SIG_IGN)
if pid := os.fork():
    os._exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
signal.signal(signal.SIGHUP, signal.SIG_DFL)
os.setsid()
"""


class Terminal:
    """Runs one of the programs on a pseudo-terminal, or a shell that runs it, and keeps its screen."""

    def __init__(
        self,
        cwd: Path,
        *arguments: object,
        size: tuple[int, int] = (40, 120),
        program: str = "tui_main",
        detached: bool = False,
        shell: bool = False,
        **environment: str,
    ) -> None:
        code = f"{DETACH if detached else ''}from pipeloom.cli import {program}; {program}()"
        command = [sys.executable, "-c", code, *map(str, arguments)]
        self.process = ptyprocess.PtyProcess.spawn(
            ["bash", "--norc", "--noprofile", "-i"] if shell else command,
            cwd=str(cwd),
            env={**os.environ, "XDG_STATE_HOME": str(cwd / "state"), "HOME": str(cwd), **environment},
            dimensions=size,
        )
        self.before = termios.tcgetattr(self.process.fd)
        self.screen = pyte.Screen(size[1], size[0])
        self.raw = b""
        self._stream = pyte.ByteStream(self.screen)
        self._changed = threading.Condition()
        self._stop_reading, self._no_more = os.pipe()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if shell:
            self.press(f"PS1='ready '; clear; {shlex.join(command)}\n")

    def _read(self) -> None:
        while True:
            try:
                ready = select.select([self.process.fd, self._stop_reading], [], [])[0]
                data = b"" if self._stop_reading in ready else self.process.read(65536)
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

        self.wait_until(there, f"{words} did not appear")

    def wait_until(self, condition: Callable[[], bool], what: str = "it did not come to that") -> None:
        """Wait for something to be on the screen."""
        with self._changed:
            assert self._changed.wait_for(condition, PATIENCE_S), f"{what}:\n{self.text}"

    def press(self, keys: str) -> None:
        self.process.write(keys.encode())

    def press_until(self, keys: str, word: str) -> None:
        """Press again and again, until a word appears."""
        with self._changed:
            for _ in range(400):
                self.press(keys)
                if self._changed.wait_for(lambda: word in self.text, PATIENCE_S / 400):
                    return
        raise AssertionError(f"{word} did not appear:\n{self.text}")

    def stall(self) -> None:
        """Read no more, as a connection that hangs."""
        os.write(self._no_more, b".")
        self._reader.join(PATIENCE_S)

    def modes_left(self) -> set[bytes]:
        """Read what is still to be read, and return the modes that are not as they were at the beginning."""
        with contextlib.suppress(OSError):
            while select.select([self.process.fd], [], [], 0)[0] and (data := os.read(self.process.fd, 65536)):
                self.raw += data
        last = dict(re.findall(rb"\x1b\[\?(\d+)([hl])", self.raw))
        return {mode for mode, sign in last.items() if sign != (b"h" if mode in (b"7", b"25") else b"l")}

    def hang_up(self) -> None:
        """Close the terminal, as a connection that drops."""
        self.stall()
        self.process.fileobj.close()

    def kill(self) -> None:
        """Leave nothing behind."""
        with contextlib.suppress(OSError):
            os.kill(self.process.pid, signal.SIGKILL)
        self.process.close(force=True)

    def end(self) -> int:
        """Wait for the end and return the exit code."""
        self._reader.join(PATIENCE_S)
        assert not self._reader.is_alive(), f"the program did not end:\n{self.text}"
        self.process.wait()
        return -self.process.signalstatus if self.process.signalstatus else int(self.process.exitstatus or 0)


Write = Callable[[str, str], Path]
Rows = Callable[[str], list[Any]]


class Start(Protocol):
    """Starts one of the programs; the options are those of `Terminal`."""

    def __call__(
        self,
        *arguments: object,
        size: tuple[int, int] = (40, 120),
        program: str = "tui_main",
        detached: bool = False,
        shell: bool = False,
        **environment: str,
    ) -> Terminal: ...


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[Terminal] = []

    def make(*arguments: object, **options: Any) -> Terminal:
        started.append(Terminal(tmp_path, *arguments, **options))
        return started[-1]

    yield make
    for terminal in started:
        terminal.kill()


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes a pipeline file: `write(name, body)`."""

    def make(name: str, body: str) -> Path:
        path = tmp_path / name
        path.write_text(f"import os, sys, time, threading\nfrom pipeloom import *\n{body}", encoding="utf-8")
        return path

    return make


@pytest.fixture
def rows(tmp_path: Path) -> Rows:
    """Return a function that asks the file that the program has written: `rows(sql)`."""

    def ask(sql: str) -> list[Any]:
        connection = sqlite3.connect(tmp_path / "etl.db")
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()

    return ask
