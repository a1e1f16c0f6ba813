"""The process behind one open page: `python -m pipeloom.web.tab DB [--control]`, started by the server.

It only looks at the file, and owns no run: closing the page ends nothing.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path
from typing import Final

from pipeloom.status import Exit
from pipeloom.tui.app import PipeloomApp
from pipeloom.tui.settings import read_settings

_LOOK_S: Final = 1.0
"""Seconds between two looks whether the server is there."""


def main(db: str, *options: str) -> int:
    """Show the page until it is closed, or the server has gone; return the exit code.

    It changes nothing, but may ask the owner of a run to; it remembers nothing, because many pages may be open.
    """
    control = "--control" in options
    app = PipeloomApp(Path(db), settings=read_settings(), read_only=True, control=control)
    app.remote.only_asks = control
    watch = threading.Thread(target=_leave_with, args=(os.getppid(), app), name="pipeloom-server-watch", daemon=True)
    watch.start()
    app.run()
    if app.crash is None:
        return Exit.DONE
    sys.stderr.write(f"pipeloom: A page has ended: {type(app.crash).__name__}. Please report it.\n")
    return Exit.INTERNAL


def _leave_with(server: int, app: PipeloomApp) -> None:
    while os.getppid() == server:
        time.sleep(_LOOK_S)
    app.leave()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
