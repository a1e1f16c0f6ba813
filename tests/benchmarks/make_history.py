"""Makes a file with a long history: `python tests/benchmarks/make_history.py big.db --runs 2000 --tasks 1000`.

Every run has the same tasks. Some attempts fail in one of a few ways and are tried again, some are cancelled or
interrupted, some tasks get slower over the weeks. The same arguments make the same rows.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pipeloom.status import RunStatus, Status
from pipeloom.store.fingerprints import fingerprint
from pipeloom.store.rows import AttemptRow, RunRow
from pipeloom.store.write.connect import close_writer, open_writer
from pipeloom.store.write.ledger import Ledger, LogLine
from pipeloom.times import stamp

EPOCH = datetime(2026, 1, 1, 6, tzinfo=UTC)
BETWEEN_RUNS = timedelta(hours=4)
CITIES = ("seattle", "sf", "oslo", "lima", "pune", "lagos", "quito", "turin", "osaka", "perth")
WORKERS = 8

_TRACEBACK = """Traceback (most recent call last):
  File "/home/me/etl/weather.py", line {line}, in {function}
    {code}
{last}
"""
_FAILURES = (
    ("KeyError", "KeyError: 'temp_max'", 41, "transform", "row['temp_max']"),
    ("TimeoutError", "TimeoutError: no answer from 10.0.0.{digit} within 30 s", 18, "fetch", "urlopen(url)"),
    ("ValueError", "ValueError: could not convert string to float: 'n/a{digit}'", 52, "number", "float(text)"),
    ("ConnectionResetError", "ConnectionResetError: [Errno 104] Connection reset by peer", 19, "fetch", "urlopen(url)"),
    ("WorkerLost", "WorkerLost: worker process 81{digit} was killed by SIGKILL", 0, "", ""),
)


def attempts(run_id: int, first_id: int, tasks: int, began: datetime, chance: random.Random) -> Iterator[AttemptRow]:
    """Yield the attempts of a run: those of one worker follow each other."""
    free = [began] * WORKERS
    number = first_id
    for task in range(tasks):
        tried = 1
        while True:
            worker = task % WORKERS
            drift = 1 + run_id / 1000 if task % 97 == 3 else 1.0
            took = chance.lognormvariate(0.6, 0.35) * drift
            start = free[worker]
            free[worker] = end = start + timedelta(seconds=took)
            row = _row(number, run_id, task, tried, chance)._replace(
                queued_at=stamp(began),
                started_at=stamp(start),
                finished_at=stamp(end),
                duration_s=round(took, 6),
                worker=f"worker-{worker + 1}",
            )
            yield row
            number += 1
            if row.status is not Status.ERROR or tried == 3 or row.error_type == "KeyError":
                break
            tried += 1


def _row(number: int, run_id: int, task: int, tried: int, chance: random.Random) -> AttemptRow:
    name = f"{CITIES[task % len(CITIES)]}-{2010 + task // 120:04}-{task // 10 % 12 + 1:02}-{task:06}"
    row = AttemptRow(
        number, run_id, task, tried, name, Status.DONE, 1.0, 3.0, 3.0, "loaded", params=f'{{"month": {task % 12 + 1}}}'
    )
    dice = chance.random()
    if dice < 0.012:
        kind, message, line, function, code = _FAILURES[int(dice * 10_000) % len(_FAILURES)]
        message = message.format(digit=task % 10)
        error = (
            _TRACEBACK.format(line=line + run_id % 3, function=function, code=code, last=message) if line else message
        )
        return row._replace(
            status=Status.ERROR, progress=0.33, step=1.0, message=message, error_type=kind, error=error,
            fingerprint=fingerprint(kind, error, message),
        )  # fmt: skip
    if dice < 0.0125:
        return row._replace(status=Status.CANCELLED, progress=0.1, message="cancelled by hand")
    if dice < 0.0127:
        return row._replace(status=Status.INTERRUPTED, progress=0.5, message="stopped by SIGTERM")
    rows = chance.randrange(28, 32)
    rare = " (needle)" if number % 50_021 == 0 else ""
    return row._replace(message=f"{rows} rows loaded{rare}", result=f'{{"rows": {rows}}}')


def make(path: Path, runs: int, tasks: int) -> int:
    """Write the file and return the number of its attempts."""
    chance = random.Random(runs * 1_000_003 + tasks)
    connection = open_writer(path, durability="normal")
    ledger = Ledger(connection)
    next_id = 1
    try:
        for run_id in range(1, runs + 1):
            began = EPOCH + BETWEEN_RUNS * run_id
            rows = list(attempts(run_id, next_id, tasks, began, chance))
            next_id += len(rows)
            ended = max(row.finished_at or "" for row in rows)
            worst = RunStatus.ERROR if any(row.status is Status.ERROR for row in rows) else RunStatus.DONE
            ledger.begin()
            run = RunRow(
                0, "weather" if run_id % 50 else "backfill", worst, stamp(began), "/home/me/etl/weather.py", WORKERS,
                "thread", None, "laptop", 4711, stamp(began), ended, ended,
            )  # fmt: skip
            ledger.insert_run(run)
            ledger.insert_attempts(rows)
            ledger.insert_logs(line for row in rows[:: max(1, len(rows) // 5)] for line in _log(row))
            ledger.commit()
    finally:
        close_writer(connection)
    return next_id - 1


def _log(row: AttemptRow) -> Iterator[LogLine]:
    for number, (level, text) in enumerate((("INFO", f"reading {row.name}"), ("WARNING", "row 14 is empty")), 1):
        yield row.id, number, row.started_at or "", level, text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--tasks", type=int, default=1000)
    options = parser.parse_args()
    print(f"{make(options.path, options.runs, options.tasks):,} attempts in {options.path}")


if __name__ == "__main__":
    main()
