"""What the local executors share: daemon threads of our own, one per slot, each busy with one attempt at a time.

A task that never returns can hold its thread, but not the program's exit, as a `ThreadPoolExecutor` would.
"""

from __future__ import annotations

import queue
import threading
import time
from abc import ABC, abstractmethod

from pipeloom.engine.attempt import Attempt, Outcome
from pipeloom.engine.executors.base import Reports, WorkerInfo


class SlotExecutor(ABC):
    """Hands each attempt to an idle thread, or to a new one. Threads are started as they are needed and then kept."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._lock = threading.Lock()
        self._waiting: queue.SimpleQueue[Attempt | None] = queue.SimpleQueue()
        self._idle = 0
        self._running: dict[str, int] = {}
        """Worker to the attempt that it runs."""
        self._threads: list[threading.Thread] = []
        self._closed = False
        self._here = threading.local()

    @property
    def slots(self) -> int:
        """Attempts that may run at the same time."""
        return self._slots

    @property
    def window(self) -> int:
        """The slots: the next attempt is at hand as soon as one has ended."""
        return self._slots

    def start(self, reports: Reports) -> None:
        """Remember where to report; threads come with the attempts."""
        self._reports = reports

    def set_slots(self, slots: int) -> None:
        """Change the number of slots; threads above it stay, idle, for when it rises again."""
        self._slots = slots

    def submit(self, attempt: Attempt) -> None:
        """Hand the attempt to an idle thread, or to a new one."""
        if getattr(self._here, "finishing", False):
            # The engine's answer to the end of an attempt: the thread that reported it goes on with this one itself,
            # which spares a wake-up and a change of threads for every task.
            self._here.finishing, self._here.next = False, attempt
            return
        with self._lock:
            self._waiting.put(attempt)
            if self._idle:
                self._idle -= 1
                return
            worker = f"worker-{len(self._threads) + 1}"
            thread = threading.Thread(target=self._work, args=(worker,), name=f"pipeloom-{worker}", daemon=True)
            self._threads.append(thread)
        thread.start()

    def shutdown(self, timeout_s: float) -> int:
        """Let idle threads end and wait for the others; returns how many are still busy."""
        with self._lock:
            if not self._closed:
                self._closed = True
                for _ in self._threads:
                    self._waiting.put(None)
        deadline = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return sum(thread.is_alive() for thread in self._threads)

    def stack(self, attempt_id: int) -> str | None:  # noqa: ARG002 - nobody can tell, whichever it is
        """Return None: where another process is cannot be seen from here."""
        return None

    def workers(self) -> list[WorkerInfo]:
        """Return what is known of the threads that have been started."""
        running = dict(self._running)
        names = [thread.name.removeprefix("pipeloom-") for thread in list(self._threads)]
        return [self._info(name, (running[name],) if name in running else ()) for name in names]

    def _info(self, worker: str, attempts: tuple[int, ...]) -> WorkerInfo:
        """Return what is known of the thread `worker`."""
        return WorkerInfo(worker, 1, attempts)

    @abstractmethod
    def _run(self, attempt: Attempt, worker: str) -> Outcome:
        """Run one attempt to its end."""

    def _retire(self, worker: str) -> None:  # noqa: B027 - most have nothing to clear away
        """Clear away what the thread `worker` has used."""

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
                attempt = self._here.next or self._wait()
            self._retire(worker)
        except BaseException as error:  # noqa: BLE001 - a thread that dies unseen would leave the run waiting
            self._reports.broken(error)

    def _wait(self) -> Attempt | None:
        with self._lock:
            self._idle += 1
        return self._waiting.get()
