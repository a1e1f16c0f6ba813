"""Makes a test of live rows of a filter: the same answer as `pipeloom.filters.sql`, for an attempt in memory."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol

from pipeloom.filters.conditions import Condition, Contains, HasFingerprint, HasId, HasOddRows, OneOf, WaitsFor, Within

if TYPE_CHECKING:
    from pipeloom.messages import TaskId
    from pipeloom.status import Status


class Row(Protocol):
    """The fields of an attempt that filters read."""

    @property
    def id(self) -> int: ...  # noqa: D102
    @property
    def run_id(self) -> int: ...  # noqa: D102
    @property
    def task_id(self) -> TaskId: ...  # noqa: D102
    @property
    def attempt(self) -> int: ...  # noqa: D102
    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def status(self) -> Status: ...  # noqa: D102
    @property
    def message(self) -> str: ...  # noqa: D102
    @property
    def queued_at(self) -> str | None: ...  # noqa: D102
    @property
    def started_at(self) -> str | None: ...  # noqa: D102
    @property
    def duration_s(self) -> float | None: ...  # noqa: D102
    @property
    def error_type(self) -> str | None: ...  # noqa: D102
    @property
    def error(self) -> str | None: ...  # noqa: D102
    @property
    def worker(self) -> str | None: ...  # noqa: D102
    @property
    def fingerprint(self) -> str | None: ...  # noqa: D102
    @property
    def rows(self) -> int | None: ...  # noqa: D102
    @property
    def code(self) -> str | None: ...  # noqa: D102
    @property
    def odd(self) -> int: ...  # noqa: D102


Test = Callable[[Row], bool]
"""Tells whether a row fulfils a condition."""

_VALUES: Final[dict[str, Callable[[Row], Any]]] = {
    "status": lambda row: str(row.status),
    "run": operator.attrgetter("run_id"),
    "pipeline": lambda _row: None,  # its run has it: see `Filter.of_pipeline`
    "task": lambda row: str(row.task_id),
    "task number": lambda row: row.task_id if isinstance(row.task_id, int) else None,
    "task text": lambda row: row.task_id if isinstance(row.task_id, str) else None,
    "attempt": operator.attrgetter("attempt"),
    "rows": operator.attrgetter("rows"),
    "code": operator.attrgetter("code"),
    "dur": operator.attrgetter("duration_s"),
    "age": lambda row: row.queued_at if row.started_at is None else row.started_at,
    "started": operator.attrgetter("started_at"),
    "fail": operator.attrgetter("fingerprint"),
    "name": operator.attrgetter("name"),
}
"""Field of a filter to its value in a row."""
_SIGNS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
}
_ASCII_LOWER: Final = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}


def test_of(condition: Condition) -> Test:
    """Return a condition of a filter as a test."""
    match condition:
        case Contains(columns, text):
            return _contains(columns, text)
        case OneOf(field, values):
            value, wanted = _VALUES[field], frozenset(values)
            return lambda row: value(row) in wanted
        case Within(field, bounds):
            return _within(_VALUES[field], bounds)
        case HasId(ids):
            return lambda row: row.id in ids
        case HasFingerprint():
            return lambda row: row.fingerprint is not None
        case HasOddRows():
            return lambda row: row.odd != 0
        case WaitsFor():
            return lambda _row: False


def _contains(columns: tuple[str, ...], text: str) -> Test:
    if not text:
        return lambda _row: True
    wanted = _folded(text)
    return lambda row: any(wanted in _folded(getattr(row, name) or "") for name in columns)


def _within(value_of: Callable[[Row], Any], bounds: tuple[tuple[str, Any], ...]) -> Test:
    def test(row: Row) -> bool:
        value = value_of(row)
        return value is not None and all(_SIGNS[sign](value, bound) for sign, bound in bounds)

    return test


def _folded(text: str) -> str:
    """Return `text` as SQLite's LIKE folds it: ASCII letters only."""
    return text.translate(_ASCII_LOWER)
