"""Times as the file keeps them: UTC ISO-8601 of fixed width, so that text order is time order."""

from __future__ import annotations

from datetime import UTC, datetime


def stamp(moment: datetime) -> str:
    """Return `moment`, which has a time zone, in the file's form."""
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return moment.isoformat(timespec="microseconds")


def now_stamp() -> str:
    """Return the time of the machine's clock."""
    return stamp(datetime.now(UTC))


def valid_stamp(text: object) -> str | None:
    """Return a time in the file's form; None when it is no time or has no offset."""
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text)
        return stamp(moment) if moment.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None
