"""Routes what a worker logs, warns and prints to the log of its attempt.

A context variable names the attempt whose code is running, in worker threads and worker processes alike. Threads that a
worker starts itself belong to no attempt, unless it runs them in a copy of its context.
"""

from __future__ import annotations

import logging
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Final, TextIO

from pipeloom.times import stamp

Write = Callable[[str, str, str | None], None]
"""Takes level, text and time of a line; time None is now."""

_MAX_LINE: Final = 4_000
_KEPT_LINES: Final = 16
"""Lines of the greatest length that are kept of each end of text without a line end."""
_LOOK_BACK: Final = 20
"""Frames from a handler's write up to `logging.Handler.handle`."""

_current: ContextVar[AttemptLog | None] = ContextVar("pipeloom_attempt", default=None)


class AttemptLog:
    """Takes the lines of one attempt. Printed text is kept line by line."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._partial: dict[str, str] = {}
        self._lock = threading.Lock()

    def line(self, level: str, text: str) -> None:
        """Keep a whole line."""
        self._write(level, text, None)

    def record(self, record: logging.LogRecord) -> None:
        """Keep a log record."""
        text = record.getMessage()
        if record.exc_info and record.exc_info[0] is not None:
            text = f"{text}\n{_FORMAT.formatException(record.exc_info)}"
        self._write(record.levelname, text, stamp(datetime.fromtimestamp(record.created, UTC)))

    def printed(self, level: str, text: str) -> None:
        """Keep printed text, cut into lines."""
        with self._lock:
            *lines, rest = (self._partial.pop(level, "") + text).split("\n")
            # A progress bar that draws with carriage returns never ends its line.
            cut = max(0, len(rest) - 1) // _MAX_LINE * _MAX_LINE
            lines += _in_lines(rest[:cut])
            self._partial[level] = rest[cut:]
        for line in filter(None, lines):
            self.line(level, line)

    def close(self) -> None:
        """Keep the printed text that has no line end."""
        while self._partial:
            level, rest = self._partial.popitem()
            if rest:
                self.line(level, rest)


def _in_lines(text: str) -> Iterator[str]:
    """Yield text without a line end in lines of the greatest length; of very long text its head and its tail."""
    middle = range(_KEPT_LINES * _MAX_LINE, max(0, len(text) - _KEPT_LINES * _MAX_LINE))
    for start in range(0, len(text), _MAX_LINE):
        if start not in middle:
            yield text[start : start + _MAX_LINE]
        elif start == middle.start:
            yield f"… {len(middle):,} characters left out …"


@contextmanager
def attempt_log(write: Write) -> Iterator[AttemptLog]:
    """Route what the code in the block logs and prints to `write`."""
    log = AttemptLog(write)
    capture.check()
    token = _current.set(log)
    try:
        yield log
    finally:
        _current.reset(token)
        log.close()


class _Printed:
    """Replaces stdout or stderr: keeps what a worker prints, and passes it on if `echo` says so."""

    def __init__(self, stream: TextIO, level: str, *, echo: bool) -> None:
        self._stream = stream
        self._level = level
        self._echo = echo

    def write(self, text: str) -> int:
        log = _current.get()
        if log is None:
            return self._stream.write(text)
        if not _is_logging():
            log.printed(self._level, text)
        if self._echo:
            with suppress(OSError, ValueError):  # its reader has gone, it is closed or has not these characters
                self._stream.write(text)
        return len(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        with suppress(*(() if _current.get() is None else (OSError, ValueError))):
            self._stream.flush()

    def close(self) -> None:
        """Leave the stream open for the others, where an attempt closes it."""
        if _current.get() is None:
            self._stream.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _is_logging() -> bool:
    """Tell whether a logging handler is writing: its record is in the log already."""
    frame = sys._getframe(2)
    for _ in range(_LOOK_BACK):
        if frame.f_code is logging.Handler.handle.__code__:
            return True
        if frame.f_back is None:
            return False
        frame = frame.f_back
    return False


class _Logged(logging.Handler):
    """Gives a worker's log records to its attempt; sits on the root logger."""

    def emit(self, record: logging.LogRecord) -> None:
        log = _current.get()
        if log is not None:
            with suppress(Exception):  # a record that cannot be formatted must not fail the work that logged it
                log.record(record)
        elif _is_alone(self) and logging.lastResort is not None and record.levelno >= logging.lastResort.level:
            logging.lastResort.handle(record)


def _is_alone(handler: logging.Handler) -> bool:
    """Tell whether the root logger has no other handler: then Python would use its last resort, and so must we."""
    return logging.getLogger().handlers == [handler]


_FORMAT: Final = logging.Formatter()


class Capture:
    """Installs the routes while a run goes on; runs of one process share them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._undo: list[Callable[[], object]] = []
        self._handler = _Logged()

    def start(self, *, echo: bool = True) -> None:
        """Install the routes. With `echo`, printed text still reaches its stream."""
        with self._lock:
            self._users += 1
            if self._users == 1:
                self._route_logging()
                self._route_warnings()
                for name in ("stdout", "stderr"):
                    self._route_stream(name, echo=echo)

    def stop(self) -> None:
        """Remove the routes when the last run has stopped."""
        with self._lock:
            self._users -= 1
            if self._users == 0:
                while self._undo:
                    self._undo.pop()()

    def check(self) -> None:
        """Install the logging route again where a task has removed it: `basicConfig(force=True)`, `dictConfig`."""
        if self._users and self._handler not in logging.getLogger().handlers:
            logging.getLogger().addHandler(self._handler)

    def _route_logging(self) -> None:
        root, handler = logging.getLogger(), self._handler
        if not root.handlers and root.level == logging.WARNING:
            # Logging is not set up: a worker's "info" lines are worth keeping, and go nowhere else.
            root.setLevel(logging.INFO)
            self._undo.append(lambda: root.setLevel(logging.WARNING))
        root.addHandler(handler)
        self._undo.append(lambda: root.removeHandler(handler))

    def _route_warnings(self) -> None:
        before = warnings.showwarning

        def show(message: Any, category: Any, filename: Any, lineno: Any, file: Any = None, line: Any = None) -> None:
            log = _current.get()
            if log is None or file is not None:
                before(message, category, filename, lineno, file, line)
            else:
                where = f" ({filename}, line {lineno})"
                log.line("WARNING", f"{category.__name__}: {message}{where}")

        def restore() -> None:
            if warnings.showwarning is show:
                warnings.showwarning = before

        warnings.showwarning = show
        self._undo.append(restore)

    def _route_stream(self, name: str, *, echo: bool) -> None:
        before: TextIO | None = getattr(sys, name)
        if before is None:
            return
        route = _Printed(before, name.upper(), echo=echo)

        def restore() -> None:
            if getattr(sys, name) is route:  # else other code has replaced it
                setattr(sys, name, before)

        setattr(sys, name, route)
        self._undo.append(restore)


capture: Final = Capture()
