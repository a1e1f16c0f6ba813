"""Sums the orders of each customer, when `extract` is done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pipeloom import Pipeline, TaskDef


@dataclass(frozen=True)
class Customer:
    """The sum of a customer is to be computed."""

    name: str


def report(task: TaskDef, q: Any) -> None:
    """Have the sum of a customer computed."""
    q.put(Customer(task.name))


pipeline = Pipeline("report", [TaskDef(f"customer-{number}") for number in range(7)], report)


@pipeline.schema
def create(conn: Any) -> None:
    """Create the table of the sums."""
    conn.execute("CREATE TABLE IF NOT EXISTS sums (customer TEXT PRIMARY KEY, total REAL)")


@pipeline.handler(Customer)
def store(conn: Any, msg: Customer) -> None:
    """Store the sum of a customer."""
    conn.execute(
        "INSERT OR REPLACE INTO sums SELECT customer, sum(total) FROM orders WHERE customer=? GROUP BY 1", (msg.name,)
    )
