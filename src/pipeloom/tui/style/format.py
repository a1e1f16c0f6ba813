"""Numbers and times as people read them. Pure functions; for a value that cannot be shown they return ""."""

from __future__ import annotations

import math
from datetime import tzinfo

from pipeloom import times
from pipeloom.text import counted

duration = times.duration
moment = times.moment
local_stamp = times.local_stamp


def number(value: object) -> float | None:
    """Return `value` as a finite float, or None."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        result = float(value)
    except OverflowError:
        return None
    return result if math.isfinite(result) else None


def stopwatch(seconds: object) -> str:
    """Return "00:41", "12:03" or "2:05:09"; "" for what is no time."""
    value = number(seconds)
    return "" if value is None or value < 0 else times.stopwatch(value)


def eta(seconds: object) -> str:
    """Return "<1s", "~2s" or "~12m"; an estimate shows few digits."""
    value = number(seconds)
    if value is None or value < 0:
        return ""
    if value < 1:
        return "<1s"
    if value < 90:
        return f"~{round(value)}s"
    if value < 5400:
        return f"~{round(value / 60)}m"
    if value < 129_600:
        return f"~{round(value / 3600)}h"
    return f"~{round(value / 86_400)}d"


def eta_range(low: float, high: float) -> str:
    """Return "1–4m": both ends in the unit of the upper one."""
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "m"), (1, "s")):
        if high >= size * 1.5 or size == 1:
            return f"{int(low // size)}–{max(1, math.ceil(high / size))}{unit}"
    return ""


def short(value: object) -> str:
    """Return "0.4", "12", "1.2k" or "3.4M"."""
    amount = number(value)
    if amount is None or amount < 0:
        return ""
    if amount == 0:
        return "0"
    for unit in ("", "k", "M", "G"):
        if amount < 9.95:
            return f"{amount:.1f}{unit}"
        if amount < 999.5:
            return f"{amount:.0f}{unit}"
        amount /= 1000
    return f"{amount:.0f}T"


def rate(per_second: object, unit: str = "") -> str:
    """Return "1.2k/s", or with a unit "2.1 tasks/s"."""
    shown = short(per_second)
    if not shown:
        return ""
    return f"{shown} {unit}/s" if unit else f"{shown}/s"


def count(value: object) -> str:
    """Return a whole number with separators, as in "1,234,567"."""
    amount = number(value)
    return "" if amount is None else f"{int(amount):,}"


def share_done(done: int, total: int) -> str:
    """Return "2 of its 5 tasks are done"."""
    return f"{count(done)} of its {counted(total, 'task')} {'is' if 1 in (done, total) else 'are'} done"


def percent(fraction: object) -> str:
    """Return 0..1 as "62%"; below 1 it never says 100%."""
    value = number(fraction)
    if value is None:
        return ""
    return f"{math.floor(min(max(value, 0.0), 1.0) * 100 + 1e-9)}%"


def stamp(iso: object, tz: tzinfo | None = None) -> str:
    """Return date and time as "2026-08-01 12:00:41", in the user's zone unless another is given."""
    return times.shown(iso, "%Y-%m-%d %H:%M:%S", tz)


def seconds_since(iso: object, now: float) -> float | None:
    """Return the seconds from one of our times to `now` (Unix seconds), at least 0."""
    value = moment(iso)
    try:
        return None if value is None else max(0.0, now - value.timestamp())
    except (OverflowError, ValueError, OSError):
        return None


def age(iso: object, now: float) -> str:
    """Return how long ago a time was: "now", "41s ago", "12m ago", "5h ago", "3d ago"."""
    seconds = seconds_since(iso, now)
    if seconds is None:
        return ""
    if seconds < 1:
        return "now"
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{int(seconds // size)}{unit} ago"
    return f"{int(seconds)}s ago"
