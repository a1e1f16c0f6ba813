"""The clock of a schedule: local time, as the user's watch shows it, and seconds that never go back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Protocol

from pipeloom.times import monotonic, unix_time


class Clock(Protocol):
    """A schedule's source of time."""

    @property
    def zone(self) -> tzinfo:
        """The user's time zone."""

    def now(self) -> datetime:
        """Return the wall clock's time, in UTC."""

    def monotonic(self) -> float:
        """Return seconds that never go back."""


class LocalZone(tzinfo):
    """The machine's time zone, with its changes between summer and winter."""

    def utcoffset(self, when: datetime | None) -> timedelta:
        """Return the offset at a local time; `fold` tells hours apart that come twice."""
        offset = None if when is None else when.replace(tzinfo=None).astimezone().utcoffset()
        return offset or timedelta(0)

    def dst(self, when: datetime | None) -> timedelta | None:  # noqa: ARG002
        """Return None: the share of summer time in the offset is not known."""
        return None

    def tzname(self, when: datetime | None) -> str | None:
        """Return the name of the zone at a local time."""
        return None if when is None else when.replace(tzinfo=None).astimezone().tzname()

    def fromutc(self, when: datetime) -> datetime:
        """Return the local time of a time that is in UTC but for its zone."""
        local = datetime.fromtimestamp(when.replace(tzinfo=UTC).timestamp())  # noqa: DTZ006 - local on purpose
        return local.replace(tzinfo=self)


class SystemClock:
    """The machine's clock."""

    def __init__(self) -> None:
        self.zone: tzinfo = LocalZone()

    def now(self) -> datetime:
        """Return the wall clock's time, in UTC."""
        return datetime.fromtimestamp(unix_time(), UTC)

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return monotonic()
