"""What the apps share: pipeloom's look in the user's theme and keys, the toasts, and the way out."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence

from textual import on
from textual.filter import LineFilter

from pipeloom.tui.palette import ActionCommands
from pipeloom.tui.settings import Settings
from pipeloom.tui.style.ascii import AsciiFilter
from pipeloom.tui.style.glyphs import wants_ascii
from pipeloom.tui.style.stylesheet import KeptStylesheet
from pipeloom.tui.style.theme import THEMES, css_paths, variable_defaults
from pipeloom.tui.textual_compat.crash import QuietCrashApp
from pipeloom.tui.textual_compat.loop_driver import TerminalNote
from pipeloom.tui.widgets.toasts import ROOMY, Toasts


class BaseApp(QuietCrashApp):
    """An app in pipeloom's look, which a signal can end."""

    TITLE = "pipeloom"
    CSS_PATH = [*css_paths()]  # noqa: RUF012 - Textual's own declaration is no ClassVar
    COMMANDS = {ActionCommands}  # noqa: RUF012 - not a ClassVar in Textual
    HORIZONTAL_BREAKPOINTS = [(0, "-too-narrow"), (40, "-narrow"), (140, "-wide")]  # noqa: RUF012 - not a ClassVar in Textual
    VERTICAL_BREAKPOINTS = [(0, "-too-low"), (12, "-high"), (20, "-tall"), (ROOMY, "-roomy")]  # noqa: RUF012 - not a ClassVar in Textual

    def __init__(
        self,
        settings: Settings | None,
        *,
        ascii_only: bool,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        """Take theme and keys from the settings; with `ascii_only` only ASCII is drawn."""
        super().__init__()
        self.settings = settings or Settings()
        self.clock, self.monotonic = clock, monotonic
        self.signalled: int | None = None
        """The signal that ended the program, if one did."""
        self.left = threading.Event()
        """Set when the screen has ended."""
        self.ascii_only = ascii_only or wants_ascii(encoding=getattr(sys.__stdout__, "encoding", None) or "utf-8")
        self._ascii_filter = AsciiFilter()
        self._toasts = Toasts(self, monotonic)
        self.stylesheet = KeptStylesheet(variables=self.get_css_variables())
        for theme in THEMES:
            self.register_theme(theme)
        theme_name = self.settings.theme
        self.theme = theme_name if theme_name in self.available_themes else THEMES[0].name
        self.set_keymap(dict(self.settings.keys))

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Return Textual's line filters, and with `ascii_only` ours."""
        filters = super().get_line_filters()
        return [*filters, self._ascii_filter] if self.ascii_only else filters

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Give every theme the variables that our style sheets share."""
        return variable_defaults(self.current_theme)

    def on_mount(self) -> None:
        """Draw all of the screen when the shell gives the terminal back, for it has written there."""
        self.app_resume_signal.subscribe(self, lambda _app: self.screen.refresh())

    def leave(self) -> None:
        """End the app; from any thread."""
        try:
            self.call_later(self.exit)
        except RuntimeError:
            self.left.set()

    def tell(self, sentence: str, *, problem: bool = False, topic: str = "") -> None:
        """Show a toast, in place of the one on the same topic."""
        self._toasts.tell(sentence, problem=problem, topic=topic)

    @on(TerminalNote)
    def _tell_note(self, note: TerminalNote) -> None:
        self.tell(note.sentence, problem=True)
