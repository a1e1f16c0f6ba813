"""Due times of retries and time limits of attempts: one thread that sleeps until the next."""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Callable

from pipeloom.engine.clock import Clock
from pipeloom.engine.interpreter import start_thread

Action = Callable[[], Callable[[], None] | None]


class Timers:
    """Calls each action when it is due, with the run's lock held; what the action returns is called without it."""

    def __init__(self, lock: threading.Lock, clock: Clock, broken: Callable[[BaseException], None]) -> None:
        self._clock = clock
        self._broken = broken
        self._changed = threading.Condition(lock)
        self._heap: list[tuple[float, int, Action]] = []
        self._order = itertools.count()
        self._stopped = False
        self._thread = threading.Thread(target=self._main, name="pipeloom-timers", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        start_thread(self._thread)

    def stop(self) -> None:
        """Let the thread end; with the lock held."""
        self._stopped = True
        self._changed.notify()

    def join(self, patience_s: float) -> None:
        """Wait for the end of the thread after `stop`, without the lock."""
        self._thread.join(patience_s)

    def add(self, due: float, action: Action) -> None:
        """Have `action` called at `due`, in monotonic seconds; with the lock held."""
        heapq.heappush(self._heap, (due, next(self._order), action))
        if self._heap[0][0] == due:
            self._changed.notify()

    def _main(self) -> None:
        try:
            while True:
                with self._changed:
                    afterwards = self._next()
                    if self._stopped:
                        return
                for call in afterwards:
                    call()
        except BaseException as error:  # noqa: BLE001 - without the thread no retry comes due: the run must end
            self._broken(error)

    def _next(self) -> list[Callable[[], None]]:
        """Wait until actions are due and call them; returns what to call without the lock."""
        while not self._stopped:
            now = self._clock.monotonic()
            calls = []
            acted = False
            while self._heap and self._heap[0][0] <= now:
                acted = True
                call = heapq.heappop(self._heap)[2]()
                if call is not None:
                    calls.append(call)
            if acted:
                return calls
            self._clock.wait(self._changed, self._heap[0][0] - now if self._heap else None)
        return []
