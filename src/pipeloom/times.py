"""Times as the file keeps them: UTC ISO-8601 of fixed width, so that text order is time order. And the real clocks.

Code of the user may replace `time.time` or `time.monotonic`, as libraries that freeze the time do. The functions here
hold on to the clocks of this module's import.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta


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


def valid_stamp(text: object) -> str | None:
    """Return a time in the file's form; None when it is no time or has no offset."""
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text)
        return stamp(moment) if moment.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None
