"""A paged API that says when to come back: two requests at a time, and a load that goes on at the page where it ended.

python examples/jobs/server.py                                         prints an address
pipeloom run etl.db examples/jobs/paged_api.py -p api=http://127.0.0.1:PORT
"""

from __future__ import annotations

import json
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

from pipeloom import Limit, Pipeline, RetryAfter, TaskDef


def load(task: TaskDef, q: Any) -> None:
    """Load the orders of a region, page by page."""
    page = q.state.get("page", 1)
    while page is not None:
        try:
            with urlopen(f"{task.params['api']}/orders/{task.name}?page={page}") as answer:
                body = json.load(answer)
        except HTTPError as error:
            if error.code == 429:
                raise RetryAfter(float(error.headers["Retry-After"])) from error
            raise
        page = body["next"]
        q.put(orders.rows(body["orders"]), state={"page": page} if page else {})


pipeline = Pipeline("paged api", worker_fn=load, limits={"api": Limit(2)})
orders = pipeline.table("orders", {"id": str, "region": str, "total": float}, key="id")


@pipeline.tasks
def regions(api: str, region: list[str] = ["eu", "us", "asia"]) -> list[TaskDef]:  # noqa: B006 - read only
    """Return a task for each region."""
    return [TaskDef(name, limits=["api"], params={"api": api}) for name in region]
