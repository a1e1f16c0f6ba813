"""Values as a file from anywhere may hold them, made into what they should be."""

from __future__ import annotations

import math
from typing import Any

from pipeloom.messages import TaskId
from pipeloom.status import Status


def text(value: Any) -> str:
    """Return text; "" for none."""
    return value if isinstance(value, str) else "" if value is None else str(value)


def number(value: Any) -> float | None:
    """Return a finite number, or None."""
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None


def status(value: Any) -> Status:
    """Return a status; what is none was interrupted, as far as anybody can know."""
    return Status(value) if value in set(Status) else Status.INTERRUPTED


def task_id(value: Any) -> TaskId:
    """Return the id of a task."""
    return value if isinstance(value, (int, str)) else text(value)
