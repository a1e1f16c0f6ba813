"""The run of another process: what is seen of it, and what it is asked for."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from textual import on, work
from textual.signal import Signal

from pipeloom.engine.commands import EngineLoad, Refusal, RefusalReason
from pipeloom.engine.control.client import ControlClient
from pipeloom.engine.engine import Engine
from pipeloom.engine.refusal_text import refusal_text
from pipeloom.errors import PipeloomError
from pipeloom.store.file.kind import why_only_read
from pipeloom.store.file.owner import other_owner
from pipeloom.store.read.run_queries import has_run
from pipeloom.tui.session.file_monitor import FileChanged, Watcher
from pipeloom.tui.session.follower import Follower, RunFollowed
from pipeloom.tui.session.live_feed import Showing

T = TypeVar("T")


class Viewing(Showing):
    """Follows what others do to the file, and asks whoever runs tasks to do something about them."""

    def __init__(
        self,
        db_path: Path,
        engine: Engine | None = None,
        *,
        read_only: bool = False,
        control: bool = False,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(clock=clock, monotonic=monotonic)
        self.db_path = db_path
        self.engine = engine
        self.read_only = read_only
        self.owner: str | None = None
        """Who else owns the file: then this is a viewer."""
        self.file_changes: Signal[FileChanged] = Signal(self, "file-changes")
        self._watcher = Watcher(db_path, self.post_message, recovers=not read_only)
        self._follower = Follower(db_path, self.post_message, self.sink)
        self._may_control = control
        self._client: ControlClient | None = None
        self._asking = asyncio.Lock()
        """Held while another process is asked for something, so that it hears one thing after the other."""

    def _watch(self) -> None:
        """Show the run of another process if there is one, else the history, and follow what others do to the file."""
        self.owner = other_owner(self.db_path)
        self.is_viewer = self.owner is not None and has_run(self.db_path)
        if why := why_only_read(self.db_path):
            self.read_only = True
            self.tell(why, problem=True)
        self.switch_mode("live" if self.is_viewer else "history")
        self._watcher.start()
        self._follower.start()
        if self._may_control and self.owner is None:
            self.tell(f"Nobody runs a pipeline on {self.db_path.name}: there is nothing to control.")

    def _stop_watching(self) -> None:
        """Follow nothing any more, and wait for no answer."""
        self._watcher.stop()
        self._follower.stop()
        if self._client is not None:
            self._client.give_up()

    @on(RunFollowed)
    def _follow_run(self, event: RunFollowed) -> None:
        self.is_viewer = True
        if self._may_control:
            self._client = ControlClient(self.db_path, event.run_id)
            self._learn_load(self._client)
        self.refresh_bindings()
        if event.sink is not self.sink:
            self._show_next_run(event)

    @work
    async def _show_next_run(self, event: RunFollowed) -> None:
        before = self.board.run
        await self._show_run(event.sink)
        if before is not None and before.id != event.run_id:
            self.tell(f"Run {event.run_id} has begun.")

    @on(FileChanged)
    def _note_change(self, event: FileChanged) -> None:
        self.owner = event.owner
        self.file_changes.publish(event)
        if self.is_viewer:
            self.fetch()

    # -- who carries commands out --------------------------------------------------------------------------------------

    @property
    def controls(self) -> Engine | ControlClient | None:
        """Whoever can be asked to cancel, retry, pause: the engine, or that of another process; None: nobody."""
        return None if self.read_only else self.engine or self._client

    @property
    def known_load(self) -> EngineLoad | None:
        """How busy the engine of another process was when it was last asked."""
        return None if self._client is None else self._client.known_load

    async def ask(self, command: Callable[[], T]) -> T | None:
        """Return what a command to `controls` answers; None when it is refused or not answered, which is told."""
        try:
            if self.engine is not None:
                return command()
            async with self._asking:
                return await asyncio.to_thread(command)
        except PipeloomError as error:
            self.tell(str(error), problem=True)
            return None

    @work
    async def _learn_load(self, client: ControlClient) -> None:
        if self.owner is not None and await self.ask(client.load) is not None:
            self.fetch()

    def report(self, done: dict[str, int], refused: dict[int, Refusal]) -> None:
        """Tell in one toast what a command did: how many tasks met which fate, and why others were refused."""
        parts = [f"{count:,} {fate}" for fate, count in done.items() if count]
        problem = not parts
        for refusal, count in Counter(refused.values()).items():
            ended = refusal.reason is RefusalReason.ENDED
            parts.append(
                f"{count:,} already {refusal.status}" if ended else f"{count:,} refused: {refusal_text(refusal)}"
            )
        if parts:
            self.tell(", ".join(parts), problem=problem)
