"""The runs of a schedule on the screen: each a new run, one at a time, of the engine's pipeline with its options."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Final, Protocol

from textual.screen import ModalScreen, Screen

from pipeloom.engine.engine import Engine
from pipeloom.errors import PipeloomError
from pipeloom.schedule.made import next_short
from pipeloom.schedule.schedules import Schedule
from pipeloom.tui.threads import in_daemon_thread

_LOOK_S: Final = 0.5
"""Seconds between two looks at the clock."""


class ScheduleHost(Protocol):
    """What the schedule uses of the app."""

    clock: Callable[[], float]

    @property
    def is_leaving(self) -> bool:
        """Whether the program is about to end."""

    @property
    def screen(self) -> Screen[Any]:
        """The screen on top."""

    def set_interval(self, interval: float, callback: Callable[[], None]) -> object:
        """Call `callback` every `interval` seconds."""

    def run_worker(self, work: Coroutine[Any, Any, None]) -> object:
        """Run a coroutine beside the app's messages."""

    def tell(self, sentence: str, *, problem: bool = False) -> None:
        """Show a toast."""


class Runs(Protocol):
    """What the schedule uses of the session."""

    engine: Engine | None
    is_starting: bool
    is_leaving: bool

    async def start_next(self, engine: Engine) -> None:
        """Start the engine in the place of the one before, and show it; raises `PipeloomError`."""


class ScheduledRuns:
    """Starts the next run when the schedule says so. A start waits while a dialog is open: it would close it."""

    def __init__(self, schedule: Schedule | None, host: ScheduleHost, runs: Runs) -> None:
        self._schedule = schedule
        self._host = host
        self._runs = runs
        self._first: Engine | None = None
        """The engine of the first run, until that is started."""
        self._last: Engine | None = None
        """The engine whose pipeline and options the next run has."""
        self._ran = False
        """Whether a run was under way at the last look."""

    def begin(self, engine: Engine) -> bool:
        """Run `engine` when the schedule says so, and then others like it; False without a schedule."""
        if self._schedule is None:
            return False
        self._first = self._last = engine
        self._host.set_interval(_LOOK_S, self.look)
        self.look()
        return True

    def next_start(self) -> str:
        """Return a few words on the next start; "" without a schedule."""
        return "" if self._schedule is None else next_short(self._schedule, self._host.clock())

    def stop(self) -> None:
        """Start nothing any more."""
        if self._schedule is not None:
            self._schedule.close()
            self._schedule = None

    def look(self) -> None:
        """Start a run if one is due and none is under way, what is called at its end included."""
        if self._schedule is None or self._runs.is_starting or self._runs.is_leaving or self._host.is_leaving:
            return
        engine = self._runs.engine
        if engine is not None and engine.is_started and not engine.wait(0):
            self._ran = True
            return
        if self._ran:
            self._ran = False
            self._schedule.end()
        try:
            due = self._schedule.is_due()
        except PipeloomError as error:
            self._host.tell(f"Nothing more is started: {error}", problem=True)
            self.stop()
            return
        if due and not isinstance(self._host.screen, ModalScreen):
            self._schedule.begin()
            self._runs.is_starting = True
            self._host.run_worker(self._start())

    async def _start(self) -> None:
        try:
            engine, self._first = self._first or await self._another(), None
            self._last = engine
            await self._runs.start_next(engine)
        except PipeloomError as error:
            self._host.tell(f"Not started: {error}", problem=True)
            if self._schedule is not None:
                self._schedule.end()
        finally:
            self._runs.is_starting = False

    async def _another(self) -> Engine:
        """Return an engine for the next run; its tasks are listed again, which is the user's code."""
        assert self._last is not None
        return await in_daemon_thread(self._last.another, "pipeloom-import")
