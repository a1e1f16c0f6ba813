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
from pipeloom.times import monotonic
from pipeloom.tui.session.engine_session import EngineSession
from pipeloom.tui.session.live_feed import LiveFeed

T = TypeVar("T")
_PATIENCE_S: Final = 3.0
_FRESH_S: Final = 3.0
"""Seconds for which what an answer has told is taken to hold."""
_LOOKS_S: Final = 0.3
"""Seconds until another process has looked for requests, and its answer was found."""


class Questions:
    """Asks why attempts wait, off the UI thread. Who is not answered knows nothing, which is no trouble to tell of."""

    def __init__(self, db_path: Path, feed: LiveFeed, session: EngineSession) -> None:
        """Ask the engine of `session`, while `feed` does not show the run of another process."""
        self._db_path, self._feed, self._session = db_path, feed, session
        self._other: ControlClient | None = None
        self._answered_s = float("-inf")
        """When the last answer came, in monotonic seconds."""

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
    def load(self) -> EngineLoad | None:
        """The load of another process, as of an answer of the last seconds."""
        is_fresh = monotonic() - self._answered_s < _FRESH_S
        return self._other.known_load if is_fresh and self._other is not None else None

    def work_s(self, took_s: float) -> float:
        """Return how many of the seconds of an answer were work: another process looks for requests now and then."""
        return max(0.0, took_s - _LOOKS_S) if self._feed.is_viewer else took_s

    async def _ask(self, question: Callable[[Commands], T]) -> T | None:
        engine = self._session.engine
        asked: Commands | None = self._other if self._feed.is_viewer or engine is None else engine
        if asked is None:
            return None
        try:
            answer = await asyncio.to_thread(question, asked)
        except PipeloomError:
            return None
        self._answered_s = monotonic()
        return answer
