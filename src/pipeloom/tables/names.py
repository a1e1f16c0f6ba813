"""The names of tables and columns: checked when they are declared, quoted where they are used."""

from __future__ import annotations

from typing import Final

from pipeloom.errors import UsageError

RESERVED: Final = frozenset(
    {
        "commands",
        "found_tasks",
        "pipeline_runs",
        "pipeloom_schema",
        "run_logs",
        "task_logs",
        "task_runs",
        "task_state",
        "sqlite_sequence",
    }
)
"""Pipeloom's own tables, and SQLite's."""
ATTEMPT: Final = "_attempt"
"""The column that holds the id of the attempt that wrote the row last."""


def quoted(name: str) -> str:
    """Return the name as SQL has it."""
    return '"' + name.replace('"', '""') + '"'


def lowered(name: str) -> str:
    """Return the name in small letters as SQLite compares names: ASCII alone."""
    return "".join(char.lower() if char.isascii() else char for char in name)


def checked_name(name: object, what: str) -> str:
    """Return the name of a table or column; raises `UsageError` when SQLite cannot keep it."""
    if not isinstance(name, str) or not name:
        raise UsageError(f"The name of {what} must be a text, not {name!r:.60}.")
    if "\0" in name or any("\ud800" <= char <= "\udfff" for char in name):
        raise UsageError(f"The name of {what} holds characters that SQLite cannot keep: {name!r:.60}.")
    return str.__str__(name)


def checked_table_name(name: object) -> str:
    """Return the name of a table; raises `UsageError` for one of pipeloom's or SQLite's own."""
    plain = checked_name(name, "a table")
    if lowered(plain) in RESERVED or lowered(plain).startswith("sqlite_"):
        raise UsageError(f"The name {plain} belongs to pipeloom or SQLite itself: choose another for the table.")
    return plain
