"""Which tasks of a run wait for others, and what the end of one means for them. Guarded by the run's lock; no I/O."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import chain
from typing import Final

from pipeloom.engine.run.attempts import AttemptState
from pipeloom.engine.schedule.left_out import LeftOut, ended_badly
from pipeloom.engine.schedule.order import ALL
from pipeloom.messages import TaskDef, TaskId
from pipeloom.status import WAITING, Status

Results = tuple[tuple[TaskId, str | None], ...]
"""Ids of tasks with their results as JSON; None for none."""

_NONE: Final = ()


class Dependencies:
    """The tasks of a run and what they come after.

    A task is *met* when its latest attempt is done and that is on disk. "*" means all tasks that neither have it
    themselves nor come after one that has.
    """

    def __init__(self, left_out: LeftOut | None = None) -> None:
        self.left_out = left_out or LeftOut()
        self._latest: dict[TaskId, AttemptState | None] = {}
        """The latest attempt of each task; None until it is entered."""
        self._followers: defaultdict[TaskId, list[TaskId]] = defaultdict(list)
        """Each id to the tasks that name it."""
        self._last: dict[TaskId, None] = {}
        """Tasks that come after all others."""
        self._late: set[TaskId] = set(self.left_out.late)
        """Those, and what comes after them."""
        self._unmet: dict[TaskId, int] = {}
        """Tasks that wait, to the number of tasks that they name and that are not met; 1 for one of `_last`."""
        self._open: int | None = None
        """Tasks that are not met and that `_last` waits for; None while nothing does."""
        self._causes: dict[TaskId, str] = {}
        """Why tasks were skipped."""
        self._results: dict[TaskId, str] = {}
        self._any_bad = self.left_out.any_bad

    # -- tasks come in -----------------------------------------------------------------------------------------------

    def expect(self, tasks: Iterable[TaskDef]) -> None:
        """Note tasks before any of them is entered: they may be named before their turn comes."""
        late: list[TaskId] = []
        new: list[TaskId] = []
        for task in tasks:
            task_id, after = task.task_id, task.after
            self._latest.setdefault(task_id)
            new.append(task_id)
            if after == ALL:
                self._last[task_id] = None
                late.append(task_id)
            else:
                for name in after:
                    self._followers[name].append(task_id)
                if self._late and not self._late.isdisjoint(after):
                    late.append(task_id)
        seen: set[TaskId] = set()
        while late:
            if (task_id := late.pop()) not in seen:
                seen.add(task_id)
                late += self._followers.get(task_id, _NONE)
        self._late |= seen
        if self._open is not None:
            self._open += sum(task_id not in self._late for task_id in new)
        elif self._last:
            self._open = sum(1 for _ in self._early_unmet())

    def enter(self, attempt: AttemptState) -> Sequence[AttemptState]:
        """Note a new attempt as the latest of its task; return attempts that have not begun and now wait for it."""
        task_id = attempt.task.task_id
        before = self._latest.get(task_id)
        self._latest[task_id] = attempt
        held = self._wait_again(task_id) if before is not None and _is_done(before) else ()
        if (after := attempt.task.after) and (unmet := self._count(after)):
            self._unmet[task_id], attempt.waits = unmet, True
        else:
            self._unmet.pop(task_id, None)
        return held

    def _wait_again(self, task_id: TaskId) -> Sequence[AttemptState]:
        """Let what comes after a task that is run again, and has not begun, wait for it; return those attempts."""
        held: list[AttemptState] = []
        is_early = self._open is not None and task_id not in self._late
        if self._open is not None and is_early:
            self._open += 1
        for follower in self._followers_of(task_id):
            latest = self._latest.get(follower)
            if follower in self._unmet or (latest is not None and latest.status in WAITING):
                self._unmet[follower] = 1 if follower in self._last else self._unmet.get(follower, 0) + 1
                if latest is not None:
                    latest.waits = True
                    held.append(latest)
        return held

    def _count(self, after: Sequence[TaskId] | str) -> int:
        if after == ALL:
            return int(bool(self._open) or self.left_out.any_early_bad)
        latest_of, unmet = self._latest.get, 0
        for name in after:
            if name in self._latest:
                latest = latest_of(name)
                unmet += latest is None or not latest.settled or latest.status is not Status.DONE
            else:
                unmet += self.left_out.why_not(name) is not None
        return unmet

    def _is_met(self, task_id: TaskId) -> bool:
        if task_id in self._latest:
            latest = self._latest.get(task_id)
            return latest is not None and _is_done(latest)
        return self.left_out.why_not(task_id) is None

    # -- tasks end ---------------------------------------------------------------------------------------------------

    def done(self, attempt: AttemptState, result: str | None) -> list[AttemptState]:
        """Note that an attempt is done, on disk; return the latest attempts of the tasks that wait no more."""
        task_id = attempt.task.task_id
        if self._latest.get(task_id) is not attempt:
            return []
        if result is None:
            self._results.pop(task_id, None)
        else:
            self._results[task_id] = result
        free: list[TaskId] = []
        for follower in self._followers.get(task_id, _NONE):
            if (left := self._unmet.get(follower)) == 1:
                del self._unmet[follower]
                free.append(follower)
            elif left is not None:
                self._unmet[follower] = left - 1
        if self._open is not None and task_id not in self._late:
            self._open -= 1
            if not self._open and not self.left_out.any_early_bad:
                free += [last for last in self._last if self._unmet.pop(last, None) is not None]
        if not free:
            return []
        released = [latest for one in free if (latest := self._latest[one]) is not None]
        for latest in released:
            latest.waits = False
        return released

    def fall(self, attempt: AttemptState) -> list[tuple[AttemptState, str]]:
        """Note a bad end, on disk, that no attempt follows; return the attempts to skip, and why."""
        task_id = attempt.task.task_id
        why = self._causes.get(task_id) if attempt.status is Status.SKIPPED else ended_badly(task_id, attempt.status)
        if self._latest.get(task_id) is not attempt or why is None:
            return []
        self._any_bad = True
        found: dict[TaskId, AttemptState] = {}
        fallen = [task_id]
        while fallen:
            for follower in self._followers_of(fallen.pop()):
                latest = self._latest.get(follower)
                if follower in self._unmet and follower not in found and latest and latest.status in WAITING:
                    found[follower] = latest
                    fallen.append(follower)
        self._causes.update(dict.fromkeys(found, why))
        return [(latest, why) for latest in found.values()]

    def _followers_of(self, task_id: TaskId) -> Iterable[TaskId]:
        named = self._followers.get(task_id, _NONE)
        return named if task_id in self._late or not self._last else chain(named, self._last)

    # -- what is asked -----------------------------------------------------------------------------------------------

    def why_never(self, attempt: AttemptState) -> str | None:
        """Return why the attempt's task cannot run unless another one is run again: `extract-7 failed`; else None."""
        if not self._any_bad:
            return None
        names = self._names(attempt.task.after)
        why = next(filter(None, map(self._why_not, names)), None)
        if why is not None:
            self._causes[attempt.task.task_id] = why
        return why

    def _why_not(self, task_id: TaskId) -> str | None:
        if task_id not in self._latest:
            return self.left_out.why_not(task_id)
        latest = self._latest.get(task_id)
        if latest is None:
            return None
        if latest.status is Status.SKIPPED:
            return self._causes.get(task_id)
        return ended_badly(task_id, latest.status) if latest.settled else None

    def waits_for(self, attempt: AttemptState) -> Iterator[TaskId]:
        """Return the ids that the attempt's task still waits for; none when it waits for no other."""
        if not attempt.waits:
            return iter(_NONE)
        after = attempt.task.after
        return self._early_unmet() if after == ALL else (name for name in after if not self._is_met(name))

    def unmet(self, attempt: AttemptState) -> int:
        """Return how many tasks the attempt's task still waits for."""
        of_all = attempt.task.after == ALL and self._open is not None
        return (self._open if of_all else self._unmet.get(attempt.task.task_id)) or 0

    def results(self, task: TaskDef) -> Results:
        """Return the results of what the task comes after."""
        if not task.after:
            return ()
        results, ids = self._results, self._latest
        names = list(self._names(task.after))
        return (*((name, results.get(name)) for name in names if name in ids), *self.left_out.results(names))

    def _names(self, after: Sequence[TaskId] | str) -> Iterable[TaskId]:
        if after != ALL:
            return after
        return chain((name for name in self._latest if name not in self._late), self.left_out)

    def _early_unmet(self) -> Iterator[TaskId]:
        return (name for name in self._latest if name not in self._late and not self._is_met(name))


def ids_named(tasks: Iterable[TaskDef]) -> Collection[TaskId] | None:
    """Return the ids that tasks come after; None when one of them comes after all others."""
    named: set[TaskId] = set()
    for task in tasks:
        if task.after == ALL:
            return None
        named.update(task.after)
    return named


def _is_done(attempt: AttemptState) -> bool:
    return attempt.settled and attempt.status is Status.DONE
