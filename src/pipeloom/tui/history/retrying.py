"""Running tasks of the history again: from one attempt to all that pass, with a pipeline that the user has loaded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from textual import work

from pipeloom.engine.engine import Engine
from pipeloom.errors import PipeloomError
from pipeloom.filters import Filter, marked_filter, parse
from pipeloom.status import FINAL
from pipeloom.store.read.failures import FailureGroup
from pipeloom.store.read.history import History
from pipeloom.store.read.selected_tasks import SelectedTask, selected_tasks, tasks_named, tasks_of_attempts
from pipeloom.store.read.tasks import TaskStats
from pipeloom.store.rows import AttemptRow
from pipeloom.tui.attempts.table_screen import TableScreen
from pipeloom.tui.history.queries import RunItem
from pipeloom.tui.history.rerun import RetryPlan, load_dialog, plan_rest, plan_targets
from pipeloom.tui.reader import read
from pipeloom.tui.widgets.dialogs import ConfirmDialog
from pipeloom.user_state import last_pipeline

Find = Callable[[History], list[SelectedTask]]


class Retrying(TableScreen):
    """Asks before anything is run; without a pipeline it offers to load the one that this user last ran on the file."""

    @property
    def shown(self) -> Filter:
        """What passes."""
        return Filter()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer to run again what has ended."""
        if action in ("retry", "retry_failed") and self.services.read_only:
            return False
        if action == "retry":
            row: Any = self.table.cursor_row
            if isinstance(row, AttemptRow):
                return bool(self.table.marked) or row.status in FINAL
            return row is not None and not (isinstance(row, RunItem) and row.run is None)
        return super().check_action(action, parameters)

    @work
    async def action_retry(self) -> None:
        """Run the marked rows again, else the one under the cursor: attempts, tasks, a failure, the rest of a run."""
        row: Any = self.table.cursor_row
        marked = [*self.table.marked]
        match row:
            case RunItem() if row.run is not None:
                await self._retry_rest(row.run.id)
            case AttemptRow():
                ids = [key for key in marked if isinstance(key, int)] or [row.id]
                if not self._retry_here(ids, row):
                    await self._retry_targets(lambda file: tasks_of_attempts(file, ids), leave_done=False)
            case TaskStats():
                names = [str(key) for key in marked] or [row.name]
                await self._retry_targets(lambda file: tasks_named(file, names), leave_done=False)
            case FailureGroup():
                prints = [str(key) for key in marked] or [row.fingerprint]
                where = Filter((*self.shown.terms, *marked_filter("fail", prints).terms))
                await self._retry_targets(lambda file: selected_tasks(file, where), leave_done=True)

    @work
    async def action_retry_failed(self) -> None:
        """Run every task in view again that has failed and has not been done since."""
        where = Filter((*self.shown.terms, *parse("status:error,interrupted").terms))
        await self._retry_targets(lambda file: selected_tasks(file, where), leave_done=True)

    def _retry_here(self, attempt_ids: list[int], row: AttemptRow) -> bool:
        """Run attempts of the run that this program has open again as part of it; False when they are of another."""
        engine = self.services.engine
        if engine is None or not engine.is_started or row.run_id != engine.run_id:
            return False
        result = engine.retry(attempt_ids)
        self.services.report({"queued again": len(result.accepted)}, result.refused)
        self.table.clear_marks()
        return True

    async def _retry_targets(self, find: Find, *, leave_done: bool) -> None:
        engine = await self._loaded()
        if engine is not None:
            try:
                chosen = await read(self.services.db_path, find)
                await self._ask(plan_targets(engine, chosen, leave_done=leave_done))
            except (PipeloomError, InterruptedError) as error:
                self.services.tell(str(error), problem=True)

    async def _retry_rest(self, run_id: int) -> None:
        engine = await self._loaded()
        if engine is not None:
            try:
                await self._ask(await asyncio.to_thread(plan_rest, engine, run_id))
            except PipeloomError as error:
                self.services.tell(str(error), problem=True)

    async def _ask(self, plan: RetryPlan) -> None:
        dialog = ConfirmDialog(plan.title, plan.body, "Run again", cancel_label="Back", destructive=False)
        if await self.services.push_screen_wait(dialog):
            self.table.clear_marks()
            self.services.run_again(plan.resume)

    async def _loaded(self) -> Engine | None:
        """Return the engine with the pipeline to run, loading one if the user says so; None when there is none."""
        engine = self.services.engine
        if engine is not None and engine.is_running:
            self.services.tell(
                "A run goes on: tasks of an earlier one can be run again when it has ended.", problem=True
            )
            return None
        if engine is not None:
            return engine
        if self.services.owner is not None:
            self.services.tell(f"The file is in use by {self.services.owner}: run tasks again there.", problem=True)
            return None
        spec = await asyncio.to_thread(last_pipeline, self.services.db_path)
        if not spec:
            name = self.services.db_path.name
            self.services.tell(
                f"No pipeline is loaded: open the file with it, pipeloom-tui {name} pipeline.py", problem=True
            )
            return None
        if not await self.services.push_screen_wait(load_dialog(spec, self.services.db_path)):
            return None
        return await self.services.load(spec)
