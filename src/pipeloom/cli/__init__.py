"""The two programs: `pipeloom-tui`, the cockpit, and `pipeloom`, the same without a screen."""

from __future__ import annotations

import gc
import os
import sys

from pipeloom.engine.interpreter import no_garbage_collection


def _complete(program: str) -> None:
    """Answer the shell instead, when it asks how a command line may go on."""
    if "_PIPELOOM_COMPLETE" in os.environ:
        gc.disable()  # it ends soon
        from pipeloom.cli.shell.completion import complete

        complete(program, sys.argv[1:])
        sys.exit(0)


def tui_main() -> None:
    """Run `pipeloom-tui`."""
    _complete("pipeloom-tui")
    with no_garbage_collection():
        from pipeloom.cli.cockpit import program
        from pipeloom.cli.common import run

    run(lambda: program(prog_name="pipeloom-tui"))


def run_main() -> None:
    """Run `pipeloom`."""
    _complete("pipeloom")
    with no_garbage_collection():
        from pipeloom.cli.common import run
        from pipeloom.cli.main import program

    run(lambda: program(prog_name="pipeloom"))
