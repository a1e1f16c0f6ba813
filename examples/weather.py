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
from datetime import date, datetime
from pathlib import Path
from typing import Any

from pipeloom import MsgTaskFinished, MsgTaskLog, MsgTaskProgress, Pipeline, RetryPolicy, TaskDef, run_pipeline

DATA = Path(__file__).parent / "data"
PACE = float(os.environ.get("WEATHER_PACE", "0.1"))
STEPS = 4
DATASETS = {"seattle-daily": "seattle-weather.csv", "seattle-hourly": "seattle-temps.csv", "sf-hourly": "sf-temps.csv"}
Row = tuple[Any, ...]


def month_of(row: dict[str, str]) -> str:
    """Return the month of a row as YYYY-MM; rows whose date says none are loaded, and found bad, together."""
    found = re.match(r"(\d{4})/(\d{2})/", row["date"] or "")
    return "-".join(found.groups()) if found else "undated"


def numbered(file: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the rows of a file with their line numbers."""
    with file.open(newline="", encoding="utf-8") as lines:
        for row in (reader := csv.DictReader(lines)):
            yield reader.line_num, row


def tasks(data: Path = DATA) -> list[TaskDef]:
    """Return one task for each dataset and month."""
    return [
        TaskDef(name=f"{name}-{month}", steps=STEPS, params={"dataset": name, "file": str(data / file), "month": month})
        for name, file in DATASETS.items()
        for month in sorted({month_of(row) for _, row in numbered(data / file)})
    ]


def load_month(task: TaskDef, q: Any) -> None:
    """Load the month that the task is about."""
    dataset, month = task.params["dataset"], task.params["month"]
    city, kind = dataset.split("-")
    raw = [(line, row) for line, row in numbered(Path(task.params["file"])) if month_of(row) == month]
    report(task, q, 1, f"extracted {len(raw)} rows")

    read, table, summarise = (read_day, daily, by_days) if kind == "daily" else (read_hour, hourly, by_hours)
    rows, bad = [], []
    for line, row in raw:
        try:
            if None in row or None in row.values():  # too many fields stand under None, missing ones are None
                raise ValueError("wrong number of fields")  # noqa: TRY301 - told as the faults of values are
            rows.append((city, *read(row)))
        except (ValueError, KeyError, TypeError) as error:
            bad.append((dataset, month, line, f"{type(error).__name__}: {error}"))
    if bad:
        q.put(MsgTaskLog(task.task_id, f"{len(bad)} rows could not be read: see bad_rows", "WARNING"))
    q.put(MsgRead(dataset, month))
    q.put(bad_rows.rows(bad))
    report(task, q, 2, f"validated {len(rows)} rows, {len(bad)} bad")
    sums = summarise(rows)
    report(task, q, 3, f"transformed {len(rows)} rows")
    q.put(table.rows(rows))
    q.put(summaries.rows(sums))
    report(task, q, 4, f"loaded {len(rows)} rows")
    result = {"rows": len(rows), "bad": len(bad), "days": len(sums)}
    q.put(MsgTaskFinished(task.task_id, "done", "", message=f"{len(rows)} rows loaded", result=result))


def report(task: TaskDef, q: Any, step: int, message: str) -> None:
    """Publish how far the task is."""
    q.put(MsgTaskProgress(task.task_id, step, STEPS, message))
    q.sleep(PACE)


def read_day(row: dict[str, str]) -> Row:
    """Return the values of a row of `daily_weather`."""
    high, low = float(row["temp_max"]), float(row["temp_min"])
    if low > high:
        raise ValueError(f"temp_min {low} is above temp_max {high}")
    at = datetime.strptime(row["date"], "%Y/%m/%d").date()
    return at, float(row["precipitation"]), high, low, float(row["wind"]), row["weather"]


def read_hour(row: dict[str, str]) -> Row:
    """Return the values of a row of `hourly_temps`."""
    pattern = "%Y/%m/%d %H:%M" if row["date"].count(":") == 1 else "%Y/%m/%d %H:%M:%S"
    return datetime.strptime(row["date"], pattern), round((float(row["temp"]) - 32) / 1.8, 2)


def by_days(rows: list[Row]) -> list[Row]:
    """Return a summary of each day from its own highest and lowest temperature."""
    return [(city, at, 1, low, round((low + high) / 2, 2), high) for city, at, _, high, low, _, _ in rows]


def by_hours(rows: list[Row]) -> list[Row]:
    """Return a summary of each day from its hours."""
    days: dict[tuple[str, date], list[float]] = defaultdict(list)
    for city, at, celsius in rows:
        days[city, at.date()].append(celsius)
    return [(*key, len(of), min(of), round(sum(of) / len(of), 2), max(of)) for key, of in days.items()]


pipeline = Pipeline("weather", tasks(), load_month, retry=RetryPolicy(retries=2, retry_on=(OSError,)))

DAY: dict[str, Any] = {"city": str, "day": date}
numbers = dict.fromkeys(("rain_mm", "high_c", "low_c", "wind_m_s"), float)
daily = pipeline.table("daily_weather", {**DAY, **numbers, "weather": str}, key=("city", "day"))
hourly = pipeline.table("hourly_temps", {"city": str, "at": datetime, "celsius": float}, key=("city", "at"))
means = {"readings": int, "low_c": float, "mean_c": float, "high_c": float}
summaries = pipeline.table("daily_summaries", {**DAY, **means}, key=("city", "day"))
told = {"dataset": str, "month": str, "line": int, "reason": str}
bad_rows = pipeline.table("bad_rows", told, key=("dataset", "line"))


@dataclass(frozen=True)
class MsgRead:
    """The month was read: what an earlier run found bad in it may be mended."""

    dataset: str
    month: str


@pipeline.handler(MsgRead)
def forget_bad_rows(conn: Any, msg: MsgRead) -> None:
    """Remove what an earlier run found."""
    conn.execute("DELETE FROM bad_rows WHERE dataset = ? AND month = ?", (msg.dataset, msg.month))


@pipeline.schema
def forget_undated_rows(conn: Any) -> None:
    """Remove rows without a month, which no task may be left for."""
    conn.execute("DELETE FROM bad_rows WHERE month = 'undated'")


if __name__ == "__main__":
    run_pipeline(Path(sys.argv[1] if len(sys.argv) > 1 else "etl.db"), pipeline)
