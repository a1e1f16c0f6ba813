"""How much of each limit of a run is used, and by which attempts."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

from pipeloom.engine.commands import LimitUse
from pipeloom.errors import UsageError
from pipeloom.limits.limit import Limit, limit_of


class Declared:
    """A limit as the pipeline declares it, and its use; `prefix*` has a budget for each value."""

    __slots__ = ("budgets", "held", "limit", "name", "waiting")

    def __init__(self, name: str, limit: Limit) -> None:
        self.name = name
        self.limit = limit
        self.budgets: list[Budget] = []
        self.held = 0
        """Attempts that hold it, of all values."""
        self.waiting = 0
        """Ready attempts that name it."""

    @property
    def use(self) -> LimitUse:
        """How much of it is used now."""
        limit = self.limit
        return LimitUse(self.name, limit.at_once, limit.per_second, self.held, self.waiting)


class Budget:
    """What is used of one limit, or of one value of it.

    A start counts from the moment at which an attempt is handed to the executor: an attempt that has not begun yet
    counts whatever the time, and one that has until the time of the limit has passed since. So no two clocks, of
    dispatcher, worker and file, see more starts than allowed.
    """

    __slots__ = ("_coming", "_starts", "alarm", "declared", "holders", "name", "parked")

    def __init__(self, name: str, declared: Declared) -> None:
        self.name = name
        self.declared = declared
        self.holders: dict[int, None] = {}
        """Ids of the attempts that hold it, in the order in which they were dispatched."""
        self._coming: set[int] = set()
        """Those of them that have not begun."""
        self._starts: deque[float] = deque()
        """Monotonic seconds at which attempts have begun."""
        self.parked: list[tuple[int, int, Any]] = []
        """Heap of the lanes that wait for this budget; see `Ready`."""
        self.alarm: float | None = None
        """When it is looked at next, if that is set."""

    def has_room(self, now: float) -> bool:
        """Tell whether one more attempt may be dispatched."""
        return not self._is_held() and self._too_many(now) <= 0

    def free_at(self, now: float) -> float | None:
        """Return when it has room by the passing of time alone; None when it has room, or needs more than time."""
        too_many = 0 if self._is_held() else self._too_many(now)
        return self._starts[too_many - 1] + self.declared.limit.seconds if 0 < too_many <= len(self._starts) else None

    def _is_held(self) -> bool:
        """Tell whether as many attempts hold it as may at once."""
        most = self.declared.limit.at_once
        return most is not None and len(self.holders) >= most

    def _too_many(self, now: float) -> int:
        """Return how many starts have to be forgotten before the next; those of which the time has passed are."""
        limit, starts = self.declared.limit, self._starts
        if limit.per_second is None:
            return 0
        while starts and starts[0] + limit.seconds <= now:
            starts.popleft()
        return len(starts) + len(self._coming) + 1 - limit.starts

    def take(self, attempt_id: int) -> None:
        """Count an attempt that is dispatched."""
        self.holders[attempt_id] = None
        self._coming.add(attempt_id)
        self.declared.held += 1

    def note_start(self, attempt_id: int, now: float) -> None:
        """Note that an attempt has begun."""
        if attempt_id in self._coming:
            self._coming.remove(attempt_id)
            if self.declared.limit.per_second is not None:
                self._starts.append(now)

    def give_back(self, attempt_id: int) -> None:
        """Count an attempt no longer whose worker has come back; one that never began was no start."""
        del self.holders[attempt_id]
        self._coming.discard(attempt_id)
        self.declared.held -= 1

    def assume_starts(self, at: float) -> None:
        """Count as many starts as the limit allows, all at `at`, before any other."""
        if self.declared.limit.per_second is not None:
            self._starts.extend([at] * self.declared.limit.starts)


class Limits:
    """The limits of a run by name."""

    def __init__(self, declared: Mapping[str, Limit]) -> None:
        self._declared = {name: Declared(name, limit) for name, limit in declared.items()}
        self._budgets: dict[str, Budget] = {}
        self._earlier: float | None = None

    def continue_after(self, last_start: float) -> None:
        """Count what an earlier run has started, at `last_start` in monotonic seconds; before any task."""
        self._earlier = last_start

    def budget(self, name: str) -> Budget:
        """Return the budget that a task means by `name`, which `check_named` has accepted."""
        budget = self._budgets.get(name)
        if budget is None:
            declared = self._declared[limit_of(name, self._declared) or name]
            budget = self._budgets[name] = Budget(name, declared)
            declared.budgets.append(budget)
            if self._earlier is not None:
                budget.assume_starts(self._earlier)
        return budget

    def change(self, name: str, limit: Limit) -> list[Budget]:
        """Change a limit by the name under which it is declared; returns its budgets.

        Raises `UsageError` when there is none.
        """
        declared = self._declared.get(name)
        if declared is None:
            raise UsageError(f"The pipeline has no limit {name!r:.80}.")
        declared.limit = limit
        return declared.budgets

    def uses(self) -> Iterator[LimitUse]:
        """Yield the use of each limit, in the order in which they are declared."""
        return (declared.use for declared in self._declared.values())
