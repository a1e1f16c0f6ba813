"""The schedule that options mean, and what is told of its next start."""

from __future__ import annotations

from pathlib import Path

from pipeloom.errors import UsageError
from pipeloom.schedule.clock import Clock, SystemClock
from pipeloom.schedule.folder import OnFiles, Resting, WatchedFolder, of_database
from pipeloom.schedule.schedules import At, Every, Schedule, cron_of, period_of


def made(
    db: Path, every: str | None, at: str | None, watch: Path | None, clock: Clock | None = None
) -> Schedule | None:
    """Return the schedule of `--every`, `--at` or `--watch`; None without one.

    Raises `UsageError` for more than one of them, for what cannot be read, and when a package is missing.
    """
    if sum(given is not None for given in (every, at, watch)) > 1:
        raise UsageError("Give one of --every, --at and --watch.")
    clock = clock or SystemClock()
    if every is not None:
        return Every(period_of(every), clock)
    if at is not None:
        return At(cron_of(at), clock)
    if watch is not None:
        return OnFiles(WatchedFolder(watch.absolute()), Resting(clock), of_database(db))
    return None


def next_line(schedule: Schedule) -> str:
    """Return a sentence for a line: when the next start is, with its date and zone."""
    at = schedule.next_at()
    return "Waiting for files." if at is None else f"Next start {at:%Y-%m-%d %H:%M:%S %Z}."


def next_short(schedule: Schedule, now: float) -> str:
    """Return a few words for the screen: the time of day, with the day when that is another than today's.

    `now` is in seconds since 1970.
    """
    at = schedule.next_at()
    if at is None:
        return "waits for files"
    left_s = at.timestamp() - now
    pattern = (
        "%H:%M:%S" if left_s < 60 else "%H:%M" if left_s < 86_400 else "%a %H:%M" if left_s < 6 * 86_400 else "%d %b"
    )
    return f"next {at:{pattern}}"
