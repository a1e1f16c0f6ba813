"""Makes rows of what a file holds: a file from elsewhere may have any value in any column."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

from pipeloom.status import RunStatus, Status
from pipeloom.store.rows import AttemptRow, RunRow

if TYPE_CHECKING:
    from pipeloom.messages import TaskId

TEXT_LIMIT: Final = 1 << 16
RUN_COLUMNS: Final = tuple(field.name for field in fields(RunRow))

OPTIONAL_TEXTS: Final = (
    "queued_at", "due_at", "started_at", "finished_at", "result", "error_type", "error", "params", "worker",
    "fingerprint", "input_key", "code",
)  # fmt: skip
"""Columns of an attempt that hold text or NULL."""
_INTEGERS: Final = ("rows", "rows_low", "rows_high")
_NUMBERS: Final = ("step", "total", "duration_s")
_OPTIONAL_RUN_TEXTS: Final = ("source", "host", "process_started_at", "heartbeat_at", "finished_at", "params")
_RUN_INTEGERS: Final = ("workers", "parent_run_id", "pid", "unchanged")


def text(value: Any) -> str:
    """Return a text; "" for NULL."""
    return value if isinstance(value, str) else "" if value is None else str(value)[:TEXT_LIMIT]


def optional_text(value: Any) -> str | None:
    """Return a text; None for NULL."""
    return None if value is None else text(value)


def number(value: Any) -> float | None:
    """Return a finite number; None for anything else."""
    return value if isinstance(value, (int, float)) and math.isfinite(value) else None


def status(value: Any) -> Status:
    """Return a status; `interrupted` for anything else."""
    return Status(value) if value in set(Status) else Status.INTERRUPTED


def task_id(value: Any) -> TaskId:
    """Return the id of a task."""
    return value if isinstance(value, (int, str)) else text(value)


def attempt_number(value: Any) -> int:
    """Return the number of an attempt among those of its task, from 1; 1 for anything else."""
    return int(number(value) or 1)


def attempt_row(values: tuple[Any, ...]) -> AttemptRow:
    """Return the row of an attempt: a value of the wrong type becomes None, an unknown status `interrupted`."""
    row = dict(zip(AttemptRow._fields, values, strict=True))
    progress = number(row["progress"])
    checked: dict[str, Any] = {name: optional_text(row[name]) for name in OPTIONAL_TEXTS}
    checked |= {name: number(row[name]) for name in _NUMBERS}
    checked |= {name: row[name] if isinstance(row[name], int) else None for name in _INTEGERS}
    return AttemptRow(
        id=row["id"],
        run_id=int(number(row["run_id"]) or 0),
        task_id=task_id(row["task_id"]),
        attempt=attempt_number(row["attempt"]),
        name=text(row["name"]),
        status=status(row["status"]),
        progress=None if progress is None else min(max(progress, 0.0), 1.0),
        message=text(row["message"]),
        **checked,
    )


def run_row(values: tuple[Any, ...]) -> RunRow:
    """Return the row of a run, from the values of `RUN_COLUMNS`."""
    row = dict(zip(RUN_COLUMNS, values, strict=True))
    checked: dict[str, Any] = {name: optional_text(row[name]) for name in _OPTIONAL_RUN_TEXTS}
    checked |= {name: row[name] if isinstance(row[name], int) else None for name in _RUN_INTEGERS}
    return RunRow(
        id=row["id"],
        pipeline=text(row["pipeline"]),
        status=RunStatus(row["status"]) if row["status"] in set(RunStatus) else RunStatus.INTERRUPTED,
        started_at=text(row["started_at"]),
        executor=text(row["executor"]),
        idle_s=number(row["idle_s"]),
        **checked,
    )
