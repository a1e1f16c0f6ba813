"""Attempts as coroutines on the event loop of one thread: for many requests that wait at the same time."""

from __future__ import annotations

import asyncio
import os
import threading
import traceback
import types
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

from pipeloom.code.sources import quoting
from pipeloom.engine.attempt import Attempt, Outcome, OutcomeKind
from pipeloom.engine.executors.base import Capabilities, Executor, Reports, WorkerInfo
from pipeloom.engine.executors.coroutine.channel import CoroutineChannel
from pipeloom.engine.executors.coroutine.loop_watch import LoopWatch
from pipeloom.engine.executors.coroutine.outbox import Outbox
from pipeloom.engine.interpreter import start_thread
from pipeloom.engine.worker.runner import run_coroutine
from pipeloom.times import monotonic

_WORKER: Final = "loop"
"""Name of the one worker."""
_AT_ONCE: Final = 64
"""Attempts that begin before the loop looks again for what is ready: the first requests are sent while others begin."""
_END_S: Final = 1.0
"""Seconds that the loop gets for what attempts have left on it."""


class _Running:
    """An attempt that the executor holds."""

    __slots__ = ("attempt", "channel", "task")

    def __init__(self, attempt: Attempt, channel: CoroutineChannel) -> None:
        self.attempt = attempt
        self.channel = channel
        self.task: asyncio.Task[None] | None = None
        """None until it has begun."""


class CoroutineExecutor(Executor):
    """Runs each attempt as a task of one event loop, which has a thread of its own."""

    name = "async"
    caps = Capabilities()

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._held: dict[int, _Running] = {}
        self._changed = threading.Condition()
        self._closed = False
        self._calls: deque[Callable[[], object]] = deque()
        """To be made on the loop."""
        self._is_woken = False
        """Whether the loop is about to make them."""
        self._process = os.getpid()
        self._loop = asyncio.new_event_loop()
        with suppress(AttributeError):  # a loop that is written in C; it goes on after a stop
            setattr(self._loop, "stop", self._stop_asked)  # noqa: B010
        self._is_ending = False
        self._thread = threading.Thread(target=self._main, name="pipeloom-loop", daemon=True)
        self._outbox: Outbox
        self._reports: Reports
        self._watch: LoopWatch

    @property
    def slots(self) -> int:
        """Coroutines that may run at the same time."""
        return self._slots

    def set_slots(self, slots: int) -> None:
        """Change the number of slots."""
        self._slots = slots

    def start(self, reports: Reports) -> None:
        """Start the loop; raises `UsageError` when the system allows no more threads."""
        self._reports = reports
        self._outbox = Outbox(reports, self._loop)
        self._outbox.start()
        start_thread(self._thread)
        self._watch = LoopWatch(self._loop, self._thread)
        self._watch.start()
        _loops.add(self._loop)

    def submit(self, attempt: Attempt) -> None:
        """Take the attempt; its coroutine begins on the loop."""
        running = _Running(attempt, CoroutineChannel(attempt, self._outbox))
        self._held[attempt.id] = running
        self._on_loop(self._begin, running)

    def cancel(self, attempt_ids: Iterable[int]) -> None:
        """Ask attempts to stop: `asyncio.CancelledError` is raised where the coroutine waits, once."""
        for attempt_id in attempt_ids:
            running = self._held.get(attempt_id)
            if running is not None and not running.channel.cancelled:
                running.channel.channel.cancel()
                self._on_loop(_cancel, running)

    def workers(self) -> list[WorkerInfo]:
        """Return the loop."""
        return [WorkerInfo(_WORKER, self._slots, tuple(self._held.copy()))]

    def stack(self, attempt_id: int) -> str | None:
        """Return where the attempt's coroutine is, or waits, in the user's code."""
        running = self._held.get(attempt_id)
        if running is None or running.task is None:
            return None
        if stack := self._watch.stack_of(running.channel.channel):
            return stack
        there = list(_frames(running.task.get_coro()))
        with quoting(there):
            frames = traceback.StackSummary.extract((frame, frame.f_lineno) for frame in there)
        return "".join(traceback.format_list(frames)) or None

    def shutdown(self, timeout_s: float) -> int:
        """Wait for the attempts and end the loop; return how many attempts are left. With any, the loop goes on."""
        deadline = monotonic() + timeout_s
        with self._changed:
            while self._held and self._changed.wait(max(0.0, deadline - monotonic())):
                pass
            left = len(self._held)
            was_closed, self._closed = self._closed, True
        if not left and not was_closed:
            self._watch.stop()
            self._on_loop(self._stop)
            self._thread.join(_END_S)
            self._outbox.close(_END_S)
        return left

    # -- on the loop ---------------------------------------------------------------------------------------------------

    def _main(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            while not self._is_ending:
                with suppress(KeyboardInterrupt, SystemExit):  # raised in what an attempt has started beside itself
                    self._loop.run_forever()
                if os.getpid() != self._process:
                    os._exit(0)  # a forked child whose coroutine waits
            left = asyncio.all_tasks(self._loop)
            for task in left:  # what attempts have started and not waited for
                task.cancel()
            with suppress(TimeoutError):
                self._loop.run_until_complete(asyncio.wait_for(_all_ended(left), _END_S))
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()
        except BaseException as error:  # noqa: BLE001 - the run would wait for ever for a loop that died unreported
            self._reports.broken(error)

    def _stop(self) -> None:
        self._is_ending = True
        self._loop.stop()

    def _stop_asked(self) -> None:
        """Stop the loop, unless a task asks for it."""
        if not self._is_ending and os.getpid() == self._process:
            raise RuntimeError("A task cannot stop the event loop, which runs all tasks. Return or raise to end it.")
        type(self._loop).stop(self._loop)

    def _begin(self, running: _Running) -> None:
        if running.channel.cancelled:
            self._end(running, Outcome(OutcomeKind.CANCELLED, started=False))
        else:
            running.task = self._loop.create_task(self._run(running), name=f"pipeloom-{running.attempt.id}")

    async def _run(self, running: _Running) -> None:
        self._outbox.started(running.channel.mailbox, _WORKER)
        channel = running.channel
        self._end(running, await run_coroutine(running.attempt, channel, channel.channel, channel.check_awaited))

    def _end(self, running: _Running, outcome: Outcome) -> None:
        self._outbox.ended(running.channel.mailbox, outcome)
        with self._changed:
            del self._held[running.attempt.id]
            self._changed.notify_all()

    def _on_loop(self, call: Callable[..., object], *arguments: Any) -> None:
        """Have a call made on the loop; calls that come at the same time wake it once."""
        self._calls.append(partial(call, *arguments))
        self._wake()

    def _wake(self) -> None:
        if not self._is_woken:
            self._is_woken = True
            with suppress(RuntimeError):  # the loop is closed
                if threading.get_ident() == self._thread.ident:
                    self._loop.call_soon(self._make_calls)
                else:
                    self._loop.call_soon_threadsafe(self._make_calls)

    def _make_calls(self) -> None:
        """Make some calls, and the others after what else the loop has to do."""
        self._is_woken = False  # first: what is added from here on wakes the loop again
        for _ in range(min(_AT_ONCE, len(self._calls))):
            self._calls.popleft()()
        if self._calls:
            self._wake()


def _cancel(running: _Running) -> None:
    if running.task is not None:
        running.task.cancel()


async def _all_ended(tasks: Iterable[asyncio.Task[Any]]) -> None:
    await asyncio.gather(*tasks, return_exceptions=True)


def _frames(coroutine: Any) -> Iterator[types.FrameType]:
    """Yield the frames of a coroutine that waits, the outermost first, without ours."""
    while coroutine is not None:
        frame = getattr(coroutine, "cr_frame", None) or getattr(coroutine, "gi_frame", None)
        if frame is not None and not frame.f_code.co_filename.startswith(_OURS):
            yield frame
        coroutine = getattr(coroutine, "cr_await", None) or getattr(coroutine, "gi_yieldfrom", None)


def _stop_loops() -> None:
    for loop in list(_loops):
        loop.stop()


_loops: Final[weakref.WeakSet[asyncio.AbstractEventLoop]] = weakref.WeakSet()
"""In a forked child they stop: it goes on with its own attempt, and no other."""
os.register_at_fork(after_in_child=_stop_loops)
_OURS: Final = str(Path(__file__).parents[2])
"""The folder of the engine."""
