"""The way from the writer's thread to the screen: a mailbox that merges, and at most one wake-up message in flight."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from textual.message import Message

from pipeloom.engine.writer.sink import CommitBatch
from pipeloom.store.rows import AttemptRow, RunRow


class Committed(Message):
    """The mailbox has something new."""


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


@dataclass(slots=True)
class Mailbox:
    """Merges batches until they are fetched. `put` waits no longer than a drain takes, which copies nothing large."""

    _lock: threading.Lock = field(default_factory=threading.Lock)
    _attempts: dict[int, AttemptRow] = field(default_factory=dict)
    _run: RunRow | None = None
    _messages: int = 0
    _took_s: float = 0.0
    _backlog: int = 0
    _wal_bytes: int = 0
    _commits: int = 0
    _called: bool = False

    def put(self, batch: CommitBatch) -> bool:
        """Merge `batch`; returns whether the app needs a wake-up message."""
        with self._lock:
            self._attempts.update((row.id, row) for row in batch.attempts)
            self._run = batch.run or self._run
            self._messages += batch.messages
            self._commits += 1
            self._took_s, self._backlog, self._wal_bytes = batch.took_s, batch.backlog, batch.wal_bytes
            first, self._called = not self._called, True
            return first

    @property
    def is_waiting(self) -> bool:
        """Whether something was put since the last drain."""
        return self._called

    def drain(self) -> Delivery:
        """Return what was put since the last drain; the next `put` asks for a wake-up again."""
        with self._lock:
            attempts = tuple(self._attempts.values())
            delivery = Delivery(
                attempts, self._run, self._messages, self._took_s, self._backlog, self._wal_bytes, self._commits
            )
            self._attempts, self._run, self._messages, self._commits, self._called = {}, None, 0, 0, False
            return delivery


class UiSink:
    """The sink that posts to the app. `post` is the app's `post_message`, which is safe from any thread."""

    def __init__(self, post: Callable[[Message], bool]) -> None:
        self.mailbox = Mailbox()
        self._post = post

    def committed(self, batch: CommitBatch) -> None:
        """Put the batch into the mailbox."""
        if self.mailbox.put(batch):
            self._tell(Committed())

    def writer_waiting(self, reason: str | None) -> None:
        """Post that the writer waits."""
        self._tell(WriterWaiting(reason))

    def writer_failed(self, error: BaseException) -> None:
        """Post that the writer has failed."""
        self._tell(WriterFailed(error))

    def _tell(self, message: Message) -> None:
        try:
            self._post(message)
        except RuntimeError:
            return  # the app's event loop is closed
