"""The terminal while the cockpit has it: kept from the tasks, always given back, left on a signal or a hang-up."""

from __future__ import annotations

import io
import logging
import os
import select
import signal
import sys
import termios
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, Self, TextIO

from platformdirs import user_log_path

from pipeloom.engine.signals import ASKING, take_next, taken_by
from pipeloom.status import Exit
from pipeloom.text import first_line
from pipeloom.tui.controlling_tty import give_up, take_back
from pipeloom.tui.textual_compat.crash import error_of
from pipeloom.tui.textual_compat.driver import use_loop_driver
from pipeloom.tui.textual_compat.event_loop import priority_runner
from pipeloom.tui.textual_compat.notice import drop_output
from pipeloom.tui.textual_compat.reopen import reopen_terminal
from pipeloom.user_state import private_folder, user_folder
from pipeloom.users_code import blamed

if TYPE_CHECKING:
    from pipeloom.tui.app import PipeloomApp
    from pipeloom.tui.home.app import HomeApp

OnHangup = Literal["stop", "continue"]
"""What happens to the run when the terminal is gone."""

_MAX_LOG_BYTES: Final = 5_000_000
_PATIENCE_S: Final = 1.5
_SUSPENDING: Final = (signal.SIGTSTP, signal.SIGCONT)
_MODES_OFF: Final = (2026, 2048, 2004, 1016, 1015, 1006, 1004, 1003, 1000)
"""Synchronized output, in-band resizes, bracketed paste, five modes of mouse reports, focus reports."""
# The kitty keyboard protocol has a stack for each screen, so it is left before the alternate screen.
_RESET: Final = b"".join(b"\x1b[?%dl" % mode for mode in _MODES_OFF) + b"\x1b[?7h\x1b[<u\x1b[?1049l\x1b[?25h\x1b[0m"

_LOOKS: Final = 400
_LOOK_S: Final = 0.005
"""How often, and with which pause in seconds, a terminal that stopped reading is tried."""

_FOCUS: Final = b"\x1b[I"
"""What a terminal sends when it gets the focus; reading it has no effect."""
_log = logging.getLogger(__name__)


def run_app(app: PipeloomApp | HomeApp, on_hangup: OnHangup = "stop") -> int:
    """Run the app on this terminal and return its exit code: 0, 5 after a crash, 128 + n after signal n.

    A crash of the screen does not end the run: it goes on without a screen, and a line says where the traceback is. A
    terminal that is gone does not end it either, if `on_hangup` says so.
    """
    # Inside a running app any process start would fail, because its stderr has no descriptor.
    resource_tracker.ensure_running()
    path = log_path()
    terminal = PrivateTerminal(path)
    with Leaving(app, terminal, on_hangup) as leaving:
        with terminal, leaving.watching_terminal():
            try:
                use_loop_driver(app)
                with priority_runner() as runner:
                    runner.run(app.run_async())
            except Exception as error:  # noqa: BLE001 - reported below, once the terminal is given back
                app.crash = app.crash or error
            app.crash = app.crash or error_of(app)
            app.left.set()
        if app.crash is not None:
            _tell_crash(path, app.crash)
        if app.engine is not None:
            _finish(app, terminal)
    if app.signalled is not None:
        return 128 + app.signalled
    if app.crash is not None:
        return Exit.INTERNAL
    if terminal.is_gone and app.summary is None:
        return 128 + signal.SIGHUP  # no run had begun that could go on
    return Exit.DONE


def log_path() -> Path | None:
    """Return the private file for what tasks print, if one can be kept; one that is too long is renamed first."""
    folder = user_folder(user_log_path)
    if folder is None:
        return None
    path = folder / "tui.log"
    try:
        private_folder(folder)
        os.close(_open_log(path))
        if path.stat().st_size > _MAX_LOG_BYTES:
            path.replace(path.with_suffix(".log.1"))
    except OSError as error:
        _log.debug("What tasks print is not kept: %s", error)
        return None
    return path


def _open_log(path: Path | None) -> int:
    """Open the log, private; without one, what takes everything and keeps nothing."""
    if path is None:
        return os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    os.fchmod(descriptor, 0o600)  # an older file may have been readable by others
    return descriptor


class _Screen(io.TextIOWrapper):
    """The terminal to write to. Writing to one that is gone is no error: it would end Textual's output thread."""

    def write(self, text: str) -> int:
        """Write."""
        with suppress(OSError):
            super().write(text)
        return len(text)

    def flush(self) -> None:
        """Flush."""
        with suppress(OSError):
            super().flush()


class PrivateTerminal:
    """Keeps the terminal on descriptors of our own while 0 is /dev/null and 1 and 2 go to the log, if there is one.

    Textual takes `sys.__stdin__` and `sys.__stderr__` for the terminal, and its size from `sys.__stdout__`. What tasks
    and their children print goes to the log; what they read is empty.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self.is_gone = False
        """Whether the terminal is gone; then later output goes to the log."""

    def __enter__(self) -> Self:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        self._saved = [os.dup(number) for number in range(3)]
        self._streams = (sys.__stdin__, sys.__stdout__, sys.__stderr__)
        self._handlers = {number: signal.getsignal(number) for number in _SUSPENDING}  # Textual does not give them back
        self._gave_up = give_up(0)
        self._private: list[TextIO] = [
            os.fdopen(os.dup(0), "r", encoding="utf-8", errors="replace"),
            *(_Screen(os.fdopen(os.dup(2), "wb"), encoding="utf-8", errors="replace") for _ in range(2)),
        ]
        null, log = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC), _open_log(self._path)
        for number, source in enumerate((null, log, log)):
            os.dup2(source, number)
        os.close(null)
        os.close(log)
        sys.__stdin__, sys.__stdout__, sys.__stderr__ = self._private  # type: ignore[misc,assignment]
        return self

    def __exit__(self, *_: object) -> None:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        for signal_number, handler in self._handlers.items():
            signal.signal(signal_number, handler)
        sys.__stdin__, sys.__stdout__, sys.__stderr__ = self._streams  # type: ignore[misc]
        for number, descriptor in enumerate(self._saved):
            if not self.is_gone:
                os.dup2(descriptor, number)
            os.close(descriptor)
        if self._gave_up and not self.is_gone:
            take_back(0)
        for stream in self._private:
            with suppress(OSError):
                stream.close()

    def let_go(self) -> None:
        """Cut Textual off from a terminal that is gone: it reads nothing more, and what it writes is dropped."""
        self.is_gone = True
        silence, to_reader = os.pipe()
        nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        for source, stream in zip((silence, nowhere, nowhere), self._private, strict=True):
            with suppress(ValueError):  # closed: the screen has ended meanwhile
                os.dup2(source, stream.fileno(), inheritable=False)
        os.write(to_reader, _FOCUS)  # a reader that was woken up for input must not block

    def wait_for_hangup(self, stop: int) -> bool:
        """Sleep until the terminal is gone or descriptor `stop` can be read; returns whether the terminal is gone."""
        terminal, poll = self._private[0].fileno(), select.poll()
        poll.register(terminal, 0)  # a hang-up is always reported
        poll.register(stop, select.POLLIN)
        return terminal in dict(poll.poll())


class Leaving:
    """Stops the run and leaves on a signal or a hang-up: engine first, then screen, by force if that is stuck.

    Handlers of the event loop would not run while the loop is blocked, so these are the process's own; they only start
    a thread, because closing an engine takes time.
    """

    def __init__(self, app: PipeloomApp | HomeApp, terminal: PrivateTerminal, on_hangup: OnHangup) -> None:
        self._app = app
        self._terminal = terminal
        self._goes_on = on_hangup == "continue"
        self._hung_up = threading.Lock()
        """Acquired once, for the hang-up: both a signal and the terminal itself may report it."""

    def __enter__(self) -> Self:
        self._modes = _terminal_modes()
        self._before = taken_by(self._signal)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            if number in ASKING or number != self._app.signalled:  # what the kernel repeats stays ignored
                signal.signal(number, handler)
        if self._terminal.is_gone:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)  # it may still be on its way

    @contextmanager
    def watching_terminal(self) -> Iterator[None]:
        """Watch for a terminal that is gone: SIGHUP does not reach every process."""
        wake_read, wake_write = os.pipe()
        watch = threading.Thread(target=self._watch_terminal, args=(wake_read,), name="pipeloom-hangup", daemon=True)
        watch.start()
        try:
            yield
        finally:
            os.write(wake_write, b".")
            watch.join()
            os.close(wake_read)
            os.close(wake_write)

    def _signal(self, number: int, _frame: object) -> None:
        take_next(number, self._signal)
        if number == signal.SIGHUP:
            threading.Thread(target=self._hang_up, name="pipeloom-leave", daemon=True).start()
            return
        if self._app.signalled is not None:
            if number in ASKING:
                self._force(number)
            return  # the kernel repeats the others, and they ask for nothing more
        self._app.signalled = number
        threading.Thread(target=self._leave, args=(number,), name="pipeloom-leave", daemon=True).start()

    def _watch_terminal(self, stop: int) -> None:
        if self._terminal.wait_for_hangup(stop):
            self._terminal.let_go()
            self._hang_up()

    def _hang_up(self) -> None:
        if not self._hung_up.acquire(blocking=False) or self._app.signalled is not None:
            return
        if not self._goes_on:
            self._app.signalled = signal.SIGHUP
            self._leave(signal.SIGHUP)
            return
        self._terminal.is_gone = True
        self._app.leave()
        if not self._app.left.wait(_PATIENCE_S):
            self._go_on_here()

    def _go_on_here(self) -> None:
        """Finish the run in this thread, because the main thread is stuck in the screen."""
        _finish(self._app, self._terminal)
        os._exit(Exit.DONE if self._app.summary is None else self._app.summary.exit_code)

    def _leave(self, number: int) -> None:
        if self._app.engine is not None:
            self._app.engine.close(reason=f"stopped by {signal.Signals(number).name}")
        self._app.leave()
        if not self._app.left.wait(_PATIENCE_S):
            self._force(number)

    def _force(self, number: int) -> None:
        """Leave at once; the terminal gets its modes back if it can still be reached."""
        with suppress(OSError, ValueError, termios.error):
            descriptor = os.dup(sys.__stderr__.fileno() if sys.__stderr__ is not None else 2)
            self._terminal.let_go()
            drop_output(self._app)
            if self._modes is not None:
                termios.tcsetattr(descriptor, termios.TCSANOW, self._modes)  # type: ignore[arg-type]
            write_past_blocked(descriptor, _RESET)
        os._exit(128 + number)


def write_past_blocked(descriptor: int, data: bytes) -> None:
    """Write `data` to a terminal that may have stopped reading, instead of what it has not read yet.

    A write to a terminal waits for the one before it, and that may be blocked: unread output is dropped until `data`
    has been taken as a whole. The bound is a number of looks, for a busy machine needs more time for the same work.
    """
    tty = reopen_terminal(descriptor)
    for _ in range(_LOOKS):
        termios.tcflush(descriptor, termios.TCOFLUSH)
        with suppress(BlockingIOError):
            if tty is not None and os.write(tty, data) == len(data):
                return
            if tty is None and select.select([], [descriptor], [], 0)[1]:
                os.write(descriptor, data)  # it could block even so
                return
        select.select([], [], [], _LOOK_S)


def _terminal_modes() -> list[object] | None:
    try:
        return list(termios.tcgetattr(sys.__stderr__.fileno())) if sys.__stderr__ is not None else None
    except (termios.error, OSError, ValueError):
        return None


def _finish(app: PipeloomApp | HomeApp, terminal: PrivateTerminal) -> None:
    """Close the engine; after a crash or a hang-up, once the run is done or stopped."""
    engine = app.engine
    if engine is None or not engine.is_started:
        return
    if (app.crash is not None or terminal.is_gone) and engine.is_running:
        _say("pipeloom: the run goes on without a screen; ctrl+c stops")
        engine.wait()
    engine.close()
    app.summary = engine.summary()


def _tell_crash(path: Path | None, error: BaseException) -> None:
    """Append the traceback to the log, without local variables, which may hold secrets, and say so."""
    if path is None:
        _say(f"pipeloom: the screen has crashed: {first_line(error)}; with a HOME to write to, a log has its traceback")
        return
    with os.fdopen(_open_log(path), "a", encoding="utf-8", errors="backslashreplace") as log:
        log.writelines(traceback.format_exception(error))
    hint = blamed(error)
    _say(f"pipeloom: the screen has crashed; its traceback is in {path}{hint and f': {hint}'}")


def _say(sentence: str) -> None:
    with suppress(OSError):  # the terminal may be gone
        sys.stderr.write(sentence + "\n")
        sys.stderr.flush()
