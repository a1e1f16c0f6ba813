"""The job of the same name with a plain pool and sqlite3."""

from __future__ import annotations

import random
import sqlite3
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

MONTHS = [f"2026-{month:02}" for month in range(1, 13)]
lock = threading.Lock()
connection = sqlite3.connect(sys.argv[1], check_same_thread=False)
connection.execute("CREATE TABLE IF NOT EXISTS sales (day TEXT PRIMARY KEY, product TEXT, amount INTEGER)")
connection.execute("CREATE TABLE IF NOT EXISTS totals (month TEXT PRIMARY KEY, amount INTEGER)")
connection.execute("CREATE TABLE IF NOT EXISTS steps (name TEXT PRIMARY KEY, status TEXT, error TEXT)")


def step(name, work, *arguments):
    try:
        result = work(*arguments)
    except Exception as error:
        with lock, connection:
            connection.execute("INSERT OR REPLACE INTO steps VALUES (?, 'error', ?)", (name, repr(error)))
        raise
    with lock, connection:
        connection.execute("INSERT OR REPLACE INTO steps VALUES (?, 'done', NULL)", (name,))
    return result


def extract(month):
    chance = random.Random(f"extract-{month}")
    return [[f"{month}-{day:02}", chance.choice("abc"), chance.randint(1, 90)] for day in range(1, 29)]


def transform(rows):
    with lock, connection:
        connection.executemany("INSERT OR REPLACE INTO sales VALUES (?, ?, ?)", [row for row in rows if row[2] >= 10])


def month_of(month):
    step(f"load-{month}", transform, step(f"extract-{month}", extract, month))


def total():
    with lock, connection:
        connection.execute("INSERT OR REPLACE INTO totals SELECT substr(day, 1, 7), sum(amount) FROM sales GROUP BY 1")


with ThreadPoolExecutor(4) as pool:
    failed = [future.exception() for future in [pool.submit(month_of, month) for month in MONTHS]]
if any(failed):
    sys.exit(f"{sum(map(bool, failed))} months failed, no totals")
step("totals", total)
connection.close()
