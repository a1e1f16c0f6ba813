"""A line on a terminal for what takes long before there is anything else to show; it is erased afterwards."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress
from typing import Final, Self

from pipeloom.text import clean, is_on

_PATIENCE_S: Final = 0.3
"""Seconds without the line: what is quick shows nothing."""


class PassingLine:
    """Shows a text on stderr from a moment after the beginning of the block to its end, where stderr is a terminal."""

    def __init__(self, text: str, *, ascii_only: bool = False) -> None:
        self._stream = sys.stderr  # the user's code may replace it
        encoding = getattr(self._stream, "encoding", None) or "ascii"
        plain = (
            ascii_only or is_on(os.environ.get("PIPELOOM_ASCII") or "0") is not False or "utf" not in encoding.lower()
        )
        self._text = clean(text, _columns() - 5) + (" ..." if plain else " …")
        if plain:
            self._text = self._text.encode("ascii", "replace").decode("ascii")
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._shown = False

    def __enter__(self) -> Self:
        if self._stream is not None and not self._stream.closed and self._stream.isatty():
            threading.Thread(target=self._main, name="pipeloom-passing-line", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        with self._lock:
            if self._shown:
                self._write("\n" if os.environ.get("TERM", "dumb") == "dumb" else "\r\x1b[K")

    def _main(self) -> None:
        if self._over.wait(_PATIENCE_S):
            return
        with self._lock:
            if not self._over.is_set():
                self._shown = True
                self._write(self._text)

    def _write(self, text: str) -> None:
        with suppress(OSError, ValueError):  # the terminal may be gone
            self._stream.write(text)
            self._stream.flush()


def _columns() -> int:
    """Return the width of the terminal, as far as it is known, and no less than a text of a few words needs."""
    with suppress(OSError, ValueError, AttributeError):
        return max(20, os.get_terminal_size(sys.stderr.fileno()).columns)
    return 80
