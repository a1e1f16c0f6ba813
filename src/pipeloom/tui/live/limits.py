"""Workers and limits of the run that is shown: what is seen of them, and a limit changed by a step."""

from __future__ import annotations

import asyncio
from bisect import bisect_left, bisect_right
from typing import Final

from pipeloom.engine.commands import LimitUse
from pipeloom.limits.limit import MAX_AT_ONCE, MAX_PER_SECOND, Limit
from pipeloom.tui.services import AppServices
from pipeloom.tui.widgets.workers import LimitStep, WorkersSeen

_SLOW: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1)
"""Starts a second below which steps are no whole numbers."""


class LiveLimits:
    """Reads and changes the limits, in the engine of this program or of another one."""

    def __init__(self, services: AppServices) -> None:
        self._services = services

    async def seen(self) -> WorkersSeen | None:
        """Return the workers and limits now; None when there is no answer, which a toast says."""
        engine, controls = self._services.engine, self._services.controls
        if engine is not None and engine.is_started:
            return WorkersSeen(await asyncio.to_thread(engine.commands.workers), engine.load().limits)
        load = None if controls is None else await self._services.ask(controls.load)
        return None if load is None else WorkersSeen(None, load.limits)

    async def change(self, step: LimitStep) -> None:
        """Change a limit by a step, as it is now."""
        services, controls = self._services, self._services.controls
        load = None if controls is None else await services.ask(controls.load)
        use = None if load is None else next((use for use in load.limits if use.name == step.name), None)
        if use is None or controls is None:
            return
        limit = stepped(use, step)
        if isinstance(limit, str):
            services.tell(limit, problem=True)
        else:
            await services.ask(lambda: controls.set_limit(step.name, limit))


def stepped(use: LimitUse, step: LimitStep) -> Limit | str:
    """Return the limit after a step; or why there is none, as a sentence."""
    at_once, rate = use.at_once, use.per_second
    if step.at_once:
        if at_once is None:
            return f"{use.name} has no number at once: its pipeline gives it starts per second alone."
        return Limit(min(max(1, at_once + step.at_once), MAX_AT_ONCE), rate)
    if rate is None:
        return f"{use.name} has no starts per second: its pipeline gives it a number at once alone."
    return Limit(at_once, _next_rate(rate, step.per_second))


def _next_rate(rate: float, step: int) -> float:
    if rate > 1 or (rate == 1 and step > 0):
        return min(rate + step, MAX_PER_SECOND)
    if step > 0:
        return _SLOW[bisect_right(_SLOW, rate)]
    return _SLOW[max(0, bisect_left(_SLOW, rate) - 1)]
