"""Attempts in threads of this process."""

from __future__ import annotations

import sys
import threading
import traceback
from collections.abc import Iterable
from typing import Any, Final

from pipeloom.engine.attempt import Attempt, Outcome, OutcomeKind
from pipeloom.engine.executors.base import Capabilities
from pipeloom.engine.executors.slots import SlotExecutor
from pipeloom.engine.worker.channel import WorkerChannel
from pipeloom.engine.worker.runner import run_worker

_RUNNER: Final = run_worker.__code__.co_filename
"""The module below which the user's frames begin."""


class ThreadExecutor(SlotExecutor):
    """Runs each attempt in a thread of this process."""

    name = "thread"
    caps = Capabilities()

    def __init__(self, slots: int) -> None:
        super().__init__(slots)
        self._channels: dict[int, WorkerChannel] = {}
        self._thread_ids: dict[int, int] = {}

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

    def stack(self, attempt_id: int) -> str | None:
        """Return where the attempt's thread is in the user's code."""
        frame = sys._current_frames().get(self._thread_ids.get(attempt_id, 0))
        if frame is None:
            return None
        frames = traceback.extract_stack(frame)
        ours = [place for place, entry in enumerate(frames) if entry.filename == _RUNNER]
        return "".join(traceback.format_list(frames[ours[0] + 1 :])) if ours else None

    def _run(self, attempt: Attempt, worker: str) -> Outcome:
        channel = self._channels[attempt.id]
        try:
            if channel.cancelled:
                return Outcome(OutcomeKind.CANCELLED, started=False)
            self._thread_ids[attempt.id] = threading.get_ident()
            self._reports.started(attempt.id, worker)
            return run_worker(attempt, channel)
        finally:
            self._thread_ids.pop(attempt.id, None)
            del self._channels[attempt.id]
