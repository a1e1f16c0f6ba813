"""What the writer tells of a commit, and to whom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from pipeloom.store.rows import AttemptRow, RunRow


@dataclass(frozen=True, slots=True)
class CommitBatch:
    """What one transaction changed: the newest full state of each attempt, never deltas."""

    seq: int
    """1 for the first transaction of a run, then one more each time."""
    attempts: tuple[AttemptRow, ...] = ()
    run: RunRow | None = None
    """The run's row, when this transaction changed more of it than the heartbeat."""
    messages: int = 0
    """Queue entries that this transaction settled."""
    took_s: float = 0.0
    """Seconds from BEGIN to the end of COMMIT."""
    backlog: int = 0
    """Entries that waited in the queue when the transaction ended."""
    wal_bytes: int = 0
    """Size of the write-ahead log: it grows while a reader keeps a transaction open."""


class Sink(Protocol):
    """Is told on the writer thread: must not block, must not raise."""

    def committed(self, batch: CommitBatch) -> None:
        """Note a transaction that is on disk."""

    def writer_waiting(self, reason: str | None) -> None:
        """Note that the writer cannot commit now, keeps the batch and tries again; None: it could."""

    def writer_failed(self, error: BaseException) -> None:
        """Note that the writer has stopped: nothing more is saved."""
