"""The pages of the reference that are made from the program: commands, keys and tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import redirect_stdout, suppress
from io import StringIO

import typer
from textual.binding import Binding

from pipeloom.cli.cockpit import program as cockpit
from pipeloom.cli.main import COMMANDS, program
from pipeloom.store.schema import SCHEMA_VERSION, expected_columns
from pipeloom.tui.app import PipeloomApp
from pipeloom.tui.attempts.detail import DetailPane
from pipeloom.tui.history.screen import HistoryScreen
from pipeloom.tui.live.screen import LiveScreen
from pipeloom.tui.reports.charts.screen import FileChartScreen, TaskChartScreen
from pipeloom.tui.reports.compare.runs import CompareRunsScreen
from pipeloom.tui.reports.timeline.screen import TimelineScreen
from pipeloom.tui.table.virtual_table import VirtualTable

SCREENS = {
    "Everywhere": PipeloomApp,
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
        typer.main.get_command(of).main([*words[1:], "--help"], words[0], max_content_width=100, terminal_width=100)
    return written.getvalue().strip()


def keys() -> str:
    """Return the page of the keys; the id is what `[keys]` in the settings names."""
    page = [
        "# Keys\n\n`?` on any screen lists the keys that work there, and `ctrl+p` finds an action by its name. "
        "The id stands for the action in the [settings](settings.md).\n"
    ]
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
    page = [
        f"# The file's tables\n\nA file is an ordinary SQLite database, beside your own tables. This is schema {SCHEMA_VERSION}; "
        "the view `pipeloom_schema` has its number. Times are UTC in ISO 8601, durations are seconds. Read it as you like; "
        "what these tables hold is written by pipeloom alone.\n"
    ]
    for name, columns in sorted(expected_columns().items(), key=lambda item: [*TABLES].index(item[0])):
        page.append(f"## `{name}`\n\n{TABLES[name]}\n")
        page.append(", ".join(f"`{column}`" for column in columns) + "\n")
    return "\n".join(page)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)
