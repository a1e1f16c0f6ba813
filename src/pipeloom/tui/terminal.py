"""The terminal while the cockpit has it: out of the tasks' reach, given back whatever happens, left when told to."""

from __future__ import annotations

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
from typing import TYPE_CHECKING, Final

from platformdirs import user_log_path

if TYPE_CHECKING:
    from pipeloom.tui.app import PipeloomApp

CRASHED: Final = 5
_MAX_LOG_BYTES: Final = 5_000_000
_PATIENCE_S: Final = 1.5
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Leave the alternate screen, show the cursor, end mouse reports, bracketed paste and the kitty keyboard protocol.
_RESET: Final = b"\x1b[?1049l\x1b[?25h\x1b[?1000l\x1b[?1003l\x1b[?1006l\x1b[?2004l\x1b[<u\x1b[0m"


def run_app(app: PipeloomApp) -> int:
    """Run the app on this terminal and return its exit code: 0, 5 after a crash, 128 + n after signal n.

    A crash of the screen does not end the run: it goes on without one, and the user is told where the traceback is.
    """
    # Inside a running app any process start would fail, because its stderr has no descriptor.
    resource_tracker.ensure_running()
    path = log_path()
    with private_terminal(path), _leaving_on_signals(app):
        try:
            app.run()
        except Exception as error:  # noqa: BLE001 - told below, after the terminal is sane again
            app.crash = app.crash or error
    if app.crash is not None:
        _write_crash(path, app.crash)
        _say(f"pipeloom: the screen has crashed; its traceback is in {path}")
    if app.engine is not None:
        _finish(app)
    if app.signalled is not None:
        return 128 + app.signalled
    return CRASHED if app.crash is not None else 0


def log_path() -> Path:
    """Return the file that takes what tasks print; it is private, and starts anew when it has grown too long."""
    path = user_log_path("pipeloom", ensure_exists=True) / "tui.log"
    with suppress(OSError):
        if path.stat().st_size > _MAX_LOG_BYTES:
            path.replace(path.with_suffix(".log.1"))
    return path


def _open_log(path: Path) -> int:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    os.fchmod(descriptor, 0o600)  # an older file may have been readable by others
    return descriptor


@contextmanager
def private_terminal(path: Path) -> Iterator[None]:
    """Keep the terminal on descriptors of our own while 0 is /dev/null and 1 and 2 go to the log at `path`.

    Textual takes `sys.__stdin__` and `sys.__stderr__` for the terminal, and its size from `sys.__stdout__`. Whatever
    tasks and their children print goes to the log; what they read is empty.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    saved = [os.dup(number) for number in range(3)]
    streams = (sys.__stdin__, sys.__stdout__, sys.__stderr__)
    private = [
        os.fdopen(os.dup(0), "r", encoding="utf-8", errors="replace"),
        os.fdopen(os.dup(2), "w", encoding="utf-8", errors="replace"),
        os.fdopen(os.dup(2), "w", encoding="utf-8", errors="replace"),
    ]
    log = _open_log(path)
    null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    for source, number in ((null, 0), (log, 1), (log, 2)):
        os.dup2(source, number)
    sys.__stdin__, sys.__stdout__, sys.__stderr__ = private  # type: ignore[misc]
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        sys.__stdin__, sys.__stdout__, sys.__stderr__ = streams  # type: ignore[misc]
        for number, descriptor in enumerate(saved):
            os.dup2(descriptor, number)
        for descriptor in (log, null, *saved):
            os.close(descriptor)
        for stream in private:
            with suppress(OSError):
                stream.close()


@contextmanager
def _leaving_on_signals(app: PipeloomApp) -> Iterator[None]:
    """Let a signal stop the run and leave: the engine first, then the screen, and by force if the screen is stuck.

    Handlers of the event loop would not run while the loop is blocked, so these are the process's own; they only start
    a thread, because closing an engine takes time.
    """
    modes = _terminal_modes()

    def leave(number: int, _frame: object) -> None:
        if app.signalled is not None:
            _out(number, modes)
        app.signalled = number
        threading.Thread(target=_leave, args=(app, number, modes), name="pipeloom-leave", daemon=True).start()

    before = {number: signal.signal(number, leave) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave(app: PipeloomApp, number: int, modes: list[object] | None) -> None:
    if app.engine is not None:
        app.engine.close(reason=f"stopped by {signal.Signals(number).name}")
    app.leave()
    if not app.left.wait(_PATIENCE_S):
        _out(number, modes)


def _out(number: int, modes: list[object] | None) -> None:
    """Leave at once, with the terminal as it was, if it can still be reached."""
    descriptor = sys.__stderr__.fileno() if sys.__stderr__ is not None else 2
    with suppress(OSError, termios.error):
        if modes is not None:
            termios.tcsetattr(descriptor, termios.TCSANOW, modes)  # type: ignore[arg-type]
        if select.select([], [descriptor], [], 0)[1]:
            os.write(descriptor, _RESET)
    os._exit(128 + number)


def _terminal_modes() -> list[object] | None:
    try:
        return list(termios.tcgetattr(sys.__stderr__.fileno())) if sys.__stderr__ is not None else None
    except (termios.error, OSError, ValueError):
        return None


def _finish(app: PipeloomApp) -> None:
    """Bring the engine to its end: after a crash of the screen the run goes on until it is done or stopped."""
    engine = app.engine
    if engine is None or not engine.is_started:
        return
    if app.crash is not None and engine.is_running:
        _say("pipeloom: the run goes on without it; ctrl+c stops")
        try:
            engine.wait()
        except KeyboardInterrupt:
            engine.close(reason="stopped with ctrl+c")
    engine.close()
    app.summary = engine.summary()


def _write_crash(path: Path, error: BaseException) -> None:
    """Append the traceback, without local variables: they may hold what nobody should read."""
    with os.fdopen(_open_log(path), "a", encoding="utf-8", errors="backslashreplace") as log:
        log.writelines(traceback.format_exception(error))


def _say(sentence: str) -> None:
    sys.stderr.write(sentence + "\n")
    sys.stderr.flush()
