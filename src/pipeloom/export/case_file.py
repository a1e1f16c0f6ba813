"""The case file: everything that is known of one attempt, as a Markdown text to hand to another person."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator
from sqlite3 import sqlite_version
from typing import Final

from pipeloom.errors import UsageError
from pipeloom.export.formats import plain, table_line
from pipeloom.store.read.history import History
from pipeloom.store.rows import AttemptRow, LogRow, RunRow
from pipeloom.text import clean

_BLOCK: Final = 1 << 20
_LOG_LINES: Final = 5_000
_ROW: Final = tuple(name for name in AttemptRow._fields if name not in {"result", "params", "error"})
_RUN: Final = (
    "id",
    "pipeline",
    "status",
    "source",
    "executor",
    "workers",
    "parent_run_id",
    "started_at",
    "finished_at",
)
_ATTEMPTS: Final = ("id", "attempt", "status", "started_at", "duration_s", "worker", "error_type", "message")


def case_file(history: History, attempt_id: int) -> Iterator[str]:
    """Yield the case file of an attempt piece by piece; raises `UsageError` when there is no such attempt."""
    row = history.attempt(attempt_id)
    if row is None:
        raise UsageError(f"There is no attempt {attempt_id} in {history.path}.")
    yield f"# {plain(row.name) or '(empty)'}: {row.status}\n\n"
    yield f"Attempt {row.id} of task {plain(row.task_id)} in run {row.run_id} of {plain(history.path.name)}.\n"
    yield from _section("Attempt", _facts({name: getattr(row, name) for name in _ROW}))
    yield from _section(f"Attempts of the task in run {row.run_id}", _attempts(history, row))
    yield from _section("Params", [fenced(row.params)])
    yield from _section("Error", [fenced(row.error)])
    yield from _section("Result", [fenced(row.result)])
    yield from _section("Log", [fenced("".join(_log(history, row.id)))])
    yield from _section("Run", _run(history.run(row.run_id)))
    if log := history.run_logs(row.run_id):
        yield from _section("Log of the run", [fenced("".join(map(_log_line, log)))])
    yield from _section("Versions", _facts(versions()))


def versions() -> dict[str, object]:
    """Return the versions of this process; another process may have run the attempt."""
    from importlib.metadata import version

    return {
        "pipeloom": version("pipeloom"),
        "Python": platform.python_version(),
        "SQLite": sqlite_version,
        "platform": platform.platform(),
    }


def fenced(text: str | None) -> str:
    """Return `text` as a block of code with a fence that is longer than any in it."""
    if not text:
        return "none\n"
    shown = clean(text, _BLOCK, multiline=True).rstrip("\n")
    longest = max(map(len, re.findall("`+", shown)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{shown}\n{fence}\n"


def _section(title: str, pieces: Iterator[str] | list[str]) -> Iterator[str]:
    yield f"\n## {title}\n\n"
    yield from pieces


def _facts(facts: dict[str, object]) -> Iterator[str]:
    yield "| | |\n|---|---|\n"
    yield from (table_line(fact) for fact in facts.items() if fact[1] not in (None, ""))


def _attempts(history: History, row: AttemptRow) -> Iterator[str]:
    yield table_line(_ATTEMPTS)
    yield f"|{'---|' * len(_ATTEMPTS)}\n"
    for attempt in history.attempts_of(row.run_id, row.task_id):
        yield table_line(getattr(attempt, name) for name in _ATTEMPTS)


def _log(history: History, attempt_id: int) -> Iterator[str]:
    lines = history.logs(attempt_id, _LOG_LINES + 1)
    for line in lines[:_LOG_LINES]:
        yield _log_line(line)
    if len(lines) > _LOG_LINES:
        yield f"… only the first {_LOG_LINES:,} lines are shown …\n"


def _log_line(line: LogRow) -> str:
    return f"{line.at} {line.level:<8} {line.text}\n"


def _run(run: RunRow | None) -> Iterator[str]:
    if run is None:
        yield "none\n"
        return
    yield from _facts({name: getattr(run, name) for name in _RUN})
