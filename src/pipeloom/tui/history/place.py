"""The place of the history: view, run, order, and the attempt whose detail is open."""

from __future__ import annotations

from dataclasses import replace

from pipeloom.store.read.paging import NEWEST, Sort
from pipeloom.tui.history.bar import VIEWS
from pipeloom.tui.history.lists import HistoryLists
from pipeloom.tui.history.orders import to_text
from pipeloom.tui.history.selection import attempt_of
from pipeloom.tui.sharing.place import Place


def place_of(shown: Place, lists: HistoryLists, run: int | None, sort: Sort) -> Place:
    """Return the place that a screen with this filter and detail shows; an attempt is found again by age alone."""
    attempts = lists.view == VIEWS[0]
    finds = attempts and sort == NEWEST and bool(shown.tab)
    return replace(
        shown,
        history=True,
        view="" if attempts else lists.view,
        order=to_text(sort) if attempts else "",
        run=run,
        attempt=attempt_of(lists.attempts.cursor_row) if finds else None,
    )
