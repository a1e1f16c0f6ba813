"""`pipeloom backup`: copies a database file while it is in use."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from pipeloom.cli.common import tell
from pipeloom.cli.options import Database
from pipeloom.console import shared_console
from pipeloom.store.maintenance.backup import back_up
from pipeloom.text import clean, size


def backup_command(
    db: Database,
    target: Annotated[Path, typer.Argument(metavar="FILE", help="The copy: a new file, for you alone.")],
) -> None:
    """Copy DB, with all that is committed, to the new file FILE; a run may go on meanwhile.

    The copy is of one moment, complete in one file, and checked. It overwrites nothing. To restore one, end what uses
    DB, remove DB-wal and DB-shm, and then copy it over DB.

    Exit codes: 0 fine; 2 a file that cannot be read or written.
    """
    columns = (TextColumn("copying"), BarColumn(), TaskProgressColumn())
    with Progress(*columns, console=shared_console(), transient=True, disable=not shared_console().is_terminal) as bar:
        task = bar.add_task("", total=None)
        copied = back_up(db, target, lambda done, total: bar.update(task, completed=done, total=total))
    tell(f"{clean(target, 300)} is a copy of {clean(db, 300)}: {size(copied)}, checked.")
