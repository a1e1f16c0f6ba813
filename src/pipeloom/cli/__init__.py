"""The two programs: `pipeloom-tui`, the cockpit, and `pipeloom`, the same without a screen."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


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


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Stop the garbage collector while modules or tasks are made, and let it pass them over from then on.

    It would look through all of them again and again: a tenth of the time of a start.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.freeze()
            gc.enable()
