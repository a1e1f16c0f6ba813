"""Logging for scripts that use the library."""

from __future__ import annotations

import logging
import logging.handlers
import os
from collections.abc import Sequence
from pathlib import Path

from rich.logging import RichHandler
from rich.text import Text

from pipeloom.console import shared_console
from pipeloom.text import clean

_LEVELS = (logging.WARNING, logging.INFO, logging.DEBUG)
_MAX_BYTES = 5_000_000
_KEPT_FILES = 3
_MARK = "_pipeloom"
_LINE = "%(asctime)s %(levelname)-8s %(threadName)s %(name)s: %(message)s"


class SafeFormatter(logging.Formatter):
    """Formats a record without the control characters that a terminal would obey."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the formatted record, cleaned."""
        return clean(super().format(record), 1 << 16, multiline=True)


class _PlainRichHandler(RichHandler):
    def render_message(self, record: logging.LogRecord, message: str) -> Text:  # noqa: ARG002 - the base's signature
        return Text(message)


def setup_logging(verbose: int = 0, log_file: Path | None = None) -> None:
    """Log to the console that the progress display shares, and to `log_file` if given.

    `verbose` is 0 for warnings, 1 for information, 2 for everything. The file is readable by its owner alone and
    rotates at 5 MB, keeping three. Calling again replaces what the last call set up; other handlers are left alone.
    """
    level = _LEVELS[min(max(verbose, 0), 2)]
    handlers: list[logging.Handler] = [_console_handler()]
    if log_file is not None:
        handlers.append(_file_handler(Path(log_file)))
    for handler in handlers:
        handler.setLevel(level)
    _replace(handlers)
    logging.getLogger().setLevel(level)


def show_log(level: str) -> None:
    """Show what is logged from `level` on, such as "DEBUG", on the console, in place of what was set up before.

    The logs of attempts keep what they keep without: the lines from INFO on; with "DEBUG" these, too.
    """
    handler = _console_handler()
    handler.setLevel(level)
    _replace([handler])
    logging.getLogger().setLevel(min(handler.level, logging.INFO))


def show_log_behind_screen() -> None:
    """Write what `show_log` shows to descriptor 2, which a screen leads to its log: it takes `sys.stderr` away."""
    shown = [handler for handler in logging.getLogger().handlers if isinstance(handler, _PlainRichHandler)]
    for before in shown:
        stream = os.fdopen(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
        handler = logging.StreamHandler(stream)
        handler.setFormatter(SafeFormatter(_LINE))
        handler.setLevel(before.level)
        _replace([handler])


def _replace(handlers: Sequence[logging.Handler]) -> None:
    """Put handlers in place of those of ours that the root logger has."""
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if getattr(handler, _MARK, False)]:
        root.removeHandler(handler)
        handler.close()
    for handler in handlers:
        setattr(handler, _MARK, True)
        root.addHandler(handler)


def _console_handler() -> logging.Handler:
    handler = _PlainRichHandler(console=shared_console(), markup=False, rich_tracebacks=False, show_path=False)
    handler.setFormatter(SafeFormatter("%(message)s"))
    return handler


class _PrivateRotatingFile(logging.handlers.RotatingFileHandler):
    def _open(self):  # type: ignore[no-untyped-def]
        os.close(os.open(self.baseFilename, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600))
        return super()._open()


def _file_handler(path: Path) -> logging.Handler:
    handler = _PrivateRotatingFile(
        path, maxBytes=_MAX_BYTES, backupCount=_KEPT_FILES, encoding="utf-8", errors="backslashreplace"
    )
    handler.setFormatter(SafeFormatter(_LINE))
    return handler
