"""Runs pipelines again and again in the foreground, one run at a time, until a signal comes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final, NoReturn, TextIO

from pipeloom.cli.common import STOPPED_GRACE_S, tell
from pipeloom.cli.run import StopSignals, leave, run_in_turn
from pipeloom.engine.engine import Engine
from pipeloom.errors import PipeloomError
from pipeloom.schedule.made import next_line
from pipeloom.schedule.schedules import Schedule
from pipeloom.status import Exit

_LOOK_S: Final = 0.2
"""Seconds between two looks at the clock."""


def run_again_and_again(
    schedule: Schedule, makers: Sequence[Callable[[], Engine]], signals: StopSignals, json: TextIO | None
) -> NoReturn:
    """Run what `makers` make whenever the schedule says so, and leave with an exit code.

    The code is 0 for a signal between two runs, 128 + n for signal n during a run, and 4 when something could not be
    saved. A run that fails, or that cannot be started, ends nothing.
    """
    while signals.first is None:
        if not schedule.is_due():
            tell(next_line(schedule))
        if signals.stop(lambda: _await(schedule)) is None:
            break
        schedule.begin()
        code = _run(makers, signals, json)
        if signals.first is not None:
            leave(128 + signals.first, STOPPED_GRACE_S)
        if code == Exit.UNSAVED:
            leave(code, STOPPED_GRACE_S)
        schedule.end()
    schedule.close()
    leave(Exit.DONE, STOPPED_GRACE_S)


def _await(schedule: Schedule) -> bool:
    """Return True when a run is due."""
    while not schedule.is_due():
        time.sleep(_LOOK_S)
    return True


def _run(makers: Sequence[Callable[[], Engine]], signals: StopSignals, json: TextIO | None) -> int:
    """Run the pipelines in turn; return the exit code. What keeps a run from its start is told."""
    try:
        return run_in_turn(makers, signals, json, only_summary=True)
    except PipeloomError as error:
        tell(f"Not started: {error}")
        return Exit.USAGE
