"""What both programs share: exit codes, errors as sentences, and an end in time."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, NoReturn, TypeVar

from pipeloom.console.streams import open_missing_streams, release_lost_terminal
from pipeloom.engine.capture import capture
from pipeloom.engine.interpreter import no_thread
from pipeloom.engine.signals import ASKING, take_next, taken_by
from pipeloom.errors import FileBusyError, PipeloomError
from pipeloom.status import Exit
from pipeloom.text import clean

T = TypeVar("T")

STOPPED_GRACE_S: Final = 2.0
"""Longest grace for what the user's code has left, in seconds, when a signal has ended the run."""

_limited: Final = threading.Event()
"""Set once the end of the process is limited."""

_quiet: Final = threading.Event()
"""Set while only what goes wrong is told."""

LEFT_EARLY: Final = "The run was left before it began: nothing was run."


def run(program: Callable[[], Any]) -> NoReturn:
    """Run a typer program and leave the process with its exit code.

    That takes at most `STOPPED_GRACE_S`, unless the program has limited its end itself.
    """
    open_missing_streams()
    try:
        code = exit_code_of(program)
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else Exit.DONE
    limit_the_end(code, STOPPED_GRACE_S)
    sys.exit(code)


def exit_code_of(program: Callable[[], Any]) -> int:
    """Run a typer program; an error becomes one sentence on stderr and an exit code, never a traceback.

    Raises `SystemExit` where typer leaves by itself.
    """
    try:
        program()
    except PipeloomError as error:
        tell(str(error))
        return Exit.BUSY if isinstance(error, FileBusyError) else Exit.USAGE
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except Exception as error:
        from pipeloom.users_code import blamed

        if sentence := no_thread(error):
            tell(sentence)
            return Exit.USAGE
        logging.getLogger(__name__).debug("internal error", exc_info=error)
        tell(blamed(error) or f"internal error: {type(error).__name__}. Please report it.")
        return Exit.INTERNAL
    return Exit.DONE


def tell(sentence: str) -> None:
    """Write a sentence to stderr."""
    sys.stderr.write(f"pipeloom: {clean(sentence, 1000)}\n")


def note(sentence: str) -> None:
    """Write a sentence about what goes well to stderr, unless the program is to be quiet."""
    if not is_quiet():
        tell(sentence)


def be_quiet(*, wanted: bool) -> None:
    """Tell only what goes wrong from now on, or all again."""
    (_quiet.set if wanted else _quiet.clear)()


def is_quiet() -> bool:
    """Tell whether only what goes wrong is told."""
    return _quiet.is_set()


def let_signals_end() -> None:
    """Let a signal end the program at once: all is saved."""
    for number in ASKING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def limit_the_end(code: int, grace_s: float) -> None:
    """Leave the process with `code` in `grace_s` at the latest, whatever keeps Python at its end.

    The first call counts.
    """
    let_signals_end()
    if _limited.is_set():
        return
    _limited.set()
    capture.check()
    with suppress(Exception):
        sys.stdout.flush()  # however long its reader takes
    late = threading.Thread(target=_leave_late, args=(code, grace_s), name="pipeloom-leave", daemon=True)
    try:
        late.start()
    except RuntimeError:  # the system allows no more threads
        signal.signal(signal.SIGALRM, lambda *_: os._exit(code))
        signal.setitimer(signal.ITIMER_REAL, max(grace_s, 0.001))


def _leave_late(code: int, grace_s: float) -> None:
    threading.Event().wait(grace_s)
    main = threading.main_thread()
    left = [thread.name for thread in threading.enumerate() if not thread.daemon and thread is not main]
    what = (
        f"threads that do not end: {', '.join(left)}"
        if left
        else "a pool of threads, or a function of atexit, that does not end"
    )
    with suppress(OSError, ValueError):
        tell(f"Left behind: {what}.")
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    os._exit(code)


class Signalled(KeyboardInterrupt):
    """A signal that asks the program to stop; `StopSignals` catches it, because typer takes it for a ctrl+c."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.number = number


class StopSignals:
    """The signals that stop a headless run as ctrl+c does: gracefully first, at once the second time.

    The first one ends a call of `stop`. Beside such a call it is remembered: nothing would catch an exception there.
    """

    def __init__(self, *, hangup_stops: bool) -> None:
        """Take the signals of the process until `let_signals_end`."""
        self.first: int | None = None
        """The number of the first one that has come."""
        self._hangup_stops = hangup_stops
        self._raises = False
        taken_by(self._take)

    def check(self) -> None:
        """Raise `Signalled` when one has come: Python drops what is raised in a weak reference's callback."""
        if self.first is not None:
            raise Signalled(self.first)

    def stop(self, call: Callable[[], T]) -> T | None:
        """Return what `call` returns; None when a signal has ended it, or came before."""
        try:
            self._raises = True
            self.check()
            returned = call()
            self._raises = False  # here, where what is raised until then is caught
        except Signalled:
            return None
        finally:
            self._raises = False
        return returned

    def _take(self, number: int, _frame: object) -> None:
        take_next(number, self._take)
        if number == signal.SIGHUP:
            release_lost_terminal()
            if self.first is not None or not self._hangup_stops:
                return
        if self.first is not None:
            if number in ASKING:
                os._exit(128 + number)
            return  # the kernel repeats it
        self.first = number
        if self._raises:
            raise Signalled(number)
