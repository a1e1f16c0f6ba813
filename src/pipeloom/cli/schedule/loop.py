"""Runs pipelines again and again in the foreground, one run at a time, until a signal comes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, Protocol, TypeVar

from pipeloom.cli.common import note, tell
from pipeloom.errors import PipeloomError
from pipeloom.schedule.made import next_line
from pipeloom.schedule.schedules import Schedule
from pipeloom.status import Exit

T = TypeVar("T")

_LOOK_S: Final = 0.2
"""Seconds between two looks at the clock."""


class Signals(Protocol):
    """The signals that stop the program."""

    first: int | None
    """The number of the first one that has come."""

    def stop(self, call: Callable[[], T]) -> T | None:
        """Return what `call` returns; None when a signal has ended it, or came before."""


def again_and_again(schedule: Schedule, signals: Signals, run: Callable[[], int]) -> int:
    """Call `run`, which returns an exit code, whenever the schedule says so; return that of the program.

    It is 0 for a signal between two runs, 128 + n for signal n during a run, and 4 when something could not be saved. A
    run that fails, or that cannot be started, ends nothing. Raises `UsageError` when a folder is not there any more.
    """
    while True:
        if not schedule.is_due():
            note(next_line(schedule))
        if signals.stop(lambda: _await(schedule)) is None:
            return Exit.DONE
        schedule.begin()
        code = _told(run)
        if signals.first is not None:
            return 128 + signals.first
        if code == Exit.UNSAVED:
            return code
        schedule.end()


def _await(schedule: Schedule) -> bool:
    """Return True when a run is due."""
    while not schedule.is_due():
        time.sleep(_LOOK_S)
    return True


def _told(run: Callable[[], int]) -> int:
    """Return the exit code of a run; what keeps it from its start is told."""
    try:
        return run()
    except PipeloomError as error:
        tell(f"Not started: {error}")
        return Exit.USAGE
