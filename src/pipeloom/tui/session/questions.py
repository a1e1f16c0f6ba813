"""What is asked of the engine behind the run that is shown, of this process or of another: nothing is changed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Final, TypeVar

from pipeloom.engine.commands import Commands, EngineLoad
from pipeloom.engine.control.client import ControlClient
from pipeloom.engine.control.request import MOST_EXPLAINED
from pipeloom.errors import PipeloomError
from pipeloom.status import RunStatus
from pipeloom.times import monotonic
from pipeloom.tui.session.engine_session import EngineSession
from pipeloom.tui.session.live_feed import LiveFeed

T = TypeVar("T")
_PATIENCE_S: Final = 3.0
_FRESH_S: Final = 5.0
"""Seconds for which what an answer has told is taken to hold."""
_STALE_S: Final = 2.0
"""Seconds after an answer from which another process is asked for its load alone."""
_LOOKS_S: Final = 0.3
"""Seconds until another process has looked for requests, and its answer was found."""


class Questions:
    """Asks why attempts wait, off the UI thread. Who is not answered knows nothing, which is no trouble to tell of."""

    def __init__(self, db_path: Path, feed: LiveFeed, session: EngineSession) -> None:
        """Ask the engine of `session`, while `feed` does not show the run of another process."""
        self._db_path, self._feed, self._session = db_path, feed, session
        self._other: ControlClient | None = None

    def follow(self, run_id: int) -> None:
        """Ask the process from now on that has this run under way."""
        self.stop()
        self._other = ControlClient(self._db_path, run_id, patience_s=_PATIENCE_S)

    def stop(self) -> None:
        """Wait for no answer."""
        if self._other is not None:
            self._other.give_up()

    async def why_waiting(self, attempt_ids: Sequence[int]) -> dict[int, str] | None:
        """Return why attempts have not begun, in words; None without an answer."""
        return await self._ask(lambda run: run.why_waiting(attempt_ids[:MOST_EXPLAINED]))

    async def waiting_for(self, what: Collection[str]) -> Sequence[int] | None:
        """Return the attempts that wait for one of `what`; None without an answer."""
        return await self._ask(lambda run: run.waiting_for(what))

    @property
    def answered_s(self) -> float:
        """When another process answered last, in monotonic seconds."""
        return float("-inf") if self._other is None else self._other.answered_s

    @property
    def load(self) -> EngineLoad | None:
        """The load of another process, as of an answer of the last seconds."""
        is_fresh = monotonic() - self.answered_s < _FRESH_S
        return self._other.known_load if is_fresh and self._other is not None else None

    @property
    def is_stale(self) -> bool:
        """Whether another process has a run under way whose load was not told in the last seconds."""
        run = self._feed.board.run
        goes_on = self._feed.is_viewer and run is not None and run.status is RunStatus.RUNNING
        return goes_on and self._other is not None and monotonic() - self.answered_s > _STALE_S

    async def learn_load(self) -> None:
        """Ask for the `load` alone: whether the run is paused is not in the file."""
        await self._ask(lambda run: run.load())

    def work_s(self, took_s: float) -> float:
        """Return how many of the seconds of an answer were work: another process looks for requests now and then."""
        return max(0.0, took_s - _LOOKS_S) if self._feed.is_viewer else took_s

    async def _ask(self, question: Callable[[Commands], T]) -> T | None:
        engine = self._session.engine
        asked: Commands | None = self._other if self._feed.is_viewer or engine is None else engine
        if asked is None:
            return None
        try:
            return await asyncio.to_thread(question, asked)
        except PipeloomError:
            return None
