"""The commands of the live screen. Each may ask the user first, and says in a toast what it did."""

from __future__ import annotations

from collections.abc import Sequence

from pipeloom.code.version import Change
from pipeloom.engine.commands import Commands
from pipeloom.errors import StoreError
from pipeloom.status import WAITING, RunStatus, Status
from pipeloom.store.read.tasks import with_state
from pipeloom.store.rows import AttemptRow
from pipeloom.tui.attempts.code_question import Code, code_dialog
from pipeloom.tui.attempts.questions import Again, named_tasks, needs_question, retry_dialog, retry_title
from pipeloom.tui.live.dialogs import abandon_dialog, cancel_dialog
from pipeloom.tui.live.told import WHY_NOT
from pipeloom.tui.reader import read
from pipeloom.tui.services import AppServices


class LiveCommands:
    """Asks the engine to cancel, retry and pause. Every method runs in a worker of the screen."""

    def __init__(self, services: AppServices) -> None:
        self._services = services

    async def cancel(self, rows: Sequence[AttemptRow]) -> None:
        """Cancel open attempts; offer to abandon them when all of them are being cancelled already."""
        services, controls = self._services, self._services.controls
        if controls is None or not rows:
            services.tell(WHY_NOT["cancel"], problem=True)
            return
        if all(row.status is Status.CANCELLING for row in rows):
            await self._abandon(rows)
            return
        if await services.push_screen_wait(cancel_dialog(lambda: self._now(rows))):
            meant = self._now(rows)
            result = await services.ask(lambda: controls.cancel([row.id for row in meant]))
            if result is None:
                return
            waiting = {row.id for row in meant if row.status in WAITING}
            cancelled = len(waiting.intersection(result.accepted))
            services.report({"cancelled": cancelled, "asked to stop": len(result.accepted) - cancelled}, result.refused)

    async def _abandon(self, rows: Sequence[AttemptRow]) -> None:
        """Abandon attempts whose workers do not stop; a process can be killed, a thread cannot."""
        services, controls = self._services, self._services.controls
        engine, run = services.engine, services.board.run
        kills = engine.can_kill if engine is not None else run is not None and run.executor == "process"
        dialog = abandon_dialog(lambda: self._now(rows), kills=kills)
        if controls is not None and await services.push_screen_wait(dialog):
            result = await services.ask(lambda: controls.abandon([row.id for row in rows]))
            if result is not None:
                services.report({"abandoned": len(result.accepted)}, result.refused)

    async def retry(self, rows: Sequence[AttemptRow]) -> bool:
        """Run the attempts' tasks again, asking where `needs_question` says so; returns whether the engine answered."""
        if not rows:
            self._services.tell(WHY_NOT["retry"], problem=True)
            return False
        with_state = await self._with_state(rows)
        if with_state or needs_question(rows) or self._change() is not None:
            return await self._retry_after_question(rows, "retry", with_state)
        return await self._retry(rows)

    async def retry_failed(self) -> bool:
        """Run every failed task that passes the filter again; returns whether the engine answered."""
        rows = [row for row in self._services.board.shown() if row.status in (Status.ERROR, Status.INTERRUPTED)]
        if not rows:
            self._services.tell("No failed task in view.")
            return False
        return await self._retry_after_question(rows, "retry_failed", await self._with_state(rows))

    async def _with_state(self, rows: Sequence[AttemptRow]) -> int:
        """Return how many of the attempts are of tasks that have left a state to go on from."""
        try:
            return await read(self._services.db_path, lambda file: with_state(file, [row.id for row in rows]))
        except StoreError:
            return 0  # with store_task_status=False the file has none

    async def _retry_after_question(self, rows: Sequence[AttemptRow], action: str, with_state: int) -> bool:
        services, again = self._services, Again.GO_ON
        code = Code.LOADED
        if (change := self._change()) is not None:
            dialog = code_dialog(retry_title(rows), change, action=action, body=lambda: named_tasks(self._now(rows)))
            code = await services.push_screen_wait(dialog)
            if code is Code.NONE:
                return False
        if change is None or with_state:
            question = retry_dialog(lambda: self._now(rows), action=action, with_state=with_state)
            again = await services.push_screen_wait(question)
        if again is Again.NO or (code is Code.NEW and not await services.renew_code()):
            return False
        return await self._retry(rows, from_start=again is Again.FROM_START)

    def _change(self) -> Change | None:
        """Return what has changed of the code on disk, where the engine that is asked is one of this process."""
        services = self._services
        return services.code_change if services.controls is services.engine else None

    async def _retry(self, rows: Sequence[AttemptRow], *, from_start: bool = False) -> bool:
        services, controls = self._services, self._services.controls
        if controls is None or not rows:
            return False
        result = await services.ask(lambda: controls.retry([row.id for row in rows], from_start=from_start))
        if result is not None:
            services.report({"queued again": len(result.accepted)}, result.refused)
        return result is not None

    def _now(self, rows: Sequence[AttemptRow]) -> list[AttemptRow]:
        """Return the latest attempts of the tasks of `rows`, which may have gone on since."""
        latest = ((row, self._services.board.row(row.task_id)) for row in rows)
        return [now if now is not None and now.run_id == row.run_id else row for row, now in latest]

    async def toggle_pause(self) -> None:
        """Start no more tasks, or go on."""
        controls = self._services.controls
        if controls is None:
            return
        if not controls.is_started:
            self._services.tell("Nothing to pause: the run has not begun.", problem=True, topic="pause")
            return
        run = self._services.board.run
        if run is not None and run.status is not RunStatus.RUNNING:
            self._services.tell("Nothing to pause: the run has ended.", problem=True, topic="pause")
            return
        paused = await self._services.ask(lambda: _toggle_pause(controls))
        if paused is not None:
            said = "Paused: what runs goes on, nothing more is started." if paused else "Going on."
            self._services.tell(said, topic="pause")

    async def change_workers(self, change: int) -> None:
        """Add `change` to the number of workers, which stays at least 1."""
        controls = self._services.controls
        if controls is not None and controls.is_started:
            await self._services.ask(lambda: controls.set_workers(max(1, controls.load().wanted + change)))


def _toggle_pause(controls: Commands) -> bool:
    """Pause or go on; returns whether the engine is paused now."""
    paused = controls.load().paused
    if paused:
        controls.resume()
    else:
        controls.pause()
    return not paused
