"""From the writer's thread to the screen: a mailbox that merges, and at most one wake-up message in flight."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice

from textual.message import Message

from pipeloom.engine.sink import CommitBatch
from pipeloom.store.rows import AttemptRow, RunRow


class Committed(Message):
    """Something was committed: the mailbox has it."""


@dataclass
class WriterWaiting(Message):
    """The writer cannot commit now, for `reason`; None: it can again."""

    reason: str | None


@dataclass
class WriterFailed(Message):
    """The writer has given up."""

    error: BaseException


@dataclass(frozen=True, slots=True)
class Delivery:
    """What has been committed since the last drain: the newest state of each attempt, in the order of first change."""

    attempts: tuple[AttemptRow, ...]
    run: RunRow | None
    messages: int
    """Messages that were settled."""
    took_s: float
    """Seconds that the last commit took."""
    backlog: int
    """Entries that waited in the writer's queue at the last commit."""
    wal_bytes: int = 0
    """Size of the write-ahead log after the last commit."""
    commits: int = 0
    """Transactions."""
    more: bool = False
    """Whether something was left for the next drain."""


@dataclass(slots=True)
class Mailbox:
    """Merges batches until they are fetched. Putting never waits longer than a drain takes, which is no time at all."""

    _lock: threading.Lock = field(default_factory=threading.Lock)
    _changed: dict[int, AttemptRow] = field(default_factory=dict)
    """Attempts that have been fetched before."""
    _new: dict[int, AttemptRow] = field(default_factory=dict)
    """The others, in the order in which they were submitted."""
    _newest: int = -1
    """The highest id that has been fetched; ids rise."""
    _run: RunRow | None = None
    _messages: int = 0
    _took_s: float = 0.0
    _backlog: int = 0
    _wal_bytes: int = 0
    _commits: int = 0
    _called: bool = False

    def put(self, batch: CommitBatch) -> bool:
        """Merge `batch`; returns whether somebody has to be woken up for it."""
        with self._lock:
            for row in batch.attempts:
                (self._new if row.id > self._newest else self._changed)[row.id] = row
            self._run = batch.run or self._run
            self._messages += batch.messages
            self._commits += 1
            self._took_s, self._backlog, self._wal_bytes = batch.took_s, batch.backlog, batch.wal_bytes
            first, self._called = not self._called, True
            return first

    def drain(self, most: int | None = None) -> Delivery:
        """Return what has gathered; the next `put` asks for a wake-up again.

        With `most`, so many attempts at the most, first those that are known. Then a run that has ended is not told of
        before the last of its attempts, and whoever drains has to come back for the rest without being called.
        """
        with self._lock:
            attempts = _take(self._changed, most)
            attempts += _take(self._new, None if most is None else most - len(attempts))
            self._newest = max([self._newest, *(row.id for row in attempts[-1:])])
            more = bool(self._changed or self._new)
            ended = self._run is not None and self._run.finished_at is not None
            run = None if more and ended else self._run
            delivery = Delivery(
                tuple(attempts),
                run,
                self._messages,
                self._took_s,
                self._backlog,
                self._wal_bytes,
                self._commits,
                more,
            )
            self._run = self._run if run is None else None
            self._messages = self._commits = 0
            self._called = more
            return delivery


def _take(rows: dict[int, AttemptRow], most: int | None) -> list[AttemptRow]:
    """Remove the first `most` rows, or all, and return them."""
    if most is None or len(rows) <= most:
        taken = list(rows.values())
        rows.clear()
        return taken
    return [rows.pop(id_) for id_ in list(islice(rows, most))]


class UiSink:
    """The sink that tells the app. `post` is the app's `post_message`, the one call that is safe from any thread."""

    def __init__(self, post: Callable[[Message], bool]) -> None:
        self.mailbox = Mailbox()
        self._post = post

    def committed(self, batch: CommitBatch) -> None:
        """Put the batch where the app will find it."""
        if self.mailbox.put(batch):
            self._tell(Committed())

    def writer_waiting(self, reason: str | None) -> None:
        """Tell the app."""
        self._tell(WriterWaiting(reason))

    def writer_failed(self, error: BaseException) -> None:
        """Tell the app."""
        self._tell(WriterFailed(error))

    def _tell(self, message: Message) -> None:
        try:
            self._post(message)
        except RuntimeError:
            return  # the app's event loop is closed: there is nobody left to tell
