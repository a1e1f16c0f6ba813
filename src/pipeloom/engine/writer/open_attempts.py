"""The open attempts of a run by id. Ids follow each other, so a list holds them in a sixth of a dict's memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pipeloom.status import FINAL
from pipeloom.store.rows import AttemptRow


class OpenAttempts(Mapping[int, AttemptRow]):
    """Attempts by id, as last committed, until they end."""

    def __init__(self, first_id: int = 0) -> None:
        """Start empty; no id is lower than `first_id`."""
        self._first_id = first_id
        self._rows: list[AttemptRow | None] = []
        self._count = 0

    def keep(self, newest: Sequence[AttemptRow]) -> None:
        """Store the newest state of attempts; those that have ended are dropped."""
        rows, first_id = self._rows, self._first_id
        rows.extend([None] * (max((row.id for row in newest), default=0) + 1 - first_id - len(rows)))
        for row in newest:
            place, is_open = row.id - first_id, row.status not in FINAL
            self._count += is_open - (rows[place] is not None)
            rows[place] = row if is_open else None

    def __getitem__(self, attempt_id: int) -> AttemptRow:
        row = self.get(attempt_id)
        if row is None:
            raise KeyError(attempt_id)
        return row

    def get(self, attempt_id: int, default: AttemptRow | None = None) -> AttemptRow | None:  # type: ignore[override]
        """Return the row, or `default`."""
        place = attempt_id - self._first_id
        row = self._rows[place] if 0 <= place < len(self._rows) else None
        return default if row is None else row

    def __contains__(self, attempt_id: object) -> bool:
        return isinstance(attempt_id, int) and self.get(attempt_id) is not None

    def __iter__(self) -> Iterator[int]:
        return (row.id for row in self._rows if row is not None)

    def __len__(self) -> int:
        return self._count
