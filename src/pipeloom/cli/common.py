"""What both programs share: exit codes, errors as sentences, signals, and the engine of a run."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from pipeloom.cli.options import HangupChoice
from pipeloom.console.streams import open_missing_streams, release_lost_terminal
from pipeloom.engine.engine import Engine
from pipeloom.engine.options import EngineOptions
from pipeloom.errors import PipeloomError
from pipeloom.pipeline import Pipeline
from pipeloom.status import Exit
from pipeloom.text import clean
from pipeloom.user_state import remember_pipeline


def run(program: Callable[[], Any]) -> NoReturn:
    """Run a typer program; an error becomes one sentence on stderr and an exit code, never a traceback."""
    open_missing_streams()
    try:
        program()
        code = int(Exit.DONE)
    except PipeloomError as error:
        tell(str(error))
        code = Exit.USAGE
    except KeyboardInterrupt:
        code = 128 + signal.SIGINT
    except Exception as error:
        logging.getLogger(__name__).debug("internal error", exc_info=error)
        tell(f"internal error: {type(error).__name__}. Please report it.")
        code = Exit.INTERNAL
    sys.exit(code)


def tell(sentence: str) -> None:
    """Write a sentence to stderr."""
    sys.stderr.write(f"pipeloom: {clean(sentence, 1000)}\n")


class Signalled(KeyboardInterrupt):
    """A signal that asks the program to stop; `run_engine` catches it, because typer takes it for a ctrl+c."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.number = number


def stop_on_signals(on_hangup: HangupChoice) -> None:
    """Let SIGTERM and SIGHUP stop a headless run as ctrl+c does: gracefully first, at once the second time."""
    received: list[int] = []

    def stop(number: int, _frame: object) -> None:
        if number == signal.SIGHUP:
            release_lost_terminal()
            if received or on_hangup is HangupChoice.CONTINUE:
                return
        received.append(number)
        if len(received) > 1:
            os._exit(128 + number)
        raise Signalled(number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup ignores SIGHUP for us
            signal.signal(number, stop)


def engine_for(db: Path, pipeline: Pipeline, options: EngineOptions) -> Engine:
    """Return the engine of a run on a file that can be written, and remember what this user runs on it."""
    engine = Engine(db, pipeline, options)
    engine.check()
    if options.source is not None:
        remember_pipeline(engine.db_path, options.source)
    return engine


def source_of(spec: str) -> str:
    """Return the pipeline as the run's row keeps it: with an absolute path, so that it can be found again."""
    place, colon, name = spec.rpartition(":")
    path = Path(place if colon and name.isidentifier() else spec)
    if not path.is_file():
        return spec
    return f"{path.resolve()}:{name}" if colon and name.isidentifier() else str(path.resolve())
