"""The failures of a file, grouped by fingerprint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from pipeloom.filters import Filter
from pipeloom.store.fingerprints import deepest_frame
from pipeloom.store.read.history import History
from pipeloom.store.rows import AttemptRow
from pipeloom.text import first_line

MOST_GROUPS: Final = 500


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """Attempts that failed in the same way (see `pipeloom.store.fingerprints`), and their newest error."""

    fingerprint: str
    attempts: int
    tasks: int
    runs: int
    last_id: int
    """The newest of its attempts, whose error is shown for all."""
    last_run_id: int
    error_type: str
    message: str
    """One line, without the error's type."""
    place: str
    """As in "transform.py:41"; "" when the error has no traceback."""
    first_at: str | None
    last_at: str | None
    is_new: bool
    """Whether no run before the newest one of its pipeline had it."""


# The filter decides which attempts count; whether a failure is new is asked of the whole file.
_GROUPS: Final = """
SELECT fingerprint, count(*), count(DISTINCT name), count(DISTINCT run_id), max(id) FROM task_runs
WHERE fingerprint IS NOT NULL AND ({condition}) GROUP BY fingerprint ORDER BY max(id) DESC LIMIT ?
"""
_FIRST: Final = "SELECT min(id) FROM task_runs WHERE fingerprint = ?"
_NEWEST_RUN: Final = """
SELECT max(id) FROM pipeline_runs WHERE pipeline = (SELECT pipeline FROM pipeline_runs WHERE id = ?)
"""


def failure_groups(history: History, where: Filter | None = None) -> list[FailureGroup]:
    """Return the groups of the failures that pass, the most recent first."""
    if not history.has_fingerprints:
        return []
    condition, values = (where or Filter()).sql()
    rows = history.rows(_GROUPS.format(condition=condition), [*values, MOST_GROUPS])
    newest: dict[int, int | None] = {}
    return [group for row in rows if (group := _group(history, newest, *row)) is not None]


def _group(
    history: History,
    newest: dict[int, int | None],
    fingerprint: Any,
    attempts: int,
    tasks: int,
    runs: int,
    last_id: int,
) -> FailureGroup | None:
    first_id = history.rows(_FIRST, [fingerprint])[0][0]
    first, last = history.attempt(first_id), history.attempt(last_id)
    if first is None or last is None:
        return None
    if last.run_id not in newest:
        newest[last.run_id] = history.rows(_NEWEST_RUN, [last.run_id])[0][0]
    frame = deepest_frame(last.error or "")
    return FailureGroup(
        fingerprint=str(fingerprint),
        attempts=attempts,
        tasks=tasks,
        runs=runs,
        last_id=last_id,
        last_run_id=last.run_id,
        error_type=last.error_type or "error",
        message=_message(last),
        place="" if frame is None else frame.place,
        first_at=first.finished_at or first.started_at,
        last_at=last.finished_at or last.started_at,
        is_new=first.run_id == newest[last.run_id],
    )


def _message(row: AttemptRow) -> str:
    """Return the error's message without its type."""
    line = first_line(row.message or row.error or "")
    return line.removeprefix(f"{row.error_type}: ") if row.error_type else line
