"""What both programs have in common: options, exit codes, and how trouble is told."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from pipeloom.engine.options import EngineOptions
from pipeloom.engine.resume import Resume
from pipeloom.engine.tally import RunSummary
from pipeloom.errors import PipeloomError
from pipeloom.status import Status
from pipeloom.text import clean


class Exit(IntEnum):
    """Exit codes; one ended by signal n exits with 128 + n."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    CANCELLED = 3
    UNSAVED = 4
    INTERNAL = 5


class DurabilityChoice(StrEnum):
    """When a commit counts as done."""

    FULL = "full"
    NORMAL = "normal"


class ExecutorChoice(StrEnum):
    """Where the worker function runs."""

    THREAD = "thread"
    PROCESS = "process"


DB_HELP = "The SQLite file; created when it is missing."
PIPELINE_HELP = "Where the pipeline is: path/to/file.py[:NAME] or package.module[:NAME]."

Workers = Annotated[
    int | None,
    typer.Option("--workers", "-w", help="How many tasks run at the same time; 4 unless the pipeline says otherwise."),
]
Executor = Annotated[
    ExecutorChoice | None,
    typer.Option(
        help="thread: for work that waits. process: for work that computes. thread unless the pipeline says otherwise."
    ),
]
Durability = Annotated[
    DurabilityChoice,
    typer.Option(help="full: a commit survives a power cut. normal: faster on slow disks, and survives a crash."),
]
NoWal = Annotated[
    bool, typer.Option("--no-wal", help="Do without the write-ahead log; readers then wait for the writer.")
]
NoStore = Annotated[bool, typer.Option("--no-store", help="Keep pipeloom's own tables out of the file.")]
Continue = Annotated[
    bool | None,
    typer.Option(
        "--resume/--no-resume",
        help="Run only what the pipeline's last run in DB has not done, or run everything.",
        show_default=False,
    ),
]
Grace = Annotated[float, typer.Option(metavar="SECONDS", help="What running tasks get to stop in when you leave.")]


class Signalled(KeyboardInterrupt):
    """A signal that asks the program to stop. `run_engine` deals with it: typer would make any of them a ctrl+c."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.number = number


def stop_on_signals() -> None:
    """Let SIGTERM and SIGHUP stop a headless run as ctrl+c does: gracefully first, at once the second time."""
    received: list[int] = []

    def stop(number: int, _frame: object) -> None:
        received.append(number)
        if len(received) > 1:
            os._exit(128 + number)
        raise Signalled(number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup: then it is not for us
            signal.signal(number, stop)


def exit_code(summary: RunSummary, failure: BaseException | None = None) -> Exit:
    """Return what the end of a run means to the shell."""
    if summary.unsaved or failure is not None:
        return Exit.UNSAVED
    if summary.counts.get(Status.ERROR):
        return Exit.FAILED
    return Exit.DONE if summary.ok else Exit.CANCELLED


def run(program: Callable[[], Any]) -> NoReturn:
    """Run a typer program; trouble becomes one sentence on stderr and an exit code, never a traceback."""
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
    """Write a sentence to stderr, if there is one."""
    if sys.stderr is not None:
        sys.stderr.write(f"pipeloom: {clean(sentence, 1000)}\n")


def show_version(wanted: bool) -> None:
    """Print the version and leave."""
    if wanted:
        from importlib.metadata import version

        sys.stdout.write(f"pipeloom {version('pipeloom')}\n")
        raise typer.Exit


Version = Annotated[
    bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show the version and exit.")
]


def engine_options(
    pipeline: str | None,
    *,
    workers: int | None,
    executor: ExecutorChoice | None,
    durability: DurabilityChoice,
    no_wal: bool,
    no_store: bool,
    resume: bool | None,
    grace: float,
) -> EngineOptions:
    """Return what the options that both programs have mean to the engine."""
    return EngineOptions(
        workers=workers,
        wal=not no_wal,
        store_task_status=not no_store,
        durability=durability.value,
        executor=None if executor is None else executor.value,
        resume=Resume() if resume else None,
        ask_to_resume=resume is None,
        grace_s=grace,
        source=pipeline,
    )


def source_of(spec: str) -> str:
    """Return the pipeline as it is kept in the run's row: an absolute path, so that it can be found again."""
    place, colon, name = spec.rpartition(":")
    path = Path(place if colon and name.isidentifier() else spec)
    if not path.is_file():
        return spec
    return f"{path.resolve()}:{name}" if colon and name.isidentifier() else str(path.resolve())
