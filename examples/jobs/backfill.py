"""A year of days, or any part of it: `-p` says which.

pipeloom run etl.db examples/jobs/backfill.py -p start=2025-01-01 -p end=2025-12-31
pipeloom run etl.db examples/jobs/backfill.py -p start=2025-01-01 -p end=2025-12-31 --first 3
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

from pipeloom import Pipeline, TaskDef


def load(task: TaskDef, q: Any) -> None:
    """Compute the daylight of a day, an hour at a time."""
    day = date.fromisoformat(task.params["day"])
    q.put(daylight.rows((day, hour, 6 <= hour < 18) for hour in range(24)))


pipeline = Pipeline("backfill", worker_fn=load)
daylight = pipeline.table("daylight", {"day": date, "hour": int, "light": bool}, key=["day", "hour"])


@pipeline.tasks
def days(start: date, end: date) -> Iterator[TaskDef]:
    """Yield a task for each day from start to end."""
    for number in range((end - start).days + 1):
        day = str(start + timedelta(number))
        yield TaskDef(day, params={"day": day})
