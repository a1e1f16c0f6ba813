"""The schedules: each tells whether a run is due, by a clock that it is given. One run at a time.

Starts that come while a run goes on are left out. None of it waits, or has threads.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from pipeloom.errors import UsageError
from pipeloom.schedule.clock import Clock
from pipeloom.schedule.needed import needed
from pipeloom.text import clean
from pipeloom.times import read_duration

SHORTEST_S: Final = 1.0
LONGEST_S: Final = 366 * 86_400.0
PUT_BACK: Final = timedelta(hours=3)
"""By how much the clock has to be put back for times that were there to be times to come: as in Debian's cron."""


class Schedule(Protocol):
    """When a pipeline is run."""

    def is_due(self) -> bool:
        """Tell whether a run is to start now."""

    def begin(self) -> None:
        """Note that a run starts, whether it was due or not."""

    def end(self) -> None:
        """Note that the run has ended, or could not be started: starts that have come meanwhile are left out."""

    def next_at(self) -> datetime | None:
        """Return when the next run is due, in the clock's zone; None when that is not a time."""

    def close(self) -> None:
        """Let go of what it watches."""


class Every:
    """A run at once, and then one in every period, counted from the first. A clock that is set does not matter."""

    def __init__(self, period_s: float, clock: Clock) -> None:
        self._period_s, self._clock = period_s, clock
        self._due_s = clock.monotonic()

    def is_due(self) -> bool:
        """Tell whether the time of a run has come."""
        return self._clock.monotonic() >= self._due_s

    def begin(self) -> None:
        """Let the next run be due in the next period."""
        self._skip()

    def end(self) -> None:
        """Leave out the starts that have come meanwhile."""
        self._skip()

    def next_at(self) -> datetime | None:
        """Return when the next run is due."""
        left_s = self._due_s - self._clock.monotonic()
        return (self._clock.now() + timedelta(seconds=max(0.0, left_s))).astimezone(self._clock.zone)

    def close(self) -> None:
        """Do nothing."""

    def _skip(self) -> None:
        late_s = self._clock.monotonic() - self._due_s
        if late_s >= 0:
            self._due_s += (late_s // self._period_s + 1) * self._period_s


class At:
    """A run at the times of a cron expression, in local time.

    At a change between summer and winter time it is as in Debian's cron. A time of day that the change leaves out is
    started right after it, one that comes twice is started once; what runs in every hour or minute goes on through it.
    """

    def __init__(self, expression: str, clock: Clock) -> None:
        self._expression, self._clock = expression, clock
        self._cron = needed("cronsim", "--at")
        self._look(clock.now())

    def is_due(self) -> bool:
        """Tell whether the time of a run has come."""
        now = self._clock.now()
        if now < self._since - PUT_BACK:
            self._look(now)
        return now >= self._due

    def begin(self) -> None:
        """Let the next time be the one after now."""
        self._look(self._clock.now())

    def end(self) -> None:
        """Leave out the starts that have come meanwhile."""
        if self.is_due():
            self._look(self._clock.now())

    def next_at(self) -> datetime | None:
        """Return when the next run is due."""
        return self._due.astimezone(self._clock.zone)

    def close(self) -> None:
        """Do nothing."""

    def _look(self, since: datetime) -> None:
        """Find the first time after `since`; raises `UsageError` when the expression has none."""
        self._since = since
        zone = self._clock.zone
        try:
            times = self._cron.CronSim(self._expression, since.astimezone(zone))
            # Of an hour that comes twice it gives the first one, which may be over.
            self._due = next(due for due in map(_in_utc, times) if due > since)
        except (self._cron.CronSimError, StopIteration) as error:
            why = f" ({error})" if str(error) else ""
            raise UsageError(
                f"--at needs a cron expression such as '0 2 * * *' (minute, hour, day, month, weekday), not "
                f"{clean(self._expression, 60)!r}{clean(why, 60)}."
            ) from error


def _in_utc(when: datetime) -> datetime:
    return when.astimezone(UTC)


def period_of(text: str) -> float:
    """Return the seconds of `--every`; raises `UsageError` when it is no time, too short or too long."""
    seconds = read_duration(text)
    if seconds is None:
        raise UsageError(f"--every needs a time such as 30s, 15m or 1h30m, not {clean(text, 60)!r}.")
    if not SHORTEST_S <= seconds <= LONGEST_S:
        raise UsageError(f"--every needs a time from 1s to 366d, not {clean(text, 60)}.")
    return seconds


def cron_of(text: str) -> str:
    """Return a cron expression with its five fields; raises `UsageError` for another number of them."""
    fields = text.split()
    if len(fields) != 5:
        raise UsageError(
            "--at needs a cron expression of five fields such as '0 2 * * *' (minute, hour, day, month, weekday), not "
            f"{clean(text, 60)!r}."
        )
    return " ".join(fields)
