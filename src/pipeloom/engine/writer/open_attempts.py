"""The open attempts of a run by their ids, which follow each other: a list needs a sixth of what a dict does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pipeloom.store.rows import AttemptRow


class OpenRows(Mapping[int, AttemptRow]):
    """Attempts by id, as they were committed last, until they end."""

    def __init__(self, first_id: int = 0) -> None:
        """Begin with none; no id will be lower than `first_id`."""
        self._first_id = first_id
        self._rows: list[AttemptRow | None] = []
        self._count = 0

    def keep(self, row: AttemptRow) -> None:
        """Take over the newest state of an attempt that is open."""
        place = row.id - self._first_id
        self._rows.extend([None] * (place + 1 - len(self._rows)))
        self._count += self._rows[place] is None
        self._rows[place] = row

    def drop(self, attempt_id: int) -> None:
        """Forget an attempt, if it was known."""
        place = attempt_id - self._first_id
        if 0 <= place < len(self._rows) and self._rows[place] is not None:
            self._rows[place] = None
            self._count -= 1

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
