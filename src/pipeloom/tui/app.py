"""The cockpit: owns the engine's place in the screen, and hands what was committed on to whoever shows it."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Final, Self, TypeVar

from textual import on, work
from textual.app import App
from textual.binding import BindingType
from textual.events import Event, Key
from textual.message import Message
from textual.signal import Signal

from pipeloom.engine.commands import ENDED_ALREADY, EngineLoad
from pipeloom.engine.control.client import ControlClient
from pipeloom.engine.engine import Engine
from pipeloom.engine.options import EngineOptions
from pipeloom.engine.resume import Resume
from pipeloom.engine.tally import RunSummary
from pipeloom.errors import FileBusyError, PipeloomError, StoreError
from pipeloom.loader import load_pipeline
from pipeloom.memory import Memory
from pipeloom.status import OPEN, RunStatus, Status
from pipeloom.store.follow import has_run
from pipeloom.store.inspect import why_only_read
from pipeloom.store.owner import is_owned, other_owner, owner_name
from pipeloom.store.rows import RunRow
from pipeloom.text import clean
from pipeloom.tui import format as fmt
from pipeloom.tui.board import Board
from pipeloom.tui.bridge import Committed, Delivery, UiSink, WriterFailed, WriterWaiting
from pipeloom.tui.commands import ActionCommands
from pipeloom.tui.follower import Follower, RunFollowed
from pipeloom.tui.glyphs import wants_ascii
from pipeloom.tui.keys import key
from pipeloom.tui.screens.history import HistoryScreen
from pipeloom.tui.screens.live import LiveScreen
from pipeloom.tui.screens.resume import Start, resume_dialog
from pipeloom.tui.screens.start import StartScreen
from pipeloom.tui.settings import Settings, read_settings
from pipeloom.tui.theme import THEMES, css_paths, variable_defaults
from pipeloom.tui.watcher import FileChanged, Watcher
from pipeloom.tui.widgets.dialogs import ConfirmDialog, HelpDialog, help_sections

DRAIN_S: Final = 0.05
_KEYS_DRAIN_S: Final = 0.25
"""At most this often is the screen brought up to date; less often while keys are pressed, which come first."""
_SHARE: Final = 4
_KEYS_SHARE: Final = 20
"""Of its time, the screen spends at most one part in so many on what was committed."""
_MANY: Final = 2_000
_LONGEST_DRAIN_S: Final = 0.05
_KEYS_S: Final = 1.0
"""For so long after a key, another is likely."""

_LONG_RUN_S: Final = 30.0
_LARGE_WAL_BYTES: Final = 64 << 20

T = TypeVar("T")


class PipeloomApp(App[None]):
    """Shows a run live, and the history of a file."""

    TITLE = "pipeloom"
    CSS_PATH = [*css_paths()]  # noqa: RUF012 - Textual's own declaration is no ClassVar
    COMMANDS = App.COMMANDS | {ActionCommands}
    HORIZONTAL_BREAKPOINTS = [(0, "-too-narrow"), (60, "-narrow"), (140, "-wide")]  # noqa: RUF012 - not a ClassVar in Textual
    VERTICAL_BREAKPOINTS = [(0, "-too-low"), (12, "-high"), (20, "-tall")]  # noqa: RUF012 - not a ClassVar in Textual

    BINDINGS: ClassVar[list[BindingType]] = [
        key("1", "show('live')", "Live", "Show the run as it goes.", "app.live"),
        key("2", "show('history')", "History", "Show every attempt that the file holds.", "app.history"),
        key("question_mark", "help", "Help", "Show the keys of this screen.", "app.help", display="?"),
        key("q", "leave", "Quit", "Stop and leave; asks while tasks run.", "app.quit"),
        key("ctrl+q", "leave", "Quit", "Stop and leave; asks while tasks run.", "app.quit_anywhere", footer=False),
    ]

    @dataclass
    class StartFailed(Message):
        """The engine could not be started."""

        error: PipeloomError

    class Stopped(Message):
        """The engine has been closed."""

    def __init__(
        self,
        db_path: Path,
        engine: Engine | None = None,
        *,
        settings: Settings | None = None,
        memory: Memory | None = None,
        start: bool = True,
        read_only: bool = False,
        control: bool = False,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Show the run of `engine` (not started yet) or of another process, else the history of the file.

        With `read_only` nothing changes the file, not even to settle what a dead owner has left. With `control` a run
        of another process can be asked for what one of this process does.
        """
        super().__init__()
        self.db_path = db_path
        self.engine = engine
        self.read_only = read_only
        self.clock = clock
        self.monotonic = monotonic
        self.board = Board()
        self.sink = UiSink(self.post_message)
        self.commits: Signal[Delivery] = Signal(self, "commits")
        self.ascii_only = wants_ascii(encoding=getattr(sys.__stdout__, "encoding", None) or "utf-8")
        self._trouble = ""
        """What stands in the way of the writer."""
        self._wal_bytes = 0
        self.failure: BaseException | None = None
        self.start_error: PipeloomError | None = None
        self.summary: RunSummary | None = None
        self.crash: BaseException | None = None
        self.signalled: int | None = None
        """The signal that ended the program, if one did."""
        self.left = threading.Event()
        self.owner: str | None = None
        """Who else owns the file: then this is a viewer."""
        self.file_changes: Signal[FileChanged] = Signal(self, "file-changes")
        self.key_pressed_s = float("-inf")
        """When the last key was pressed, in monotonic seconds."""
        self._watcher = Watcher(db_path, self.post_message, recovers=not read_only)
        self._follower = Follower(db_path, self.post_message, self.sink)
        self._may_control = control
        self._client: ControlClient | None = None
        self._asking = asyncio.Lock()
        """Held while another process is asked for something, so that it hears one thing after the other."""
        self.is_viewer = False
        """Whether the live screen shows, or may come to show, what another process runs."""
        self._start = start
        self._leaving = False
        self._last_drain = float("-inf")
        self._drain_took_s = 0.0
        self._frozen = 0
        """Tasks that there were when the garbage collector was last told to leave everything alone."""
        for theme in THEMES:
            self.register_theme(theme)
        self.settings = settings or Settings()
        self.memory = memory
        """What the screens remember of this file; None: nothing."""
        self.theme = THEMES[0].name
        self.set_keymap(dict(self.settings.keys))

    @classmethod
    def of_user(cls, db_path: Path, engine: Engine | None, *, read_only: bool = False, control: bool = False) -> Self:
        """Return the app with the user's settings, and with what the screens remember of the file."""
        return cls(
            db_path, engine, settings=read_settings(), memory=Memory(db_path), read_only=read_only, control=control
        )

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Give every theme the variables that our style sheets share."""
        return variable_defaults(self.current_theme)

    # -- life --------------------------------------------------------------------------------------------------------

    def on_mount(self) -> None:
        """Choose the first screen, and start the engine off this thread."""
        self.add_mode("live", LiveScreen)
        self.add_mode("history", HistoryScreen)
        self.add_mode("start", StartScreen)
        self._apply_settings()
        if self.engine is not None:
            self.switch_mode("live")
            if self._start:
                # Many tasks take a while to enter, and whoever waits should see something.
                self.call_after_refresh(self._begin, self.engine)
            else:
                self.engine.add_sink(self.sink)
        elif self.db_path.exists():
            self._watch()
        else:
            self.switch_mode("start")

    def _apply_settings(self) -> None:
        """Take the theme, and tell what is wrong with the settings."""
        wrong = list(self.settings.warnings)
        if (theme := self.settings.theme) is not None:
            if theme in self.available_themes:
                self.theme = theme
            else:
                wrong.append(f"There is no theme {theme!r}; ctrl+p lists them.")
        for sentence in wrong:
            self.tell(sentence, problem=True)

    def remember(self, name: str, value: str) -> None:
        """Keep something about the screens for the next time that this file is opened."""
        if self.memory is not None:
            self.memory.put(name, value)

    def remembered(self, name: str) -> str:
        """Return what was kept; "" for nothing."""
        return "" if self.memory is None else self.memory.get(name)

    def on_unmount(self) -> None:
        """Say that the screen is gone."""
        if self.memory is not None:
            self.memory.save()
        self._watcher.stop()
        self._follower.stop()
        if self._client is not None:
            self._client.give_up()
        self.left.set()

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

    async def _show_run(self, sink: UiSink) -> None:
        """Let the live screen show another run, whose commits arrive in `sink`."""
        self.board, self.sink, self._trouble = Board(), sink, ""
        shown = self.current_mode == "live"
        if shown:
            self.switch_mode("history")
        await self.remove_mode("live")
        self.add_mode("live", LiveScreen)
        if shown:
            self.switch_mode("live")

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

    def keep_filter(self, name: str, text: str) -> None:
        """Offer a filter by its name from now on."""
        self.settings = replace(self.settings, filters={**self.settings.filters, name: text})

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

    async def on_event(self, event: Event) -> None:
        """Note when keys are pressed, on their way to whoever they are for."""
        if isinstance(event, Key):
            self.key_pressed_s = self.monotonic()
        await super().on_event(event)

    def _fatal_error(self) -> None:
        """Keep Textual from printing the local variables of a crash; `run_app` tells what happened."""
        self.crash = self.crash or self._exception or sys.exc_info()[1]
        self._close_messages_no_wait()

    def leave(self) -> None:
        """End the app; from any thread."""
        try:
            self.post_message(self.Stopped())
        except RuntimeError:
            self.left.set()

    @property
    def notice(self) -> str:
        """What the user should know about the file, for the header."""
        run = self.board.run
        if self.is_viewer and self.owner is None and run is not None and run.status is RunStatus.RUNNING:
            return "the program that ran this is gone"
        if self.engine is not None and self.engine.gone is not None:
            return self.engine.gone
        if self._trouble or self._wal_bytes < _LARGE_WAL_BYTES:
            return self._trouble
        return f"write-ahead log of {self._wal_bytes >> 20:,} MiB: another program keeps the file open for reading"

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

    # -- what was committed ------------------------------------------------------------------------------------------

    @on(Committed)
    def _fetch_soon(self) -> None:
        """Fetch what was committed, but not more often than the eye can follow, nor so often that keys have to wait."""
        wait = self._drain_wait(self.monotonic())
        if wait > 0:
            self.set_timer(wait, self.fetch)
        else:
            self.fetch()

    def _drain_wait(self, now: float) -> float:
        """Return for how long what was committed is to wait, from `now` (monotonic seconds) on."""
        keys = now - self.key_pressed_s < _KEYS_S
        least, share = (_KEYS_DRAIN_S, _KEYS_SHARE) if keys else (DRAIN_S, _SHARE)
        return self._last_drain + max(least, self._drain_took_s * share) - now

    def fetch(self) -> None:
        """Bring the board up to date and tell the screens."""
        self._last_drain = self.monotonic()
        delivery = self.sink.mailbox.drain()
        self._wal_bytes = delivery.wal_bytes
        before = self.board.run
        self.board.apply(delivery.attempts, delivery.run, self._last_drain)
        seen_running = before is not None or not self.is_viewer
        if delivery.run is not None and delivery.run.finished_at is not None and seen_running and not self._leaving:
            self._announce_end(delivery.run)
        self.commits.publish(delivery)
        self._spare_collector()
        self.call_after_refresh(self._note_cost, self._last_drain)

    def _spare_collector(self) -> None:
        """Take the tasks, which stay, out of the garbage collector's sight: looking at all of them takes too long."""
        if self.board.total() - self._frozen >= _MANY:
            self._frozen = self.board.total()
            gc.freeze()

    def _note_cost(self, began: float) -> None:
        """Learn how long it took from the fetch to the end of the paint, with all that came between."""
        self._drain_took_s = min(self.monotonic() - began, _LONGEST_DRAIN_S)

    def _announce_end(self, run: RunRow) -> None:
        """Ring the bell and ask the terminal for a notice (OSC 9): nobody watches a long run to its end."""
        took = fmt.seconds_since(run.started_at, self.clock())
        if took is None or took < _LONG_RUN_S or self.signalled is not None:
            return
        counts = ", ".join(f"{count:,} {status}" for status in Status if (count := self.board.counts[status]))
        self.bell()
        if self._driver is not None:
            self._driver.write(f"\x1b]9;pipeloom: run {run.id} is over: {counts}\x1b\\")

    @on(WriterWaiting)
    def _show_waiting(self, event: WriterWaiting) -> None:
        self._trouble = "" if event.reason is None else f"waiting for the file: {event.reason}"
        self.fetch()

    @on(WriterFailed)
    def _show_failure(self, event: WriterFailed) -> None:
        self.failure = event.error
        self._trouble = f"nothing more can be saved: {event.error}"
        self.fetch()

    # -- what the user asks ------------------------------------------------------------------------------------------

    def tell(self, sentence: str, *, problem: bool = False) -> None:
        """Show a toast."""
        self.notify(clean(sentence), markup=False, severity="warning" if problem else "information")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer the live screen only where there is a run, and the history only where there is a file."""
        if action == "show":
            there = (
                (self.engine is not None or self.is_viewer) if parameters == ("live",) else self.current_mode != "start"
            )
            return there and parameters != (self.current_mode,)
        return super().check_action(action, parameters)

    def action_show(self, mode: str) -> None:
        """Show another screen."""
        if self.current_mode != mode:
            self.switch_mode(mode)

    def action_help(self) -> None:
        """Show the keys of this screen."""
        titles = {"live": "Live", "history": "History", "start": "Start"}
        title = self.screen.title or titles.get(self.current_mode, "Screen")
        self.push_screen(HelpDialog(help_sections(self.screen, title)))

    @work
    async def action_leave(self) -> None:
        """Stop and leave; asks while tasks run."""
        if self._leaving:
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
        self._leaving = True
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

    def report(self, done: dict[str, int], refused: dict[int, str]) -> None:
        """Tell in one toast what a command did: how many tasks met which fate, and why others were refused."""
        parts = [f"{count:,} {fate}" for fate, count in done.items() if count]
        problem = not parts
        for reason, count in Counter(refused.values()).items():
            ended = reason.startswith(ENDED_ALREADY)
            parts.append(
                f"{count:,} already {reason[len(ENDED_ALREADY) :]}" if ended else f"{count:,} refused: {reason}"
            )
        if parts:
            self.tell(", ".join(parts), problem=problem)


def _tasks(count: int) -> str:
    return f"{count:,} task" if count == 1 else f"{count:,} tasks"
