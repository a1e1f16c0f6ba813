"""The pages of the reference that are made from the program: commands, keys and tables."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, redirect_stdout, suppress
from io import StringIO

import typer
from textual.binding import Binding

from pipeloom.cli.cockpit import program as cockpit
from pipeloom.cli.main import COMMANDS, program
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

_WIDTH = 80
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
    return "# Commands\n\n" + "".join(f"## `{name}`\n\n```text\n{text}\n```\n\n" for name, text in helps())


def helps() -> Iterator[tuple[str, str]]:
    """Yield the programs' commands, each with its help."""
    yield "pipeloom-tui", _help(cockpit, "pipeloom-tui")
    for name in COMMANDS:
        yield f"pipeloom {name}", _help(program, "pipeloom", name)


def _help(of: typer.Typer, *words: str) -> str:
    written = StringIO()
    with redirect_stdout(written), suppress(SystemExit):
        typer.main.get_command(of).main(
            [*words[1:], "--help"], words[0], max_content_width=_WIDTH, terminal_width=_WIDTH
        )
    return written.getvalue().strip()


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
