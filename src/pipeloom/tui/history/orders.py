"""The orders of the history's attempts: their labels, and their names in the user's state."""

from __future__ import annotations

from typing import Final

from pipeloom.store.read.paging import NEWEST, Sort
from pipeloom.tui.services import AppServices
from pipeloom.tui.widgets.dialogs import ListDialog

ORDERS: Final = {
    "time": ("Time, newest first", NEWEST),
    "duration": ("Duration, longest first", Sort("duration_s")),
    "name": ("Name", Sort("name", descending=False)),
    "status": ("Status", Sort("status", descending=False)),
    "start": ("Start, latest first", Sort("started_at")),
}
"""Name of an order to its label and its sort."""
SLOWEST: Final = ORDERS["duration"][1]
_HEADERS: Final = {
    "run": "time", "id": "time", "started": "start", "task": "name", "status": "status", "elapsed": "duration",
}  # fmt: skip
"""Column id to the order that a click on the column's label asks for."""
_SORTED_COLUMNS: Final = {
    "id": "id",
    "name": "task",
    "status": "status",
    "started_at": "started",
    "duration_s": "elapsed",
}
"""Column of the file to the column id of the list."""


def label(sort: Sort) -> str:
    """Return the label of an order; "" for the default."""
    if sort == NEWEST:
        return ""
    names = {known: name for name, (_, known) in ORDERS.items()}
    return f"by {names[sort]}" if sort in names else f"by {names.get(reversed_sort(sort), sort.column)}, turned"


def reversed_sort(sort: Sort) -> Sort:
    """Return the reverse order."""
    return Sort(sort.column, not sort.descending)


def after_click(column_id: str, sort: Sort) -> Sort | None:
    """Return the order after a click on a column's label: reversed when it is `sort` already; None: no order."""
    name = _HEADERS.get(column_id)
    if name is None:
        return None
    asked = ORDERS[name][1]
    return reversed_sort(asked) if asked == sort else asked


def to_text(sort: Sort) -> str:
    """Return the order as text for the user's state; "" for the default."""
    return "" if sort == NEWEST else f"{'-' if sort.descending else ''}{sort.column}"


def from_text(text: str) -> Sort:
    """Return the order that `text` names; the default for any other text."""
    column = text.removeprefix("-")
    return Sort(column, text.startswith("-")) if column in _SORTED_COLUMNS else NEWEST


def sorted_column(sort: Sort) -> str | None:
    """Return the id of the sorted column; None for the default order."""
    return None if sort == NEWEST else _SORTED_COLUMNS[sort.column]


async def ask(services: AppServices, present: Sort) -> Sort | None:
    """Return the order that the user chooses from a list; None: the present one stays."""
    rows = [(sort, label) for label, sort in ORDERS.values()]
    dialog: ListDialog[Sort | None] = ListDialog("Sort the attempts by", rows, [present], None)
    return await services.push_screen_wait(dialog)
