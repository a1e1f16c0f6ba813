"""The columns of the list of runs."""

from __future__ import annotations

import pytest
from rich.style import Style
from tests.tui.conftest import RUN

from pipeloom.status import Status
from pipeloom.tui.history.columns import run_columns
from pipeloom.tui.history.queries import RunItem
from pipeloom.tui.table.columns import RenderContext

COUNTS = {Status.ERROR: 49, Status.INTERRUPTED: 103, Status.DONE: 1570, Status.QUEUED: 12_345}


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (24, "×49 !103 ✓1570 … 12k"),
        (20, "×49 !103 ✓1570 … 12k"),
        (18, "×49 !103 ✓1570 …"),
        (15, "×49 !103 …"),
        (9, "×49 …"),
        (7, "×49 …"),
    ],
)
def test_the_number_of_tasks_is_never_cut_in_a_number(width: int, shown: str) -> None:
    (column,) = (column for column in run_columns() if column.id == "counts")
    context = RenderContext(width, 0.0, ascii_only=False, style=lambda _name: Style())
    told = column.cell(RunItem(RUN, COUNTS), context).plain
    assert told.rstrip() == shown
    assert len(told) <= width
