"""Makes SQL of a filter: a WHERE condition over `task_runs` and the values for its question marks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from pipeloom.filters.conditions import Condition, Contains, HasFingerprint, HasId, HasOddRows, OneOf, WaitsFor, Within

_COLUMNS: Final = {
    "status": "status",
    "run": "run_id",
    "task": "CAST(task_id AS TEXT)",
    "task number": "CASE typeof(task_id) WHEN 'integer' THEN task_id END",
    "task text": "CASE typeof(task_id) WHEN 'text' THEN task_id END",
    "attempt": "attempt",
    "rows": "rows",
    "code": "code",
    "dur": "duration_s",
    "age": "coalesce(started_at, queued_at)",
    "started": "started_at",
    "fail": "fingerprint",
    "name": "name",
}
"""Field of a filter to the SQL of its value."""
_LIKE_ESCAPES: Final = str.maketrans({character: "\\" + character for character in "\\%_"})

Sql = tuple[str, tuple[Any, ...]]
"""A condition, and the values for its question marks."""


def sql_of(condition: Condition) -> Sql:
    """Return a condition of a filter as SQL."""
    match condition:
        case Contains(columns, text):
            return _contains(columns, text)
        case OneOf("pipeline", values):  # the runs are found once, and not for each attempt
            return f"(run_id IN (SELECT id FROM pipeline_runs WHERE pipeline IN ({_marks(values)})))", values
        case OneOf(field, values):
            return f"({_COLUMNS[field]} IN ({_marks(values)}))", values
        case Within(field, bounds):
            sql = " AND ".join(f"{_COLUMNS[field]} {sign} ?" for sign, _ in bounds)
            return f"({sql})", tuple(bound for _, bound in bounds)
        case HasId(ids):
            # The numbers are in the text: there may be more of them than a statement takes values.
            return f"(id IN ({', '.join(map(str, ids))}))", ()
        case HasFingerprint():
            return "fingerprint IS NOT NULL", ()
        case HasOddRows():  # as in the index, or it would not be used
            return "(rows > rows_high OR (status = 'done' AND rows < rows_low))", ()
        case WaitsFor():
            return "0", ()


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))


def negation(sql: str) -> str:
    """Return the SQL that is true where `sql` is false or NULL."""
    return f"NOT coalesce({sql}, 0)"


def _contains(columns: tuple[str, ...], text: str) -> Sql:
    if not text:
        return "1", ()
    pattern = text.translate(_LIKE_ESCAPES)
    # Twice as fast as instr(lower(...)), which copies each text; faster still where nothing is escaped.
    like = "LIKE ?" if pattern == text else "LIKE ? ESCAPE '\\'"
    return f"({' OR '.join(f'{name} {like}' for name in columns)})", (f"%{pattern}%",) * len(columns)
