"""Keep local variables out of everything that a crash of the screen leaves on the terminal and in the log.

Textual's crash page prints them. It is replaced; should Textual not allow that, its output goes nowhere and its
tracebacks read no local variables. `run_app` tells of the crash.
"""

from __future__ import annotations

import sys
from typing import Any, Final

from rich.console import Console
from textual.app import App

from pipeloom.tui.textual_compat.contracts import holds

_HOLDS: Final = holds("crash page")


def _read_no_locals() -> None:
    """Let no traceback that Rich draws read local variables, for the rest of the program."""
    from rich.traceback import Trace, Traceback

    extract = Traceback.extract

    def without_locals(*error: Any, **options: Any) -> Trace:
        return extract(*error, **{**options, "show_locals": False})

    Traceback.extract = staticmethod(without_locals)  # type: ignore[method-assign]


if not _HOLDS:
    _read_no_locals()


class QuietCrashApp(App[None]):
    """An app that keeps the error that ended it, and prints nothing of it."""

    def __init__(self) -> None:
        super().__init__()
        self.error_console = Console(quiet=True)
        self.crash: BaseException | None = None
        """The error that ended the app."""

    if _HOLDS:

        def _fatal_error(self) -> None:
            self.crash = self.crash or self._exception or sys.exc_info()[1]
            self._close_messages_no_wait()


def error_of(app: App[Any]) -> BaseException | None:
    """Return the error that Textual itself dealt with, once the app has ended; None when there was none."""
    error: BaseException | None = getattr(app, "_exception", None)
    if error is None and app.return_code == 1:
        return RuntimeError("Textual ended the screen after an error.")
    return error
