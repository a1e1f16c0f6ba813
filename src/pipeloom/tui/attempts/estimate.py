"""The time that a task has left, how sure that is, and how it compares with its past. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pipeloom.status import Status
from pipeloom.store.rows import AttemptRow, DurationBaseline
from pipeloom.tui.style import format as fmt

_TELLING: Final = 0.05
"""Progress below which a task's own pace says nothing."""
_WIDE: Final = 1.5
"""Quotient of the bounds above which they are shown as a range."""
_SLOW: Final = 2.0
"""A task that takes this many times its usual duration is slow."""
_FEW_S: Final = 1.0
"""Seconds below which a task is never called slow."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """The estimate for a running task, in seconds."""

    low_s: float | None = None
    """Minimum seconds left; None: unknown."""
    high_s: float | None = None
    ghost: float | None = None
    """Progress of the median of its past attempts after the same time, 0..1."""
    slow: float | None = None
    """Its duration divided by the median, when that is far too long."""

    @property
    def label(self) -> str:
        """The time left: "~2m", "1–4m", or "?"."""
        if self.low_s is None or self.high_s is None:
            return "?"
        if self.high_s <= max(1.0, self.low_s * _WIDE):
            return fmt.eta((self.low_s + self.high_s) / 2)
        return fmt.eta_range(self.low_s, self.high_s)


def estimate(row: AttemptRow, elapsed_s: float | None, past: DurationBaseline | None) -> Estimate | None:
    """Estimate a running task from its own pace and the durations of its past attempts; None when it does not run."""
    if row.status is not Status.RUNNING or elapsed_s is None:
        return None
    progress = min(row.progress or 0.0, 1.0)
    own = elapsed_s / progress if progress > _TELLING else None
    if past is None or past.median_s <= 0:
        return Estimate() if own is None else _left(own, own, elapsed_s, past, progress)
    if own is None:
        return _left(past.low_s, past.high_s, elapsed_s, past, progress)
    # The further it is, the more its own pace counts against its past.
    low_s, high_s = (progress * own + (1 - progress) * bound for bound in (past.low_s, past.high_s))
    return _left(low_s, high_s, elapsed_s, past, progress)


def _left(low_s: float, high_s: float, elapsed_s: float, past: DurationBaseline | None, progress: float) -> Estimate:
    """Return the estimate for a duration between `low_s` and `high_s`."""
    if past is None:
        return Estimate(max(0.0, low_s - elapsed_s), max(0.0, high_s - elapsed_s))
    expected = elapsed_s / progress if progress > _TELLING else elapsed_s
    times = expected / past.median_s
    overdue = high_s < elapsed_s  # it takes longer than ever before: nothing is known
    return Estimate(
        None if overdue else max(0.0, low_s - elapsed_s),
        None if overdue else high_s - elapsed_s,
        min(1.0, elapsed_s / past.median_s),
        times if times >= _SLOW and elapsed_s >= _FEW_S and expected > past.high_s else None,
    )
