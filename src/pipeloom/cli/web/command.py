"""`pipeloom web`: the cockpit in a browser, and beside it a run of which every page is a viewer."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Final

import typer

from pipeloom.cli.common import tell
from pipeloom.cli.options import OptionalPipeline, RunOptions, takes_run_options
from pipeloom.environment.extras import how_to_get
from pipeloom.errors import StoreError, UsageError
from pipeloom.status import Exit
from pipeloom.store.file.kind import READABLE, file_kind, why_unreadable
from pipeloom.store.file.owner import is_owned, owner
from pipeloom.text import clean

_HERE: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_EVERYWHERE: Final = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - what is refused
_RAN: Final = frozenset({Exit.DONE, Exit.FAILED, Exit.CANCELLED})
_LOOK_S: Final = 0.05


@takes_run_options()
def web_command(
    db: Annotated[Path, typer.Argument(metavar="DB", help="The SQLite file; pages only read it.")],
    pipeline: OptionalPipeline = None,
    *,
    control: Annotated[bool, typer.Option("--control", help="Let the keys of a page act on the run.")] = False,
    port: Annotated[int, typer.Option(metavar="N", min=0, help="The port; 0 for one that is free.")] = 8000,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="An address of this machine for others.")] = "127.0.0.1",
    options: RunOptions,
) -> None:
    """Serve the cockpit of DB as a page, until ctrl+c; with PIPELINE, run it meanwhile.

    Each page is a viewer, read-only unless --control is given. The run belongs to this program: pages come and go, and
    their end ends nothing. ctrl+c stops the run as it does for `pipeloom run`.

    Exit codes: 0 fine; 2 it could not start; with PIPELINE, those of `pipeloom run`.
    """
    if find_spec("textual_serve") is None:
        raise UsageError(f"pipeloom web needs textual-serve: {how_to_get('web')}")
    if host in _EVERYWHERE:
        raise UsageError(
            "--host takes one address, as a browser types it: the page would not find its server by this one."
        )
    db = db.absolute()
    if pipeline is None and (kind := file_kind(db)) not in READABLE:
        raise UsageError(why_unreadable(db, kind, "pipeloom web"))
    from pipeloom.tui.settings import read_settings
    from pipeloom.web.server import CockpitServer, free_port, serve

    read_settings()  # a mistake in them is told here, not in each page
    port = free_port(host, port)
    run = None if pipeline is None else _started(db, pipeline, options)
    if host not in _HERE:
        tell(f"Who can reach {clean(host)} and knows the address sees this file. There is no encryption.")
    try:
        serve(
            CockpitServer(
                db, host, port, control=control, announce=lambda url: tell(f"The page is {url} (ctrl+c ends)")
            )
        )
    finally:
        code = Exit.DONE if run is None else _ended(run)
    raise typer.Exit(code)


def _started(db: Path, pipeline: str, options: RunOptions) -> subprocess.Popen[bytes]:
    """Start the run in a process and wait until it has the file; leaves with its exit code when it could not start.

    It has a process group of its own: ctrl+c reaches this program alone, which then stops it once.
    """
    command = [sys.executable, "-m", "pipeloom", "run", str(db), pipeline, *arguments(options)]
    run = subprocess.Popen(command, stdin=subprocess.DEVNULL, process_group=0)  # noqa: S603
    while run.poll() is None and not _owns(run.pid, db):
        time.sleep(_LOOK_S)
    if run.returncode is not None and run.returncode not in _RAN:
        raise typer.Exit(run.returncode)
    return run


def _owns(pid: int, db: Path) -> bool:
    with suppress(StoreError):  # the file is about to be made
        return is_owned(db) and owner(db).get("pid") == pid
    return False


def _ended(run: subprocess.Popen[bytes]) -> int:
    """Stop the run, at once after a second ctrl+c, and return its exit code."""
    while run.poll() is None:
        run.send_signal(signal.SIGINT)
        try:
            return run.wait()
        except KeyboardInterrupt:
            continue
    return run.returncode


def arguments(options: RunOptions) -> Iterator[str]:
    """Yield the words of a command line that mean `options`."""
    for field in fields(RunOptions):
        value = getattr(options, field.name)
        name = "--param" if field.name == "params" else f"--{field.name.replace('_', '-')}"
        if value == field.default:
            continue
        if isinstance(value, bool):
            yield name if value else name.replace("--", "--no-", 1)
        else:
            for each in value if isinstance(value, list) else [value]:
                yield f"{name}={each}"
