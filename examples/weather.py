"""Real data, one task for each city and month: read, validate, convert, summarise, load.

    pipeloom-tui etl.db examples/weather.py      live
    pipeloom run etl.db examples/weather.py      without a screen
    python examples/weather.py etl.db            as a plain script

Afterwards `daily_weather` and `hourly_temps` hold exactly the rows of the files in `examples/data/`, and
`daily_summaries` one row for each city and day. A second run changes nothing: every row has a natural key.

WEATHER_PACE is the pause in seconds after each step (default 0.1), so that there is something to watch; 0 for none.
"""

from __future__ import annotations

import csv
import os
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pipeloom import MsgTaskFinished, MsgTaskLog, MsgTaskProgress, Pipeline, RetryPolicy, TaskDef, run_pipeline

DATA = Path(__file__).parent / "data"
PACE = float(os.environ.get("WEATHER_PACE", "0.1"))
BATCH = 200
STEPS = 4

DATASETS = {
    "seattle-daily": "seattle-weather.csv",
    "seattle-hourly": "seattle-temps.csv",
    "sf-hourly": "sf-temps.csv",
}

Row = tuple[Any, ...]
RawRow = tuple[int, dict[str, str]]


@dataclass(frozen=True)
class MsgDays:
    """Rows of `daily_weather`."""

    rows: list[Row]


@dataclass(frozen=True)
class MsgHours:
    """Rows of `hourly_temps`."""

    rows: list[Row]


@dataclass(frozen=True)
class MsgSummaries:
    """Rows of `daily_summaries`."""

    rows: list[Row]


@dataclass(frozen=True)
class MsgBadRows:
    """All rows of a dataset's month that were not loaded, with their lines and reasons."""

    dataset: str
    month: str
    rows: list[tuple[int, str]]


def month_of(row: dict[str, str]) -> str:
    """Return the month of a row as YYYY-MM; rows whose date says none are loaded, and found bad, together."""
    found = re.match(r"(\d{4})/(\d{2})/", row["date"] or "")
    return "-".join(found.groups()) if found else "undated"


def months(file: Path) -> list[str]:
    """Return the months that a file has rows of."""
    with file.open(newline="", encoding="utf-8") as lines:
        return sorted({month_of(row) for row in csv.DictReader(lines)})


def tasks(data: Path = DATA) -> list[TaskDef]:
    """Return one task for each dataset and month."""
    return [
        TaskDef(name=f"{name}-{month}", steps=STEPS, params={"dataset": name, "file": str(data / file), "month": month})
        for name, file in DATASETS.items()
        for month in months(data / file)
    ]


def load_month(task: TaskDef, q: Any) -> None:
    """Load the month that the task is about."""
    dataset, month = task.params["dataset"], task.params["month"]
    city = dataset.split("-")[0]

    raw = list(extract(Path(task.params["file"]), month))
    report(task, q, 1, f"extracted {len(raw)} rows")

    good, bad = validate(raw, daily=dataset.endswith("daily"))
    if bad:
        q.put(MsgTaskLog(task.task_id, f"{len(bad)} rows could not be read: see bad_rows", "WARNING"))
    q.put(MsgBadRows(dataset, month, bad))  # even when there are none: an earlier run may have found some
    report(task, q, 2, f"validated {len(good)} rows, {len(bad)} bad")

    if dataset.endswith("daily"):
        rows, summaries = days(city, good), day_summaries(city, good)
        message: type[MsgDays | MsgHours] = MsgDays
    else:
        rows, summaries = hours(city, good), hour_summaries(city, good)
        message = MsgHours
    report(task, q, 3, f"transformed {len(rows)} rows")

    for start in range(0, len(rows), BATCH):
        q.put(message(rows[start : start + BATCH]))
    q.put(MsgSummaries(summaries))
    report(task, q, 4, f"loaded {len(rows)} rows")
    result = {"rows": len(rows), "bad": len(bad), "days": len(summaries)}
    q.put(MsgTaskFinished(task.task_id, "done", "", message=f"{len(rows)} rows loaded", result=result))


def report(task: TaskDef, q: Any, step: int, message: str) -> None:
    """Publish how far the task is."""
    q.put(MsgTaskProgress(task.task_id, step, STEPS, message))
    q.sleep(PACE)


def extract(file: Path, month: str) -> Iterator[RawRow]:
    """Yield the month's rows with their line numbers."""
    with file.open(newline="", encoding="utf-8") as lines:
        for row in (reader := csv.DictReader(lines)):
            if month_of(row) == month:
                yield reader.line_num, row


def validate(
    raw: list[tuple[int, dict[str, str]]], *, daily: bool
) -> tuple[list[dict[str, Any]], list[tuple[int, str]]]:
    """Return the rows as values, and of the others the line and what is wrong with it."""
    good, bad = [], []
    for line, row in raw:
        try:
            check_fields(row)
            good.append(_day(row) if daily else _hour(row))
        except (ValueError, KeyError, TypeError) as error:
            bad.append((line, f"{type(error).__name__}: {error}"))
    return good, bad


def check_fields(row: dict[str, str]) -> None:
    """Raise `ValueError` for a row with fields too few (they are None) or too many (they stand under None)."""
    if None in row or None in row.values():
        raise ValueError("wrong number of fields")


def _day(row: dict[str, str]) -> dict[str, Any]:
    high, low = float(row["temp_max"]), float(row["temp_min"])
    if low > high:
        raise ValueError(f"temp_min {low} is above temp_max {high}")
    return {
        "day": datetime.strptime(row["date"], "%Y/%m/%d").date().isoformat(),
        "rain": float(row["precipitation"]),
        "high": high,
        "low": low,
        "wind": float(row["wind"]),
        "weather": row["weather"],
    }


def _hour(row: dict[str, str]) -> dict[str, Any]:
    pattern = "%Y/%m/%d %H:%M" if row["date"].count(":") == 1 else "%Y/%m/%d %H:%M:%S"
    return {"at": datetime.strptime(row["date"], pattern), "celsius": round((float(row["temp"]) - 32) / 1.8, 2)}


def days(city: str, good: list[dict[str, Any]]) -> list[Row]:
    """Return rows of `daily_weather`."""
    return [(city, row["day"], row["rain"], row["high"], row["low"], row["wind"], row["weather"]) for row in good]


def day_summaries(city: str, good: list[dict[str, Any]]) -> list[Row]:
    """Return a summary of each day from its own highest and lowest temperature."""
    return [(city, row["day"], 1, row["low"], round((row["low"] + row["high"]) / 2, 2), row["high"]) for row in good]


def hours(city: str, good: list[dict[str, Any]]) -> list[Row]:
    """Return rows of `hourly_temps`."""
    return [(city, row["at"].isoformat(sep=" "), row["celsius"]) for row in good]


def hour_summaries(city: str, good: list[dict[str, Any]]) -> list[Row]:
    """Return a summary of each day from its hours."""
    by_day: dict[str, list[float]] = defaultdict(list)
    for row in good:
        by_day[row["at"].date().isoformat()].append(row["celsius"])
    return [
        (city, day, len(values), min(values), round(sum(values) / len(values), 2), max(values))
        for day, values in by_day.items()
    ]


pipeline = Pipeline("weather", tasks(), load_month, retry=RetryPolicy(retries=2, retry_on=(OSError,)))


@pipeline.schema
def create_tables(conn: Any) -> None:
    """Create the tables that are not there yet."""
    conn.executescript(
        """
        CREATE TABLE IF NOT EXISTS daily_weather (
            city TEXT, day TEXT, rain_mm REAL, high_c REAL, low_c REAL, wind_m_s REAL, weather TEXT,
            PRIMARY KEY (city, day)
        );
        CREATE TABLE IF NOT EXISTS hourly_temps (city TEXT, at TEXT, celsius REAL, PRIMARY KEY (city, at));
        CREATE TABLE IF NOT EXISTS daily_summaries (
            city TEXT, day TEXT, readings INTEGER, low_c REAL, mean_c REAL, high_c REAL, PRIMARY KEY (city, day)
        );
        CREATE TABLE IF NOT EXISTS bad_rows (
            dataset TEXT, month TEXT, line INTEGER, reason TEXT, PRIMARY KEY (dataset, line)
        );
        DELETE FROM bad_rows WHERE month = 'undated'; -- found anew by each run, if there still are any
        """
    )


@pipeline.handler(MsgDays)
def upsert_days(conn: Any, msg: MsgDays) -> None:
    """Insert or replace rows of `daily_weather`."""
    conn.executemany("INSERT OR REPLACE INTO daily_weather VALUES (?, ?, ?, ?, ?, ?, ?)", msg.rows)


@pipeline.handler(MsgHours)
def upsert_hours(conn: Any, msg: MsgHours) -> None:
    """Insert or replace rows of `hourly_temps`."""
    conn.executemany(
        "INSERT INTO hourly_temps VALUES (?, ?, ?) ON CONFLICT (city, at) DO UPDATE SET celsius = excluded.celsius",
        msg.rows,
    )


@pipeline.handler(MsgSummaries)
def upsert_summaries(conn: Any, msg: MsgSummaries) -> None:
    """Insert or replace rows of `daily_summaries`."""
    conn.executemany("INSERT OR REPLACE INTO daily_summaries VALUES (?, ?, ?, ?, ?, ?)", msg.rows)


@pipeline.handler(MsgBadRows)
def keep_bad_rows(conn: Any, msg: MsgBadRows) -> None:
    """Keep what could not be loaded, in place of what an earlier run had kept."""
    conn.execute("DELETE FROM bad_rows WHERE dataset = ? AND month = ?", (msg.dataset, msg.month))
    rows = [(msg.dataset, msg.month, line, why) for line, why in msg.rows]
    conn.executemany("INSERT INTO bad_rows VALUES (?, ?, ?, ?)", rows)


if __name__ == "__main__":
    run_pipeline(Path(sys.argv[1] if len(sys.argv) > 1 else "etl.db"), pipeline)
