"""Attempts in threads of this process."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pipeloom.engine.channel import WorkerChannel
from pipeloom.engine.executors.base import Attempt, Capabilities, Outcome, OutcomeKind
from pipeloom.engine.executors.slots import SlotExecutor
from pipeloom.engine.runner import run_worker


class ThreadExecutor(SlotExecutor):
    """Runs each attempt in a thread of this process."""

    name = "thread"
    caps = Capabilities()

    def __init__(self, slots: int) -> None:
        super().__init__(slots)
        self._channels: dict[int, WorkerChannel] = {}

    def submit(self, attempt: Attempt) -> None:
        """Hand the attempt to a thread."""

        def send(msg: Any, attempt_id: int = attempt.id) -> None:
            self._reports.message(attempt_id, msg)

        self._channels[attempt.id] = WorkerChannel(attempt, send)
        super().submit(attempt)

    def cancel(self, attempt_ids: Iterable[int]) -> None:
        """Ask attempts to stop."""
        for attempt_id in attempt_ids:
            channel = self._channels.get(attempt_id)
            if channel is not None:
                channel.cancel()

    def kill(self, attempt_id: int) -> bool:  # noqa: ARG002 - a thread cannot be killed, whichever it is
        """Return False: nothing can end a thread by force."""
        return False

    def _run(self, attempt: Attempt, worker: str) -> Outcome:
        channel = self._channels[attempt.id]
        try:
            if channel.cancelled:
                return Outcome(OutcomeKind.CANCELLED, started=False)
            self._reports.started(attempt.id, worker)
            return run_worker(attempt, channel)
        finally:
            del self._channels[attempt.id]
