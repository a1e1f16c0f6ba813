"""Daemon threads for the local executors: one per slot, each runs one attempt at a time.

A task that never returns keeps its thread, but does not keep the program from exiting, as a `ThreadPoolExecutor` would.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable

from pipeloom.engine.attempt import Attempt, Outcome
from pipeloom.engine.executors.base import Reports
from pipeloom.engine.interpreter import start_thread
from pipeloom.times import monotonic

_THREAD_PREFIX = "pipeloom-"
_log = logging.getLogger(__name__)


def _nothing_to_release(_: str) -> None:
    pass


class SlotPool:
    """Hands each attempt to an idle thread, or to a new one. A thread is started when it is needed and then kept.

    The first is started before the run, which needs one; where the system allows no more, attempts wait for those.
    """

    def __init__(
        self,
        slots: int,
        run: Callable[[Attempt, str], Outcome],
        release: Callable[[str], None] = _nothing_to_release,
    ) -> None:
        """Make a pool without threads.

        `run(attempt, worker)` runs one attempt to its end; `release(worker)` frees what the thread `worker` has used.
        """
        self.slots = slots
        """Attempts that may run at the same time. Threads above it stay idle until it rises again."""
        self._run = run
        self._release = release
        self._reports: Reports
        self._lock = threading.Lock()
        self._waiting: queue.SimpleQueue[Attempt | None] = queue.SimpleQueue()
        self._idle = 0
        self._running: dict[str, int] = {}
        """Worker to the id of the attempt that it runs."""
        self._threads: list[threading.Thread] = []
        self._closed = False
        self._is_short = False
        """Whether the system has refused a thread."""
        self._here = threading.local()

    def start(self, reports: Reports) -> None:
        """Keep where ends are reported, and start the first thread."""
        self._reports = reports
        with self._lock:
            thread = self._new_thread()
            start_thread(thread)
            self._threads.append(thread)
            self._idle = 1

    def submit(self, attempt: Attempt) -> None:
        """Hand the attempt to an idle thread, or to a new one."""
        if getattr(self._here, "finishing", False):
            # The engine answers the end of an attempt with the next one: the thread that reported the end runs it,
            # which saves a wake-up and a thread switch for every task.
            self._here.finishing, self._here.next = False, attempt
            return
        with self._lock:
            self._waiting.put(attempt)
            if self._idle:
                self._idle -= 1
                return
            thread = self._new_thread()
            try:
                thread.start()
            except RuntimeError as error:
                if not self._is_short:
                    _log.warning("No more than %d tasks run at a time: %s", len(self._threads), error)
                self._is_short = True
            else:
                self._threads.append(thread)

    def _new_thread(self) -> threading.Thread:
        worker = f"worker-{len(self._threads) + 1}"
        return threading.Thread(target=self._work, args=(worker,), name=f"{_THREAD_PREFIX}{worker}", daemon=True)

    def running(self) -> dict[str, tuple[int, ...]]:
        """Return the workers that have been started, each with the ids of its attempts."""
        running = dict(self._running)
        workers = [thread.name.removeprefix(_THREAD_PREFIX) for thread in list(self._threads)]
        return {worker: (running[worker],) if worker in running else () for worker in workers}

    def thread_of(self, attempt_id: int) -> threading.Thread | None:
        """Return the thread that runs the attempt, if one does."""
        worker = next((worker for worker, its in self._running.copy().items() if its == attempt_id), None)
        named = (thread for thread in list(self._threads) if thread.name == f"{_THREAD_PREFIX}{worker}")
        return next(named, None)

    def shutdown(self, timeout_s: float) -> int:
        """End idle threads and wait for the others; return how many are still busy."""
        with self._lock:
            if not self._closed:
                self._closed = True
                for _ in self._threads:
                    self._waiting.put(None)
        deadline = monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, deadline - monotonic()))
        return sum(thread.is_alive() for thread in self._threads)

    def _work(self, worker: str) -> None:
        try:
            attempt = self._waiting.get()
            while attempt is not None:
                self._running[worker] = attempt.id
                outcome = self._run(attempt, worker)
                del self._running[worker]
                self._here.finishing, self._here.next = True, None
                self._reports.ended(attempt.id, outcome)
                self._here.finishing = False
                attempt = self._here.next  # first: what waits keeps neither an attempt nor its code
                self._here.next = None
                attempt = attempt or self._wait()
            self._release(worker)
        except BaseException as error:  # noqa: BLE001 - the run would wait for ever for a thread that died unreported
            self._reports.broken(error)

    def _wait(self) -> Attempt | None:
        with self._lock:
            self._idle += 1
        return self._waiting.get()
