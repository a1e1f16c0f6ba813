"""Open the terminal a second time, for reads and writes that never block."""

from __future__ import annotations

import os


def reopen_terminal(*descriptors: int) -> int | None:
    """Return a new non-blocking descriptor of the terminal that all `descriptors` are; None when there is none.

    Only the new descriptor does not block: the terminal's other users notice nothing.
    """
    try:
        (name,) = {os.ttyname(descriptor) for descriptor in descriptors}
        return os.open(name, os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except (OSError, ValueError):
        return None
