"""Run the action of a key at once, without the way through the focused widget and its parents."""

from __future__ import annotations

from typing import Any, Final

from textual.app import App

from pipeloom.tui.textual_compat.contracts import holds

_HOLDS: Final = holds("key dispatch")


async def run_binding(app: App[Any], key: str) -> bool:
    """Run the action that `key` is bound to; False when there is none, or when Textual has to find it."""
    return _HOLDS and (await app._check_bindings(key, priority=True) or await app._check_bindings(key))
