"""The orders of the history."""

from __future__ import annotations

import pytest

from pipeloom.store.read.paging import NEWEST
from pipeloom.tui.history.orders import ORDERS, label, reversed_sort


@pytest.mark.parametrize("name", ORDERS)
def test_an_order_is_told_by_its_name_in_both_directions(name: str) -> None:
    sort = ORDERS[name][1]
    assert label(sort) == ("" if sort == NEWEST else f"by {name}")
    assert label(reversed_sort(sort)) == f"by {name}, turned"
