"""The job of the same name with a plain pool and sqlite3."""

from __future__ import annotations

import json
import sqlite3
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.error import HTTPError
from urllib.request import urlopen

db, api = sys.argv[1:]
api_slots = threading.Semaphore(2)
lock = threading.Lock()
connection = sqlite3.connect(db, check_same_thread=False)
connection.execute("CREATE TABLE IF NOT EXISTS orders (id TEXT PRIMARY KEY, region TEXT, total REAL)")
connection.execute("CREATE TABLE IF NOT EXISTS progress (region TEXT PRIMARY KEY, page INTEGER)")


def fetch(region: str, page: int) -> dict[str, object]:
    while True:
        try:
            with api_slots, urlopen(f"{api}/orders/{region}?page={page}") as answer:
                return json.load(answer)
        except HTTPError as error:
            if error.code != 429:
                raise
            time.sleep(float(error.headers["Retry-After"]))


def load(region: str) -> None:
    with lock:
        row = connection.execute("SELECT page FROM progress WHERE region=?", (region,)).fetchone()
    page = row[0] if row else 1
    while page is not None:
        body = fetch(region, page)
        page = body["next"]
        with lock, connection:
            connection.executemany("INSERT OR REPLACE INTO orders VALUES (:id, :region, :total)", body["orders"])
            if page is None:
                connection.execute("DELETE FROM progress WHERE region=?", (region,))
            else:
                connection.execute("INSERT OR REPLACE INTO progress VALUES (?, ?)", (region, page))


failed = 0
with ThreadPoolExecutor(4) as pool:
    for region, future in [(region, pool.submit(load, region)) for region in ("eu", "us", "asia")]:
        try:
            future.result()
        except Exception as error:
            failed += 1
            print(f"{region} failed: {error!r}", file=sys.stderr)
connection.close()
sys.exit(failed > 0)
