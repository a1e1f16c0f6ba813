"""The headless front end: progress, plain or JSON lines, logging and the summary at the end."""

from __future__ import annotations

import os
import sys
from functools import cache

from rich.console import Console


def has_terminal() -> bool:
    """Tell whether there is a terminal to draw on and to read keys from; Textual draws on stderr."""
    streams = (sys.stdin, sys.stderr)
    attached = all(stream is not None and not stream.closed and stream.isatty() for stream in streams)
    return attached and os.environ.get("TERM", "dumb") not in ("", "dumb", "unknown")


@cache
def shared_console() -> Console:
    """Return the one console for everything that is not data: on stderr, and it parses no markup."""
    return Console(stderr=True, markup=False, highlight=False, emoji=False)
