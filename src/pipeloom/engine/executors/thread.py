"""Attempts in threads of this process."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterable
from functools import partial
from typing import Final

from pipeloom.code.sources import quoting
from pipeloom.engine.attempt import Attempt, Outcome, OutcomeKind
from pipeloom.engine.executors.base import Capabilities, Executor, Reports, WorkerInfo
from pipeloom.engine.executors.children import of_thread
from pipeloom.engine.executors.slots import SlotPool
from pipeloom.engine.worker.channel import WorkerChannel
from pipeloom.engine.worker.runner import run_worker

_RUNNER: Final = run_worker.__code__.co_filename
"""The file of the innermost frame that is ours: the user's frames follow it."""


class ThreadExecutor(Executor):
    """Runs each attempt in a thread of this process."""

    name = "thread"
    caps = Capabilities()

    def __init__(self, slots: int) -> None:
        self._pool = SlotPool(slots, self._run)
        self._reports: Reports
        self._channels: dict[int, WorkerChannel] = {}

    @property
    def slots(self) -> int:
        """Attempts that may run at the same time."""
        return self._pool.slots

    @property
    def window(self) -> int:
        """The slots: a thread takes its next attempt as soon as one has ended."""
        return self._pool.slots

    def start(self, reports: Reports) -> None:
        """Keep where to report; all threads but the first start with the attempts."""
        self._reports = reports
        self._pool.start(reports)

    def set_slots(self, slots: int) -> None:
        """Change the number of slots."""
        self._pool.slots = slots

    def submit(self, attempt: Attempt) -> None:
        """Hand the attempt to a thread."""
        self._channels[attempt.id] = WorkerChannel(attempt, partial(self._reports.message, attempt.id))
        self._pool.submit(attempt)

    def cancel(self, attempt_ids: Iterable[int]) -> None:
        """Ask attempts to stop."""
        for attempt_id in attempt_ids:
            channel = self._channels.get(attempt_id)
            if channel is not None:
                channel.cancel()

    def workers(self) -> list[WorkerInfo]:
        """Return each thread that has been started."""
        return [WorkerInfo(worker, 1, attempts) for worker, attempts in self._pool.running().items()]

    def stack(self, attempt_id: int) -> str | None:
        """Return where the attempt's thread is in the user's code."""
        thread = self._pool.thread_of(attempt_id)
        frame = None if thread is None else sys._current_frames().get(thread.ident or 0)
        if frame is None:
            return None
        with quoting(frame for frame, _ in traceback.walk_stack(frame)):
            frames = traceback.extract_stack(frame)
        ours = [place for place, entry in enumerate(frames) if entry.filename == _RUNNER]
        return "".join(traceback.format_list(frames[ours[0] + 1 :])) if ours else None

    def children(self, attempt_id: int) -> list[str]:
        """Return the programs that the attempt's thread has started and that still run."""
        thread = self._pool.thread_of(attempt_id)
        return [] if thread is None else of_thread(thread.native_id)

    def shutdown(self, timeout_s: float) -> int:
        """End idle threads and wait for the others; return how many are still busy."""
        return self._pool.shutdown(timeout_s)

    def _run(self, attempt: Attempt, worker: str) -> Outcome:
        channel = self._channels[attempt.id]
        try:
            if channel.cancelled:
                return Outcome(OutcomeKind.CANCELLED, started=False)
            self._reports.started(attempt.id, worker)
            outcome = run_worker(attempt, channel)
            self._tell_children(channel)
            return outcome
        finally:
            del self._channels[attempt.id]

    def _tell_children(self, channel: WorkerChannel) -> None:
        """Name the programs that an attempt has left which was asked to stop."""
        if channel.cancelled and (left := self.children(channel.attempt_id)):
            channel.log("WARNING", f"Left behind: {', '.join(left)}.", None)
