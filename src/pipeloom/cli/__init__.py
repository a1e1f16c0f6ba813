"""The two programs: `pipeloom-tui`, the cockpit, and `pipeloom`, the same without a screen."""

from __future__ import annotations

import os
import sys

from pipeloom import __version__


def _complete(program: str) -> None:
    """Answer the shell instead, when it asks how a command line may go on."""
    if "_PIPELOOM_COMPLETE" in os.environ:
        import gc

        gc.disable()  # it ends soon
        from pipeloom.cli.shell.completion import complete

        complete(program, sys.argv[1:])
        sys.exit(0)


def tui_main() -> None:
    """Run `pipeloom-tui`."""
    _complete("pipeloom-tui")
    if _showed_version():
        return
    from pipeloom.engine.interpreter import no_garbage_collection

    with no_garbage_collection():
        from pipeloom.cli.cockpit import program
        from pipeloom.cli.common import run

    run(lambda: program(prog_name="pipeloom-tui"))


def run_main() -> None:
    """Run `pipeloom`."""
    _complete("pipeloom")
    if _showed_version():
        return
    from pipeloom.engine.interpreter import no_garbage_collection

    with no_garbage_collection():
        from pipeloom.cli.common import run
        from pipeloom.cli.main import program

    run(lambda: program(prog_name="pipeloom"))


def _showed_version() -> bool:
    """Show the version if that is all that was asked for: it needs nothing of the program, which tells of errors."""
    if sys.argv[1:] != ["--version"] or sys.stdout is None:
        return False
    try:
        sys.stdout.write(f"pipeloom {__version__}\n")
        sys.stdout.flush()
    except OSError:
        return False
    return True
