"""What commands of every kind share: the file, a filter, JSON, and what is told on stderr."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from enum import StrEnum
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from pipeloom import __version__
from pipeloom.errors import UsageError

if TYPE_CHECKING:
    from pipeloom.filters import Filter


class LogLevel(StrEnum):
    """The least level of the log records that are shown."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Tell only what goes wrong: no progress, no lines about what went well.")
]
ShownLevel = Annotated[
    LogLevel | None,
    typer.Option(help="Show the log of Python's logging from this level on, on stderr.", show_default=False),
]
Database = Annotated[Path, typer.Argument(metavar="DB", help="The SQLite file; it is only read.")]
WritableDatabase = Annotated[Path, typer.Argument(metavar="DB", help="The SQLite file.")]
FilterText = Annotated[
    str | None,
    typer.Argument(
        metavar="FILTER",
        help="What the attempts have in common, for example 'status:error age:<2d'.",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Write JSON instead of text.")]


def parsed(text: str | None, *, live: bool = False) -> Filter:
    """Return the filter; raises `UsageError`, which names the column, when it is wrong.

    With `live` it may ask what tasks wait for: see `pipeloom.filters.parse`.
    """
    from pipeloom.filters import FilterError, parse

    try:
        return parse(text or "", live=live)
    except FilterError as error:
        raise UsageError(f"{error} (column {error.column + 1} of the filter)") from error


def with_common_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that all have: what it tells on stderr. They act before it is called."""

    @wraps(command)
    def call(*, quiet: bool, log_level: LogLevel | None, **given: Any) -> None:
        from pipeloom.cli.common import be_quiet

        be_quiet(wanted=quiet)
        if log_level is not None:
            from pipeloom.console.logging import show_log

            show_log(log_level.upper())
        command(**given)

    parameters = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for parameter in inspect.signature(command, eval_str=True).parameters.values()
    ]
    for name, default, annotation in (("quiet", False, Quiet), ("log_level", None, ShownLevel)):
        parameters.append(
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        )
    cast("Any", call).__signature__ = inspect.Signature(parameters)
    return call


def show_version(wanted: bool) -> None:
    """Print the version and leave."""
    if wanted:
        sys.stdout.write(f"pipeloom {__version__}\n")
        raise typer.Exit


Version = Annotated[
    bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show the version and exit.")
]
