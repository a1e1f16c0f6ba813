"""The process behind one open page: `python -m pipeloom.web.tab DB [--control]`, started by the server.

It only looks at the file, and owns no run: closing the page ends nothing.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from pipeloom.status import Exit
from pipeloom.tui.app import PipeloomApp
from pipeloom.tui.settings import read_settings


class TabApp(PipeloomApp):
    """The cockpit of a page: it changes nothing, but may ask the owner of a run to.

    It remembers nothing, because many pages may be open on one file.
    """

    def __init__(self, db_path: Path, *, control: bool) -> None:
        super().__init__(db_path, settings=read_settings(), read_only=True, control=control)
        self.remote.only_asks = control
        self._server = os.getppid()

    def on_mount(self) -> None:
        """Watch the server; Textual calls this beside the method of `PipeloomApp`."""
        self.set_interval(1.0, self._leave_with_server)

    def _leave_with_server(self) -> None:
        if os.getppid() != self._server:
            self.exit()


def main(db: str, *options: str) -> int:
    """Show the page until it is closed; return the exit code."""
    app = TabApp(Path(db), control="--control" in options)
    app.run()
    if app.crash is None:
        return Exit.DONE
    sys.stderr.write(f"pipeloom: A page has ended: {type(app.crash).__name__}. Please report it.\n")
    return Exit.INTERNAL


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
