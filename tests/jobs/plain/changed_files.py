"""The job of the same name with a plain pool and sqlite3."""

from __future__ import annotations

import csv
import hashlib
import sqlite3
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

db, folder = sys.argv[1:]
lock = threading.Lock()
connection = sqlite3.connect(db, check_same_thread=False)
connection.execute(
    "CREATE TABLE IF NOT EXISTS items (file TEXT, line INTEGER, item TEXT, price TEXT, PRIMARY KEY (file, line))"
)
connection.execute("CREATE TABLE IF NOT EXISTS seen (file TEXT PRIMARY KEY, size INTEGER, mtime INTEGER, hash TEXT)")
seen = {row[0]: row[1:] for row in connection.execute("SELECT file, size, mtime, hash FROM seen")}


def load(path: Path) -> bool:
    stat = path.stat()
    before = seen.get(path.name)
    if before and before[:2] == (stat.st_size, stat.st_mtime_ns):
        return False
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    changed = before is None or before[2] != digest
    rows = []
    if changed:
        with path.open(newline="", encoding="utf-8") as lines:
            rows = [(path.name, n, row["item"], row["price"]) for n, row in enumerate(csv.DictReader(lines), 1)]
    with lock, connection:
        connection.executemany("INSERT OR REPLACE INTO items VALUES (?, ?, ?, ?)", rows)
        values = (path.name, stat.st_size, stat.st_mtime_ns, digest)
        connection.execute("INSERT OR REPLACE INTO seen VALUES (?, ?, ?, ?)", values)
    return changed


failed = 0
with ThreadPoolExecutor(4) as pool:
    for path, future in [(path, pool.submit(load, path)) for path in sorted(Path(folder).glob("*.csv"))]:
        try:
            future.result()
        except Exception as error:
            failed += 1
            print(f"{path.name} failed: {error!r}", file=sys.stderr)
connection.close()
sys.exit(failed > 0)
