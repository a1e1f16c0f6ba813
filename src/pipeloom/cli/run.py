"""`pipeloom`: runs pipelines and tells what ran without a screen, for scripts, cron and CI."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, TextIO

import typer

from pipeloom.api import Reporter, reporter_for, run_headless
from pipeloom.cli.cancel_retry import cancel_command, retry_command
from pipeloom.cli.common import (
    DB_HELP,
    PIPELINE_HELP,
    Address,
    Continue,
    Durability,
    DurabilityChoice,
    Executor,
    Grace,
    HangupChoice,
    NoStore,
    NoWal,
    OnHangup,
    Signalled,
    Version,
    Workers,
    engine_for,
    engine_options,
    source_of,
    stop_on_signals,
    tell,
)
from pipeloom.cli.export import export_command
from pipeloom.cli.prune import prune_command
from pipeloom.cli.show import show_command
from pipeloom.cli.status import runs_command, status_command
from pipeloom.console.lines import LineReporter, json_lines, json_summary
from pipeloom.console.summary import summary_lines
from pipeloom.engine.engine import Engine
from pipeloom.loader import load_pipeline
from pipeloom.status import Exit

program = typer.Typer(
    name="pipeloom",
    help="Run a pipeline over its tasks, keep every attempt in one SQLite file, and look at what is in it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@program.callback()
def _pipeloom(version: Version = False) -> None:
    """Run a pipeline over its tasks, keep every attempt in one SQLite file, and look at what is in it."""


@program.command("run")
def run_command(
    db: Annotated[Path, typer.Argument(metavar="DB", help=DB_HELP)],
    pipeline: Annotated[str, typer.Argument(metavar="PIPELINE", help=PIPELINE_HELP)],
    workers: Workers = None,
    executor: Executor = None,
    address: Address = None,
    durability: Durability = DurabilityChoice.FULL,
    no_wal: NoWal = False,
    no_store: NoStore = False,
    resume: Continue = None,
    grace: Grace = 10.0,
    on_hangup: OnHangup = HangupChoice.STOP,
    json: Annotated[
        bool, typer.Option("--json", help="Write one JSON object a line to stdout for each change.")
    ] = False,
) -> None:
    """Run PIPELINE and write every attempt to DB.

    Shows progress bars on a terminal and plain lines elsewhere.

    Exit codes: 0 all tasks done; 1 some failed; 2 it could not start; 3 tasks were cancelled; 4 something could not be
    saved; 128 + n ended by signal n.
    """
    chosen = load_pipeline(pipeline)
    options = engine_options(
        source_of(pipeline),
        workers=workers,
        executor=executor,
        address=address,
        durability=durability,
        no_wal=no_wal,
        no_store=no_store,
        resume=resume,
        grace=grace,
    )
    run_engine(engine_for(db, chosen, options), on_hangup, json=json)


program.command("status")(status_command)
program.command("runs")(runs_command)
program.command("show")(show_command)
program.command("export")(export_command)
program.command("prune")(prune_command)


program.command("cancel")(cancel_command)
program.command("retry")(retry_command)


def run_engine(engine: Engine, on_hangup: HangupChoice, *, json: bool = False) -> None:
    """Run an engine to its end, tell the summary, and leave with the code that fits."""
    stop_on_signals(on_hangup)
    stopped: int | None = None
    reporter: Reporter | None = None
    try:
        reporter = _reporter(engine, json=json)
        run_headless(engine, reporter)
    except Signalled as stop:
        stopped = stop.number
    if stopped is not None:
        raise typer.Exit(128 + stopped)
    if json and isinstance(reporter, LineReporter) and not isinstance(reporter.trouble, BrokenPipeError | None):
        tell(f"The lines could not be written: {reporter.trouble}.")
        raise typer.Exit(Exit.UNSAVED)
    raise typer.Exit(Exit.UNSAVED if engine.failure is not None else engine.summary().exit_code)


def _data_stream() -> TextIO:
    """Return stdout for our lines alone: whatever tasks and their children print goes to stderr from now on."""
    data = os.dup(sys.stdout.fileno())
    os.dup2(2, 1)
    return os.fdopen(data, "w", encoding="utf-8")


def _reporter(engine: Engine, *, json: bool) -> Reporter:
    """Return what shows the run and then, if there was one, its summary."""
    if json:
        return LineReporter(
            _data_stream(), json_lines, lambda: [json_summary(engine.summary())] if engine.is_started else []
        )
    return reporter_for(engine, "auto", lambda: summary_lines(engine.summary()) if engine.is_started else [])
