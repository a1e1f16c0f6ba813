"""`pipeloom`: runs pipelines and tells what ran without a screen, for scripts, cron and CI."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, Final

from pipeloom.cli.command import Plain, PlainGroup, as_command, new_program
from pipeloom.cli.options.shared import Version
from pipeloom.engine.interpreter import no_garbage_collection

COMMANDS: Final[dict[str, tuple[str, str]]] = {
    "run": ("run.run_command", "Run a pipeline and keep every attempt."),
    "plan": ("plan.command.plan_command", "Show what a run would run, and why; runs nothing."),
    "unit": ("schedule.unit.unit_command", "Print a systemd unit and a crontab line that run a pipeline."),
    "status": ("status.status_command", "Show how the last run stands."),
    "runs": ("runs.command.runs_command", "List the runs, newest first."),
    "show": ("show.show_command", "Show one attempt or one run in full, or a table of attempts."),
    "state": ("state.state_command", "Show what tasks go on from, or take it away."),
    "export": ("export.export_command", "Write attempts as CSV, JSON lines or Markdown."),
    "prune": ("maintenance.prune_command", "Remove old attempts, or say what would go."),
    "backup": ("maintenance.backup_command", "Copy the file, also during a run."),
    "web": ("web.command.web_command", "Serve the cockpit as a page in a browser."),
    "cancel": ("cancel_retry.cancel_command", "Cancel tasks of the run of another process."),
    "retry": ("cancel_retry.retry_command", "Run tasks again that have ended."),
    "info": ("about.info.info_command", "Tell versions, paths and settings, for a report of a mistake."),
    "config": ("about.config.config_command", "Show the settings and where each comes from, or their schema."),
    "spec": ("spec.command.spec_command", "Describe the commands and their JSON, for programs."),
    "completion": ("shell.command.completion_command", "Print the completion for bash, zsh or fish, or install it."),
}
"""Name on the command line to its function in this folder and its line in the help, in the order of the help."""


def command_named(name: str) -> Plain:
    """Return a command; raises `KeyError` for a name that is none's."""
    module, function = COMMANDS[name][0].rsplit(".", 1)
    with no_garbage_collection():
        return as_command(name, getattr(import_module(f"pipeloom.cli.{module}"), function))


class _Commands(Mapping[str, Plain]):
    """The commands by name; the module of one is imported when it is given."""

    def __getitem__(self, name: str) -> Plain:
        return command_named(name)

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


class _Program(PlainGroup):
    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands: Any = _Commands()

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        """Write the commands of the help."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


program = new_program("pipeloom", cls=_Program, no_args_is_help=True)


@program.callback()
def _pipeloom(version: Version = False) -> None:
    """Run a pipeline over its tasks, keep every attempt in one SQLite file, and look at what is in it."""
