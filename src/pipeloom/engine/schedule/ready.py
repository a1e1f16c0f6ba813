"""The attempts that are ready, in the order in which they are dispatched.

Those with the same limits and priority wait in one lane, first come first served. A lane is in one heap at a time:
among the open ones, or parked at the budget that had no room when the lane was looked at. So a dispatch looks at as
many lanes as have come free since the last, and never at the attempts behind a limit that is used up.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from heapq import heappop, heappush, heapreplace
from operator import itemgetter
from typing import Final, Generic, Protocol, TypeVar

from pipeloom.engine.schedule.limits import Budget, Limits
from pipeloom.messages import TaskDef


class Waiting(Protocol):
    """What the queue knows of an attempt."""

    id: int
    task: TaskDef
    turn: int
    """Place among all that have ever been ready: lower ones go first. -1 for one that is not ready."""


NOT_READY: Final = -1
W = TypeVar("W", bound=Waiting)


class Lane(Generic[W]):
    """Ready attempts with the same limits and the same priority, in the order of their turns."""

    __slots__ = ("budgets", "entries", "rank", "waiting", "woken_by")

    def __init__(self, budgets: tuple[Budget, ...], priority: int) -> None:
        self.budgets = budgets
        self.rank = -priority
        """Lower ones go first."""
        self.entries: deque[tuple[int, W]] = deque()
        """Each with its turn; some may have left while they waited, or have come back with a later turn."""
        self.waiting = 0
        self.woken_by: Budget | None = None
        """The budget that it was parked at, until it is looked at again."""

    def head(self) -> W | None:
        """Return the attempt whose turn it is; those that have left meanwhile are passed over."""
        entries = self.entries
        while entries and entries[0][1].turn != entries[0][0]:
            entries.popleft()
        return entries[0][1] if entries else None

    def before(self, rank: int, turn: int) -> int:
        """Return how many of its attempts go before one of a rank and a turn."""
        if self.rank != rank:
            return self.waiting if self.rank < rank else 0
        if len(self.entries) > max(self.waiting, 1):
            self._forget_left()
        return min(bisect_left(self.entries, turn, key=itemgetter(0)), self.waiting)

    def _forget_left(self) -> None:
        """Take out the entries of those that have left; one stays in any case, because the lane is in a heap."""
        there = [entry for entry in self.entries if entry[1].turn == entry[0]]
        self.entries = deque(there or [self.entries[0]])

    def count(self, change: int) -> None:
        """Count attempts that come or go."""
        self.waiting += change
        for budget in self.budgets:
            budget.declared.waiting += change

    def blocked_by(self, now: float) -> Budget | None:
        """Return the first of its budgets without room."""
        for budget in self.budgets:
            if not budget.has_room(now):
                return budget
        return None


class Line(Generic[W]):
    """The line for a worker at one moment: of the attempts that no limit holds back."""

    def __init__(self, lanes: Iterable[Lane[W]]) -> None:
        """Count the attempts of each lane, which is done once for all that is asked."""
        self._heads: dict[int, list[int]] = defaultdict(list)
        """For each rank the turns of lanes of one attempt, in order: there may be as many as values of a limit."""
        self._long: list[Lane[W]] = []
        for lane in lanes:
            if lane.waiting == 1 and (head := lane.head()) is not None:
                self._heads[lane.rank].append(head.turn)
            elif lane.waiting:
                self._long.append(lane)
        for turns in self._heads.values():
            turns.sort()

    def place(self, own: Lane[W], turn: int) -> int:
        """Return the place, from 1, of a ready attempt of the lane `own`, which may be held back itself."""
        ahead = sum(lane.before(own.rank, turn) for lane in self._long if lane is not own)
        for rank, turns in self._heads.items():
            if rank <= own.rank:
                ahead += len(turns) if rank < own.rank else bisect_left(turns, turn)
        return 1 + ahead + (own.before(own.rank, turn) if own.waiting > 1 else 0)


class Ready(Generic[W]):
    """Gives the attempts that may run now: by priority, and of equal ones the one that has waited longest."""

    def __init__(
        self, limits: Limits, monotonic: Callable[[], float], wake_at: Callable[[float, Budget], None]
    ) -> None:
        """`wake_at(due, budget)` has `wake(budget)` called at `due`, in monotonic seconds."""
        self._limits = limits
        self._monotonic = monotonic
        self._wake_at = wake_at
        self._turns = itertools.count()
        self._lanes: dict[tuple[tuple[str, ...], int], Lane[W]] = {}
        self._plain = self._lanes[(), 0] = Lane[W]((), 0)
        self._open: list[tuple[int, int, Lane[W]]] = []
        """Heap of rank, turn and lane. Among those parked at a budget with room, the first one is here."""
        self.waiting = 0
        """Attempts that are ready."""

    def add(self, attempt: W) -> None:
        """Let a `queued` attempt wait for its turn."""
        task, turn = attempt.task, next(self._turns)
        lane = self._lane(task) if task.limits or task.priority else self._plain
        attempt.turn = turn
        self.waiting += 1
        lane.count(1)
        if not lane.entries:
            heappush(self._open, (lane.rank, turn, lane))
        lane.entries.append((turn, attempt))

    def leave(self, attempt: W) -> None:
        """Pass over an attempt that ends while it waits, or waits for something else again; others stay as they are."""
        if attempt.turn != NOT_READY:
            attempt.turn = NOT_READY
            self.waiting -= 1
            self._lane(attempt.task).count(-1)

    def take(self) -> W | None:
        """Take the next attempt that may run; it holds its limits from now on. None when there is none."""
        while self._open:
            rank, turn, lane = self._open[0]
            head, woken_by = lane.head(), lane.woken_by
            lane.woken_by = None
            if head is None:  # all that waited here have left
                heappop(self._open)
            elif head.turn != turn:  # the one has left that stood first
                heappop(self._open)
                heappush(self._open if woken_by is None else woken_by.parked, (rank, head.turn, lane))
                head = None
            elif lane.budgets and (budget := lane.blocked_by(self._monotonic())) is not None:
                heappush(budget.parked, heappop(self._open))
                self._set_alarm(budget)
                head = None
            else:
                lane.entries.popleft()
                if lane.entries:
                    heapreplace(self._open, (rank, lane.entries[0][0], lane))
                else:
                    heappop(self._open)
                self.leave(head)
                for budget in lane.budgets:
                    budget.take(head.id)
            if woken_by is not None:
                self.wake(woken_by)
            if head is not None:
                return head
        return None

    def note_start(self, attempt: W, now: float) -> None:
        """Note that a worker has begun an attempt; also one that does not count any more."""
        for budget in self._lane(attempt.task).budgets:
            budget.note_start(attempt.id, now)
            self._set_alarm(budget)

    def give_back(self, attempt: W) -> None:
        """Free the limits of an attempt whose worker has come back."""
        for budget in self._lane(attempt.task).budgets:
            budget.give_back(attempt.id)
            self.wake(budget)

    def wake(self, budget: Budget) -> None:
        """Open the first lane that waits for the budget, when that has room; the next one follows it."""
        if not budget.parked:
            return
        if budget.has_room(self._monotonic()):
            entry = heappop(budget.parked)
            entry[2].woken_by = budget
            heappush(self._open, entry)
        else:
            self._set_alarm(budget)

    def ring(self, budget: Budget) -> None:
        """Wake the lanes of a budget whose alarm is due."""
        budget.alarm = None
        self.wake(budget)

    def _set_alarm(self, budget: Budget) -> None:
        """Have the budget looked at when time alone gives it room, if a lane waits for that."""
        due = budget.free_at(self._monotonic()) if budget.parked else None
        if due is not None and (budget.alarm is None or due < budget.alarm):
            budget.alarm = due
            self._wake_at(due, budget)

    # -- why an attempt waits ------------------------------------------------------------------------------------------

    def blocked_by(self, attempt: W) -> Budget | None:
        """Return the first limit of an attempt that is used up; its `holders` are the attempts that use it."""
        return self._lane(attempt.task).blocked_by(self._monotonic())

    def used_up(self, attempt: W) -> list[Budget]:
        """Return the limits of an attempt that are used up."""
        now = self._monotonic()
        return [budget for budget in self._lane(attempt.task).budgets if not budget.has_room(now)]

    def line(self) -> Line[W]:
        """Return the line for a worker; costs as much as there are open lanes."""
        now = self._monotonic()
        return Line(lane for _, _, lane in self._open if lane.blocked_by(now) is None)

    def place(self, attempt: W, line: Line[W] | None = None) -> int:
        """Return the place of a ready attempt in the line for a worker, from 1."""
        return (line or self.line()).place(self._lane(attempt.task), attempt.turn)

    def _lane(self, task: TaskDef) -> Lane[W]:
        if not task.limits and not task.priority:
            return self._plain
        names, priority = tuple(task.limits), task.priority
        lane = self._lanes.get((names, priority))
        if lane is None:
            made = Lane[W](tuple(map(self._limits.budget, dict.fromkeys(names))), priority)
            lane = self._lanes[names, priority] = made
        return lane
