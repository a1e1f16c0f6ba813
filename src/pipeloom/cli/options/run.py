"""The options of the commands that run a pipeline."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from dataclasses import dataclass, fields
from enum import StrEnum
from functools import wraps
from typing import Annotated, Any, Final, cast, get_type_hints

import typer


class DurabilityChoice(StrEnum):
    """When a commit counts as done."""

    FULL = "full"
    NORMAL = "normal"


class HangupChoice(StrEnum):
    """What the run does when the terminal is gone."""

    STOP = "stop"
    CONTINUE = "continue"


class ExecutorChoice(StrEnum):
    """Where the worker function runs."""

    THREAD = "thread"
    PROCESS = "process"
    DASK = "dask"
    ASYNC = "async"


PIPELINE_HELP: Final = "Where the pipeline is: path/to/file.py[:NAME] or package.module[:NAME]."
OptionalPipeline = Annotated[str | None, typer.Argument(metavar="PIPELINE", help=PIPELINE_HELP, show_default=False)]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """The options of the commands that run a pipeline, in the order of their help."""

    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            "-w",
            metavar="N",
            help="How many tasks run at the same time; 4, or 32 with async, unless the pipeline says otherwise.",
        ),
    ] = None
    executor: Annotated[
        ExecutorChoice | None,
        typer.Option(
            help="thread: for work that waits. process: for work that computes. dask: for more than one machine. "
            "async: for a worker function that is `async def`. thread unless the pipeline says otherwise."
        ),
    ] = None
    address: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="The scheduler of a Dask cluster, such as tcp://host:8786; means --executor dask.",
            show_default=False,
        ),
    ] = None
    durability: Annotated[
        DurabilityChoice,
        typer.Option(help="full: a commit survives a power cut. normal: faster on slow disks, and survives a crash."),
    ] = DurabilityChoice.FULL
    no_wal: Annotated[
        bool, typer.Option("--no-wal", help="Do without the write-ahead log; readers then wait for the writer.")
    ] = False
    no_store: Annotated[bool, typer.Option("--no-store", help="Keep pipeloom's own tables out of the file.")] = False
    resume: Annotated[
        bool | None,
        typer.Option(
            "--resume/--no-resume",
            help="Run only what the pipeline's last run in DB has not done, or run everything.",
            show_default=False,
        ),
    ] = None
    changed: Annotated[
        bool | None,
        typer.Option(
            "--changed/--no-changed",
            help="Run only tasks whose params, version or input files have changed since they were last done, or run "
            "everything; as the pipeline says.",
            show_default=False,
        ),
    ] = None
    params: Annotated[
        list[str] | None,
        typer.Option(
            "--param",
            "-p",
            metavar="NAME=VALUE",
            help="A parameter of the pipeline; --help beside PIPELINE lists them. Again for each item of a list.",
            show_default=False,
        ),
    ] = None
    other_params: Annotated[
        bool,
        typer.Option("--other-params", help="With --resume: take other parameters than the run that is resumed had."),
    ] = False
    only: Annotated[
        str | None,
        typer.Option(metavar="FILTER", help="Try only tasks that pass: words, name: or task:.", show_default=False),
    ] = None
    first: Annotated[
        int | None, typer.Option(metavar="N", help="Try only the first N of the tasks.", show_default=False)
    ] = None
    yes: Annotated[
        bool,
        typer.Option(
            "--yes", "-y", help="Let uv make an environment with what the pipeline's file needs; ask nothing."
        ),
    ] = False
    grace: Annotated[
        float, typer.Option(metavar="SECONDS", help="What running tasks get to stop in when you leave.")
    ] = 10.0
    on_hangup: Annotated[
        HangupChoice, typer.Option(help="What to do when the terminal goes away, as with an ssh connection that drops.")
    ] = HangupChoice.STOP


def takes_run_options(*, without: Collection[str] = ()) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command an option for each field of `RunOptions`, in place of its parameter `options`.

    Fields that are named in `without` keep their defaults.
    """
    hints = get_type_hints(RunOptions, include_extras=True)
    shared = [
        inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=hints[field.name]
        )
        for field in fields(RunOptions)
        if field.name not in without
    ]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def call(**given: Any) -> None:
            options = RunOptions(**{parameter.name: given.pop(parameter.name) for parameter in shared})
            command(**given, options=options)

        parameters: list[inspect.Parameter] = []
        for parameter in inspect.signature(command, eval_str=True).parameters.values():
            as_keyword = parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            parameters += shared if parameter.name == "options" else [as_keyword]
        cast("Any", call).__signature__ = inspect.Signature(parameters)
        return call

    return decorate
