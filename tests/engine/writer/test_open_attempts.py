"""The open attempts by their ids."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeloom.engine.writer.open_attempts import OpenAttempts
from pipeloom.status import Status
from pipeloom.store.rows import AttemptRow


@given(st.integers(0, 50), st.lists(st.tuples(st.booleans(), st.integers(0, 30))))
def test_it_knows_what_a_dict_would(first: int, steps: list[tuple[bool, int]]) -> None:
    rows, model = OpenAttempts(first), dict[int, AttemptRow]()
    for number, (is_open, place) in enumerate(steps):
        row = AttemptRow(first + place, 1, number, 1, "task", Status.RUNNING if is_open else Status.DONE)
        rows.keep([row])
        if is_open:
            model[row.id] = row
        else:
            model.pop(row.id, None)
        assert (len(rows), dict(rows)) == (len(model), dict(sorted(model.items())))
        assert all((attempt_id in rows) == (attempt_id in model) for attempt_id in range(first - 5, first + 40))
