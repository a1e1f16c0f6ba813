"""The engine of this process: starting it, running tasks again, and closing it before the app ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Protocol, TypeVar

from textual.message import Message
from textual.screen import Screen

from pipeloom.engine.engine import Engine
from pipeloom.engine.options import EngineOptions
from pipeloom.engine.run.resume import Resume, params_of
from pipeloom.environment.script import read_script
from pipeloom.errors import FileBusyError, PipeloomError, StoreError
from pipeloom.loader import file_named, load_pipeline
from pipeloom.parameters.declared import MissingParameterError
from pipeloom.schedule.schedules import Schedule
from pipeloom.status import OPEN, RunStatus
from pipeloom.store.file.owner import is_owned
from pipeloom.text import as_typed, clean, counted
from pipeloom.tui.session.bridge import Delivery, UiSink
from pipeloom.tui.session.code_watch import CodeWatch
from pipeloom.tui.session.live_feed import LiveFeed
from pipeloom.tui.session.resume_dialog import Start, resume_dialog
from pipeloom.tui.session.scheduled_runs import ScheduledRuns, ScheduleHost
from pipeloom.tui.settings import Settings
from pipeloom.tui.threads import in_daemon_thread
from pipeloom.tui.widgets.dialogs import ConfirmDialog

T = TypeVar("T")

_IMPORT_S: Final = 0.3
"""Seconds of an import after which a toast names it."""


@dataclass
class StartFailed(Message):
    """The engine could not be started."""

    error: PipeloomError


class SessionHost(ScheduleHost, Protocol):
    """What the session uses of the app."""

    settings: Settings

    def post_message(self, message: Message) -> bool:
        """Send a message to the app; from any thread."""

    def push_screen_wait(self, screen: Screen[T]) -> Awaitable[T]:
        """Push a screen and wait for its answer; only in a worker."""

    def watch_file(self) -> None:
        """Show what other processes do to the file."""

    def watch_others(self) -> None:
        """Follow what other processes do to the file, which this one has let go."""

    def show_run(self, sink: UiSink) -> Awaitable[None]:
        """Show another run, whose commits arrive in `sink`."""

    def switch_mode(self, mode: str) -> object:
        """Show another screen."""

    def exit(self) -> None:
        """End the app."""

    def leave(self) -> None:
        """End the app; from any thread."""


class EngineSession:
    """Owns the engine, if there is one. What blocks is done in worker threads."""

    def __init__(
        self,
        host: SessionHost,
        db_path: Path,
        feed: LiveFeed,
        engine: Engine | None,
        schedule: Schedule | None = None,
    ) -> None:
        """Show what `engine` commits in `feed`; with a schedule it is run when that says so, again and again."""
        self._host = host
        self._db_path = db_path
        self._feed = feed
        self.engine = engine
        self.code = CodeWatch()
        """What has changed of the engine's code on disk."""
        self.start_error: PipeloomError | None = None
        self.is_leaving = False
        """Whether the user has said to stop and leave."""
        self.is_starting = False
        """Whether a run is wanted that has not begun."""
        self.scheduled = ScheduledRuns(schedule, host, self)
        self._is_asking = False
        """Whether the question is open: `q` pressed twice asks once."""

    # -- the start -----------------------------------------------------------------------------------------------------

    def begin(self, engine: Engine) -> None:
        """Start the run; if the last one of this pipeline has not ended, ask first what to do about it.

        With a schedule nothing is asked: the user may be away.
        """
        if not self.scheduled.begin(engine):
            self.is_starting = True
            self._host.run_worker(self._begin(engine))

    async def _begin(self, engine: Engine) -> None:
        try:
            resume = await self._resumption(engine)
        except StoreError as error:
            self._host.post_message(StartFailed(error))
            return
        if resume is Start.NOTHING:
            self.is_starting = False
            self._host.watch_file()
            return
        self._start(engine, None if resume is Start.EVERYTHING else resume)

    async def _resumption(self, engine: Engine) -> Resume | Start:
        options = engine.options
        if (
            not options.ask_to_resume
            or options.resume is not None
            or options.few
            or options.changed_for(engine.pipeline)
        ):
            return Start.EVERYTHING  # that the options mean
        earlier = await in_daemon_thread(engine.earlier, "pipeloom-earlier")
        if earlier is None or earlier.run.status not in (RunStatus.RUNNING, RunStatus.INTERRUPTED):
            return Start.EVERYTHING
        if earlier.run.status is RunStatus.RUNNING and is_owned(self._db_path):
            return Start.EVERYTHING  # the engine refuses it and names the owner
        return await self._host.push_screen_wait(resume_dialog(earlier, engine.today))

    def _start(self, engine: Engine, resume: Resume | None) -> None:
        self.is_starting = True
        self._host.run_worker(self._start_engine(engine, resume))

    async def _start_engine(self, engine: Engine, resume: Resume | None) -> None:
        try:
            await self._start_in_thread(engine, resume)
            self.is_starting = False
        except PipeloomError as error:
            if not self._host.is_leaving:
                self._host.post_message(StartFailed(error))

    async def _start_in_thread(self, engine: Engine, resume: Resume | None) -> None:
        """Start the engine; its schema helpers are the user's code, and may never return."""
        engine.add_sink(self._feed.sink)
        await in_daemon_thread(partial(engine.start, resume), "pipeloom-start")
        self.code.follow(engine)

    async def start_next(self, engine: Engine) -> None:
        """Start the engine in the place of the one before, and show it; raises `PipeloomError`."""
        await self._take_place(engine)
        await self._start_in_thread(engine, None)

    def give_up(self, error: PipeloomError) -> None:
        """Leave with the error; a file that another process runs on is watched instead."""
        self.start_error, self.is_starting = error, False
        if isinstance(error, FileBusyError):
            self.engine = None
            self._host.watch_file()
            self._host.tell(str(error), problem=True)
        else:
            self._host.exit()

    # -- the end of the run --------------------------------------------------------------------------------------------

    def note_commit(self, delivery: Delivery) -> None:
        """Let go of the file when the run has ended: a run of another process must not wait for a forgotten screen."""
        over = delivery.run is not None and delivery.run.finished_at is not None
        if over and self.engine is not None and not self.engine.is_running and not self.is_leaving:
            self._host.run_worker(self._let_go(self.engine))

    async def _let_go(self, engine: Engine) -> None:
        if not engine.is_started:
            return
        let_go = await in_daemon_thread(engine.let_go, "pipeloom-let-go")  # the functions at the end have returned
        for error in engine.summary().hook_errors:
            self._host.tell(clean(error, 300), problem=True)
        if let_go:
            self._host.watch_others()

    # -- running tasks again -------------------------------------------------------------------------------------------

    async def load(self, spec: str) -> Engine | None:
        """Import a pipeline and return an engine for it; None, and a toast, when that fails."""
        try:
            self.engine = await self._made(spec)
            self.code.follow(self.engine)
        except MissingParameterError as error:
            command = f"pipeloom retry {as_typed(self._db_path)} 'status:error' {as_typed(spec)}"
            self._host.tell(error.told_with(command), problem=True)
        except PipeloomError as error:
            self._host.tell(str(error), problem=True)
        return self.engine

    async def _made(self, spec: str) -> Engine:
        """Import a pipeline and list its tasks, as for its last run; a toast says so when that takes long."""

        def make() -> Engine:
            if (file := file_named(spec)) is not None and (script := read_script(file)) is not None:
                from pipeloom.environment.enter import refuse_unmet  # few files need it

                refuse_unmet(script)
            pipeline = load_pipeline(spec)
            params = params_of(self._db_path, pipeline)
            failing = self._host.settings.on_failure
            options = EngineOptions(source=spec, ask_to_resume=False, params=params, on_failure=failing)
            return Engine(self._db_path, pipeline, options)

        return await self._imported(make, spec)

    async def _imported(self, load: Callable[[], T], spec: str) -> T:
        """Return what the import returns; a toast names it when it takes long."""
        importing = asyncio.ensure_future(in_daemon_thread(load, "pipeloom-import"))
        if not (await asyncio.wait([importing], timeout=_IMPORT_S))[0]:
            self._host.tell(f"Importing {clean(spec, 200)} …")
        return await importing

    async def renew_code(self) -> bool:
        """Load the engine's code as it is on disk; False, and a toast, when that fails: nothing has changed then."""
        engine = self.engine
        if engine is None:
            return False
        try:
            await self._imported(engine.reload, engine.version.spec or engine.pipeline.name)
        except PipeloomError as error:
            self._host.tell(str(error), problem=True)
            return False
        self._feed.fetch()
        return True

    def run_again(self, engine: Engine, resume: Resume) -> None:
        """Run tasks of an earlier run as a new run of `engine`, not started yet, and show it live."""
        self._host.run_worker(self._run_again(engine, resume))

    async def _run_again(self, engine: Engine, resume: Resume) -> None:
        if self.engine is None or self.engine.is_running:
            return
        await self._take_place(engine)
        self._host.switch_mode("live")
        self._start(engine, resume)

    async def _take_place(self, engine: Engine) -> None:
        """Show the run of an engine from now on; the one before is closed, unless it is the same."""
        before, self.engine = self.engine, None  # until the next one is there, neither takes commands
        if before is not engine and before is not None:
            await in_daemon_thread(before.close, "pipeloom-close")
        self.engine, self._feed.is_viewer = engine, False
        if before is not engine:
            await self._host.show_run(UiSink(self._host.post_message))

    def stop(self) -> None:
        """Watch and start nothing any more."""
        self.code.stop()
        self.scheduled.stop()

    # -- the end -------------------------------------------------------------------------------------------------------

    def leave(self) -> None:
        """Stop and leave; asks while tasks run."""
        self._host.run_worker(self._leave())

    async def _leave(self) -> None:
        if self.is_leaving or self._is_asking:
            return
        if self.engine is not None and self.engine.is_running and self._unfinished():
            grace = self.engine.options.grace_s

            def body() -> str:
                if not self._unfinished():
                    return "All tasks have ended."
                return (
                    f"{_tasks(self._unfinished())} not finished. Running tasks get {grace:g} s to stop; they and those "
                    "that wait are kept as interrupted."
                )

            dialog = ConfirmDialog("Stop the run and quit?", body, "Stop and quit", action="leave")
            self._is_asking = True
            stops = await self._host.push_screen_wait(dialog)
            self._is_asking = False
            if not stops:
                return
        self.is_leaving = True
        if self.engine is None:
            self._host.exit()
            return
        if self.engine.is_started and not self.engine.wait(0):  # tasks, or what is called at the end
            self._feed.trouble = "stopping…"
            self._feed.fetch()
        self._host.run_worker(self._close_engine(self.engine))

    def _unfinished(self) -> int:
        return sum(self._feed.board.counts[status] for status in OPEN)

    async def _close_engine(self, engine: Engine) -> None:
        await in_daemon_thread(partial(engine.close, reason="stopped by the user"), "pipeloom-close")
        self._host.leave()


def _tasks(count: int) -> str:
    return counted(count, "task")
