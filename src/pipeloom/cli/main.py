"""`pipeloom`: runs pipelines and tells what ran without a screen, for scripts, cron and CI."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import typer

from pipeloom.cli.backup import backup_command
from pipeloom.cli.cancel_retry import cancel_command, retry_command
from pipeloom.cli.export import export_command
from pipeloom.cli.options import Version
from pipeloom.cli.prune import prune_command
from pipeloom.cli.run import run_command
from pipeloom.cli.show import show_command
from pipeloom.cli.status import runs_command, status_command

COMMANDS: Final[dict[str, Callable[..., None]]] = {
    "run": run_command,
    "status": status_command,
    "runs": runs_command,
    "show": show_command,
    "export": export_command,
    "prune": prune_command,
    "backup": backup_command,
    "cancel": cancel_command,
    "retry": retry_command,
}
"""Name on the command line to function, in the order of the help."""

program = typer.Typer(
    name="pipeloom",
    help="Run a pipeline over its tasks, keep every attempt in one SQLite file, and look at what is in it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@program.callback()
def _pipeloom(version: Version = False) -> None:
    """Run a pipeline over its tasks, keep every attempt in one SQLite file, and look at what is in it."""


for _name, _command in COMMANDS.items():
    program.command(_name)(_command)
