"""The calls at the end of a run: in turn, each in a thread of its own that is not waited for beyond its time limit."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from pipeloom.engine.capture import AttemptLog
from pipeloom.engine.clock import Clock
from pipeloom.engine.error_text import ErrorText, error_text
from pipeloom.engine.events import RunLogged
from pipeloom.engine.interpreter import start_thread
from pipeloom.errors import UsageError
from pipeloom.text import clean, counted


class HookError(Exception):
    """A call went wrong in a way that its text says in full."""


LINES: Final = 1_000
"""Lines that one call may add to the run's log."""


@dataclass(frozen=True, slots=True)
class EndCall:
    """One call at the end of a run."""

    name: str
    """What the run's log calls it."""
    call: Callable[[], object]
    timeout_s: float


class EndCalls:
    """Makes the calls after each end of a run. What they raise is a line in the run's log, never more.

    `lock` is the run's: what is read here is read with it, and `over` is notified when the last call is over.
    """

    def __init__(
        self, clock: Clock, lock: threading.Lock, over: threading.Condition, log: Callable[[RunLogged], None]
    ) -> None:
        """`log` takes lines for the run's log; it is called with the lock held."""
        self._clock, self._lock, self._over, self._log = clock, lock, over, log
        self._ended = threading.Condition(lock)
        self._rounds: list[tuple[EndCall, ...]] = []
        self._going = False
        self._hurry_s = float("inf")
        """The monotonic time at which whatever is called is given up: the program ends."""
        self.errors: tuple[str, ...] = ()
        """What the calls after the last end have raised, or that they took too long."""

    @property
    def going(self) -> bool:
        """Whether calls are made, or are about to be."""
        return self._going

    def begin(self, calls: Iterable[EndCall]) -> None:
        """Make the calls of one end, after those of an earlier end. With the lock held."""
        self.errors = ()
        if not (calls := tuple(calls)):
            return
        self._rounds.append(calls)
        if not self._going:
            self._going = True
            try:
                start_thread(threading.Thread(target=self._main, name="pipeloom-hooks", daemon=True))
            except UsageError as error:  # the system allows no more threads
                self._rounds.clear()
                self._going = False
                for one in calls:
                    self._note(one.name, f"not called: {error}")

    def finish(self, patience_s: float) -> None:
        """Wait for the calls that are made, and give them up after `patience_s` seconds. Takes the lock."""
        with self._lock:
            self._hurry_s = min(self._hurry_s, self._clock.monotonic() + patience_s)
            self._ended.notify_all()
            self._over.wait_for(lambda: not self._going)

    def _main(self) -> None:
        while True:
            with self._lock:
                if not self._rounds:
                    self._going = False
                    self._over.notify_all()
                    return
                calls = self._rounds.pop(0)
            for one in calls:
                self._make(one)

    def _make(self, one: EndCall) -> None:
        """Make one call, and note what it raises; returns when it is over, or its time."""
        room, ended, late = LINES, False, False
        began_s = self._clock.monotonic()

        def write(level: str, text: str, at: str | None) -> None:
            nonlocal room
            with self._lock:
                if late:
                    return
                room -= 1
                if room >= 0:
                    self._log(RunLogged(level, text, at))

        def work() -> None:
            nonlocal ended
            raised: ErrorText | None = None
            try:
                with AttemptLog(write):
                    one.call()
            except HookError as error:
                raised = ErrorText("", str(error), "")
            except BaseException as error:  # noqa: BLE001 - a pipeline's function may raise anything, SystemExit included
                raised = error_text(error)
            with self._lock:
                if raised is not None and not late:
                    self._note(one.name, ": ".join(filter(None, raised[:2])), raised.traceback)
                ended = True
                self._ended.notify_all()

        try:
            start_thread(threading.Thread(target=work, name=f"pipeloom-hook-{clean(one.name, 40)}", daemon=True))
        except UsageError as error:
            with self._lock:
                self._note(one.name, f"not called: {error}")
            return
        with self._lock:
            while not ended and (left := self._deadline(one, began_s) - self._clock.monotonic()) > 0:
                self._clock.wait(self._ended, left)
            late = True
            if not ended:
                limit = min(one.timeout_s, max(0.0, self._hurry_s - began_s))
                self._note(one.name, f"it did not return within {limit:g} s, and is not waited for")
            if room < 0:
                self._log(RunLogged("WARNING", f"{one.name}: {counted(-room, 'line')} more left out"))

    def _deadline(self, one: EndCall, began_s: float) -> float:
        return min(began_s + one.timeout_s, self._hurry_s)

    def _note(self, name: str, what: str, more: str = "") -> None:
        """Keep what went wrong. With the lock held."""
        told = f"{name}: {what}"
        self.errors += (told,)
        self._log(RunLogged("ERROR", f"{told}\n{more}".rstrip()))
