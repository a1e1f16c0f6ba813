"""A selection says what an action of the history is about; it can never stand for more than is shown."""

from __future__ import annotations

from typing import Any

import pytest

from pipeloom.filters import Filter, parse
from pipeloom.status import Status
from pipeloom.store.read.paging import NEWEST
from pipeloom.store.rows import AttemptRow
from pipeloom.tui.history.reading import Scope
from pipeloom.tui.history.selection import Selection, both

ROW = AttemptRow(7, 3, "a", 1, "load a", Status.ERROR)


def selected(shown: Filter, *marked: int) -> Selection:
    return Selection(row=ROW, marked=marked, shown=shown, sort=NEWEST)


def test_a_selection_without_the_filter_that_is_shown_cannot_be_made() -> None:
    parts: dict[str, Any] = {"row": ROW, "marked": (), "sort": NEWEST}
    with pytest.raises(TypeError, match="shown"):
        Selection(**parts)


@pytest.mark.parametrize("text", ["", "run:3", "run:3 needle", "status:error err:KeyError"])
def test_all_that_failed_is_all_that_failed_of_what_is_shown(text: str) -> None:
    shown = parse(text)
    wanted = selected(shown).failed()
    assert wanted.terms[: len(shown.terms)] == shown.terms
    assert str(both(Filter(), wanted)).split()[-1] == "status:error,interrupted"


def test_what_is_exported_is_what_is_shown_or_marked() -> None:
    shown = both(parse("needle"), Scope(3, "run 3", parse("run:3")).where)
    assert selected(shown).exported() == shown
    assert selected(shown, 7, 9).exported() != shown
