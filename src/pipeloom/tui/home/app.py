"""The program of the home screen: it ends with the file that the user has chosen."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Self

from textual import on
from textual.binding import BindingType
from textual.filter import LineFilter

from pipeloom.engine.engine import Engine
from pipeloom.engine.run.summary import RunSummary
from pipeloom.times import monotonic, unix_time
from pipeloom.tui.bindings import key
from pipeloom.tui.home.screen import HomeScreen
from pipeloom.tui.palette import ActionCommands
from pipeloom.tui.session.engine_session import Stopped
from pipeloom.tui.settings import Settings, read_settings
from pipeloom.tui.style.ascii import AsciiFilter
from pipeloom.tui.style.glyphs import wants_ascii
from pipeloom.tui.style.stylesheet import KeptStylesheet
from pipeloom.tui.style.theme import THEMES, css_paths, variable_defaults
from pipeloom.tui.textual_compat.crash import QuietCrashApp
from pipeloom.tui.widgets.help import HelpDialog, help_sections
from pipeloom.tui.widgets.toasts import ROOMY, Toasts


class HomeApp(QuietCrashApp):
    """Shows the user's files until one is chosen."""

    TITLE = "pipeloom"
    CSS_PATH = [*css_paths()]  # noqa: RUF012 - Textual's own declaration is no ClassVar
    COMMANDS = {ActionCommands}  # noqa: RUF012 - not a ClassVar in Textual
    HORIZONTAL_BREAKPOINTS = [(0, "-too-narrow"), (40, "-narrow"), (140, "-wide")]  # noqa: RUF012 - not a ClassVar in Textual
    VERTICAL_BREAKPOINTS = [(0, "-too-low"), (12, "-high"), (20, "-tall"), (ROOMY, "-roomy")]  # noqa: RUF012 - not a ClassVar in Textual

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
        super().__init__()
        self.chosen: HomeScreen.Chosen | None = None
        """What the user has chosen, once the app has ended."""
        self.signalled: int | None = None
        """The signal that ended the program, if one did."""
        self.left = threading.Event()
        """Set when the screen has ended."""
        self.clock = clock
        self.ascii_only = ascii_only or wants_ascii()
        self._home = screen
        self._ascii_filter = AsciiFilter()
        self._toasts = Toasts(self, monotonic)
        self.stylesheet = KeptStylesheet(variables=self.get_css_variables())
        for theme in THEMES:
            self.register_theme(theme)
        settings = settings or Settings()
        self.theme = settings.theme if settings.theme in self.available_themes else THEMES[0].name
        self.set_keymap(dict(settings.keys))

    @classmethod
    def of_user(cls, screen: HomeScreen, **look: Any) -> Self:
        """Return the app with the user's settings; `look` are flags of the app."""
        return cls(screen, settings=read_settings(), **look)

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Return Textual's line filters, and with `ascii_only` ours."""
        filters = super().get_line_filters()
        return [*filters, self._ascii_filter] if self.ascii_only else filters

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Give every theme the variables that our style sheets share."""
        return variable_defaults(self.current_theme)

    def on_mount(self) -> None:
        """Show the files."""
        self.push_screen(self._home)

    @on(HomeScreen.Chosen)
    def _end_with(self, chosen: HomeScreen.Chosen) -> None:
        self.chosen = chosen
        self.exit()

    @on(Stopped)
    def _end(self) -> None:
        self.exit()

    def leave(self) -> None:
        """End the app; from any thread."""
        try:
            self.post_message(Stopped())
        except RuntimeError:
            self.left.set()

    def tell(self, sentence: str, *, problem: bool = False, topic: str = "") -> None:
        """Show a toast, in place of the one on the same topic."""
        self._toasts.tell(sentence, problem=problem, topic=topic)

    def action_leave(self) -> None:
        """Leave."""
        self.exit()

    def action_help_quit(self) -> None:
        """Say how to leave, for `ctrl+c`."""
        self.tell("q leaves.")

    def action_help(self) -> None:
        """Show the keys of this screen."""
        self.push_screen(HelpDialog(help_sections(self.screen, "Home"), []))
