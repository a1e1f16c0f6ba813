"""A program in a pseudo-terminal, timed from outside: what a key costs until its effect is painted."""

from __future__ import annotations

import os
import random
import re
import select
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles

import ptyprocess

PATIENCE_S = 120.0
SIZE = (40, 120)
_AT_ONCE = 1 << 16


@dataclass(frozen=True)
class Latency:
    """Milliseconds from key to paint."""

    p50: float
    p95: float
    worst: float


class Probe:
    """Starts a program and watches the line on which it paints its cursor, known by the cursor's colour."""

    def __init__(self, folder: Path, *command: object, cursor: str, **environment: str) -> None:
        red, green, blue = (int(cursor[place : place + 2], 16) for place in (1, 3, 5))
        self._events = re.compile(rb"\x1b\[(\d+);\d+H|\x1b\[[\d;]*48;2;%d;%d;%d[;m]" % (red, green, blue))
        self._line = self.cursor_line = 0
        self._seen = b""
        self._tail = b""
        self.received = 0
        """Bytes that the program has painted."""
        self.began = time.perf_counter()
        clean = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "TEXTUAL")}
        self.process = ptyprocess.PtyProcess.spawn(
            [sys.executable, *map(str, command)],
            cwd=str(folder),
            env={**clean, "TERM": "xterm-256color", "COLORTERM": "truecolor", "HOME": str(folder), **environment},
            dimensions=SIZE,
        )

    def wait_for(self, text: bytes) -> float:
        """Return the seconds from the start of the program until `text` was painted."""
        while text not in self._seen:
            self._read(PATIENCE_S)
        return time.perf_counter() - self.began

    def press(self, keys: bytes, pause_s: float = 0.3) -> None:
        """Send keys, and look on for a while."""
        self.process.write(keys)
        self.watch(pause_s)

    def watch(self, seconds: float) -> None:
        """Read what is painted for so long."""
        until = time.perf_counter() + seconds
        while (left := until - time.perf_counter()) > 0:
            self._read(left, must=False)

    def latency(self, keys: int, pause_s: tuple[float, float] = (0.015, 0.06)) -> Latency:
        """Move the cursor down and up again, `keys` times in all, and time each until it is seen there."""
        pauses = random.Random(keys)
        took = []
        home = self.cursor_line
        for number in range(keys):
            self.watch(pauses.uniform(*pause_s))
            goal = home + 1 if number % 2 == 0 else home
            began = time.perf_counter()
            self.process.write(b"j" if number % 2 == 0 else b"k")
            while self.cursor_line != goal:
                self._read(PATIENCE_S)
            took.append((time.perf_counter() - began) * 1000)
        return Latency(quantiles(took, n=100)[49], quantiles(took, n=100)[94], max(took))

    def memory_mib(self) -> float:
        """Return the resident memory of the program."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024

    def cpu_s(self) -> float:
        """Return the seconds of CPU time that the program has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def kill(self) -> None:
        """End it."""
        self.process.close(force=True)

    def _read(self, patience_s: float, *, must: bool = True) -> None:
        if not select.select([self.process.fd], [], [], patience_s)[0]:
            if must:
                raise TimeoutError(f"nothing was painted for {patience_s} s; the last was {self._seen[-300:]!r}")
            return
        try:
            data = self.process.read(_AT_ONCE)
        except EOFError as error:
            raise RuntimeError(f"the program has ended: {self._seen[-2000:].decode(errors='replace')}") from error
        self.received += len(data)
        self._seen = (self._seen + data)[-_AT_ONCE:]
        text = self._tail + data
        end = 0
        for event in self._events.finditer(text):
            end = event.end()
            if event[1] is not None:
                self._line = int(event[1])
            else:
                self.cursor_line = self._line
        self._tail = text[max(end, len(text) - 40) :]
