"""The cockpit: chooses what is on the screen, by the user's settings and by what there is to be seen."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Final, Self

from textual.app import App
from textual.binding import BindingType
from textual.filter import LineFilter

from pipeloom.engine.engine import Engine
from pipeloom.status import RunStatus
from pipeloom.tui.bindings import key
from pipeloom.tui.history.screen import HistoryScreen
from pipeloom.tui.live.screen import LiveScreen
from pipeloom.tui.palette import ActionCommands
from pipeloom.tui.session.engine_session import Running
from pipeloom.tui.settings import Settings, read_settings
from pipeloom.tui.start_screen import StartScreen
from pipeloom.tui.style.ascii import AsciiFilter
from pipeloom.tui.style.glyphs import wants_ascii
from pipeloom.tui.style.theme import THEMES, css_paths, variable_defaults
from pipeloom.tui.widgets.dialogs import HelpDialog, help_sections
from pipeloom.user_state import UserState

_LARGE_WAL_BYTES: Final = 64 << 20


class PipeloomApp(Running):
    """Shows a run live, and the history of a file."""

    TITLE = "pipeloom"
    CSS_PATH = [*css_paths()]  # noqa: RUF012 - Textual's own declaration is no ClassVar
    COMMANDS = App.COMMANDS | {ActionCommands}
    HORIZONTAL_BREAKPOINTS = [(0, "-too-narrow"), (40, "-narrow"), (140, "-wide")]  # noqa: RUF012 - not a ClassVar in Textual
    VERTICAL_BREAKPOINTS = [(0, "-too-low"), (12, "-high"), (20, "-tall")]  # noqa: RUF012 - not a ClassVar in Textual

    BINDINGS: ClassVar[list[BindingType]] = [
        key("1", "show('live')", "Live", "Show the run as it goes.", "app.live"),
        key("2", "show('history')", "History", "Show every attempt that the file holds.", "app.history"),
        key("question_mark", "help", "Help", "Show the keys of this screen.", "app.help", display="?"),
        key("q", "leave", "Quit", "Stop and leave; asks while tasks run.", "app.quit"),
        key("ctrl+q", "leave", "Quit", "Stop and leave; asks while tasks run.", "app.quit_anywhere", footer=False),
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
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Show the run of `engine` (not started yet) or of another process, else the history of the file.

        With `read_only` nothing changes the file, not even to settle what a dead owner has left. With `control` a run
        of another process can be asked for what one of this process does. With `ascii_only` nothing else is drawn, as
        on a terminal that has nothing else.
        """
        super().__init__(db_path, engine, read_only=read_only, control=control, clock=clock, monotonic=monotonic)
        self.ascii_only = ascii_only or wants_ascii(encoding=getattr(sys.__stdout__, "encoding", None) or "utf-8")
        self._ascii_filter = AsciiFilter()
        self.crash: BaseException | None = None
        self._start = start
        for theme in THEMES:
            self.register_theme(theme)
        self.settings = settings or Settings()
        self.memory = memory
        """What the screens remember of this file; None: nothing."""
        self.theme = THEMES[0].name
        self.set_keymap(dict(self.settings.keys))

    @classmethod
    def of_user(
        cls,
        db_path: Path,
        engine: Engine | None,
        *,
        read_only: bool = False,
        control: bool = False,
        ascii_only: bool = False,
    ) -> Self:
        """Return the app with the user's settings, and with what the screens remember of the file."""
        settings, memory = read_settings(), UserState(db_path)
        return cls(
            db_path,
            engine,
            settings=settings,
            memory=memory,
            read_only=read_only,
            control=control,
            ascii_only=ascii_only,
        )

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Return what Textual changes in each line that is drawn, and what we do."""
        filters = super().get_line_filters()
        return [*filters, self._ascii_filter] if self.ascii_only else filters

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Give every theme the variables that our style sheets share."""
        return variable_defaults(self.current_theme)

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

    def on_unmount(self) -> None:
        """Remember how the screens were, and look at the file no more."""
        if self.memory is not None:
            self.memory.save()
        self._stop_watching()

    def _fatal_error(self) -> None:
        """Keep Textual from printing the local variables of a crash; `run_app` tells what happened."""
        self.crash = self.crash or self._exception or sys.exc_info()[1]
        self._close_messages_no_wait()

    @property
    def notice(self) -> str:
        """What the user should know about the file, for the header."""
        run = self.board.run
        if self.is_viewer and self.owner is None and run is not None and run.status is RunStatus.RUNNING:
            return "the program that ran this is gone"
        if self.engine is not None and self.engine.executor_lost is not None:
            return self.engine.executor_lost
        if self._trouble or self._wal_bytes < _LARGE_WAL_BYTES:
            return self._trouble
        return f"write-ahead log of {self._wal_bytes >> 20:,} MiB: another program keeps the file open for reading"

    # -- what is kept ------------------------------------------------------------------------------------------------

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

    def keep_filter(self, name: str, text: str) -> None:
        """Offer a filter by its name from now on."""
        self.settings = replace(self.settings, filters={**self.settings.filters, name: text})

    def remember(self, name: str, value: str) -> None:
        """Keep something about the screens for the next time that this file is opened."""
        if self.memory is not None:
            self.memory.put(name, value)

    def remembered(self, name: str) -> str:
        """Return what was kept; "" for nothing."""
        return "" if self.memory is None else self.memory.get(name)

    # -- what the user asks ------------------------------------------------------------------------------------------

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
