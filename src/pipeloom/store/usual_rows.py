"""How many rows are usual for a task: a range, from what its last attempts have written. No SQL."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median
from typing import Final

LEAST: Final = 5
"""Attempts that are needed to tell."""
MOST: Final = 20
"""Attempts that count: the last ones."""

_SPREADS: Final = 5.0
"""Standard deviations from the median up to which a number is usual; more where the attempts are few."""
_DEVIATION: Final = 1.4826
"""Standard deviation of normal numbers whose median distance from their median is 1."""
_FACTOR: Final = 1.5
"""How many times as many, or as few, are usual however even the past was."""
_FEW: Final = 8
"""Rows that are added to each number before the logarithm: few rows vary by more than a share of them."""
_TRIMMED: Final = 10
"""One in so many attempts, at least one, is left out at each end of what counts as seen before."""
_LARGEST: Final = math.log(2**62)
"""Logarithm of the highest end of a range: SQLite can hold it."""


def usual_rows(past: Sequence[int]) -> tuple[int, int] | None:
    """Return the fewest and the most rows that are usual after the attempts of `past`; None when those are too few.

    The range lies around the median, by the spread on a logarithmic scale: twice as many are as far away as half.
    It holds what was seen before, such as the few rows of a weekend. No single attempt of the past moves it far.
    """
    if len(past) < LEAST:
        return None
    ordered = sorted(math.log(rows + _FEW) for rows in past)
    trim, middle, beside = max(1, len(past) // _TRIMMED), median(ordered), math.log(_FACTOR)
    spread = _DEVIATION * median(abs(value - middle) for value in ordered)
    width = max(_SPREADS * spread * (1 + LEAST / len(past)), beside)
    low = min(middle - width, ordered[trim] - beside)
    high = min(max(middle + width, ordered[-1 - trim] + beside), _LARGEST)
    return max(0, round(math.exp(low) - _FEW)), round(math.exp(high) - _FEW)
