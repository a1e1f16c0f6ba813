"""`pipeloom web`: the cockpit in a browser, and beside it a run of which every page is a viewer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Final

import typer

from pipeloom.cli.common import tell
from pipeloom.cli.options.run import HangupChoice, OptionalPipeline, RunOptions, takes_run_options
from pipeloom.engine.signals import ASKING
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
_TOLD_S: Final = 2.0
"""Seconds in which what an ended run has told is waited for: a program that it left may keep the pipe open."""


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
    their end ends nothing. A signal such as ctrl+c stops the run as it stops `pipeloom run`.

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
    if options.on_hangup is HangupChoice.CONTINUE:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    run = None if pipeline is None else _Run(db, pipeline, options)
    if host not in _HERE:
        tell(f"Who can reach {clean(host)} and knows the address sees this file. There is no encryption.")
    server = CockpitServer(
        db, host, port, control=control, announce=lambda url: tell(f"The page is {url} (ctrl+c ends)")
    )
    try:
        serve(server)
    finally:
        code = Exit.DONE if run is None else run.end(server.ended_by or signal.SIGTERM)
    raise typer.Exit(code)


class _Run:
    """The run beside the server, in a process of its own.

    It has a process group of its own, so that ctrl+c reaches this program alone, which hands it on; and no terminal, so
    that it leaves the shell's alone when this program is killed. What it tells is told here.
    """

    def __init__(self, db: Path, pipeline: str, options: RunOptions) -> None:
        """Start it, and wait until it has the file; leaves with its exit code when it could not start."""
        words = [str(os.getpid()), "run", str(db), pipeline, *arguments(options)]
        self._process = subprocess.Popen(  # noqa: S603 - this interpreter, with our own words
            [sys.executable, "-m", "pipeloom.cli.web.child", *words],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            process_group=0,
        )
        self._telling = threading.Thread(target=self._tell, name="pipeloom-run-told", daemon=True)
        self._telling.start()
        while self._process.poll() is None and not _owns(self._process.pid, db):
            time.sleep(_LOOK_S)
        if self._process.returncode is not None and self._process.returncode not in _RAN:
            raise typer.Exit(self._code())

    def end(self, number: int) -> int:
        """Stop it by the signal, at once after a second one, and return its exit code."""
        for each in ASKING:
            if signal.getsignal(each) is not signal.SIG_IGN:
                signal.signal(each, lambda number, _frame: self._process.send_signal(number))
        self._process.send_signal(number)
        return self._code()

    def _code(self) -> int:
        code = self._process.wait()
        self._telling.join(_TOLD_S)
        return 128 - code if code < 0 else code

    def _tell(self) -> None:
        assert self._process.stderr is not None
        with suppress(OSError):  # the terminal may be gone
            while told := os.read(self._process.stderr.fileno(), 65_536):
                os.write(sys.stderr.fileno(), told)


def _owns(pid: int, db: Path) -> bool:
    with suppress(StoreError):  # the file is about to be made
        return is_owned(db) and owner(db).get("pid") == pid
    return False


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
