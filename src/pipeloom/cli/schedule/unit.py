"""`pipeloom unit`: a systemd unit and a crontab line that run a pipeline, instead of a daemon of our own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

import typer

from pipeloom.cli.options.run import PIPELINE_HELP, RunOptions, takes_run_options
from pipeloom.cli.options.shared import Json
from pipeloom.cli.output import output, write, write_json
from pipeloom.cli.run import source_of
from pipeloom.cli.schedule.calendar import as_cron, timer_lines
from pipeloom.cli.schedule.command_line import own_program, words_of
from pipeloom.cli.schedule.options import AtOption, EveryOption, WatchOption
from pipeloom.cli.schedule.quoting import crontab_command, systemd_command, systemd_path
from pipeloom.errors import UsageError
from pipeloom.loader import file_named, read_pipeline
from pipeloom.schedule.clock import SystemClock
from pipeloom.schedule.schedules import At, cron_of, period_of

_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9_.-]+")
_FOLDER: Final = "~/.config/systemd/user"


@takes_run_options(without={"on_hangup"})
def unit_command(
    db: Annotated[Path, typer.Argument(metavar="DB", help="The SQLite file.")],
    pipeline: Annotated[str, typer.Argument(metavar="PIPELINE", help=PIPELINE_HELP)],
    every: EveryOption = None,
    at: AtOption = None,
    watch: WatchOption = None,
    *,
    options: RunOptions,
    json: Json = False,
) -> None:
    """Print a systemd unit with its timer, and a crontab line, that run PIPELINE; installs nothing.

    They run in the present folder, with absolute paths and these options. Without a schedule the unit is one to start
    by hand; with --watch it goes on running.

    Exit codes: 0 fine; 2 the command line; 4 the output could not be written.
    """
    if sum(given is not None for given in (every, at, watch)) > 1:
        raise UsageError("Give one of --every, --at and --watch.")
    period_s = None if every is None else period_of(every)
    expression = None if at is None else cron_of(at)
    if expression is not None:
        At(expression, SystemClock())  # says what is wrong with it
    source = source_of(pipeline)
    if (file := file_named(pipeline)) is not None:
        read_pipeline(file)
    words = [*own_program(), "run", str(db.absolute()), source, *words_of(options)]
    if watch is not None:
        words += ["--watch", str(watch.absolute())]
    name = _name(db, pipeline)
    files = {
        f"{name}.service": "\n".join(
            _service(words, name, goes_on=watch is not None, timed=every is not None or at is not None)
        )
    }
    if period_s is not None or expression is not None:
        files[f"{name}.timer"] = "\n".join(_timer(name, period_s, expression))
    cron = expression or (as_cron(period_s) if period_s else None)
    line = None if cron is None else f"{cron} {crontab_command(words, str(Path.cwd()))}"
    with output():
        if json:
            write_json({"units": files, "crontab": line})
        else:
            write(_told(files, name, line, every))


def _name(db: Path, pipeline: str) -> str:
    """Return a name for the units: the pipeline's file or module, its name in there, and the database."""
    path, _, chosen = source_of(pipeline).partition(":")
    parts = (Path(path).name.removesuffix(".py"), chosen, db.stem)
    return _NOT_IN_NAMES.sub("-", "-".join(filter(None, ("pipeloom", *parts)))).strip("-.")


def _service(words: list[str], name: str, *, goes_on: bool, timed: bool) -> Iterator[str]:
    yield "[Unit]"
    yield f"Description=pipeloom: {systemd_path(name.removeprefix('pipeloom-'))}"
    yield ""
    yield "[Service]"
    yield "Type=exec" if goes_on else "Type=oneshot"
    yield f"WorkingDirectory={systemd_path(str(Path.cwd()))}"
    yield f"ExecStart={systemd_command(words)}"
    yield "SuccessExitStatus=143"  # stopped during a run
    if goes_on:
        yield "Restart=on-failure"
        yield "RestartSec=30"
    if not timed:
        yield ""
        yield "[Install]"
        yield "WantedBy=default.target"
    yield ""


def _timer(name: str, period_s: float | None, expression: str | None) -> Iterator[str]:
    yield "[Unit]"
    yield f"Description=Timer of {name}"
    yield ""
    yield "[Timer]"
    yield from timer_lines(period_s, expression)
    yield ""
    yield "[Install]"
    yield "WantedBy=timers.target"
    yield ""


def _told(files: dict[str, str], name: str, line: str | None, every: str | None) -> Iterator[str]:
    for file, text in files.items():
        yield f"# {_FOLDER}/{file}\n{text}\n"
    enabled = next(reversed(files))
    yield f"# then: systemctl --user daemon-reload && systemctl --user enable --now {enabled}\n"
    yield "# and to let it run while you are logged out: loginctl enable-linger\n"
    yield f"# what it said: journalctl --user -u {name}\n"
    if line is not None:
        yield f"\n# or, with crontab -e:\n{line}\n"
    elif every is not None:
        yield f"\n# cron has no expression for every {every}\n"
