"""What changed between two runs, and which of the differences in time are more than noise."""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, NamedTuple

from pipeloom.messages import TaskId
from pipeloom.status import FINAL, Status
from pipeloom.store.read import values
from pipeloom.store.read.history import History
from pipeloom.store.read.run_queries import LATEST_OF_RUN, as_left, has_died
from pipeloom.store.rows import RunRow

PAST: Final = 20
"""Earlier attempts of a task from which its noise is computed."""
_LEAST_PAST: Final = 5
"""Earlier attempts that are needed for that."""
_PAST_RUNS: Final = 60
"""Earlier runs that are read at most."""
_PAST_ROWS: Final = 1_000_000
"""Attempts of earlier runs that are read at most."""

_SPREADS: Final = 4.0
_LEAST_SHARE: Final = 0.02
_LEAST_NOISE_S: Final = 0.1
_NAME_LIMIT: Final = 500


class Change(StrEnum):
    """How a task differs between the runs, the most urgent first."""

    FAILS = "newly fails"
    PASSES = "newly passes"
    SLOWER = "slower"
    FASTER = "faster"
    NEW = "new"
    VANISHED = "vanished"
    OTHER = "other end"
    """The task has another status, but neither passes nor fails newly."""
    SAME = "same"


class TaskOutcome(NamedTuple):
    """A task's latest attempt in one of the runs."""

    id: int
    task_id: TaskId
    name: str
    attempt: int
    status: Status
    duration_s: float | None
    code: str | None = None
    """Hash of the code that the attempt ran."""


@dataclass(frozen=True, slots=True)
class TaskChange:
    """A task in the two runs."""

    key: Hashable
    name: str
    change: Change
    was: TaskOutcome | None
    now: TaskOutcome | None
    difference_s: float | None = None
    """Seconds that it took longer in the later run; None unless both attempts are done."""
    noise_s: float | None = None
    """Seconds of difference that say nothing; None unless both attempts are done."""
    past: int = 0
    """Earlier attempts from which the noise is computed; 0 when it is only guessed."""


@dataclass(frozen=True, slots=True)
class RunSide:
    """One of the two runs: its row, and its number of tasks by the status of their latest attempt."""

    run: RunRow
    statuses: Mapping[Status, int]
    codes: tuple[str, ...] = ()
    """Hashes of the code that its tasks' latest attempts ran, the commonest first."""

    @property
    def tasks(self) -> int:
        """The number of its tasks."""
        return sum(self.statuses.values())


@dataclass(frozen=True, slots=True)
class RunComparison:
    """Two runs side by side, the earlier one first; the biggest changes first."""

    was: RunSide
    now: RunSide
    tasks: tuple[TaskChange, ...]
    counts: Mapping[Change, int]


def compare_runs(history: History, left: int, right: int) -> RunComparison | None:
    """Return what changed between two runs, given in any order; None when one of them is not in the file.

    Tasks are matched by id, or by name when the runs are of different pipelines (of several with one name the last
    counts). A task that is done in both runs got slower or faster when its times differ by more than four times its
    spread: the distance between the quartiles of its last 20 done attempts before the later run, in runs of the same
    pipeline. Of tasks whose times differ by chance alone, one or two in a hundred count as changed. The spread is at
    least 2 % of the median, the noise at least 0.1 s; a task with fewer than five earlier attempts has changed when
    its time has doubled or halved.
    """
    before, after = sorted((left, right))
    runs = history.run(before), history.run(after)
    if runs[0] is None or runs[1] is None:
        return None
    by_id = runs[0].pipeline == runs[1].pipeline
    (first, earlier), (second, later) = (_side(history, run) for run in (runs[0], runs[1]))
    was, now = ({(row.task_id if by_id else row.name): row for row in rows} for rows in (earlier, later))
    pasts = _pasts(history, runs[1], len(later))
    changes = [
        _change(key, was.get(key), now.get(key), pasts) for key in [*now, *(key for key in was if key not in now)]
    ]
    changes.sort(key=_urgency)
    return RunComparison(first, second, tuple(changes), Counter(task.change for task in changes))


def _side(history: History, run: RunRow) -> tuple[RunSide, list[TaskOutcome]]:
    died = has_died(history.path, run)
    rows = _outcomes(history, run.id, died=died)
    codes = Counter(row.code for row in rows if row.code is not None)
    side = RunSide(
        as_left(run) if died else run,
        Counter(row.status for row in rows),
        tuple(code for code, _ in codes.most_common()),
    )
    return side, rows


_OUTCOMES: Final = f"""
SELECT id, task_id, substr(name, 1, {_NAME_LIMIT}), attempt, status, duration_s, {{code}} FROM task_runs
WHERE run_id = ? AND {LATEST_OF_RUN} ORDER BY task_id
"""
_EARLIER_RUNS: Final = "SELECT id FROM pipeline_runs WHERE pipeline = ? AND id < ? ORDER BY id DESC LIMIT ?"
_DURATIONS: Final = """
SELECT task_id, duration_s FROM task_runs WHERE run_id = ? AND status = 'done' AND typeof(duration_s) = 'real'
"""


def _outcomes(history: History, run_id: int, *, died: bool) -> list[TaskOutcome]:
    sql = _OUTCOMES.format(code="substr(code, 1, 40)" if "code" in history.attempt_columns else "NULL")
    return [
        TaskOutcome(
            row, values.task_id(task_id), values.text(name), values.attempt_number(attempt),
            Status.INTERRUPTED if died and status not in FINAL else values.status(status), values.number(duration_s),
            values.optional_text(code),
        )
        for row, task_id, name, attempt, status, duration_s, code in history.rows(sql, [run_id, run_id])
    ]  # fmt: skip


def _pasts(history: History, run: RunRow, tasks: int) -> dict[TaskId, array[float]]:
    """Return how long each task took when it was done before `run`, the newest first.

    Reading run by run reads whole pages of the file; reading task by task would cost twenty times as much.
    """
    pasts: dict[TaskId, array[float]] = defaultdict(lambda: array("d"))
    seen = 0
    for (earlier,) in history.rows(_EARLIER_RUNS, [run.pipeline, run.id, _PAST_RUNS]):
        if seen >= min(PAST * tasks, _PAST_ROWS):
            break
        rows = history.rows(_DURATIONS, [earlier])
        seen += len(rows)
        for task_id, duration_s in rows:
            past = pasts[task_id]
            if len(past) < PAST:
                past.append(duration_s)
    return pasts


def _change(
    key: Hashable, was: TaskOutcome | None, now: TaskOutcome | None, pasts: Mapping[TaskId, Sequence[float]]
) -> TaskChange:
    known = now or was
    name = "" if known is None else known.name
    if was is None or now is None:
        return TaskChange(key, name, Change.NEW if was is None else Change.VANISHED, was, now)
    if was.status is not now.status:
        return TaskChange(key, name, _other_end(was.status, now.status), was, now)
    if now.status is not Status.DONE or was.duration_s is None or now.duration_s is None:
        return TaskChange(key, name, Change.SAME, was, now)
    past = pasts.get(now.task_id, ())
    difference_s, noise_s = now.duration_s - was.duration_s, noise(past, was.duration_s, now.duration_s)
    change = Change.SAME
    if abs(difference_s) > noise_s:
        change = Change.SLOWER if difference_s > 0 else Change.FASTER
    return TaskChange(key, name, change, was, now, difference_s, noise_s, len(past) if len(past) >= _LEAST_PAST else 0)


def _other_end(was: Status, now: Status) -> Change:
    if now is Status.DONE:
        return Change.PASSES
    failures = Status.ERROR, Status.INTERRUPTED
    return Change.FAILS if now in failures and was not in failures else Change.OTHER


def noise(past: Sequence[float], was_s: float, now_s: float) -> float:
    """Return the seconds by which two times of a task may differ by chance, given its earlier times."""
    if len(past) < _LEAST_PAST:
        return max(max(was_s, now_s) / 2, _LEAST_NOISE_S)
    ordered = sorted(past)
    low, median, high = (ordered[round((len(ordered) - 1) * share)] for share in (0.25, 0.5, 0.75))
    return max(_SPREADS * max(high - low, _LEAST_SHARE * median), _LEAST_NOISE_S)


_RANKS: Final = {change: place for place, change in enumerate(Change)}


def _urgency(task: TaskChange) -> tuple[Any, ...]:
    """Return the sort key: by kind, failed tasks before others, the largest difference first."""
    fails = task.now is not None and task.now.status in (Status.ERROR, Status.INTERRUPTED)
    return _RANKS[task.change], not fails, -abs(task.difference_s or 0.0), task.name
