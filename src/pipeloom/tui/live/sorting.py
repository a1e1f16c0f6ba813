"""The orders of the live table, and when its rows may be sorted again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from pipeloom.status import FINAL, Status
from pipeloom.store.rows import AttemptRow
from pipeloom.times import monotonic
from pipeloom.tui.live.board import Board, SortKey
from pipeloom.tui.style import format as fmt

INTERVAL_S: Final = 2.0
"""Minimum seconds between sorts of rows that change."""
_SHARE: Final = 20
"""Sorting takes at most this fraction of the screen's time (1/n)."""
_QUIET_S: Final = 1.0
"""Seconds after a key in which rows stay in place."""
_STATUSES: Final = {status: place for place, status in enumerate(Status)}


def _order(value: object) -> tuple[int, Any] | None:
    """Return a key that orders values of any kind: numbers, then texts; None for nothing."""
    if value is None:
        return None
    return (0, value) if isinstance(value, (int, float)) else (1, str(value))


def _elapsed(row: AttemptRow, now: float) -> float | None:
    return row.duration_s if row.status in FINAL else fmt.seconds_since(row.started_at, now)


COLUMNS: Final[dict[str, tuple[str, Callable[[AttemptRow, float], object]]]] = {
    "id": ("ID", lambda row, _now: row.task_id),
    "task": ("Task", lambda row, _now: row.name),
    "status": ("Status", lambda row, _now: _STATUSES[row.status]),
    "progress": ("Progress", lambda row, _now: row.progress),
    "try": ("Try", lambda row, _now: row.attempt),
    "elapsed": ("Time", _elapsed),
    "rows": ("Rows", lambda row, _now: row.rows),
    "message": ("Message", lambda row, _now: row.message or None),
}
"""Column ids with their labels and sort values, at a time in Unix seconds."""


@dataclass
class Sorting:
    """The user's order of a board, kept up while rows change."""

    column: str | None = None
    """None: the groups of the board."""
    descending: bool = False
    _sorted_s: float = 0.0
    _took_s: float = 0.0

    @classmethod
    def from_text(cls, text: str) -> Sorting:
        """Return the order in `text`; the default for an unknown column."""
        column = text.removeprefix("-")
        return cls(column, text.startswith("-")) if column in COLUMNS else cls()

    @property
    def text(self) -> str:
        """The order, as in "task" or "-elapsed"; "" for the default."""
        return f"{'-' if self.descending else ''}{self.column}" if self.column is not None else ""

    def choose(self, column: str | None) -> None:
        """Sort by `column`; choosing it again reverses it, and choosing it a third time goes back to the groups."""
        if column is None or column != self.column:
            self.column, self.descending = column, False
        elif not self.descending:
            self.descending = True
        else:
            self.column, self.descending = None, False

    def apply(self, board: Board, now: float, monotonic_s: float) -> None:
        """Sort the board."""
        began = monotonic()
        board.sort(self._key(now), descending=self.descending)
        self._sorted_s, self._took_s = monotonic_s, monotonic() - began

    def is_due(self, monotonic_s: float, key_pressed_s: float) -> bool:
        """Tell whether the rows may be sorted again, given when the last key was pressed."""
        if self.column is None or monotonic_s - key_pressed_s < _QUIET_S:
            return False
        return monotonic_s - self._sorted_s >= max(INTERVAL_S, self._took_s * _SHARE)

    def _key(self, now: float) -> SortKey | None:
        if self.column is None:
            return None
        value = COLUMNS[self.column][1]
        return lambda row: _order(value(row, now))
