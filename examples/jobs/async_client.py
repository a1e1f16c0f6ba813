"""Hundreds of requests that wait at the same time: the worker is `async def`.

python examples/jobs/server.py                                         prints an address
pipeloom run etl.db examples/jobs/async_client.py -p api=http://127.0.0.1:PORT
"""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import urlsplit

from pipeloom import Limit, Pipeline, RetryAfter, TaskDef


async def ask(url: str) -> tuple[int, dict[str, str], Any]:
    """Return status, headers and JSON of a URL; any client for asyncio does, such as httpx."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(
        f"GET {parts.path}?{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n".encode()
    )
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    first, *lines = head.decode().split("\r\n")
    return int(first.split()[1]), dict(line.split(": ", 1) for line in lines), json.loads(body)


async def load(task: TaskDef, q: Any) -> None:
    """Load one page."""
    status, headers, body = await ask(task.params["url"])
    if status == 429:
        raise RetryAfter(float(headers["Retry-After"]))
    await q.put(orders.rows(body["orders"]))
    if body["next"] is not None:
        await q.put(page_of(task.params["api"], task.params["region"], body["next"]))


def page_of(api: str, region: str, page: int) -> TaskDef:
    """Return the task of a page; a page finds the next one."""
    params = {"api": api, "region": region, "url": f"{api}/orders/{region}?page={page}"}
    return TaskDef(f"{region}-{page}", params=params, limits=[f"region:{region}"])


pipeline = Pipeline("async client", worker_fn=load, limits={"region:*": Limit(per_second=3)})
orders = pipeline.table("orders", {"id": str, "region": str, "total": float}, key="id")


@pipeline.tasks
def first_pages(api: str) -> list[TaskDef]:
    """Return the first page of each region."""
    return [page_of(api, region, 1) for region in ("eu", "us", "asia")]
