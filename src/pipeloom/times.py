"""Times as the file keeps them, as people read and write them, and the real clocks.

The file has UTC ISO-8601 of fixed width, so that text order is time order; people have their own zone.

Code of the user may replace `time.time` or `time.monotonic`, as libraries that freeze the time do. The functions here
hold on to the clocks of this module's import.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


def monotonic(_read: Callable[[], float] = time.monotonic) -> float:
    """Return seconds that never go back."""
    return _read()


def unix_time(_read: Callable[[], float] = time.time) -> float:
    """Return the seconds since 1970 by the machine's clock."""
    return _read()


def utc_now() -> datetime:
    """Return the time of the machine's clock, in UTC."""
    return datetime.fromtimestamp(unix_time(), UTC)


def stamp(moment: datetime) -> str:
    """Return `moment`, which has a time zone, in the file's form."""
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return moment.isoformat(timespec="microseconds")


def later(begin: str, seconds: float) -> str:
    """Return the time that is `seconds` after the time `begin` of the file."""
    return stamp(datetime.fromisoformat(begin) + timedelta(seconds=seconds))


def now_stamp() -> str:
    """Return the time of the machine's clock."""
    return stamp(utc_now())


def moment(iso: object) -> datetime | None:
    """Return one of our times as a datetime that knows its zone; None when it is no time."""
    if not isinstance(iso, str):
        return None
    try:
        value = datetime.fromisoformat(iso)
    except ValueError:
        return None
    return value if value.tzinfo is not None else None


def shown(iso: object, pattern: str, tz: tzinfo | None = None) -> str:
    """Return one of our times in the user's zone, or in another, by a pattern of `strftime`; "" for what is no time."""
    value = moment(iso)
    try:
        return "" if value is None else value.astimezone(tz).strftime(pattern)
    except (OverflowError, ValueError, OSError):
        return ""


def local_stamp(iso: object) -> str:
    """Return a time as "2026-08-01 14:00:41 CEST": in the user's zone, whose name tells hours apart that come twice."""
    return shown(iso, "%Y-%m-%d %H:%M:%S %Z")


def zone_names() -> str:
    """Return the name of the user's zone, as "UTC"; both names where the clocks are changed, as "CET/CEST"."""
    return "/".join(dict.fromkeys(time.tzname if time.daylight else time.tzname[:1]))


def from_local(written: datetime, *, again: bool = False) -> datetime:
    """Return what a time without a zone means to the user; with `again`, the later one of an hour that comes twice.

    A time that the clocks leave out, when they are put forward, is the same length of time after the change.
    """
    first, second = (datetime.fromtimestamp(written.replace(fold=fold).timestamp(), UTC) for fold in (0, 1))
    return max(first, second) if again else first


def duration(seconds: object) -> str:
    """Return "0.4s", "41s", "12m03s", "2h05m" or "3d04h"; "" for what is no duration."""
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 <= seconds <= sys.float_info.max:
        return ""
    if seconds < 9.95:
        return f"{seconds + 0.0:.1f}s"  # a zero may have a sign
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 86_400:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 86_400}d{whole % 86_400 // 3600:02}h"


def stopwatch(seconds: float) -> str:
    """Return "00:41", "12:03" or "2:05:09"; for a running clock, whose width stays the same."""
    whole = int(seconds)
    hours = f"{whole // 3600}:" if whole >= 3600 else ""
    return f"{hours}{whole % 3600 // 60:02}:{whole % 60:02}"


def until(iso: object, now: float) -> str:
    """Return the time from `now`, in Unix seconds, to a time stamp as `stopwatch` does; "" without one."""
    due = moment(iso)
    return "" if due is None else stopwatch(max(0.0, due.timestamp() - now))


def valid_stamp(text: object) -> str | None:
    """Return a time in the file's form; None when it is no time or has no offset."""
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text)
        return stamp(moment) if moment.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def read_duration(text: str) -> float | None:
    """Return the seconds of `90s`, `5m`, `1h30m` or `2d`; None for any other text, such as a number without a unit."""
    parts = re.findall(r"(\d{1,12}(?:\.\d{1,6})?)(ms|[smhdw])", text, re.ASCII)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in parts)
