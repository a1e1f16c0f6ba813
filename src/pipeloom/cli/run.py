"""`pipeloom run`: runs a pipeline to its end without a screen."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TextIO

import typer

from pipeloom.api import Reporter, reporter_for, run_headless
from pipeloom.cli.common import (
    LEFT_EARLY,
    STOPPED_GRACE_S,
    Signalled,
    engine_for,
    imported,
    leave,
    source_of,
    stop_on_signals,
    tell,
)
from pipeloom.cli.options import PIPELINE_HELP, HangupChoice, RunOptions, takes_run_options
from pipeloom.console.lines import LineReporter, json_lines, json_summary
from pipeloom.console.streams import take_stdout
from pipeloom.console.summary import summary_lines
from pipeloom.engine.engine import Engine
from pipeloom.status import Exit


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
    engine = engine_for(db, imported(pipeline), options.for_engine(source))
    run_engine(engine, options.on_hangup, data)


def run_engine(engine: Engine, on_hangup: HangupChoice, json: TextIO | None = None) -> None:
    """Run an engine to its end, tell the summary, and leave with the run's exit code.

    With `json` the run is written there as lines of JSON.
    """
    received = stop_on_signals(on_hangup)

    def check() -> None:
        if received:
            raise Signalled(received[0])

    reporter: Reporter | None = None
    try:
        reporter = _reporter(engine, json)
        run_headless(engine, reporter, check)
    except Signalled:
        pass  # it is among those that were received
    stopped = received[0] if received else None
    if stopped is not None and not engine.is_started:
        tell(LEFT_EARLY)
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
