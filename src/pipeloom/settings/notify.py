"""`[notify]` in the settings: what is run when a run has failed, with a screen or without."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeloom.settings.file import parsed_settings, settings_path

Command = str | Sequence[str]
"""A line for the shell, or a program with its arguments."""


def notify_command(table: Mapping[str, Any]) -> tuple[Command | None, list[tuple[str, str]]]:
    """Return the command of the table, and what is wrong in it: the setting's name and a phrase."""
    wrong = [(name, f"unknown setting {name!r} in [notify]") for name in table if name != "on_failure"]
    value = table.get("on_failure")
    if isinstance(value, str):
        if value.strip():
            return value, wrong
    elif isinstance(value, list) and value and value[0] and all(isinstance(part, str) for part in value):
        return tuple(value), wrong
    if value is not None:
        wrong.append(("on_failure", 'on_failure must be a command, as "mail -s failed me" or ["mail", "-s", "failed"]'))
    return None, wrong


def on_failure(path: Path | None = None) -> tuple[Command | None, list[str]]:
    """Return the command of the settings file, and sentences about what is wrong with it.

    Raises `UsageError` when the file cannot be read, or is no TOML.
    """
    path = path or settings_path()
    table = {} if path is None else parsed_settings(path)[1].get("notify", {})
    if not isinstance(table, dict):
        return None, [f"{path}: notify must be a table"]
    command, wrong = notify_command(table)
    return command, [f"{path}: {what}" for _, what in wrong]
