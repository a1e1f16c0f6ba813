"""Write a control sequence to the terminal, such as the request for a notice on the desktop (OSC 9), and no more."""

from __future__ import annotations

from typing import Any, Final

from textual.app import App

from pipeloom.tui.textual_compat.contracts import holds

_HOLDS: Final = holds("notice")


def write_terminal(app: App[Any], sequence: str) -> None:
    """Write `sequence` between two paints, if there is a terminal."""
    if _HOLDS and app._driver is not None:
        app._driver.write(sequence)


def drop_output(app: App[Any]) -> None:
    """Let nothing more that the app draws reach the terminal, where the driver is ours; from any thread."""
    if _HOLDS and (drop := getattr(app._driver, "drop_output", None)) is not None:
        drop()
