"""How long tasks took in earlier runs: each running one, read when its row is drawn, and all together."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pipeloom.errors import StoreError
from pipeloom.messages import TaskId
from pipeloom.status import Status
from pipeloom.store.read.baselines import duration_baselines, median_duration
from pipeloom.store.rows import AttemptRow, DurationBaseline, RunRow
from pipeloom.tui.reader import read

_KEPT: Final = 5_000
"""Number of tasks above which the next load starts from nothing."""


class DurationBaselines:
    """Caches durations by task. A task that is asked for and not known is read by the next `load`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[TaskId, DurationBaseline | None] = {}
        self._missing: set[TaskId] = set()
        self.run_id: int | None = None
        """The run that `task_s` was loaded for."""
        self.task_s: float | None = None
        """Median duration of the tasks of the run before, in seconds."""

    def of(self, row: AttemptRow) -> DurationBaseline | None:
        """Return the durations of a running task; None when it has none, or they are not loaded."""
        if row.status is Status.RUNNING and row.task_id not in self._known:
            self._missing.add(row.task_id)
        return self._known.get(row.task_id)

    @property
    def are_missing(self) -> bool:
        """Whether tasks were asked for that are not loaded."""
        return bool(self._missing)

    async def load(self, run: RunRow) -> None:
        """Read the durations of the missing tasks from the runs before `run`; none when the file cannot be read."""
        missing, self._missing = self._missing, set()
        begins, self.run_id = run.id != self.run_id, run.id
        if len(self._known) > _KEPT:
            self._known.clear()
        self._known.update(dict.fromkeys(missing))
        try:
            if begins:
                self.task_s = await read(self._path, lambda file: median_duration(file, run.pipeline, run.id))
            self._known.update(
                await read(self._path, lambda file: duration_baselines(file, run.pipeline, run.id, missing))
            )
        except (StoreError, InterruptedError):
            return
