"""Rich progress on a terminal: one bar that stays, and one for each running task."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from pipeloom.engine.run.summary import RunCounts
from pipeloom.engine.writer.sink import CommitBatch
from pipeloom.status import ACTIVE, Status
from pipeloom.store.rows import AttemptRow
from pipeloom.text import clean

_LINES_LEFT = 6
"""Lines of the terminal that are left to the log and the prompt."""


class ProgressReporter:
    """A sink that draws. Rich paints in a thread of its own, so nothing here waits for the terminal."""

    def __init__(self, console: Console, name: str, last: Callable[[], Iterable[Text]] = tuple) -> None:
        """Draw bars for a run of the pipeline `name`, and leave `last()` below them when it is over."""
        self._console = console
        self._last = last
        self._counts = RunCounts()
        self._bars: dict[int, TaskID] = {}
        self._hidden: dict[int, AttemptRow] = {}
        """Running attempts for which the terminal has no line left."""
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=console,
            transient=False,
            redirect_stdout=sys.stdout is not None and sys.stdout.isatty(),  # else it holds data
        )
        self._overall = self._progress.add_task(clean(name, 40), total=None, note="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        for bar in self._bars.values():
            self._progress.remove_task(bar)
        self._bars.clear()
        self._progress.stop()
        for line in self._last():
            self._console.print(line, soft_wrap=True)

    def committed(self, batch: CommitBatch) -> None:
        """Move the bars."""
        self._counts.committed(batch)
        for row in batch.attempts:
            self._hidden.pop(row.id, None)
            if row.status in ACTIVE:
                self._draw(row)
            elif (bar := self._bars.pop(row.id, None)) is not None:  # a TaskID of 0 is a bar too
                self._progress.remove_task(bar)
        while self._hidden and self._room():
            self._draw(self._hidden.pop(next(iter(self._hidden))))
        failed = self._counts.counts().get(Status.ERROR, 0)
        note = f"{failed:,} failed" if failed else ""
        self._progress.update(self._overall, total=self._counts.total(), completed=self._counts.settled(), note=note)

    def writer_waiting(self, reason: str | None) -> None:
        """Say why nothing can be saved now, and when it can again."""
        text = "The file can be written again." if reason is None else f"Waiting for the file: {clean(reason)}"
        self._progress.console.print(text, markup=False)

    def writer_failed(self, error: BaseException) -> None:
        """Say that nothing more is saved."""
        self._progress.console.print(f"Nothing more can be saved: {clean(error)}", markup=False)

    def _draw(self, row: AttemptRow) -> None:
        bar = self._bars.get(row.id)
        if bar is None:
            if not self._room():
                self._hidden[row.id] = row
                return
            bar = self._bars[row.id] = self._progress.add_task(clean(row.name, 40), total=100, note="")
        completed = None if row.progress is None else round(row.progress * 100)
        self._progress.update(bar, completed=completed, note=clean(row.message, 60))

    def _room(self) -> bool:
        return len(self._bars) < max(1, self._console.height - _LINES_LEFT)
