"""What both programs share: exit codes, errors as sentences, signals, and the engine of a run."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NoReturn

import typer

from pipeloom.cli.options import HangupChoice
from pipeloom.console.passing_line import PassingLine
from pipeloom.console.streams import open_missing_streams, release_lost_terminal
from pipeloom.engine.capture import capture
from pipeloom.engine.engine import Engine
from pipeloom.engine.executors.children import of_program
from pipeloom.engine.interpreter import no_thread, restore_hooks
from pipeloom.engine.options import EngineOptions
from pipeloom.engine.signals import ASKING, take, take_next, taken_by
from pipeloom.errors import PipeloomError
from pipeloom.loader import load_pipeline
from pipeloom.pipeline import Pipeline
from pipeloom.status import Exit
from pipeloom.text import clean
from pipeloom.user_state import remember_pipeline
from pipeloom.users_code import blamed

STOPPED_GRACE_S: Final = 2.0
"""Longest grace for what the user's code has left, in seconds, when a signal has ended the run."""

LEFT_EARLY: Final = "The run was left before it began: nothing was run."


def run(program: Callable[[], Any]) -> NoReturn:
    """Run a typer program and leave the process with its exit code, `STOPPED_GRACE_S` later at the latest."""
    open_missing_streams()
    code = exit_code_of(program)
    _limit_the_end(code, STOPPED_GRACE_S)
    sys.exit(code)


def exit_code_of(program: Callable[[], Any]) -> int:
    """Run a typer program; an error becomes one sentence on stderr and an exit code, never a traceback.

    Raises `SystemExit` where typer leaves by itself.
    """
    try:
        program()
    except PipeloomError as error:
        tell(str(error))
        return Exit.USAGE
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except Exception as error:
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


def leave(code: int, grace_s: float) -> NoReturn:
    """Leave with `code` when all is saved and told: in `grace_s` at the latest, whatever the user's code has left.

    Python waits at its end for threads that are no daemons, and for functions of `atexit`.
    """
    _let_signals_end()  # first: an exception could be dropped below
    if left := of_program():
        tell(f"Left behind: {', '.join(left)}.")
    _limit_the_end(code, grace_s)
    raise typer.Exit(code)


def _let_signals_end() -> None:
    """Let a signal end the program at once: all is saved."""
    for number in ASKING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def _limit_the_end(code: int, grace_s: float) -> None:
    _let_signals_end()
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
    """A signal that asks the program to stop; `run_engine` catches it, because typer takes it for a ctrl+c."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.number = number


def stop_on_signals(on_hangup: HangupChoice) -> list[int]:
    """Let signals stop a headless run as ctrl+c does: gracefully first, at once the second time.

    Returns the list of those that come: Python drops an exception that is raised in a callback of its own, such as that
    of a weak reference.
    """
    received: list[int] = []

    def stop(number: int, _frame: object) -> None:
        take_next(number, stop)
        if number == signal.SIGHUP:
            release_lost_terminal()
            if received or on_hangup is HangupChoice.CONTINUE:
                return
        if received and number not in ASKING:
            return  # the kernel repeats it
        received.append(number)
        if len(received) > 1:
            os._exit(128 + number)
        raise Signalled(number)

    taken_by(stop)
    return received


def imported(spec: str, *, ascii_only: bool = False) -> Pipeline:
    """Import the pipeline that `spec` stands for, with a line on the terminal if it takes long.

    A second ctrl+c ends the program at once: a file may catch the first, or keep the interpreter in one call of C.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        take(signal.SIGINT, signal.default_int_handler)
    with PassingLine(f"importing {spec}", ascii_only=ascii_only):
        return load_pipeline(spec)


def engine_for(db: Path, pipeline: Pipeline, options: EngineOptions) -> Engine:
    """Return the engine of a run on a file that can be written, and remember what this user runs on it."""
    restore_hooks()
    for name in ("stdout", "stderr"):  # the pipeline's file may have removed them, too
        if getattr(sys, name, None) is None:
            setattr(sys, name, getattr(sys, f"__{name}__"))
    engine = Engine(db, pipeline, options)
    engine.check()
    if options.source is not None:
        remember_pipeline(engine.db_path, options.source)
    return engine


def source_of(spec: str) -> str:
    """Return the pipeline as the run's row keeps it: with an absolute path, so that it can be found again."""
    place, colon, name = spec.rpartition(":")
    path = Path(place if colon and name.isidentifier() else spec)
    try:
        if not path.is_file():
            return spec
    except OSError:  # a name that is too long, for example
        return spec
    return f"{path.resolve()}:{name}" if colon and name.isidentifier() else str(path.resolve())
