"""Names the coroutine that keeps the event loop from all others."""

from __future__ import annotations

import asyncio
import sys
import threading
import traceback
import types
from contextlib import suppress
from pathlib import Path
from typing import Final

from pipeloom.code.sources import quoting
from pipeloom.engine.interpreter import start_thread
from pipeloom.engine.worker.channel import WorkerChannel
from pipeloom.engine.worker.runner import run_coroutine
from pipeloom.times import monotonic

PATIENCE_S: Final = 1.0
"""Seconds that a coroutine may keep the loop before it is named."""
_EVERY_S: Final = 0.5


class LoopWatch:
    """Asks the loop for an answer again and again, from a thread of its own."""

    def __init__(self, loop: asyncio.AbstractEventLoop, loop_thread: threading.Thread) -> None:
        self._loop = loop
        self._loop_thread = loop_thread
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._main, name="pipeloom-loop-watch", daemon=True)

    def start(self) -> None:
        """Start watching; raises `UsageError` when the system allows no more threads."""
        start_thread(self._thread)

    def stop(self) -> None:
        """Stop watching."""
        self._stop.set()

    def stack_of(self, channel: WorkerChannel) -> str:
        """Return where the loop is in the user's code if it runs the channel's attempt; else ""."""
        running, stack, _place = self._running()
        return stack if running is channel else ""

    def _main(self) -> None:
        while not self._stop.wait(_EVERY_S):
            asked, answer = monotonic(), threading.Event()
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(answer.set)
            if not answer.wait(PATIENCE_S) and not self._stop.is_set():
                self._name_it(asked, answer)

    def _name_it(self, asked: float, answer: threading.Event) -> None:
        channel, stack, place = self._running()
        if channel is not None:
            said = "All other tasks wait while this one keeps the event loop"
            channel.log("WARNING", f"{said}:\n{stack}", None, f"{said}: {place}")
        answer.wait()
        if channel is not None:
            said = f"It has kept the event loop for {monotonic() - asked:.1f} s"
            channel.log("WARNING", f"{said}.", None, f"{said}: {place}")

    def _running(self) -> tuple[WorkerChannel | None, str, str]:
        """Return the channel of the attempt that runs on the loop now, its stack in the user's code, and where it is.

        Where it is, is the line of the worker function's own file.
        """
        frame = sys._current_frames().get(self._loop_thread.ident or 0)
        users: list[types.FrameType] = []
        while frame is not None:
            if frame.f_code is run_coroutine.__code__:
                with quoting(users):
                    frames = traceback.StackSummary.extract((entry, entry.f_lineno) for entry in reversed(users))
                own = next((entry for entry in users if entry.f_code.co_filename == users[-1].f_code.co_filename), None)
                place = "" if own is None else f"{Path(own.f_code.co_filename).name}, line {own.f_lineno}"
                return frame.f_locals["channel"], "".join(traceback.format_list(frames)), place
            users.append(frame)
            frame = frame.f_back
        return None, "", ""
