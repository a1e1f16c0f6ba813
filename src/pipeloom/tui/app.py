"""The cockpit: composes live feed, engine session and remote run, and chooses the screen that is shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

from textual import on
from textual.binding import BindingType
from textual.events import Event, Key
from textual.signal import Signal

from pipeloom.code.version import Change
from pipeloom.engine.commands import EngineLoad, Refusal
from pipeloom.engine.control.client import ControlClient
from pipeloom.engine.engine import Engine
from pipeloom.engine.run.resume import Resume
from pipeloom.engine.run.summary import RunSummary
from pipeloom.errors import PipeloomError
from pipeloom.schedule.schedules import Schedule
from pipeloom.times import monotonic, unix_time
from pipeloom.tui.base_app import BaseApp
from pipeloom.tui.bindings import key
from pipeloom.tui.history.screen import HistoryScreen
from pipeloom.tui.live.board import Board
from pipeloom.tui.live.screen import LiveScreen
from pipeloom.tui.session.bridge import Committed, Delivery, UiSink, WriterFailed, WriterWaiting
from pipeloom.tui.session.engine_session import EngineSession, StartFailed
from pipeloom.tui.session.file_monitor import FileChanged, MonitorFailed, RunFollowed
from pipeloom.tui.session.live_feed import LiveFeed
from pipeloom.tui.session.notice import notice_of
from pipeloom.tui.session.remote_run import RemoteRun
from pipeloom.tui.settings import Settings, read_settings
from pipeloom.tui.settings_check import in_short, mistakes
from pipeloom.tui.start_screen import StartScreen
from pipeloom.tui.table.virtual_table import VirtualTable
from pipeloom.tui.textual_compat.key_dispatch import run_binding
from pipeloom.tui.textual_compat.notice import write_terminal
from pipeloom.tui.widgets.help import HelpDialog, help_sections
from pipeloom.tui.widgets.toasts import ROOMY
from pipeloom.user_state import UserState

T = TypeVar("T")


class PipeloomApp(BaseApp):
    """Shows a run live, and the history of a file."""

    BINDINGS: ClassVar[list[BindingType]] = [
        key("1", "show('live')", "Live", "Show the run as it goes.", "app.live"),
        key("2", "show('history')", "History", "Show every attempt that the file holds.", "app.history"),
        key("question_mark", "help", "Help", "Show the keys of this screen.", "app.help", display="?"),
        key("q", "leave", "Quit", "Stop and leave; asks while tasks run.", "app.quit"),
        key("ctrl+q", "leave", "Quit", "Stop and leave; asks while tasks run.", "app.quit_anywhere", footer=False),
        key("ctrl+z", "suspend_process", "Suspend", "Go to the shell; fg returns.", "app.suspend", footer=False),
    ]

    def __init__(
        self,
        db_path: Path,
        engine: Engine | None = None,
        *,
        settings: Settings | None = None,
        memory: UserState | None = None,
        start: bool = True,
        read_only: bool = False,
        control: bool = False,
        ascii_only: bool = False,
        schedule: Schedule | None = None,
        clock: Callable[[], float] = unix_time,
        monotonic: Callable[[], float] = monotonic,
    ) -> None:
        """Show the run of `engine` (not started yet) or of another process, else the history of the file.

        With `read_only` nothing changes the file, not even to close what a dead owner left open. With `control` a run
        of another process takes the commands that one of this process takes. With `ascii_only` only ASCII is drawn.
        """
        super().__init__(settings, ascii_only=ascii_only, clock=clock, monotonic=monotonic)
        self.db_path = db_path
        self.commits: Signal[Delivery] = Signal(self, "commits")
        self.file_changes: Signal[FileChanged] = Signal(self, "file-changes")
        self.seconds: Signal[None] = Signal(self, "seconds")
        self.feed = LiveFeed(self, self.commits, self.seconds)
        self.session = EngineSession(self, db_path, self.feed, engine, schedule)
        self.remote = RemoteRun(
            self, db_path, self.feed, self.session, self.file_changes, read_only=read_only, may_control=control
        )
        self.next_start, self.questions = self.session.scheduled.next_start, self.remote.questions
        self.summary: RunSummary | None = None
        """How the run ended, once the engine is closed."""
        self._start = start
        self.memory = memory
        """The saved state of the screens for this file; None: nothing is saved."""

    @classmethod
    def of_user(cls, db_path: Path, engine: Engine | None, **look: Any) -> Self:
        """Return the app with the user's settings and the saved state of the screens; `look` are flags of the app."""
        return cls(db_path, engine, settings=read_settings(), memory=UserState(db_path), **look)

    # -- the start and the end ---------------------------------------------------------------------------------------

    def on_mount(self) -> None:
        """Choose the first screen, and start the engine off this thread."""
        for name, screen in (("live", LiveScreen), ("history", HistoryScreen), ("start", StartScreen)):
            self.add_mode(name, screen)
        self._tell_mistakes()
        self.set_interval(1.0, self.feed.pass_second)
        self.commits.subscribe(self, self.session.note_commit)
        if self.engine is not None:
            self.switch_mode("live")
            if self._start:
                # Many tasks take a while to enter: the screen comes first.
                self.call_after_refresh(self.session.begin, self.engine)
            else:
                self.engine.add_sink(self.feed.sink)
        elif self.db_path.exists():
            self.watch_file()
        else:
            self.switch_mode("start")

    def on_unmount(self) -> None:
        """Save the state of the screens, and stop watching the file."""
        if self.memory is not None:
            self.memory.save()
        self.remote.stop()
        self.session.stop()

    @property
    def is_leaving(self) -> bool:
        """Whether the program is about to end."""
        return self.session.is_leaving or self.signalled is not None

    @on(StartFailed)
    def _give_up(self, event: StartFailed) -> None:
        self.session.give_up(event.error)

    @property
    def notice(self) -> str:
        """What the user should know about the file, for the header."""
        return notice_of(self.feed, self.session, self.remote)

    # -- the run that is shown ---------------------------------------------------------------------------------------

    @property
    def board(self) -> Board:
        """The tasks of the run."""
        return self.feed.board

    @property
    def is_viewer(self) -> bool:
        """Whether the run that is shown, or will be, belongs to another process."""
        return self.feed.is_viewer

    @property
    def key_pressed_s(self) -> float:
        """When the last key was pressed, in monotonic seconds."""
        return self.feed.key_pressed_s

    @property
    def failure(self) -> BaseException | None:
        """Why the writer has given up."""
        return self.feed.failure

    @on(Committed)
    def _fetch_soon(self) -> None:
        self.feed.fetch_soon()

    @on(WriterWaiting)
    def _show_waiting(self, event: WriterWaiting) -> None:
        self.feed.show_waiting(event.reason)

    @on(WriterFailed)
    def _show_failure(self, event: WriterFailed) -> None:
        self.feed.show_failure(event.error)

    async def show_run(self, sink: UiSink) -> None:
        """Let the live screen show another run, whose commits arrive in `sink`."""
        self.feed.show_run(sink)
        shown = self.current_mode == "live"
        if shown:
            self.switch_mode("history")
        await self.remove_mode("live")
        self.add_mode("live", LiveScreen)
        if shown:
            self.switch_mode("live")

    # -- the engine of this process, and that of another -------------------------------------------------------------

    @property
    def engine(self) -> Engine | None:
        """The engine of this process."""
        return self.session.engine

    @property
    def start_error(self) -> PipeloomError | None:
        """Why the engine could not be started."""
        return self.session.start_error

    async def load(self, spec: str) -> Engine | None:
        """Import a pipeline and return an engine for it; None, and a toast, when that fails."""
        return await self.session.load(spec)

    @property
    def code_change(self) -> Change | None:
        """What has changed on disk of the code that the engine gives to new attempts."""
        return self.session.code.change

    async def renew_code(self) -> bool:
        """Load the engine's code as it is on disk; False, and a toast, when that fails: nothing has changed then."""
        return await self.session.renew_code()

    def run_again(self, engine: Engine, resume: Resume) -> None:
        """Run tasks of an earlier run as a new run of `engine`, and show it live."""
        self.session.run_again(engine, resume)

    @property
    def owner(self) -> str | None:
        """The other process that owns the file, by name."""
        return self.remote.owner

    @property
    def read_only(self) -> bool:
        """Whether nothing may change the file."""
        return self.remote.read_only

    @property
    def controls(self) -> Engine | ControlClient | None:
        """What takes commands: the engine, or the client of another process; None: nothing does."""
        return self.remote.controls

    @property
    def known_load(self) -> EngineLoad | None:
        """The load of the other process's engine, as of its last answer."""
        return self.remote.known_load

    async def ask(self, command: Callable[[], T]) -> T | None:
        """Return the answer to a command; None when it is refused or not answered, which a toast says."""
        return await self.remote.ask(command)

    def report(self, done: dict[str, int], refused: dict[int, Refusal]) -> None:
        """Say in one toast what a command did: tasks by fate, and why others were refused."""
        self.remote.report(done, refused)

    def watch_file(self) -> None:
        """Show the run of another process if there is one, else the history, and follow what others do to the file."""
        self.remote.watch()

    def watch_others(self) -> None:
        """Follow what other processes do to the file, which this one has let go."""
        self.remote.watch_others()

    @on(RunFollowed)
    def _follow_run(self, event: RunFollowed) -> None:
        self.remote.follow(event)

    @on(FileChanged)
    def _note_change(self, event: FileChanged) -> None:
        self.remote.note_change(event)

    @on(MonitorFailed)
    def _tell_failure(self, event: MonitorFailed) -> None:
        self.tell(f"The file is not watched any more: {event.error}", problem=True)

    # -- settings and saved state ------------------------------------------------------------------------------------

    def _tell_mistakes(self) -> None:
        """Say what is wrong with the settings."""
        if told := [*mistakes(self.settings, self.available_themes, type(self))]:
            self.tell(in_short(told, roomy=self.size.height >= ROOMY), problem=True)

    def keep_filter(self, name: str, text: str) -> None:
        """Offer a filter by its name from now on."""
        self.settings = replace(self.settings, filters={**self.settings.filters, name: text})

    def remember(self, name: str, value: str) -> None:
        """Keep a state of the screens for the next time that this file is opened."""
        if self.memory is not None:
            self.memory.put(name, value)

    def remembered(self, name: str) -> str:
        """Return what was kept; "" for nothing."""
        return "" if self.memory is None else self.memory.get(name)

    # -- the terminal and its keys -----------------------------------------------------------------------------------

    def write_terminal(self, sequence: str) -> None:
        """Write a control sequence to the terminal."""
        write_terminal(self, sequence)

    async def on_event(self, event: Event) -> None:
        """Note when keys are pressed; those for a table are carried out here, at once.

        A table knows its keys by bindings alone. By way of the table and its parents, a key would reach them after the
        next one was given away: of `/` and a word typed quickly, the word would be lost.
        """
        if isinstance(event, Key):
            self.feed.note_key()
            if not event.is_forwarded and await self._is_done_by_table(event.key):
                return
        await super().on_event(event)

    async def _is_done_by_table(self, key: str) -> bool:
        if not isinstance(self.focused, VirtualTable) or self.screen.maximized is not None:
            return False
        return await run_binding(self, key)

    # -- actions -----------------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer the live screen only where there is a run, and the history only where there is a file."""
        if action == "show":
            is_run_there = self.engine is not None or self.is_viewer
            there = is_run_there if parameters == ("live",) else self.current_mode != "start"
            return there and parameters != (self.current_mode,)
        return super().check_action(action, parameters)

    def action_show(self, mode: str) -> None:
        """Show another screen."""
        if self.current_mode != mode:
            self.switch_mode(mode)

    def action_leave(self) -> None:
        """Stop and leave; asks while tasks run."""
        self.session.leave()

    async def action_quit(self) -> None:
        """Leave, as by key: whatever calls Textual's own action asks while tasks run."""
        self.action_leave()

    def action_help_quit(self) -> None:
        """Say how to leave: for `ctrl+c`, which copies in a field."""
        self.tell("q leaves, and ctrl+q in a field; it asks while tasks run.")

    def action_help(self) -> None:
        """Show the keys of this screen."""
        told = mistakes(self.settings, self.available_themes, type(self))
        title = self.screen.title or self.current_mode.capitalize()
        self.push_screen(HelpDialog(help_sections(self.screen, title), told))
