"""Routes what a worker logs, warns and prints to the log of its attempt.

A context variable names the attempt whose code is running, in worker threads and worker processes alike. Threads that a
worker starts itself belong to no attempt, unless it runs them in a copy of its context.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from contextvars import ContextVar
from operator import attrgetter, is_
from typing import Any, Final, Self, TextIO, cast

from pipeloom.engine.interpreter import LONGEST_TURN_S, Interpreter
from pipeloom.engine.log_budget import MAX_LINE, LogBudget, Write, in_lines
from pipeloom.secrets import longest, masked

_LONGEST_HELD: Final = 1 << 16
"""Characters of a line from which on its stream gets it without its end."""
_LOOK_BACK: Final = 20
"""Frames from a handler's write up to `logging.Handler.handle`."""
_AT_IMPORT: Final = {"stdout": sys.stdout, "stderr": sys.stderr}
"""The streams before a screen or a run has replaced them."""

_OF_SYS: Final = attrgetter("stdout", "stderr", "excepthook", "unraisablehook")

_current: ContextVar[AttemptLog | None] = ContextVar("pipeloom_attempt", default=None)


class AttemptLog:
    """Takes the lines of one attempt: what the code in the `with` block logs and prints, the latter line by line."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._kept: LogBudget | None = None
        self._partial: dict[str, str] = {}
        self._held: dict[_Printed, str] = {}
        """The begun line that each stream has not got yet: no other's text comes into its middle."""
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        """Route the lines here."""
        capture.check()
        self._token = _current.set(self)
        return self

    def __exit__(self, *_error: object) -> None:
        """Route them as before."""
        _current.reset(self._token)
        self.close()

    def line(self, level: str, text: str) -> None:
        """Keep a whole line."""
        self._budget().line(level, text)

    def record(self, record: logging.LogRecord) -> None:
        """Keep a log record."""
        text = record.getMessage()
        if record.exc_info and record.exc_info[0] is not None:
            text = f"{text}\n{_FORMAT.formatException(record.exc_info)}"
        self._budget().line(record.levelname, text, record.created)

    def printed(self, level: str, text: str) -> None:
        """Keep printed text, cut into lines."""
        with self._lock:
            *lines, rest = (self._partial.pop(level, "") + text).split("\n")
            if len(rest) > MAX_LINE:
                rest = masked(rest)
            # A progress bar that draws with carriage returns never ends its line; a secret at its end is not whole yet.
            cut = max(0, len(rest) - 1 - longest()) // MAX_LINE * MAX_LINE
            lines += in_lines(rest[:cut])
            self._partial[level] = rest[cut:]
        for line in filter(None, lines):
            self.line(level, line)

    def whole_lines(self, route: _Printed, text: str) -> str:
        """Return what `route` may pass on now: whole lines, and what is longer than any."""
        with self._lock:
            text, end = self._held.pop(route, "") + text, 0
            if len(text) > _LONGEST_HELD:
                text = masked(text)
                end = len(text) - longest()
            end = max(end, text.rfind("\n") + 1)
            if end < len(text):
                self._held[route] = text[end:]
            return masked(text[:end])

    def begun_line(self, route: _Printed) -> str:
        """Return what `route` has not passed on of a line."""
        with self._lock:
            return masked(self._held.pop(route, ""))

    def show_begun(self) -> None:
        """Pass on the lines that are begun, with an end: they may be a question."""
        while self._held:
            route, rest = self._held.popitem()
            route.pass_on(masked(rest) + "\n")
            with suppress(Exception):
                route.stream.flush()

    def close(self) -> None:
        """Keep the printed text that has no line end, and pass it on."""
        while self._partial:
            level, rest = self._partial.popitem()
            if rest:
                self.line(level, rest)
        self.show_begun()
        if self._kept is not None:
            self._kept.flush()

    def _budget(self) -> LogBudget:
        """Return what passes lines on; most attempts have none."""
        with self._lock:
            self._kept = self._kept or LogBudget(self._write)
            return self._kept


class _Printed:
    """Replaces stdout or stderr: keeps what a worker prints, and passes it on if `echo` says so."""

    def __init__(self, stream: TextIO, level: str, *, echo: bool) -> None:
        self.stream = stream
        self._level = level
        self._echo = echo

    def write(self, text: str) -> int:
        log = _current.get()
        if log is None:
            self.stream.write(masked(text))
            return len(text)
        if not _is_logging():
            log.printed(self._level, text)
        if self._echo and (whole := log.whole_lines(self, text)):
            self.pass_on(whole)
        return len(text)

    def pass_on(self, text: str) -> None:
        with suppress(Exception):  # its reader has gone, it is closed or has not these characters
            self.stream.write(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        log = _current.get()
        if log is not None and self._echo and sys.gettrace() is not None:  # a debugger's prompt has no line end
            self.pass_on(log.begun_line(self))
        with suppress(*(() if log is None else (Exception,))):
            self.stream.flush()

    def close(self) -> None:
        """Leave the stream open for the others, where an attempt closes it."""
        if _current.get() is None:
            self.stream.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


class _Asked:
    """Replaces stdin: what a worker has printed of a line is seen before it reads, as by `input`."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[str]:
        return iter(self.readline, "")

    def __getattr__(self, name: str) -> Any:
        if (log := _current.get()) is not None:
            log.show_begun()
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
    """Installs the routes while a run goes on; runs of one process share them. Tasks may remove them: see `check`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._undo: list[Callable[[], object]] = []
        self._handler = _Logged()
        self._interpreter = Interpreter()
        self._routes: dict[str, _Printed] = {}
        self._running: set[object] = set()
        """A token for each attempt that runs."""
        self._foreign: dict[str, tuple[object, set[object]]] = {}
        """A stream in place of a route, and the attempts of which one has put it there."""
        self._silenced: tuple[int, frozenset[str]] = (logging.NOTSET, frozenset())
        """The level below which logging is off, and the loggers that are, as the first run found them."""
        self._left: tuple[object, ...] | None = None
        """What tasks share, as the last check has left it; None while not all of it is in place."""

    def start(self, *, echo: bool = True, to_terminal: bool = True) -> None:
        """Install the routes. With `echo`, what is printed reaches its stream; a terminal only with `to_terminal`."""
        with self._lock:
            self._users += 1
            if self._users == 1:
                self._running.clear()  # attempts that an earlier run has left behind replace nothing of this one
                self._undo.append(self._interpreter.take())
                self._route_logging()
                self._route_warnings()
                for name in ("stdout", "stderr"):
                    self._route_stream(name, echo=echo, to_terminal=to_terminal)
                self._route_stdin()

    def stop(self) -> None:
        """Remove the routes when the last run has stopped."""
        with self._lock:
            self._users -= 1
            if self._users == 0:
                self._check(at_end=True)
                while self._undo:
                    self._undo.pop()()
                self._routes.clear()
                self._foreign.clear()

    def after_fork(self) -> None:
        """Be usable in a forked child: another thread may have held the lock."""
        self._lock = threading.Lock()

    def attempt(self) -> AbstractContextManager[None]:
        """Put back after the attempt in the `with` block what tasks have taken from others."""
        return _RunningAttempt(self)

    def begin(self, attempt: object) -> None:
        """Count an attempt among those that run."""
        with self._lock:
            self._running.add(attempt)

    def end(self, attempt: object) -> None:
        """Put back what tasks have taken from others, except for those that still run."""
        with self._lock:
            self._running.discard(attempt)
            self._check()

    def check(self) -> None:
        """Put back what tasks have taken from others: the routes, the loggers, and what every program needs."""
        with self._lock:
            self._check()

    def _check(self, *, at_end: bool = False) -> None:
        if at_end or (self._users and not self._is_untouched()):
            self._put_back(at_end=at_end)
            self._left = None if self._foreign else _shared()

    def _is_untouched(self) -> bool:
        """Tell whether all is as the last check has left it, as it mostly is."""
        shared, left = _shared(), self._left
        if shared is None or left is None or not all(map(is_, shared, left)):
            return False
        return self._handler in logging.root.handlers and sys.getswitchinterval() <= LONGEST_TURN_S

    def _put_back(self, *, at_end: bool) -> None:
        self._interpreter.repair()
        root, (level, disabled) = logging.getLogger(), self._silenced
        if self._handler not in root.handlers:  # `basicConfig(force=True)`, `dictConfig`
            root.addHandler(self._handler)
            for name in _disabled_loggers() - disabled:
                logging.getLogger(name).disabled = False
        root.manager.disable = min(root.manager.disable, level)
        for name, route in self._routes.items():
            stream = getattr(sys, name, None)
            if stream is route:
                self._foreign.pop(name, None)
                continue
            # One of the attempts that run may have put it there for a while (`redirect_stdout`): it may end first.
            seen, owners = self._foreign.get(name, (route, set()))
            if at_end and stream is not None and seen is not stream:
                continue  # what is around the run has ended before it
            if seen is not stream:
                owners = set(self._running)
                self._foreign[name] = stream, owners
            if at_end or stream is None or not owners & self._running:
                if stream is _AT_IMPORT[name]:
                    route.stream = stream  # a screen that had it has ended
                setattr(sys, name, route)
                del self._foreign[name]

    def _route_logging(self) -> None:
        root, handler = logging.getLogger(), self._handler
        self._silenced = root.manager.disable, _disabled_loggers()
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

    def _route_stream(self, name: str, *, echo: bool, to_terminal: bool) -> None:
        before: TextIO | None = getattr(sys, name, None)
        if before is None:
            return
        route = _Printed(before, name.upper(), echo=echo and (to_terminal or not before.isatty()))

        def restore() -> None:
            if getattr(sys, name, None) is route:  # else other code has replaced it
                setattr(sys, name, route.stream)

        setattr(sys, name, route)
        self._routes[name] = route
        self._undo.append(restore)

    def _route_stdin(self) -> None:
        if (before := sys.stdin) is not None:
            sys.stdin = route = cast("TextIO", _Asked(before))

            def restore() -> None:
                if sys.stdin is route:
                    sys.stdin = before

            self._undo.append(restore)


class _RunningAttempt:
    """A `with` block in which an attempt runs."""

    def __init__(self, capture: Capture) -> None:
        self._capture = capture

    def __enter__(self) -> None:
        self._capture.begin(self)

    def __exit__(self, *_error: object) -> None:
        self._capture.end(self)


def _shared() -> tuple[object, ...] | None:
    """Return what tasks share, to be compared by identity; None when some of it has been removed."""
    try:
        traces = threading.excepthook, threading.gettrace(), threading.getprofile()
        return (*_OF_SYS(sys), *traces, logging.root.manager.disable)
    except AttributeError:
        return None


def _disabled_loggers() -> frozenset[str]:
    loggers = logging.getLogger().manager.loggerDict.copy()
    return frozenset(name for name, logger in loggers.items() if getattr(logger, "disabled", False))


capture: Final = Capture()
os.register_at_fork(after_in_child=capture.after_fork)
