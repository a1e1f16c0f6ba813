"""The clipboard: the terminal's, by OSC 52, and that of the system where `pyperclip` is installed and knows one."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from importlib.util import find_spec
from typing import Final, Protocol

_log = logging.getLogger(__name__)

_LIMIT_S: Final = 3.0
"""Seconds after which a program that keeps a clipboard is ended: `xclip` waits for a display that does not answer."""
_SCRIPT: Final = "import sys, pyperclip; pyperclip.copy(sys.stdin.buffer.read().decode('utf-8', 'replace'))"

_busy = threading.Lock()
"""Held while a text is given to the system's clipboard."""


class _HasClipboard(Protocol):
    def copy_to_clipboard(self, text: str) -> None: ...


def copy(services: _HasClipboard, text: str) -> None:
    """Put a text on the clipboards. Returns at once: the system's takes it in a thread, within a time limit."""
    services.copy_to_clipboard(text)
    if find_spec("pyperclip") is not None:
        threading.Thread(target=copy_to_system, args=(text,), name="pipeloom-clipboard", daemon=True).start()


def copy_to_system(text: str, limit_s: float = _LIMIT_S) -> bool:
    """Put a text on the system's clipboard; tell whether that has worked, within `limit_s` seconds.

    Another process does it, which can be ended when its helper hangs. While one is at it, the next is left out.
    """
    if not _busy.acquire(blocking=False):
        return False
    try:
        process = subprocess.Popen(  # noqa: S603 - this interpreter, with a script of ours
            [sys.executable, "-I", "-c", _SCRIPT],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            process.communicate(text.encode("utf-8", "replace"), timeout=limit_s)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            _log.debug("The system's clipboard did not take the text in %s seconds", limit_s)
    except OSError as error:
        _log.debug("The system's clipboard cannot be reached: %s", error)
        return False
    finally:
        _busy.release()
    return process.returncode == 0
