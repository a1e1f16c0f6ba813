"""What a process holds in memory."""

from __future__ import annotations

import resource
from pathlib import Path


def memory_of(pid: int | None) -> int | None:
    """Return its bytes in memory, where the system says so."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()
    except (OSError, ValueError):
        return None
