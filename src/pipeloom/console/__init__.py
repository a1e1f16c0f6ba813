"""The headless front end: progress, plain or JSON lines, logging and the summary at the end."""

from __future__ import annotations

from functools import cache

from rich.console import Console


@cache
def shared_console() -> Console:
    """Return the one console for everything that is not data: on stderr, and it parses no markup."""
    return Console(stderr=True, markup=False, highlight=False, emoji=False)
