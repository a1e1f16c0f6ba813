"""The task under the cursor, as the detail shows it."""

from __future__ import annotations

from pipeloom.status import WAITING, Status
from pipeloom.store.read.tasks import TaskState
from pipeloom.store.rows import AttemptRow, LogRow
from pipeloom.tui.attempts.detail import DetailPane
from pipeloom.tui.reader import read_logs, read_state, read_whole
from pipeloom.tui.services import AppServices


class ShownTask:
    """Shows the board's attempts of a task, with their log and long texts from the file."""

    def __init__(self, services: AppServices) -> None:
        self._services = services
        self._loaded: tuple[int, Status] | None = None
        """Id and status of the attempt that was last loaded, as of the load."""
        self._log: list[LogRow] = []
        self._state: TaskState | None = None
        self._whole: dict[int, AttemptRow] = {}
        """The task's attempts in the file, by id. Only for a run of another process, whose commits bring no errors."""

    def show(self, detail: DetailPane, row: AttemptRow | None, waits: str = "") -> None:
        """Show the latest attempt of a task, which stays in view, why it waits, and those before it; None: no task."""
        if row is None:
            detail.show_attempt(None)
            return
        self._services.board.hold(row.task_id)
        attempts = self._services.board.attempts_of(row.task_id)
        is_loaded = self._loaded is not None and self._loaded[0] == row.id
        if is_loaded and self._whole:
            attempts = [_completed(attempt, self._whole.get(attempt.id)) for attempt in attempts]
            row = attempts[-1]
        if is_loaded:
            detail.show_attempt(row, attempts, self._log, self._state, waits=waits)
        else:
            detail.show_attempt(row, attempts, waits=waits)

    def should_load(self, row: AttemptRow) -> bool:
        """Return whether the attempt has started and is another, or in another status, than at the last load."""
        return row.status not in WAITING and self._loaded != (row.id, row.status)

    async def load(self, row: AttemptRow) -> None:
        """Read the attempt's log, and what the board lacks, from the file."""
        path = self._services.db_path
        self._log = await read_logs(path, row.id)
        run = self._services.board.run
        self._state = None if run is None else await read_state(path, run.pipeline, row.task_id)
        whole = await read_whole(path, row) if self._services.is_viewer else []
        self._whole = {attempt.id: attempt for attempt in whole}
        self._loaded = row.id, row.status


def _completed(row: AttemptRow, whole: AttemptRow | None) -> AttemptRow:
    """Return the row with the long texts of `whole`."""
    if whole is None:
        return row
    return row._replace(result=whole.result, error=whole.error, params=whole.params, input_key=whole.input_key)
