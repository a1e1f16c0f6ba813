"""What both programs have in common: options, exit codes, and how trouble is told."""

from __future__ import annotations

import logging
import os
import select
import signal
import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from pipeloom.engine.engine import Engine
from pipeloom.engine.options import EngineOptions
from pipeloom.engine.run.resume import Resume
from pipeloom.errors import PipeloomError
from pipeloom.pipeline import Pipeline
from pipeloom.status import Exit
from pipeloom.text import clean
from pipeloom.user_state import remember_pipeline


class DurabilityChoice(StrEnum):
    """When a commit counts as done."""

    FULL = "full"
    NORMAL = "normal"


class HangupChoice(StrEnum):
    """What becomes of the run when the terminal is gone."""

    STOP = "stop"
    CONTINUE = "continue"


class ExecutorChoice(StrEnum):
    """Where the worker function runs."""

    THREAD = "thread"
    PROCESS = "process"
    DASK = "dask"


DB_HELP = "The SQLite file; created when it is missing."
PIPELINE_HELP = "Where the pipeline is: path/to/file.py[:NAME] or package.module[:NAME]."

Workers = Annotated[
    int | None,
    typer.Option("--workers", "-w", help="How many tasks run at the same time; 4 unless the pipeline says otherwise."),
]
Executor = Annotated[
    ExecutorChoice | None,
    typer.Option(
        help="thread: for work that waits. process: for work that computes. dask: for more than one machine. "
        "thread unless the pipeline says otherwise."
    ),
]
Address = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="The scheduler of a Dask cluster, such as tcp://host:8786; means --executor dask.",
        show_default=False,
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

OnHangup = Annotated[
    HangupChoice, typer.Option(help="What to do when the terminal goes away, as with an ssh connection that drops.")
]


class Signalled(KeyboardInterrupt):
    """A signal that asks the program to stop. `run_engine` deals with it: typer would make any of them a ctrl+c."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.number = number


def stop_on_signals(on_hangup: HangupChoice) -> None:
    """Let SIGTERM and SIGHUP stop a headless run as ctrl+c does: gracefully first, at once the second time."""
    received: list[int] = []

    def stop(number: int, _frame: object) -> None:
        if number == signal.SIGHUP:
            _let_go_of_terminal()
            if received or on_hangup is HangupChoice.CONTINUE:
                return
        received.append(number)
        if len(received) > 1:
            os._exit(128 + number)
        raise Signalled(number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup: then it is not for us
            signal.signal(number, stop)


def _let_go_of_terminal() -> None:
    """Let what goes to a terminal that is gone go nowhere: writing to it would fail."""
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        poll = select.poll()
        poll.register(descriptor, 0)
        if any(events & select.POLLHUP for _, events in poll.poll(0)):
            os.dup2(null, descriptor)
    os.close(null)


def run(program: Callable[[], Any]) -> NoReturn:
    """Run a typer program; trouble becomes one sentence on stderr and an exit code, never a traceback."""
    _open_missing_streams()
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


def _open_missing_streams() -> None:
    """Let a stream that was closed (`>&-`) lead nowhere: else the next file that is opened would be taken for it."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, os.O_RDWR)  # the lowest that is free, which is the missing one
            os.set_inheritable(descriptor, True)  # noqa: FBT003 - it takes no keywords
            stream = os.fdopen(descriptor, mode, encoding="utf-8", errors="backslashreplace")
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)


def tell(sentence: str) -> None:
    """Write a sentence to stderr."""
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
    address: str | None,
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
        address=address,
        resume=Resume() if resume else None,
        ask_to_resume=resume is None,
        grace_s=grace,
        source=pipeline,
    )


def engine_for(db: Path, pipeline: Pipeline, options: EngineOptions) -> Engine:
    """Return the engine of a run on a file that can be written, and remember what this user runs on it."""
    engine = Engine(db, pipeline, options)
    engine.check()
    if options.source is not None:
        remember_pipeline(engine.db_path, options.source)
    return engine


def source_of(spec: str) -> str:
    """Return the pipeline as it is kept in the run's row: an absolute path, so that it can be found again."""
    place, colon, name = spec.rpartition(":")
    path = Path(place if colon and name.isidentifier() else spec)
    if not path.is_file():
        return spec
    return f"{path.resolve()}:{name}" if colon and name.isidentifier() else str(path.resolve())
