"""Passes on what coroutines report. A report may block: the event loop must not, so others make those that would."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Generator
from contextlib import suppress
from typing import Any, Final

from pipeloom.engine.attempt import Outcome, OutcomeKind
from pipeloom.engine.executors.base import Reports
from pipeloom.engine.interpreter import start_thread
from pipeloom.engine.worker.runner import describe
from pipeloom.engine.worker.weight import weight
from pipeloom.errors import MessageError, TaskCancelled

_OWN_ENTRIES: Final = 100
"""Entries of one attempt from which on `await q.put(...)` waits."""
_ALL_ENTRIES: Final = 1_000
_ALL_BYTES: Final = 16 << 20
_MOST: Final = 10 * _OWN_ENTRIES
"""Entries of one attempt that does not wait at all, from which on it is refused more."""
_SENDERS: Final = 2
"""Threads: while one waits for room in the writer's queue, ends of other attempts still get through."""


class Mailbox:
    """What one attempt has reported and what has not been passed on, in order."""

    __slots__ = ("attempt_id", "entries", "failure", "is_taken")

    def __init__(self, attempt_id: int) -> None:
        self.attempt_id = attempt_id
        self.entries: list[tuple[str, Any, int]] = []
        self.is_taken = False
        """Whether a sender has it, or is going to take it."""
        self.failure: BaseException | None = None
        """What the engine has refused a message with: what follows in its `put`, or makes its end another."""


class Room:
    """Can be awaited: waits until there is room for more. What was put is on its way already."""

    __slots__ = ("_mailbox", "_outbox")

    def __init__(self, outbox: Outbox, mailbox: Mailbox) -> None:
        self._outbox = outbox
        self._mailbox = mailbox

    def __await__(self) -> Generator[Any, None, None]:
        return self._outbox.wait_for_room(self._mailbox).__await__()


class Outbox:
    """Passes reports on to the engine, those of one attempt in their order.

    Where it has room they go there at once: a hand-over between threads costs more than all that the engine does with
    them. Others wait, and threads of its own pass them on.
    """

    def __init__(self, reports: Reports, loop: asyncio.AbstractEventLoop) -> None:
        self._reports = reports
        self._loop = loop
        self._lock = threading.Lock()
        self._ready: queue.SimpleQueue[Mailbox | None] = queue.SimpleQueue()
        self._entries = 0
        self._bytes = 0
        self._waiting: list[asyncio.Future[None]] = []
        """Futures of coroutines that wait for room; changed on the loop alone."""
        self._senders = [
            threading.Thread(target=self._send, name=f"pipeloom-loop-sender-{number}", daemon=True)
            for number in range(1, _SENDERS + 1)
        ]

    def start(self) -> None:
        """Start the threads; raises `UsageError` when the system allows no more of them."""
        for sender in self._senders:
            start_thread(sender)

    def message(self, mailbox: Mailbox, msg: Any) -> Room:
        """Take a message; raises what the engine has refused an earlier one with."""
        if mailbox.failure is not None:
            raise mailbox.failure
        if self._goes_at_once(mailbox):
            self._reports.message(mailbox.attempt_id, msg)
        elif len(mailbox.entries) >= _MOST:
            raise MessageError(f"{_MOST:,} messages of this task wait to be stored: await each q.put(...).")
        else:
            self._add(mailbox, "message", msg, weight(msg))
        return Room(self, mailbox)

    def started(self, mailbox: Mailbox, worker: str) -> None:
        """Take the start of an attempt."""
        if self._goes_at_once(mailbox):
            self._reports.started(mailbox.attempt_id, worker)
        else:
            self._add(mailbox, "started", worker, 0)

    def ended(self, mailbox: Mailbox, outcome: Outcome) -> None:
        """Take the end of an attempt."""
        if self._goes_at_once(mailbox):
            self._reports.ended(mailbox.attempt_id, _believed(outcome, mailbox.failure))
        else:
            self._add(mailbox, "ended", outcome, 0)

    async def wait_for_room(self, mailbox: Mailbox) -> None:
        """Return when little enough of the attempt, and of all, waits to be passed on."""
        while mailbox.failure is None and self._is_full(mailbox):
            room = self._loop.create_future()
            self._waiting.append(room)
            if not self._is_full(mailbox):  # a sender has made room, and has not seen this one wait
                return
            await room

    def close(self, timeout_s: float) -> None:
        """End the threads when all is passed on."""
        for _ in self._senders:
            self._ready.put(None)
        for sender in self._senders:
            sender.join(timeout_s)

    def _is_full(self, mailbox: Mailbox) -> bool:
        return len(mailbox.entries) >= _OWN_ENTRIES or self._entries >= _ALL_ENTRIES or self._bytes >= _ALL_BYTES

    def _goes_at_once(self, mailbox: Mailbox) -> bool:
        """Tell whether a report neither waits in the engine, nor overtakes one that does here."""
        return not mailbox.is_taken and self._reports.has_room(mailbox.attempt_id)

    def _add(self, mailbox: Mailbox, what: str, value: Any, size: int) -> None:
        with self._lock:
            mailbox.entries.append((what, value, size))
            self._entries += 1
            self._bytes += size
            if mailbox.is_taken:
                return
            mailbox.is_taken = True
        self._ready.put(mailbox)

    def _send(self) -> None:
        try:
            while (mailbox := self._ready.get()) is not None:
                while entries := self._taken(mailbox):
                    for what, value, size in entries:
                        self._pass_on(mailbox, what, value)
                        with self._lock:
                            self._entries -= 1
                            self._bytes -= size
                    if self._waiting:  # waking the loop costs more than all the rest
                        with suppress(RuntimeError):  # the loop is closed
                            self._loop.call_soon_threadsafe(self._let_go_on)
        except BaseException as error:  # noqa: BLE001 - the run would wait for ever for a thread that died unreported
            self._reports.broken(error)

    def _taken(self, mailbox: Mailbox) -> list[tuple[str, Any, int]]:
        with self._lock:
            entries, mailbox.entries = mailbox.entries, []
            mailbox.is_taken = bool(entries)
            return entries

    def _pass_on(self, mailbox: Mailbox, what: str, value: Any) -> None:
        if what == "message":
            if mailbox.failure is None:
                try:
                    self._reports.message(mailbox.attempt_id, value)
                except BaseException as error:  # noqa: BLE001 - it is the attempt's
                    mailbox.failure = error
        elif what == "started":
            self._reports.started(mailbox.attempt_id, value)
        else:
            self._reports.ended(mailbox.attempt_id, _believed(value, mailbox.failure))

    def _let_go_on(self) -> None:
        waiting, self._waiting = self._waiting, []
        for room in waiting:
            if not room.done():
                room.set_result(None)


def _believed(outcome: Outcome, failure: BaseException | None) -> Outcome:
    """Return the outcome of an attempt one of whose messages was refused after its `put` had returned."""
    if failure is None or outcome.kind is not OutcomeKind.OK:
        return outcome
    return Outcome(OutcomeKind.CANCELLED) if isinstance(failure, TaskCancelled) else describe(failure)
