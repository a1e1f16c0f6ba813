"""The headless front end: progress, plain or JSON lines, logging and the summary at the end."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def has_terminal() -> bool:
    """Tell whether stdin and stderr, where Textual draws, are a terminal that is not a dumb one."""
    streams = (sys.stdin, sys.stderr)
    attached = all(stream is not None and not stream.closed and stream.isatty() for stream in streams)
    return attached and os.environ.get("TERM", "dumb") not in ("", "dumb", "unknown")


@cache
def shared_console() -> Console:
    """Return the one console for what is not data: it writes to stderr and parses no markup.

    A terminal that tells its size has that size, whatever a shell has exported.
    """
    from rich.console import Console

    environment = dict(os.environ)
    with suppress(OSError, ValueError, AttributeError):
        if all(os.get_terminal_size(sys.stderr.fileno())):
            environment = {name: value for name, value in environment.items() if name not in ("COLUMNS", "LINES")}
    return Console(stderr=True, markup=False, highlight=False, emoji=False, _environ=environment)
