"""The job of the same name with a plain pool and sqlite3."""

from __future__ import annotations

import gzip
import re
import sqlite3
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

LINE = re.compile(
    r'(?P<host>\S+) \S+ \S+ \[(?P<at>[^]]+)\] "(?P<method>\w+) (?P<path>\S+)[^"]*" (?P<status>\d+) (?P<size>\d+)'
)


def read(path: Path) -> tuple[list[tuple[object, ...]], list[str]]:
    found, bad = [], []
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            match = LINE.match(line)
            if match is None:
                bad.append(f"{path.name}: line {number} is no request: {line.rstrip()}")
                continue
            host, at, method, where, status, size = match.groups()
            found.append((path.name, number, host, at, method, where, int(status), int(size)))
    return found, bad


def chunks(rows: list[tuple[object, ...]]) -> Iterator[list[tuple[object, ...]]]:
    for first in range(0, len(rows), 1000):
        yield rows[first : first + 1000]


if __name__ == "__main__":
    db, folder = sys.argv[1:]
    connection = sqlite3.connect(db)
    connection.execute(
        "CREATE TABLE IF NOT EXISTS requests (file TEXT, line INTEGER, host TEXT, at TEXT, method TEXT, path TEXT, "
        "status INTEGER, size INTEGER, PRIMARY KEY (file, line))"
    )
    failed = 0
    with ProcessPoolExecutor(2) as pool:
        futures = {pool.submit(read, path): path for path in sorted(Path(folder).glob("*.gz"))}
        for future in as_completed(futures):
            try:
                rows, bad = future.result()
            except Exception as error:
                failed += 1
                print(f"{futures[future].name} failed: {error!r}", file=sys.stderr)
                continue
            print(*bad, sep="\n")
            for chunk in chunks(rows):
                with connection:
                    connection.executemany("INSERT OR REPLACE INTO requests VALUES (?, ?, ?, ?, ?, ?, ?, ?)", chunk)
    connection.close()
    sys.exit(failed > 0)
