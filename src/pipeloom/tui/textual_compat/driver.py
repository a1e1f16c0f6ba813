"""The driver that serves the terminal on the event loop, where Textual still allows it."""

from __future__ import annotations

from typing import Any, Final

from textual.app import App

from pipeloom.tui.textual_compat.contracts import holds

_HOLDS: Final = holds("driver")


def use_loop_driver(app: App[Any]) -> None:
    """Let `app` serve its terminal on the event loop; call it before the app runs."""
    if _HOLDS:
        from pipeloom.tui.textual_compat.loop_driver import LoopDriver

        app.driver_class = LoopDriver
