"""Lines for what is not a terminal: plain ones for logs, JSON ones for programs."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Final, Self, TextIO

from pipeloom.console.streams import point_nowhere
from pipeloom.engine.run.summary import RunCounts, RunSummary
from pipeloom.engine.writer.sink import CommitBatch
from pipeloom.status import FINAL
from pipeloom.store.rows import AttemptRow
from pipeloom.text import clean, counted
from pipeloom.times import monotonic

Describe = Callable[[CommitBatch], Iterator[str]]

HEARTBEAT_S = 30.0
_PATIENCE_S = 5.0
ATTEMPT_FIELDS: Final = (
    "id", "run_id", "task_id", "attempt", "name", "status", "progress", "message", "started_at", "finished_at",
    "duration_s", "error_type", "rows",
)  # fmt: skip
"""Fields of an attempt in a line of JSON."""


class LineReporter:
    """A sink that writes lines in a thread of its own: a slow reader, or none, does not hold up the writer."""

    def __init__(self, stream: TextIO | None, describe: Describe, last: Callable[[], Iterable[str]] = tuple) -> None:
        """Write what `describe` returns for each batch, and `last()` after the last one; without a stream, nothing."""
        self._stream = stream
        self._describe = describe
        self._last = last
        self._batches: queue.SimpleQueue[CommitBatch | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._main, name="pipeloom-lines", daemon=True)
        self.trouble: Exception | None = None
        """The error because of which lines could not be written."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._batches.put(None)
        # A slow reader gets every line of a run that has ended; of one that was stopped it may lose some.
        self._thread.join(_PATIENCE_S if any(raised) else None)

    def committed(self, batch: CommitBatch) -> None:
        """Queue the lines of a batch."""
        self._batches.put(batch)

    def writer_waiting(self, reason: str | None) -> None:
        """Write nothing: the lines are state changes."""

    def writer_failed(self, error: BaseException) -> None:
        """Write nothing: the summary tells what was lost."""

    def _main(self) -> None:
        if self._stream is None:
            return
        try:
            while (batch := self._batches.get()) is not None:
                self._write(self._stream, self._describe(batch))
            self._write(self._stream, self._last())
        except Exception as error:  # noqa: BLE001 - the run goes on without its lines; the program tells the error at its end
            self.trouble = error
            with suppress(OSError, ValueError):  # a stream of Python's own has no descriptor
                point_nowhere(self._stream.fileno())

    @staticmethod
    def _write(stream: TextIO, lines: Iterable[str]) -> None:
        stream.writelines(line + "\n" for line in lines)
        stream.flush()


class PlainLines:
    """One line for each task that ends, and the counts every `HEARTBEAT_S` seconds."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._counts = RunCounts()
        self._last = clock()

    def __call__(self, batch: CommitBatch) -> Iterator[str]:
        """Yield the lines for a batch."""
        self._counts.committed(batch)
        for row in batch.attempts:
            if row.status in FINAL:
                yield _plain(row)
        if self._clock() - self._last >= HEARTBEAT_S:
            self._last = self._clock()
            counts = ", ".join(f"{count:,} {status}" for status, count in self._counts.counts().items())
            yield f"… {self._counts.settled():,} of {counted(self._counts.total(), 'task')}: {counts}"


def json_lines(batch: CommitBatch) -> Iterator[str]:
    """Yield one JSON object for each state change."""
    for row in batch.attempts:
        yield json.dumps({"type": "attempt", **{name: getattr(row, name) for name in ATTEMPT_FIELDS}}, default=str)


def no_lines(_batch: CommitBatch) -> Iterator[str]:
    """Yield nothing: the summary is all."""
    return iter(())


def json_summary(summary: RunSummary) -> str:
    """Return the JSON object that ends the output."""
    return json.dumps({"type": "summary", **summary.as_dict()})


def _plain(row: AttemptRow) -> str:
    attempt = f" (attempt {row.attempt})" if row.attempt > 1 else ""
    took = f"  {row.duration_s + 0.0:.1f} s" if row.duration_s is not None else ""
    message = f"  {clean(row.message, 200)}" if row.message else ""
    return f"{row.status:<11} {clean(row.name, 80) or '(empty)'}{attempt}{took}{message}"
