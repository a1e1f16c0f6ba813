"""`pipeloom`: runs pipelines and tells what ran without a screen, for scripts, cron and CI."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from pipeloom.cli.backup import backup_command
from pipeloom.cli.cancel_retry import cancel_command, retry_command
from pipeloom.cli.command import add_command, new_program
from pipeloom.cli.export import export_command
from pipeloom.cli.options import Version
from pipeloom.cli.prune import prune_command
from pipeloom.cli.run import run_command
from pipeloom.cli.show import show_command
from pipeloom.cli.status import runs_command, status_command

COMMANDS: Final[dict[str, tuple[Callable[..., None], str]]] = {
    "run": (run_command, "Run a pipeline and keep every attempt."),
    "status": (status_command, "Show how the last run stands."),
    "runs": (runs_command, "List the runs, newest first."),
    "show": (show_command, "Show one attempt in full, or a table of attempts."),
    "export": (export_command, "Write attempts as CSV, JSON lines or Markdown."),
    "prune": (prune_command, "Remove old attempts, or say what would go."),
    "backup": (backup_command, "Copy the file, also during a run."),
    "cancel": (cancel_command, "Cancel tasks of the run of another process."),
    "retry": (retry_command, "Run tasks again that have ended."),
}
"""Name on the command line to function and its line in the help, in the order of the help."""

program = new_program("pipeloom", no_args_is_help=True)


@program.callback()
def _pipeloom(version: Version = False) -> None:
    """Run a pipeline over its tasks, keep every attempt in one SQLite file, and look at what is in it."""


for _name, (_command, _line) in COMMANDS.items():
    add_command(program, _name, _command, _line)
