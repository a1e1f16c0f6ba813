"""Why attempts wait, in words, and which attempts wait for something. The caller holds the run's lock; no I/O."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from pipeloom.engine.run.attempts import Attempts, AttemptState
from pipeloom.engine.schedule.dependencies import Dependencies
from pipeloom.engine.schedule.limits import Budget
from pipeloom.engine.schedule.order import ALL
from pipeloom.engine.schedule.ready import Line, Ready
from pipeloom.messages import TaskId
from pipeloom.status import WAITING, Status
from pipeloom.text import clean, counted, ordinal

_NAMED: Final = 3
"""Tasks that a reason names."""
_LONGEST_NAME: Final = 40


@dataclass(frozen=True, slots=True)
class Waiting:
    """What the attempts of a run wait for: other tasks, the time of a retry, a limit, a worker."""

    attempts: Attempts
    ready: Ready[AttemptState]
    dependencies: Dependencies
    workers: int
    """Workers that exist."""
    busy: int
    """Workers that hold a task."""
    paused: bool
    _line: list[Line[AttemptState]] = field(default_factory=list)
    """The line for a worker, once it was asked for."""

    def why(self, attempt: AttemptState) -> str:
        """Return why an attempt has not begun; "" when it has, and for a retry, whose due time is in its row."""
        if attempt.status is Status.RUNNING:
            return "" if attempt.started is not None else "about to start"
        if attempt.status is not Status.QUEUED:
            return ""
        if attempt.waits:
            return self._others(attempt)
        if self.paused:
            return "paused"
        budget = self.ready.blocked_by(attempt)
        return self._place(attempt) if budget is None else f"limit {_short(budget.name)}: {self._use(budget)}"

    def _others(self, attempt: AttemptState) -> str:
        unmet = self.dependencies.unmet(attempt)
        if attempt.task.after == ALL:
            return f"after all others, {unmet:,} left"
        return f"after {_listed(list(islice(self.dependencies.waits_for(attempt), _NAMED)), unmet)}"

    def _use(self, budget: Budget) -> str:
        limit, held = budget.declared.limit, len(budget.holders)
        if limit.at_once is None or held < limit.at_once:
            return f"{limit.per_second:g} a second"
        holders = (self.attempts.get(attempt_id) for attempt_id in islice(budget.holders, _NAMED))
        names = [holder.task.task_id for holder in holders if holder is not None]
        return f"{held} of {limit.at_once} by {_listed(names, held)}"

    def _place(self, attempt: AttemptState) -> str:
        if not self._line:
            self._line.append(self.ready.line())
        place = f"{ordinal(self.ready.place(attempt, self._line[0]))} in line"
        if not self.workers:
            return f"no worker yet, {place}"
        return f"{counted(self.workers, 'worker')} busy, {place}" if self.busy >= self.workers else place

    def waiting_for(self, what: Collection[str]) -> Iterator[int]:
        """Yield the ids of the attempts that wait for one of these: see `pipeloom.filters.conditions.WaitsFor`."""
        wanted = frozenset(what)
        held_by: dict[tuple[Sequence[str], int], bool] = {}
        """For the limits and priority of a task, whether it is wanted what holds its ready attempts back."""
        of_all: bool | None = None
        """Whether one is wanted of the tasks that "*" stands for."""
        for attempt in self.attempts.in_status(*WAITING):
            task = attempt.task
            if attempt.status is Status.RETRYING:
                hit = "retry" in wanted
            elif attempt.waits:
                if "after" in wanted:
                    hit = True
                elif task.after == ALL:
                    of_all = hit = self._is_after(attempt, wanted) if of_all is None else of_all
                else:
                    hit = self._is_after(attempt, wanted)
            else:
                key = tuple(task.limits), task.priority
                if key not in held_by:
                    held_by[key] = not wanted.isdisjoint(self._held_by(attempt))
                hit = held_by[key]
            if hit:
                yield attempt.id

    def _is_after(self, attempt: AttemptState, wanted: Collection[str]) -> bool:
        return any(str(name) in wanted for name in self.dependencies.waits_for(attempt))

    def _held_by(self, attempt: AttemptState) -> Sequence[str]:
        if self.paused:
            return ("paused",)
        names = [name for budget in self.ready.used_up(attempt) for name in (budget.name, budget.declared.name)]
        return ("limit", *names) if names else ("workers",)


def _listed(names: Sequence[TaskId], total: int) -> str:
    """Return names, and how many more there are."""
    told = ", ".join(map(_short, names))
    return f"{told} and {counted(total - len(names), 'other')}" if total > len(names) else told


def _short(name: TaskId) -> str:
    return clean(name, _LONGEST_NAME)
