"""`pipeloom spec`: both programs as JSON, for programs and for the reference pages."""

from __future__ import annotations

import re
from importlib.metadata import version
from typing import Annotated, Any, Final

import typer

from pipeloom.cli.command import is_argument
from pipeloom.cli.output import output, write_json
from pipeloom.cli.shell.variables import variable_of
from pipeloom.errors import UsageError

_CODES: Final = {
    0: "all tasks are done, or the command succeeded",
    1: "some tasks failed, or were skipped because of one that did; of `status`: in the last run of a pipeline",
    2: "it could not start: the command line, the file or the terminal",
    3: "tasks were cancelled or interrupted by the user, or the run was left before it began",
    4: "something could not be saved",
    5: "internal error",
    6: "another process uses the file",
    7: "all tasks are done, and one has not written its usual number of rows (`--strict-rows`)",
}


def spec_command(
    command: Annotated[
        str | None,
        typer.Argument(metavar="COMMAND", help="One command alone; else all there is.", show_default=False),
    ] = None,
    schema: Annotated[
        bool, typer.Option("--schema", help="Write only the JSON schema of what COMMAND writes with --json.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Write JSON, as it does without.")] = True,  # noqa: ARG001
) -> None:
    """Write a description of both programs as JSON: commands, arguments, options, exit codes, schemas of their JSON.

    The whole also has the fields of filters, the columns of the screens, and the tables of a file.

    Exit codes: 0 fine; 2 the command line; 4 the output could not be written.
    """
    from pipeloom.cli.main import COMMANDS

    if command is not None and command not in COMMANDS:
        raise UsageError(f"There is no command {command!r}: there are {', '.join(COMMANDS)}.")
    if command is None:
        if schema:
            raise UsageError("--schema is for one command: pipeloom spec runs --schema")
        told = whole()
    else:
        told = _command(command)
        if schema:
            if told["json"] is None:
                raise UsageError(f"pipeloom {command} writes no JSON.")
            told = {"$schema": "https://json-schema.org/draft/2020-12/schema", **told["json"]["schema"]}
    with output():
        write_json(told)


def whole() -> dict[str, Any]:
    """Return the description of both programs."""
    from pipeloom.cli.about.config import settings_schema
    from pipeloom.cli.cockpit import program as cockpit
    from pipeloom.cli.main import COMMANDS
    from pipeloom.filters import FIELDS
    from pipeloom.store.file.layout import tables
    from pipeloom.store.file.layout import version as schema_version
    from pipeloom.tui.attempts.columns import COLUMN_IDS

    return {
        "version": version("pipeloom"),
        "programs": {
            "pipeloom": {"help": "Run a pipeline, and look at what is in a file, without a screen."},
            "pipeloom-tui": _told(typer.main.get_command(cockpit), "pipeloom-tui"),
        },
        "commands": [_command(name) for name in COMMANDS],
        "exit_codes": {**{str(code): meaning for code, meaning in _CODES.items()}, "128 + n": "ended by signal n"},
        "filter": {"fields": FIELDS},
        "columns": COLUMN_IDS,
        "settings": settings_schema(),
        "file": {"schema": schema_version(), "tables": tables()},
    }


def _command(name: str) -> dict[str, Any]:
    from pipeloom.cli.main import COMMANDS, command_named
    from pipeloom.cli.spec.outputs import output_of

    found = output_of(name)
    told = _told(command_named(name), f"pipeloom {name}")
    json = None if found is None else {"lines": found.lines, "schema": found.schema}
    return {"name": name, "summary": COMMANDS[name][1], **told, "json": json}


def _told(command: Any, typed: str) -> dict[str, Any]:
    text, _, codes = (command.help or "").partition("Exit codes:")
    arguments = [param for param in command.params if is_argument(param)]
    usage = [param.metavar if param.required else f"[{param.metavar}]" for param in arguments]
    return {
        "usage": " ".join([typed, *usage, "[OPTIONS]"]),
        "help": text.strip(),
        "exit_codes": _codes(" ".join(codes.split())),
        "arguments": [_argument(param) for param in arguments],
        "options": [_option(param) for param in command.params if not is_argument(param)],
    }


def _codes(text: str) -> dict[str, str]:
    """Return the exit codes that a help lists: `0 fine; 2 the command line`."""
    return dict(re.findall(r"(?:^|[;:] )(\d+(?: \+ n)?) ([^;]+)", text.strip().rstrip(".")))


def _argument(param: Any) -> dict[str, Any]:
    return {
        "name": param.metavar,
        "help": param.help,
        "required": param.required,
        "several": param.nargs == -1,
        "values": _values(param),
    }


def _option(param: Any) -> dict[str, Any]:
    default = getattr(param.default, "value", param.default)
    return {
        "names": [*param.opts, *param.secondary_opts],
        "help": param.help,
        "metavar": None if param.is_flag or _values(param) else param.metavar or param.name.upper(),
        "values": _values(param),
        "default": default if isinstance(default, str | int | float | list) else None,
        "several": param.multiple,
        "variable": variable_of(param),
    }


def _values(param: Any) -> list[str] | None:
    choices = getattr(param.type, "choices", None)
    return [str(getattr(choice, "value", choice)) for choice in choices] if choices else None
