"""The pages of the reference that are made from the program: commands, keys and tables."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from html import escape
from typing import Any

import typer
from textual.binding import Binding

from pipeloom.cli.cockpit import program as cockpit
from pipeloom.cli.main import COMMANDS, command_named
from pipeloom.store.schema import OUR_TABLES, SCHEMA_VERSION, create_in_memory
from pipeloom.tui.app import PipeloomApp
from pipeloom.tui.attempts.detail import DetailPane
from pipeloom.tui.history.screen import HistoryScreen
from pipeloom.tui.home.screen import HomeScreen
from pipeloom.tui.live.screen import LiveScreen
from pipeloom.tui.reports.charts.screen import FileChartScreen, TaskChartScreen
from pipeloom.tui.reports.compare.runs import CompareRunsScreen
from pipeloom.tui.reports.timeline.screen import TimelineScreen
from pipeloom.tui.table.virtual_table import VirtualTable

_KEYS = """# Keys

`?` on any screen lists the keys that work there, and `ctrl+p` finds an action by its name. The id stands for the action
in the [settings](settings.md).
"""
_FILE = f"""# The file's tables

A file is an ordinary SQLite database, and your own tables are in it too. This is schema {SCHEMA_VERSION}; the view
`pipeloom_schema` has its number. Times are UTC in ISO 8601, durations are seconds. Read these tables as you like;
pipeloom alone writes them. Names of what the columns hold are in [Architecture](../architecture.md#words).
"""

SCREENS = {
    "Everywhere": PipeloomApp,
    "The files you have run": HomeScreen,
    "The live screen": LiveScreen,
    "The history": HistoryScreen,
    "The table": VirtualTable,
    "The detail": DetailPane,
    "A run in time": TimelineScreen,
    "Runs by day": FileChartScreen,
    "A task over the runs": TaskChartScreen,
    "Two runs compared": CompareRunsScreen,
}
TABLES = {
    "pipeline_runs": "A row for each run.",
    "task_runs": "A row for each attempt; one that has ended never changes.",
    "run_logs": "What went wrong around a run, such as in a hook ([When a run has ended](../hooks.md)).",
    "task_logs": "The lines that an attempt has logged and printed.",
    "task_state": "What a task goes on from ([Resume a long extraction](../going-on.md)).",
    "found_tasks": "Tasks that tasks of a run have found.",
    "commands": "What other processes have asked of a run, with the answers ([Control](../control.md)).",
}


def commands() -> str:
    """Return the page of the commands."""
    return "# Commands\n\n" + "".join(f"## `{name}`\n\n{text}\n\n" for name, text in helps())


def helps() -> Iterator[tuple[str, str]]:
    """Yield the programs' commands, each with its help as HTML, which a narrow page wraps."""
    yield "pipeloom-tui", _help(typer.main.get_command(cockpit), "pipeloom-tui")
    for name in COMMANDS:
        yield f"pipeloom {name}", _help(command_named(name), f"pipeloom {name}")


def _help(command: Any, path: str) -> str:
    page = _HtmlHelp()
    with command.make_context(path, [], resilient_parsing=True) as context:
        command.format_help(context, page)
    return "\n".join(page.pieces)


class _HtmlHelp:
    """What a command writes its help to: the methods of click's `HelpFormatter` that are used."""

    def __init__(self) -> None:
        self.pieces: list[str] = []

    def write_usage(self, prog: str, args: str = "") -> None:
        self.pieces.append(f"<p><code>{escape(prog)} {escape(args)}</code></p>")

    def write_paragraph(self) -> None:
        """Do nothing: a paragraph has its own room."""

    @contextmanager
    def indentation(self) -> Iterator[None]:
        yield

    @contextmanager
    def section(self, name: str) -> Iterator[None]:
        self.pieces.append(f"<p><strong>{escape(name)}</strong></p>")
        yield

    def write_text(self, text: str) -> None:
        self.pieces += [f"<p>{_with_code(one)}</p>" for one in text.split("\n\n") if one.strip()]

    write = write_text

    def write_dl(self, rows: Iterable[tuple[str, str]]) -> None:
        entries = (f"<dt><code>{escape(name)}</code></dt><dd>{_with_code(told)}</dd>" for name, told in rows)
        self.pieces.append(f"<dl>{''.join(entries)}</dl>")


def _with_code(text: str) -> str:
    """Return a text as HTML, with what stands between backticks as code."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", escape(" ".join(text.split()), quote=False))


def keys() -> str:
    """Return the page of the keys; the id is what `[keys]` in the settings names."""
    page = [_KEYS]
    for title, screen in SCREENS.items():
        page.append(f"## {title}\n")
        page.append(table(("key", "", "what it does", "id"), map(_cells, bindings(screen))))
    return "\n".join(page)


def bindings(screen: type[object]) -> list[Binding]:
    """Return the keys of a screen or widget that have a sentence."""
    declared = vars(screen).get("BINDINGS", [])
    return [one for one in declared if isinstance(one, Binding) and one.tooltip]


def _cells(one: Binding) -> Sequence[str]:
    pressed = one.key_display or one.key.replace("question_mark", "?").replace(",", " ")
    return f"`{pressed}`", one.description, one.tooltip, f"`{one.id}`" if one.id else ""


def tables() -> str:
    """Return the page of the tables that pipeloom keeps in the file."""
    page = [_FILE]
    with closing(sqlite3.connect(":memory:")) as connection:
        create_in_memory(connection)
        for name in sorted(OUR_TABLES, key=[*TABLES].index):
            listed = connection.execute('SELECT name, type, "notnull" OR pk FROM pragma_table_info(?)', (name,))
            rows = [(f"`{column}`", kind, "" if needed else "or NULL") for column, kind, needed in listed]
            page.append(f"## `{name}`\n\n{TABLES[name]}\n\n{table(('column', 'type', ''), rows)}")
    return "\n".join(page)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)
