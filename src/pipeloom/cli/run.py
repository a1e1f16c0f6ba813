"""`pipeloom run`: runs a pipeline to its end without a screen; and what every command shares that runs one."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Annotated, NoReturn, TextIO

import typer

from pipeloom.api import Reporter, reporter_for, run_headless
from pipeloom.cli.common import STOPPED_GRACE_S, let_signals_end, limit_the_end, tell
from pipeloom.cli.options import PIPELINE_HELP, HangupChoice, RunOptions, takes_run_options
from pipeloom.console.lines import LineReporter, json_lines, json_summary
from pipeloom.console.passing_line import PassingLine
from pipeloom.console.streams import release_lost_terminal, take_stdout
from pipeloom.console.summary import summary_lines
from pipeloom.engine.engine import Engine
from pipeloom.engine.executors.children import of_program
from pipeloom.engine.interpreter import restore_hooks
from pipeloom.engine.options import EngineOptions
from pipeloom.engine.run.resume import Resume
from pipeloom.engine.signals import ASKING, take, take_next, taken_by
from pipeloom.loader import load_pipeline
from pipeloom.pipeline import Pipeline
from pipeloom.status import Exit
from pipeloom.user_state import remember_pipeline


@takes_run_options()
def run_command(
    db: Annotated[Path, typer.Argument(metavar="DB", help="The SQLite file; created when it is missing.")],
    pipeline: Annotated[str, typer.Argument(metavar="PIPELINE", help=PIPELINE_HELP)],
    options: RunOptions,
    json: Annotated[
        bool, typer.Option("--json", help="Write one JSON object a line to stdout for each change.")
    ] = False,
) -> None:
    """Run PIPELINE and write every attempt to DB.

    Shows progress bars on a terminal and plain lines elsewhere.

    Exit codes: 0 all tasks done; 1 some failed; 2 it could not start; 3 tasks were cancelled; 4 something could not be
    saved; 128 + n ended by signal n.
    """
    data = take_stdout() if json else None  # before the file is imported: it may print
    db, source = db.absolute(), source_of(pipeline)  # the file may go to another folder, as many scripts do first
    engine = engine_for(db, imported(pipeline), engine_options(options, source))
    run_engine(engine, options.on_hangup, data)


def run_engine(engine: Engine, on_hangup: HangupChoice, json: TextIO | None = None) -> None:
    """Run an engine to its end, tell the summary, and leave with the run's exit code.

    With `json` the run is written there as lines of JSON.
    """
    received = stop_on_signals(on_hangup)
    reporter: Reporter | None = None
    try:
        reporter = _reporter(engine, json)
        run_headless(engine, reporter)
    except Signalled:
        pass  # it is among those that were received
    stopped = received[0] if received else None
    grace_s = engine.options.grace_s if stopped is None else min(engine.options.grace_s, STOPPED_GRACE_S)
    leave(_exit_code(engine, reporter, stopped, json=json is not None), grace_s)


def _exit_code(engine: Engine, reporter: Reporter | None, stopped: int | None, *, json: bool) -> int:
    if stopped is not None:
        return 128 + stopped
    if json and isinstance(reporter, LineReporter) and not isinstance(reporter.trouble, BrokenPipeError | None):
        tell(f"The lines could not be written: {reporter.trouble}.")
        return Exit.UNSAVED
    return Exit.UNSAVED if engine.failure is not None else engine.summary().exit_code


def _reporter(engine: Engine, json: TextIO | None) -> Reporter:
    """Return what shows the run and then its summary, if the run was started."""
    if json is not None:
        return LineReporter(json, json_lines, lambda: [json_summary(engine.summary())] if engine.is_started else [])
    return reporter_for(engine, "auto", lambda: summary_lines(engine.summary()) if engine.is_started else [])


def leave(code: int, grace_s: float) -> NoReturn:
    """Leave with `code` when all is saved and told: in `grace_s` at the latest, whatever the user's code has left.

    Python waits at its end for threads that are no daemons, and for functions of `atexit`.
    """
    let_signals_end()  # first: an exception could be dropped below
    if left := of_program():
        tell(f"Left behind: {', '.join(left)}.")
    limit_the_end(code, grace_s)
    raise typer.Exit(code)


def engine_options(options: RunOptions, source: str | None) -> EngineOptions:
    """Return what the options of a command line mean to the engine; `source` is where the pipeline comes from."""
    return EngineOptions(
        workers=options.workers,
        wal=not options.no_wal,
        store_task_status=not options.no_store,
        durability=options.durability.value,
        executor=None if options.executor is None else options.executor.value,
        address=options.address,
        resume=Resume() if options.resume else None,
        ask_to_resume=options.resume is None,
        grace_s=options.grace,
        source=source,
    )


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
