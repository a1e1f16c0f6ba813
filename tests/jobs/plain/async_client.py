"""The job of the same name with asyncio and sqlite3."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
import time
from collections import deque
from urllib.parse import urlsplit

db, api = sys.argv[1:]
connection = sqlite3.connect(db)
connection.execute("CREATE TABLE IF NOT EXISTS orders (id TEXT PRIMARY KEY, region TEXT, total REAL)")
connection.execute("CREATE TABLE IF NOT EXISTS pages (page TEXT PRIMARY KEY, status TEXT, error TEXT)")


class Rate:
    def __init__(self, per_second):
        self.per_second = per_second
        self.recent = deque()
        self.lock = asyncio.Lock()

    async def wait(self):
        async with self.lock:
            while True:
                now = time.monotonic()
                while self.recent and self.recent[0] <= now - 1:
                    self.recent.popleft()
                if len(self.recent) < self.per_second:
                    self.recent.append(now)
                    return
                await asyncio.sleep(self.recent[0] + 1 - now)


async def ask(url):
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(
        f"GET {parts.path}?{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n".encode()
    )
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    first, *lines = head.decode().split("\r\n")
    return int(first.split()[1]), dict(line.split(": ", 1) for line in lines), json.loads(body)


async def load(region):
    rate, page = Rate(3), 1
    while page is not None:
        await rate.wait()
        status, headers, body = await ask(f"{api}/orders/{region}?page={page}")
        if status == 429:
            await asyncio.sleep(float(headers["Retry-After"]))
            continue
        with connection:
            connection.executemany("INSERT OR REPLACE INTO orders VALUES (:id, :region, :total)", body["orders"])
            connection.execute("INSERT OR REPLACE INTO pages VALUES (?, 'done', NULL)", (f"{region}-{page}",))
        page = body["next"]


async def main():
    regions = ("eu", "us", "asia")
    ended = await asyncio.gather(*map(load, regions), return_exceptions=True)
    for region, error in zip(regions, ended, strict=True):
        if error is not None:
            print(f"{region} failed: {error!r}", file=sys.stderr)
            with connection:
                connection.execute("INSERT OR REPLACE INTO pages VALUES (?, 'error', ?)", (region, repr(error)))
    return any(ended)


failed = asyncio.run(main())
connection.close()
sys.exit(failed)
