"""Loads the orders."""

from __future__ import annotations

from typing import Any

from pipeloom import Pipeline, TaskDef

from .tables import ORDERS


def load(task: TaskDef, q: Any) -> None:
    """Load ten orders."""
    first = task.params["first"]
    q.put(orders.rows((number, f"customer-{number % 7}", number * 1.25) for number in range(first, first + 10)))


pipeline = Pipeline(
    "extract", [TaskDef(f"orders-{first}", params={"first": first}) for first in range(0, 100, 10)], load
)
orders = pipeline.table("orders", ORDERS, key="id")
