"""The program of the home screen: it ends with the file that the user has chosen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Self

from textual import on
from textual.binding import BindingType

from pipeloom.engine.engine import Engine
from pipeloom.engine.run.summary import RunSummary
from pipeloom.times import monotonic, unix_time
from pipeloom.tui.base_app import BaseApp
from pipeloom.tui.bindings import key
from pipeloom.tui.home.screen import HomeScreen
from pipeloom.tui.settings import Settings, read_settings
from pipeloom.tui.widgets.help import HelpDialog, help_sections


class HomeApp(BaseApp):
    """Shows the user's files until one is chosen."""

    BINDINGS: ClassVar[list[BindingType]] = [
        key("question_mark", "help", "Help", "Show the keys of this screen.", "app.help", display="?"),
        key("q,escape", "leave", "Quit", "Leave.", "app.quit", display="q"),
        key("ctrl+q", "leave", "Quit", "Leave.", "app.quit_anywhere", footer=False),
        key("ctrl+z", "suspend_process", "Suspend", "Go to the shell; fg returns.", "app.suspend", footer=False),
    ]

    engine: Engine | None = None
    """None: nothing runs here."""
    summary: RunSummary | None = None

    def __init__(
        self,
        screen: HomeScreen,
        *,
        settings: Settings | None = None,
        ascii_only: bool = False,
        clock: Callable[[], float] = unix_time,
        monotonic: Callable[[], float] = monotonic,
    ) -> None:
        """Show `screen`; with `ascii_only` only ASCII characters are drawn."""
        super().__init__(settings, ascii_only=ascii_only, clock=clock, monotonic=monotonic)
        self.chosen: HomeScreen.Chosen | None = None
        """What the user has chosen, once the app has ended."""
        self._home = screen

    @classmethod
    def of_user(cls, screen: HomeScreen, **look: Any) -> Self:
        """Return the app with the user's settings; `look` are flags of the app."""
        return cls(screen, settings=read_settings(), **look)

    def on_mount(self) -> None:
        """Show the files."""
        self.push_screen(self._home)

    @on(HomeScreen.Chosen)
    def _end_with(self, chosen: HomeScreen.Chosen) -> None:
        self.chosen = chosen
        self.exit()

    def action_leave(self) -> None:
        """Leave."""
        self.exit()

    def action_help_quit(self) -> None:
        """Say how to leave, for `ctrl+c`."""
        self.tell("q leaves.")

    def action_help(self) -> None:
        """Show the keys of this screen."""
        self.push_screen(HelpDialog(help_sections(self.screen, "Home"), []))
