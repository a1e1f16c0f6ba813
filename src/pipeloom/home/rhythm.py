"""How often a file's pipeline runs, and whether its next run is late."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Final

_LEAST: Final = 5
"""Intervals between runs from which on there is a rhythm."""
_OUTLIERS_FROM: Final = 10
"""Intervals from which on the longest does not count: one night without power is no rhythm."""
_SHORTEST_S: Final = 60.0
"""Runs that follow each other faster were started by hand."""
_SPREAD: Final = 4.0
"""How many times the median the longest interval may be; with more the runs have no rhythm."""
_TOLERANCE: Final = 1.25
"""A run is late when the last one is longer ago than the longest interval, and a quarter of that."""
_PATIENCE: Final = 10.0
"""It is not late any more, but given up, after so many times what all runs took from the first to the last."""


@dataclass(frozen=True, slots=True)
class Rhythm:
    """The intervals between the starts of runs, in seconds."""

    usual_s: float
    longest_s: float
    """Without the longest of all, where there are enough."""
    known_s: float
    """From the first start to the last."""

    def is_late(self, age_s: float) -> bool:
        """Tell whether the next run is late when the last one started `age_s` seconds ago."""
        return self.longest_s * _TOLERANCE < age_s <= self.known_s * _PATIENCE


def rhythm_of(starts_s: Sequence[float]) -> Rhythm | None:
    """Return the rhythm of runs by their starts, in Unix seconds; None for too few, and for runs that have none."""
    ordered = sorted(starts_s)
    intervals = sorted(after - before for before, after in pairwise(ordered))
    if len(intervals) < _LEAST:
        return None
    longest = intervals[-2 if len(intervals) >= _OUTLIERS_FROM else -1]
    usual = median(intervals)
    if usual < _SHORTEST_S or longest > usual * _SPREAD:
        return None
    return Rhythm(usual, longest, ordered[-1] - ordered[0])
