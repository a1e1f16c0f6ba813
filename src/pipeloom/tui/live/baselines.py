"""What running tasks took in earlier runs, read when a row that shows it is drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pipeloom.errors import StoreError
from pipeloom.messages import TaskId
from pipeloom.status import Status
from pipeloom.store.read.baselines import duration_baselines
from pipeloom.store.rows import AttemptRow, DurationBaseline, RunRow
from pipeloom.tui.reader import read

_KEPT: Final = 5_000


class DurationBaselines:
    """Knows the pasts that it was asked for before, and learns the others when told to."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[TaskId, DurationBaseline | None] = {}
        self._wanted: set[TaskId] = set()

    def of(self, row: AttemptRow) -> DurationBaseline | None:
        """Return the task's past; None as well while it is not known."""
        if row.status is Status.RUNNING and row.task_id not in self._known:
            self._wanted.add(row.task_id)
        return self._known.get(row.task_id)

    @property
    def has_wishes(self) -> bool:
        """Whether there is something to learn."""
        return bool(self._wanted)

    async def learn(self, run: RunRow) -> None:
        """Read what was asked for in vain; a file that cannot tell has no past."""
        wanted, self._wanted = self._wanted, set()
        if len(self._known) > _KEPT:
            self._known.clear()
        self._known.update(dict.fromkeys(wanted))
        try:
            self._known.update(
                await read(self._path, lambda file: duration_baselines(file, run.pipeline, run.id, wanted))
            )
        except (StoreError, InterruptedError):
            return
