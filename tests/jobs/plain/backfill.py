"""The job of the same name with a plain pool and sqlite3."""

from __future__ import annotations

import argparse
import sqlite3
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta

parser = argparse.ArgumentParser()
parser.add_argument("db")
parser.add_argument("--start", type=date.fromisoformat, required=True)
parser.add_argument("--end", type=date.fromisoformat, required=True)
given = parser.parse_args()
lock = threading.Lock()
connection = sqlite3.connect(given.db, check_same_thread=False)
connection.execute(
    "CREATE TABLE IF NOT EXISTS daylight (day TEXT NOT NULL, hour INTEGER NOT NULL, light INTEGER NOT NULL, "
    "PRIMARY KEY (day, hour))"
)
connection.execute("CREATE TABLE IF NOT EXISTS days (day TEXT PRIMARY KEY, status TEXT, error TEXT)")


def load(day: str) -> bool:
    try:
        rows = [(day, hour, 6 <= hour < 18) for hour in range(24)]
        with lock, connection:
            connection.executemany("INSERT OR REPLACE INTO daylight VALUES (?, ?, ?)", rows)
            connection.execute("INSERT OR REPLACE INTO days VALUES (?, 'done', NULL)", (day,))
    except Exception as error:
        with lock, connection:
            connection.execute("INSERT OR REPLACE INTO days VALUES (?, 'error', ?)", (day, repr(error)))
        return False
    return True


days = [str(given.start + timedelta(number)) for number in range((given.end - given.start).days + 1)]
with ThreadPoolExecutor(4) as pool:
    done = list(pool.map(load, days))
connection.close()
sys.exit(not all(done))
