"""A schedule in the words of systemd's timers and of cron."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pipeloom.errors import UsageError
from pipeloom.schedule.needed import needed

_DAYS: Final = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_NOT_CRON: Final = frozenset("L#?")


def on_calendar(expression: str) -> list[str]:
    """Return a cron expression, which can be read, as values of `OnCalendar=`: one of them has to fit.

    Raises `UsageError` for what cron itself does not know.
    """
    if set(expression.upper().replace("JUL", "")) & _NOT_CRON:
        raise UsageError(f"Neither cron nor systemd knows the L and # of {expression!r}: name days, or run more often.")
    minute, hour, day, month, weekday = expression.upper().split()
    fields = needed("cronsim", "--at").cronsim.Field
    minutes, hours = _listed(fields.MINUTE.parse(minute), 60), _listed(fields.HOUR.parse(hour), 24)
    days, months = _listed(fields.DAY.parse(day), 31), _listed(fields.MONTH.parse(month), 12)
    names = list(dict.fromkeys(_DAYS[number] for number in sorted(fields.DOW.parse(weekday))))
    on_days = f"{','.join(names)} " if len(names) < 7 else ""
    time = f"{hours}:{minutes}:00"
    if day.startswith("*") or weekday.startswith("*"):
        return [f"{on_days}*-{months}-{days} {time}"]
    return [f"*-{months}-{days} {time}", f"{on_days}*-{months}-* {time}"]  # in cron one of the two is enough


def _listed(numbers: set[int], every: int) -> str:
    return "*" if len(numbers) == every else ",".join(f"{number:02}" for number in sorted(numbers))


def as_cron(period_s: float) -> str | None:
    """Return a period as a cron expression; None where cron has none that fits."""
    minutes, rest = divmod(period_s, 60)
    if rest or not minutes:
        return None
    whole = int(minutes)
    if whole == 1:
        return "* * * * *"
    if whole < 60:
        return f"*/{whole} * * * *" if 60 % whole == 0 else None
    hours, left = divmod(whole, 60)
    if left:
        return None
    if hours == 1:
        return "0 * * * *"
    if hours < 24:
        return f"0 */{hours} * * *" if 24 % hours == 0 else None
    return {24: "0 0 * * *", 168: "0 0 * * 0"}.get(hours)


def timer_lines(period_s: float | None, expression: str | None) -> Iterator[str]:
    """Yield the lines of a timer's section."""
    if period_s is not None:
        yield "OnActiveSec=0"
        yield f"OnUnitActiveSec={period_s:g}s"
    for value in () if expression is None else on_calendar(expression):
        yield f"OnCalendar={value}"
    if expression is not None:
        yield "Persistent=true"
    yield "AccuracySec=1s"
