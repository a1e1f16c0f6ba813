"""A call in some time that is certain to come.

Textual's `set_timer` drops its call when the process is preempted, between two looks at the clock, for longer than the
delay: a timer with `skip` takes that for a tick that was missed, and the next one is past its count.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol


class Pump(Protocol):
    """What a call needs of an app, a screen or a widget."""

    def call_later(self, callback: Callable[..., Any]) -> bool:
        """Call `callback` once the messages before it are handled."""


def call_in(pump: Pump, seconds: float, callback: Callable[[], object]) -> asyncio.TimerHandle:
    """Call `callback` in `seconds`, among the messages of `pump`; `cancel()` of the handle takes it back."""
    return asyncio.get_running_loop().call_later(seconds, pump.call_later, callback)
