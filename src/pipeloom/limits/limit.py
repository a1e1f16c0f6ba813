"""Limits: declared by a pipeline, named by its tasks."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pipeloom.errors import UsageError
from pipeloom.messages import TaskDef
from pipeloom.text import clean, storable

MAX_AT_ONCE: Final = 1_000_000
MAX_PER_SECOND: Final = 10_000
MAX_NAME: Final = 200
MAX_PRIORITY: Final = 2**63 - 1

_SHOWN: Final = 10
"""Limits of the pipeline that an error names."""


@dataclass(frozen=True, slots=True)
class Limit:
    """How many of the tasks that name it run at once, how many of them start in a second, or both.

    `at_once` counts an attempt from the moment at which it is handed to a worker until that worker has come back.

    `per_second` is a whole number, or a fraction below 1. With a whole number `n`, no second in which more than `n`
    attempts start can be found, wherever it begins; the first `n` may start together. With a fraction, such as 0.2,
    at least `1 / per_second` seconds lie between two starts.

    Raises `UsageError` for other numbers, and when none is given.
    """

    at_once: int | None = None
    """Attempts; None: any number."""
    per_second: float | None = None
    """Starts; None: any number."""

    def __post_init__(self) -> None:
        """Check the numbers."""
        most, rate = self.at_once, self.per_second
        if most is None and rate is None:
            raise UsageError("A Limit needs a number: Limit(2), Limit(per_second=5), or both.")
        if most is not None and not _is_number(most):
            raise UsageError(f"Limit: at_once must be a whole number from 1 to {MAX_AT_ONCE:,}, not {most!r:.80}.")
        if rate is not None and not _is_rate(rate):
            raise UsageError(
                f"Limit: per_second must be a whole number from 1 to {MAX_PER_SECOND:,}, or a fraction between 0 and 1 "
                f"(0.2: one start in five seconds), not {rate!r:.80}."
            )

    @property
    def starts(self) -> int:
        """Attempts that may start within `seconds`."""
        return 1 if self.per_second is None else max(1, int(self.per_second))

    @property
    def seconds(self) -> float:
        """Length of the time in which `starts` are counted."""
        return 0.0 if self.per_second is None else max(1.0, 1 / self.per_second)


def _is_number(most: object) -> bool:
    return isinstance(most, int) and not isinstance(most, bool) and 1 <= most <= MAX_AT_ONCE


def _is_rate(rate: object) -> bool:
    if isinstance(rate, bool) or not isinstance(rate, (int, float)):
        return False
    if not 0 < rate <= MAX_PER_SECOND or not math.isfinite(1 / rate):
        return False
    return rate < 1 or rate == int(rate)


def limit_of(name: str, limits: Collection[str]) -> str | None:
    """Return which of the declared limits a name means: itself, or the longest `prefix*` that it begins with."""
    if "*" in name:
        return None
    if name in limits:
        return name
    return max((one for one in limits if one.endswith("*") and name.startswith(one[:-1])), key=len, default=None)


def check_declared(limits: object) -> None:
    """Raise `UsageError` unless `limits` can be those of a pipeline."""
    if not isinstance(limits, Mapping):
        raise UsageError(f'limits must be a dict such as {{"api": Limit(2)}}, not {type(limits).__name__}.')
    for name, limit in limits.items():
        if not isinstance(name, str) or not name or "*" in name[:-1] or storable(name, MAX_NAME) != name:
            raise UsageError(
                f"A limit needs a name, which is a string and may end in * for one limit a value, not {name!r:.80}."
            )
        if not isinstance(limit, Limit):
            raise UsageError(f"limits[{name!r:.80}] must be a Limit, such as Limit(2), not {limit!r:.80}.")


def check_named(tasks: Iterable[object], limits: Collection[str]) -> None:
    """Raise `UsageError` unless every task has a whole number as its priority, and names limits that are declared."""
    known: set[str] = set()
    for task in tasks:
        given, priority = getattr(task, "limits", ()), getattr(task, "priority", 0)
        if type(priority) is not int or priority:
            _check_priority(task, priority)
        if not given:
            continue
        if not _are_names(given):
            if _is_ours(task):
                raise UsageError(f'{_task(task)}: limits must be a list of names such as ["api"], not {given!r:.80}.')
            continue
        for name in given:
            if name not in known:
                if limit_of(name, limits) is None:
                    raise UsageError(f"{_task(task)} names the limit {name!r:.80}. {_declared(limits)}")
                known.add(name)


def names_of(task: object) -> tuple[str, ...]:
    """Return the limits that a task names; none for an object that has something else there."""
    given = getattr(task, "limits", ())
    return tuple(dict.fromkeys(given)) if given and _are_names(given) else ()


def priority_of(task: object) -> int:
    """Return the priority of a task; 0 for an object that has something else there."""
    priority = getattr(task, "priority", 0)
    return priority if _is_priority(priority) else 0


def _are_names(given: Any) -> bool:
    return isinstance(given, (list, tuple, set, frozenset)) and all(isinstance(name, str) for name in given)


def _is_priority(priority: object) -> bool:
    return isinstance(priority, int) and not isinstance(priority, bool) and abs(priority) <= MAX_PRIORITY


def _check_priority(task: object, priority: object) -> None:
    if not _is_priority(priority) and _is_ours(task):
        raise UsageError(f"{_task(task)}: priority must be a whole number, not {priority!r:.80}.")


def _is_ours(task: object) -> bool:
    """Tell whether the task's fields mean what we say; an object of the user's may have other things there."""
    return isinstance(task, TaskDef)


def _task(task: object) -> str:
    return f"Task {getattr(task, 'task_id', None)!r:.80}"


def _declared(limits: Collection[str]) -> str:
    if not limits:
        return 'The pipeline has no limits: give it some, as in Pipeline(..., limits={"api": Limit(2)}).'
    shown = ", ".join(clean(name, 40) for name in list(limits)[:_SHOWN]) + (" …" if len(limits) > _SHOWN else "")
    return f"The pipeline has these: {shown}."
