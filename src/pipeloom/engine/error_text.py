"""Turns an error into text where it was raised: printing a user's exception runs the user's code."""

from __future__ import annotations

import traceback
from typing import Final, NamedTuple

from pipeloom.code.sources import frames_of, quoting
from pipeloom.text import first_line, storable

MAX_TRACEBACK: Final = 16_000
_MAX_CAUSES: Final = 20
_MAX_FRAMES: Final = 60


class ErrorText(NamedTuple):
    """An error in plain strings that the file can keep."""

    type: str
    line: str
    """The first line of its message."""
    traceback: str


def error_text(error: BaseException) -> ErrorText:
    """Return `error` as text; its traceback begins below the frame that caught it. Raises nothing."""
    kind = type(error).__name__
    line = first_line(error)
    try:
        return ErrorText(storable(kind, 200), line, storable(_traceback(error), MAX_TRACEBACK))
    except BaseException:  # noqa: BLE001 - `__str__`, `__notes__` and `__cause__` of a user's class may raise anything
        return ErrorText(
            storable(kind, 200), line, storable(f"{kind}: {line}\n(its traceback cannot be printed)", 2000)
        )


def _traceback(error: BaseException) -> str:
    trace = error.__traceback__.tb_next if error.__traceback__ is not None else None
    chain = _causes(error) <= _MAX_CAUSES
    with quoting(frames_of(error)):
        return "".join(traceback.format_exception(type(error), error, trace, limit=-_MAX_FRAMES, chain=chain))


def _causes(error: BaseException) -> int:
    """Return the length of the chain of causes, counted up to `_MAX_CAUSES` + 1."""
    count, link = 0, error.__cause__ or error.__context__
    while link is not None and count <= _MAX_CAUSES:
        count, link = count + 1, link.__cause__ or link.__context__
    return count
