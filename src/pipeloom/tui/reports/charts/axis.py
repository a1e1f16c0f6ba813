"""The marks of an axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

_TIMES_S: Final = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600, 7200, 14_400, 21_600, 43_200)


def time_ticks(longest_s: float, most: int) -> list[float]:
    """Return up to `most` round times from 0; the last is the first that is not below `longest_s`."""
    step = _step(longest_s / max(1, most - 1))
    return [number * step for number in range(max(1, math.ceil(longest_s / step - 1e-9)) + 1)]


def log_ticks(shortest_s: float, longest_s: float, most: int) -> list[float]:
    """Return times of 1, 2 and 5 times a power of ten that reach from the shortest to the longest.

    Where that makes more than `most`, the powers alone.
    """
    powers = range(math.floor(math.log10(shortest_s)), math.ceil(math.log10(longest_s)) + 1)
    known = [float(f"{digit}e{power}") for power in powers for digit in (1, 2, 5)]
    first = max((place for place, tick in enumerate(known) if tick <= shortest_s), default=0)
    last = next((place for place, tick in enumerate(known) if tick >= longest_s and place > first), len(known) - 1)
    fine = known[first : last + 1]
    return fine if len(fine) <= most else [float(f"1e{power}") for power in powers]


def count_ticks(highest: int, most: int) -> list[int]:
    """Return up to `most` whole numbers from 0; the last is the first that is not below `highest`."""
    step = max(1, math.ceil(_decimal(highest / max(1, most - 1)) - 1e-9))
    return [number * step for number in range(max(1, math.ceil(highest / step)) + 1)]


def places(count: int, most: int) -> Sequence[int]:
    """Return up to `most` of `count` indexes, from 0, equally far from each other."""
    return range(0, count, max(1, math.ceil(count / max(1, most))))


def _step(least_s: float) -> float:
    """Return the first round time that is not below `least_s`."""
    if least_s <= 1:
        return _decimal(max(least_s, 1e-3))
    return next((step for step in _TIMES_S if step >= least_s), 86_400 * _decimal(least_s / 86_400))


def _decimal(least: float) -> float:
    """Return the first of 1, 2, 5, 10, 20, 50 and so on, up or down, that is not below `least`."""
    if least <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(least))
    return next(float(f"{digit * power:.6g}") for digit in (1, 2, 5, 10) if digit * power >= least * (1 - 1e-9))
