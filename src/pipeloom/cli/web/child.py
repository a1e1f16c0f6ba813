"""The run beside the server, `python -m pipeloom.cli.web.child PID run DB PIPELINE …`: it ends when process PID does.

A server that is killed can end nothing. On Linux the kernel sends a signal in its place, also after the program has
been started again in another environment; elsewhere such a run goes on. It sends one for each thread of the server, and
a second SIGTERM would end the run at once: SIGVTALRM stops it in good order, however often it comes.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from contextlib import suppress
from typing import Final

from pipeloom.cli import run_main

_PR_SET_PDEATHSIG: Final = 1
"""Of `prctl(2)`."""


def main() -> None:
    """Run `pipeloom` with the words behind PID."""
    server = int(sys.argv.pop(1))
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # no such function in this C library
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGVTALRM, 0, 0, 0)
        if os.getppid() != server:  # it has ended before
            sys.exit(128 + signal.SIGTERM)
    run_main()


if __name__ == "__main__":
    main()
