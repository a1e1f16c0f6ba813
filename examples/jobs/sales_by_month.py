"""Extract, transform and load, with one aggregate at the end: what waits for what.

pipeloom run etl.db examples/jobs/sales_by_month.py
"""

from __future__ import annotations

import random
from typing import Any

from pipeloom import Pipeline, TaskDef

MONTHS = [f"2026-{month:02}" for month in range(1, 13)]


def extract(task: TaskDef, q: Any) -> list[list[Any]]:
    """Return the sales of a month, as a file or an API would give them."""
    chance = random.Random(task.task_id)
    return [[f"{task.params['month']}-{day:02}", chance.choice("abc"), chance.randint(1, 90)] for day in range(1, 29)]


def transform(task: TaskDef, q: Any) -> None:
    """Store the sales of a month that are worth it."""
    (extracted,) = q.results.values()
    q.put(sales.rows([row for row in extracted if row[2] >= 10]))


def total(task: TaskDef, q: Any) -> None:
    """Store the sum of each month: all of them are there."""
    q.put(Total())


class Total:
    """The totals are to be computed."""


pipeline = Pipeline("sales", worker_fn=extract)
sales = pipeline.table("sales", {"day": str, "product": str, "amount": int}, key="day")
totals = pipeline.table("totals", {"month": str, "amount": int}, key="month")


@pipeline.tasks
def months() -> list[TaskDef]:
    """Return two tasks for each month, and one for all."""
    listed = [TaskDef(f"extract-{month}", params={"month": month}) for month in MONTHS]
    listed += [TaskDef(f"load-{month}", after=[f"extract-{month}"], worker_fn=transform) for month in MONTHS]
    return [*listed, TaskDef("totals", after="*", worker_fn=total)]


@pipeline.handler(Total)
def store_totals(conn: Any, _: Total) -> None:
    """Compute the totals from what is in the file."""
    conn.execute(
        "INSERT OR REPLACE INTO totals (month, amount) SELECT substr(day, 1, 7), sum(amount) FROM sales GROUP BY 1"
    )
