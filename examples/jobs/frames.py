"""Frames: polars reads, groups and joins, and whole frames are stored.

pipeloom run etl.db examples/jobs/frames.py
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from pipeloom import Pipeline, TaskDef

DATA = Path(__file__).parents[1] / "data" / "seattle-weather.csv"


def load(task: TaskDef, q: Any) -> int:
    """Store the days of a year and the means of its months."""
    frame = pl.read_csv(DATA).with_columns(pl.col("date").str.to_date("%Y/%m/%d"))
    year = frame.filter(pl.col("date").dt.year() == task.params["year"])
    q.put(days.rows(year.select(day="date", highest="temp_max", lowest="temp_min")))
    by_month = year.group_by(month=pl.col("date").dt.strftime("%Y-%m")).agg(mean=pl.col("temp_max").mean())
    q.put(months.rows(by_month))
    return len(year)


pipeline = Pipeline("frames", [TaskDef(str(year), params={"year": year}) for year in range(2012, 2016)], load)
days = pipeline.table("days", {"day": date, "highest": float, "lowest": float}, key="day")
months = pipeline.table("months", {"month": str, "mean": float}, key="month")
