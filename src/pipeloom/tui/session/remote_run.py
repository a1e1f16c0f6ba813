"""The run of another process: what is seen of it, and the commands to it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, Protocol, TypeVar

from textual.message import Message
from textual.signal import Signal

from pipeloom.engine.commands import EngineLoad, Refusal, RefusalReason
from pipeloom.engine.control.client import ControlClient
from pipeloom.engine.engine import Engine
from pipeloom.engine.refusal_text import refusal_text
from pipeloom.errors import PipeloomError
from pipeloom.store.file.kind import why_only_read
from pipeloom.store.file.owner import other_owner, why_unknown
from pipeloom.store.read.run_queries import has_run
from pipeloom.tui.session.bridge import UiSink
from pipeloom.tui.session.engine_session import EngineSession
from pipeloom.tui.session.file_monitor import FileChanged, FileMonitor, RunFollowed
from pipeloom.tui.session.live_feed import LiveFeed
from pipeloom.tui.session.questions import Questions
from pipeloom.tui.threads import in_daemon_thread

T = TypeVar("T")


class RemoteHost(Protocol):
    """What the remote run uses of the app."""

    def post_message(self, message: Message) -> bool:
        """Send a message to the app; from any thread."""

    def run_worker(self, work: Coroutine[Any, Any, None]) -> object:
        """Run a coroutine beside the app's messages."""

    def tell(self, sentence: str, *, problem: bool = False) -> None:
        """Show a toast."""

    def show_run(self, sink: UiSink) -> Awaitable[None]:
        """Show another run, whose commits arrive in `sink`."""

    def remembered(self, name: str) -> str:
        """Return what was kept for the file; "" for nothing."""

    def switch_mode(self, mode: str) -> object:
        """Show another screen."""

    def refresh_bindings(self) -> None:
        """Ask again which keys are offered."""


class RemoteRun:
    """Follows what other processes do to the file, and sends commands to the engine, of this process or another."""

    def __init__(
        self,
        host: RemoteHost,
        db_path: Path,
        feed: LiveFeed,
        session: EngineSession,
        file_changes: Signal[FileChanged],
        *,
        read_only: bool,
        may_control: bool,
    ) -> None:
        """Show a followed run in `feed`; commands go to the engine of `session` if there is one."""
        self._host = host
        self._db_path = db_path
        self._feed = feed
        self._session = session
        self._file_changes = file_changes
        self.read_only = read_only
        self.only_asks = False
        """Whether the owner of the run takes commands although the file is only read."""
        self.owner: str | None = None
        """The other process that owns the file, by name."""
        self.doubt = ""
        """Why it cannot be told whether a process owns the file; "" when it can."""
        self.questions = Questions(db_path, feed, session)
        self._monitor = FileMonitor(db_path, host.post_message, feed.sink, recovers=not read_only)
        self._is_watching = False
        self._may_control = may_control
        self._client: ControlClient | None = None
        self._asking = asyncio.Lock()
        """Held during a command to another process, which takes one at a time."""

    # -- following -----------------------------------------------------------------------------------------------------

    def watch(self) -> None:
        """Show the run of another process if there is one, else the history, and follow what others do to the file."""
        self.owner = other_owner(self._db_path)
        self.doubt = why_unknown(self._db_path)
        if self.doubt:
            self._host.tell(self.doubt, problem=True)
        self._feed.is_viewer = self.owner is not None and has_run(self._db_path)
        if why := why_only_read(self._db_path):
            self.read_only = True
            self._host.tell(why, problem=True)
        live = self._feed.is_viewer and self._host.remembered("app.screen") != "history"
        self._host.switch_mode("live" if live else "history")
        self._start_monitor()
        if self._may_control and self.owner is None:
            self._host.tell(f"No process runs a pipeline on {self._db_path.name}: there is nothing to control.")

    def watch_others(self) -> None:
        """Follow the runs of other processes from now on; the run of this one is shown until such a run begins."""
        if not self._is_watching:
            self._monitor = FileMonitor(self._db_path, self._host.post_message, UiSink(self._host.post_message))
            self._start_monitor()

    def _start_monitor(self) -> None:
        self._is_watching = True
        self._monitor.start()

    def stop(self) -> None:
        """Stop following, and wait for no answer."""
        self._monitor.stop()
        self.questions.stop()
        if self._client is not None:
            self._client.give_up()

    def follow(self, event: RunFollowed) -> None:
        """Show the run that is followed."""
        self._feed.is_viewer = True
        if not self.read_only:  # a question is a file beside the database
            self.questions.follow(event.run_id)
        if self._may_control:
            self._client = ControlClient(self._db_path, event.run_id)
            self._host.run_worker(self._learn_load(self._client))
        self._host.refresh_bindings()
        if event.sink is not self._feed.sink:
            self._host.run_worker(self._show_next_run(event))

    async def _show_next_run(self, event: RunFollowed) -> None:
        before = self._feed.board.run
        await self._host.show_run(event.sink)
        if before is not None and before.id != event.run_id:
            self._host.tell(f"Run {event.run_id} has begun.")

    def note_change(self, event: FileChanged) -> None:
        """Tell the screens that the file has changed."""
        self.owner, self.doubt = event.owner, event.doubt
        self._file_changes.publish(event)
        if self._feed.is_viewer:
            self._feed.fetch()

    # -- commands ------------------------------------------------------------------------------------------------------

    @property
    def controls(self) -> Engine | ControlClient | None:
        """What takes commands: the engine, or the client of another process; None: nothing does."""
        if self.read_only:
            return self._client if self.only_asks and self._feed.is_viewer else None
        return self._client if self._feed.is_viewer else self._session.engine or self._client

    @property
    def known_load(self) -> EngineLoad | None:
        """The load of the other process's engine, as of its last answer."""
        asked, client = self.questions, self._client
        return asked.load if client is None or asked.answered_s > client.answered_s else client.known_load

    async def ask(self, command: Callable[[], T]) -> T | None:
        """Return the answer to a command; None when it is refused or not answered, which a toast says."""
        try:
            engine = self._session.engine
            if engine is not None and not self._feed.is_viewer:
                # An engine that has let go of the file takes it again first.
                return command() if engine.is_running else await in_daemon_thread(command, "pipeloom-command")
            async with self._asking:
                return await asyncio.to_thread(command)
        except PipeloomError as error:
            self._host.tell(str(error), problem=True)
            return None

    async def _learn_load(self, client: ControlClient) -> None:
        if self.owner is not None and await self.ask(client.load) is not None:
            self._feed.fetch()

    def report(self, done: dict[str, int], refused: dict[int, Refusal]) -> None:
        """Say in one toast what a command did: tasks by fate, and why others were refused."""
        parts = [f"{count:,} {fate}" for fate, count in done.items() if count]
        problem = not parts
        for refusal, count in Counter(refused.values()).items():
            ended = refusal.reason is RefusalReason.ENDED
            parts.append(
                f"{count:,} already {refusal.status}" if ended else f"{count:,} refused: {refusal_text(refusal)}"
            )
        if parts:
            self._host.tell(", ".join(parts), problem=problem)
