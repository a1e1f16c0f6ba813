"""What the writer tells of a commit, and to whom."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from pipeloom.engine.events import Found
from pipeloom.messages import TaskId
from pipeloom.store.rows import AttemptRow, RunRow

_log = logging.getLogger(__name__)


class FoundTask(NamedTuple):
    """A task that is new to the run: a worker has put it."""

    row: AttemptRow
    by: int
    """Id of the attempt that has put it."""
    task: Found


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
    found: tuple[FoundTask, ...] = ()
    """Tasks that workers have put; their rows are among `attempts`."""
    states: Mapping[TaskId, str] = field(default_factory=dict)
    """New states of tasks, as JSON."""


class Sink(Protocol):
    """Is told on the writer thread: must not block, must not raise."""

    def committed(self, batch: CommitBatch) -> None:
        """Note a transaction that is on disk."""

    def writer_waiting(self, reason: str | None) -> None:
        """Note that the writer cannot commit now, keeps the batch and tries again; None: it could."""

    def writer_failed(self, error: BaseException) -> None:
        """Note that the writer has stopped: nothing more is saved."""


class Sinks:
    """Tells every sink; one that raises harms neither the writer nor the other sinks."""

    def __init__(self, sinks: Sequence[Sink]) -> None:
        self._sinks = sinks
        self._waits = False

    def committed(self, batch: CommitBatch) -> None:
        """Tell of a transaction that is on disk."""
        self._tell(lambda sink: sink.committed(batch))

    def writer_waiting(self, reason: str | None) -> None:
        """Tell that the writer waits; None is told once, and only after a reason."""
        if reason is not None or self._waits:
            self._waits = reason is not None
            self._tell(lambda sink: sink.writer_waiting(reason))

    def writer_failed(self, error: BaseException) -> None:
        """Tell that the writer has stopped."""
        self._tell(lambda sink: sink.writer_failed(error))

    def _tell(self, call: Callable[[Sink], None]) -> None:
        for sink in self._sinks:
            try:
                call(sink)
            except Exception:  # noqa: BLE001 - logged here, because no caller could do more
                _log.exception("%s failed to note a commit", type(sink).__name__)
