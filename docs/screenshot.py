"""Refresh docs/screenshot.svg, the program's own export of a made-up run: `python docs/screenshot.py`."""

from __future__ import annotations

import asyncio
import os
import re
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from pipeloom.engine.engine import Engine
from pipeloom.engine.writer.sink import CommitBatch
from pipeloom.pipeline import Pipeline, RetryPolicy
from pipeloom.status import RunStatus, Status
from pipeloom.store.rows import AttemptRow, RunRow
from pipeloom.tui.app import PipeloomApp
from pipeloom.tui.table.virtual_table import VirtualTable

TARGET = Path(__file__).with_name("screenshot.svg")
NOW = 1_785_585_641.0
TRACE = """Traceback (most recent call last):
  File "examples/weather.py", line 71, in load_month
    good, bad = validate(raw, daily=True)
  File "examples/weather.py", line 141, in _day
    high, low = float(row["temp_max"]), float(row["temp_min"])
KeyError: 'temp_max'
"""


def at(seconds_ago: float) -> str:
    """Return the time that many seconds before the picture is taken."""
    return datetime.fromtimestamp(NOW - seconds_ago, UTC).isoformat(timespec="microseconds")


def rows() -> list[AttemptRow]:
    """Return a run of 72 tasks in full swing."""
    made = []
    for number in range(1, 73):
        name = f"seattle-daily-{2012 + (number - 1) // 12}-{(number - 1) % 12 + 1:02}"
        row = AttemptRow(number, 12, number, 1, name, Status.QUEUED, queued_at=at(41))
        if number <= 44:
            took = 3.2 + number % 5 / 3
            ended = at(40 - 0.9 * number)
            row = row._replace(
                status=Status.DONE, progress=1.0, duration_s=took, finished_at=ended, message="31 rows loaded"
            )
        made.append(row)
    made[4] = made[4]._replace(
        status=Status.ERROR, progress=0.5, attempt=3, duration_s=1.0, started_at=at(20), finished_at=at(19),
        message="KeyError: 'temp_max'", error_type="KeyError", error=TRACE,
    )  # fmt: skip
    for place, status, progress, ago, message in (
        (44, Status.RUNNING, 0.75, 4.1, "transformed 31 rows"),
        (45, Status.RUNNING, 0.5, 2.2, "validated 30 rows"),
        (46, Status.RUNNING, 0.25, 0.9, "extracted 31 rows"),
        (47, Status.CANCELLING, 0.5, 9.8, "validated 31 rows"),
    ):
        made[place] = made[place]._replace(status=status, progress=progress, started_at=at(ago), message=message)
    made[30] = made[30]._replace(id=130, attempt=2, status=Status.RETRYING, progress=None, due_at=at(-38), message="")
    return made


async def take() -> str:
    """Run the program over the made-up run and return its picture."""
    monotonic = [1000.0]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "etl.db"
        engine = Engine(path, Pipeline("weather", [], print, retry=RetryPolicy(retries=2)))
        app = PipeloomApp(path, engine, start=False, clock=lambda: NOW, monotonic=lambda: monotonic[0])
        async with app.run_test(size=(120, 34)) as pilot:
            run = RunRow(12, "weather", RunStatus.RUNNING, at(41), workers=4)
            final = rows()
            queued = [row._replace(status=Status.QUEUED) for row in final]
            app.feed.sink.committed(CommitBatch(1, tuple(queued), run))
            app.feed.fetch()
            for second in range(22):
                monotonic[0] += 1
                done = final[second * 2 : second * 2 + 2 + second % 3]
                app.feed.sink.committed(CommitBatch(second + 2, tuple(done), messages=300))
                app.feed.fetch()
            failed = final[30]._replace(id=31, attempt=1, status=Status.ERROR, message="TimeoutError: no answer in 5 s")
            app.feed.sink.committed(CommitBatch(98, (failed,)))
            app.feed.sink.committed(CommitBatch(99, tuple(final), messages=300))
            app.feed.fetch()
            await pilot.pause()
            app.screen.query_one(VirtualTable).move_to_key(5)
            await pilot.press("d")
            await pilot.pause()
            return app.export_screenshot(title="pipeloom-tui etl.db examples/weather.py")


def main() -> None:
    """Write the picture, with names that do not change from one export to the next."""
    os.environ["TZ"] = "UTC"
    time.tzset()
    picture = asyncio.run(take())
    TARGET.write_text(re.sub(r"terminal-\d+", "terminal", picture), encoding="utf-8")


if __name__ == "__main__":
    main()
