"""The driver that serves the terminal on the event loop, where Textual still allows it."""

from __future__ import annotations

import os
from typing import Any, Final

from textual.app import App

from pipeloom.tui.textual_compat.contracts import holds

_HOLDS: Final = holds("driver")


def use_loop_driver(app: App[Any]) -> None:
    """Let `app` serve its terminal on the event loop; call it before the app runs."""
    if _HOLDS:
        from pipeloom.tui.textual_compat.loop_driver import LoopDriver

        app.driver_class = LoopDriver


def reopen_terminal(*descriptors: int) -> int | None:
    """Return a new non-blocking descriptor of the terminal that all `descriptors` are; None when there is none.

    Only the new descriptor does not block: the terminal's other users notice nothing.
    """
    try:
        (name,) = {os.ttyname(descriptor) for descriptor in descriptors}
        return os.open(name, os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except (OSError, ValueError):
        return None
