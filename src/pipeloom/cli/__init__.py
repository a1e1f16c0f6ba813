"""The two programs: `pipeloom-tui`, the cockpit, and `pipeloom`, the same without a screen."""

from __future__ import annotations

from pipeloom.engine.interpreter import no_garbage_collection


def tui_main() -> None:
    """Run `pipeloom-tui`."""
    with no_garbage_collection():
        from pipeloom.cli.cockpit import program
        from pipeloom.cli.common import run

    run(lambda: program(prog_name="pipeloom-tui"))


def run_main() -> None:
    """Run `pipeloom`."""
    with no_garbage_collection():
        from pipeloom.cli.common import run
        from pipeloom.cli.main import program

    run(lambda: program(prog_name="pipeloom"))
