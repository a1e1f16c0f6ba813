"""The engine in the screen: starting it, running tasks again, and ending it before the app ends."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from textual import on, work
from textual.message import Message

from pipeloom.engine.engine import Engine
from pipeloom.engine.options import EngineOptions
from pipeloom.engine.run.resume import Resume
from pipeloom.engine.run.summary import RunSummary
from pipeloom.errors import FileBusyError, PipeloomError, StoreError
from pipeloom.loader import load_pipeline
from pipeloom.status import OPEN, RunStatus
from pipeloom.store.file.owner import is_owned, owner_name
from pipeloom.tui.session.bridge import UiSink
from pipeloom.tui.session.remote_run import Viewing
from pipeloom.tui.session.resume_dialog import Start, resume_dialog
from pipeloom.tui.widgets.dialogs import ConfirmDialog


class Running(Viewing):
    """Owns the engine, if there is one. Whatever blocks is done off this thread."""

    @dataclass
    class StartFailed(Message):
        """The engine could not be started."""

        error: PipeloomError

    class Stopped(Message):
        """The engine has been closed."""

    start_error: PipeloomError | None = None
    summary: RunSummary | None = None

    @work
    async def _begin(self, engine: Engine) -> None:
        """Start the run; if the last one of this pipeline did not come to its end, ask first what to do about it."""
        try:
            resume = await self._resumption(engine)
        except StoreError as error:
            self.post_message(self.StartFailed(error))
            return
        if resume is Start.NOTHING:
            self._watch()
            return
        self._start_engine(engine, None if resume is Start.EVERYTHING else resume)

    async def _resumption(self, engine: Engine) -> Resume | Start:
        options = engine.options
        if options.resume is not None or not options.ask_to_resume:
            return Start.EVERYTHING
        earlier = await asyncio.to_thread(engine.earlier)
        if earlier is None or earlier.run.status not in (RunStatus.RUNNING, RunStatus.INTERRUPTED):
            return Start.EVERYTHING
        if earlier.run.status is RunStatus.RUNNING and is_owned(self.db_path):
            return Start.EVERYTHING  # which will be refused, naming the owner
        return await self.push_screen_wait(resume_dialog(earlier, engine.tasks))

    @work(thread=True, group="engine")
    def _start_engine(self, engine: Engine, resume: Resume | None) -> None:
        engine.add_sink(self.sink)
        try:
            engine.start(resume)
        except PipeloomError as error:
            self.post_message(self.StartFailed(error))

    @on(StartFailed)
    def _give_up(self, event: StartFailed) -> None:
        """Leave with the error; a file that somebody else runs on can at least be watched."""
        self.start_error = event.error
        if isinstance(event.error, FileBusyError):
            self.engine = None
            self.owner = owner_name(self.db_path)
            self._watch()
            self.tell(str(event.error), problem=True)
        else:
            self.exit()

    async def load(self, spec: str) -> Engine | None:
        """Import a pipeline and get ready to run it on the file; None, and a toast, when that cannot be."""
        try:
            pipeline = await asyncio.to_thread(load_pipeline, spec)
            self.engine = Engine(self.db_path, pipeline, EngineOptions(source=spec, ask_to_resume=False))
        except PipeloomError as error:
            self.tell(str(error), problem=True)
        return self.engine

    @work
    async def run_again(self, resume: Resume) -> None:
        """Run tasks of an earlier run again, as a new run of the same pipeline, and show it live."""
        before = self.engine
        if before is None or before.is_running:
            return
        self.engine = None  # until the next one is there, nothing can be asked of either
        pipeline = replace(before.pipeline, tasks=before.tasks)  # the tasks may have been given as a generator
        await asyncio.to_thread(before.close)
        self.engine = Engine(self.db_path, pipeline, replace(before.options, resume=None))
        await self._show_run(UiSink(self.post_message))
        self.switch_mode("live")
        self._start_engine(self.engine, resume)

    # -- the end -----------------------------------------------------------------------------------------------------

    def leave(self) -> None:
        """End the app; from any thread."""
        try:
            self.post_message(self.Stopped())
        except RuntimeError:
            self.left.set()

    @work
    async def action_leave(self) -> None:
        """Stop and leave; asks while tasks run."""
        if self._is_leaving:
            return
        unfinished = sum(self.board.counts[status] for status in OPEN)
        if self.engine is not None and self.engine.is_running and unfinished:
            grace = self.engine.options.grace_s
            body = (
                f"{_tasks(unfinished)} not finished. Running tasks get {grace:g} s to stop; they and those that wait "
                "are kept as interrupted."
            )
            if not await self.push_screen_wait(ConfirmDialog("Stop the run and quit?", body, "Stop and quit")):
                return
        self._is_leaving = True
        if self.engine is None or not self.engine.is_started:
            self.exit()
            return
        if self.engine.is_running:
            self._trouble = "stopping…"
            self.fetch()
        self._close_engine(self.engine)

    @work(thread=True, group="engine")
    def _close_engine(self, engine: Engine) -> None:
        engine.close(reason="stopped by the user")
        self.post_message(self.Stopped())

    @on(Stopped)
    def _go(self) -> None:
        self.exit()


def _tasks(count: int) -> str:
    return f"{count:,} task" if count == 1 else f"{count:,} tasks"
