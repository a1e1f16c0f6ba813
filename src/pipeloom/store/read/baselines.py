"""How long tasks took in earlier runs: what an estimate is based on."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median
from typing import Final

from pipeloom.messages import TaskId
from pipeloom.store.read.history import History
from pipeloom.store.rows import DurationBaseline

_RUNS: Final = "SELECT id FROM pipeline_runs WHERE pipeline = ? AND id < ? ORDER BY id DESC LIMIT 10"
_DURATIONS: Final = """
SELECT duration_s FROM task_runs WHERE run_id IN ({runs}) AND task_id = ? AND status = 'done'
AND typeof(duration_s) = 'real' ORDER BY duration_s
"""


_LAST: Final = """
SELECT duration_s FROM task_runs WHERE run_id = ? AND status = 'done' AND typeof(duration_s) = 'real' LIMIT 100000
"""


def median_duration(history: History, pipeline: str, before: int) -> float | None:
    """Return how long a task took, in seconds, in the newest run of the pipeline before run `before` with one done."""
    for (run,) in history.rows(_RUNS, [pipeline, before]):
        if took := [seconds for (seconds,) in history.rows(_LAST, [run])]:
            return float(median(took))
    return None


def duration_baselines(
    history: History, pipeline: str, before: int, task_ids: Iterable[TaskId]
) -> dict[TaskId, DurationBaseline]:
    """Return how long tasks took when they were done, in the last ten runs of the pipeline before run `before`."""
    runs = [run for (run,) in history.rows(_RUNS, [pipeline, before])]
    if not runs:
        return {}
    sql = _DURATIONS.format(runs=", ".join("?" * len(runs)))
    took = {task_id: [row[0] for row in history.rows(sql, [*runs, task_id])] for task_id in task_ids}
    return {task_id: _baseline(durations) for task_id, durations in took.items() if durations}


def _baseline(durations: list[float]) -> DurationBaseline:
    """Return median and quartiles of durations in order, each the nearest value."""
    last = len(durations) - 1
    low, median, high = (durations[round(last * share)] for share in (0.25, 0.5, 0.75))
    return DurationBaseline(median, low, high)
