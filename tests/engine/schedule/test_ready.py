"""The order in which ready attempts are dispatched, against a list that is gone through from its begin each time."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from dataclasses import dataclass, field

import pytest

from pipeloom.engine.schedule.limits import Budget, Limits
from pipeloom.engine.schedule.ready import Ready
from pipeloom.limits.limit import Limit, limit_of
from pipeloom.messages import TaskDef


@dataclass(eq=False)
class Attempt:
    """An attempt as the queue knows it."""

    id: int
    task: TaskDef
    turn: int = 0


@dataclass
class Bench:
    """A queue, a clock that is told the time, and the plain rule that the queue must follow."""

    limits: dict[str, Limit]
    now: float = 100.0
    alarms: list[tuple[float, Budget]] = field(default_factory=list)
    waiting: list[Attempt] = field(default_factory=list)
    held: list[Attempt] = field(default_factory=list)
    begun: set[int] = field(default_factory=set)
    starts: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    looks: int = 0
    """Limits that were asked for room."""

    def __post_init__(self) -> None:
        self.known = Limits(self.limits)
        self.ready = Ready[Attempt](self.known, self.clock, lambda due, budget: self.alarms.append((due, budget)))
        self.made = 0

    def clock(self) -> float:
        self.looks += 1
        return self.now

    def add(self, *limits: str, priority: int = 0) -> Attempt:
        self.made += 1
        attempt = Attempt(self.made, TaskDef(self.made, limits=limits, priority=priority))
        self.waiting.append(attempt)
        self.ready.add(attempt)
        return attempt

    def cancel(self, attempt: Attempt) -> None:
        self.ready.leave(attempt)
        self.waiting.remove(attempt)

    def take(self) -> Attempt | None:
        taken = self.ready.take()
        if taken is not None:
            self.waiting.remove(taken)
            self.held.append(taken)
        return taken

    def begin(self, attempt: Attempt) -> None:
        self.ready.note_start(attempt, self.now)
        self.begun.add(attempt.id)
        for name in attempt.task.limits:
            self.starts[name].append(self.now)

    def come_back(self, attempt: Attempt) -> None:
        self.ready.give_back(attempt)
        self.held.remove(attempt)

    def advance(self, seconds: float) -> None:
        until = self.now + seconds
        while due := [alarm for alarm in self.alarms if alarm[0] <= until]:
            first = min(due, key=lambda alarm: alarm[0])
            self.alarms.remove(first)
            self.now = max(self.now, first[0])
            self.ready.ring(first[1])
        self.now = until

    def has_room(self, name: str) -> bool:
        limit = self.limits[limit_of(name, self.limits) or ""]
        held = [attempt for attempt in self.held if name in attempt.task.limits]
        if limit.at_once is not None and len(held) >= limit.at_once:
            return False
        if limit.per_second is None:
            return True
        recent = sum(start + limit.seconds > self.now for start in self.starts[name])
        return recent + sum(attempt.id not in self.begun for attempt in held) < limit.starts

    def wanted(self) -> Attempt | None:
        """What runs next by the rule."""
        line = sorted(self.waiting, key=lambda attempt: (-attempt.task.priority, attempt.turn))
        return next((attempt for attempt in line if all(map(self.has_room, attempt.task.limits))), None)


def test_one_that_waits_for_something_else_again_comes_back_with_a_later_turn_and_once() -> None:
    bench = Bench({"api": Limit(1)})
    for limits in ((), ("api",)):
        made = [bench.add(*limits) for _ in range(3)]
        bench.ready.leave(made[0])
        bench.ready.leave(made[0])
        assert bench.ready.waiting == 2
        bench.ready.add(made[0])
        assert bench.ready.waiting == 3
        for expected in (made[1], made[2], made[0]):
            assert bench.ready.place(expected) == 1
            assert bench.take() is expected
            bench.come_back(expected)
        assert bench.take() is None
        assert bench.ready.waiting == 0


def test_without_limits_the_order_is_that_of_the_list() -> None:
    bench = Bench({})
    made = [bench.add() for _ in range(5)]
    bench.cancel(made[0])
    bench.cancel(made[2])
    assert bench.ready.waiting == 3
    assert [bench.take() for _ in range(4)] == [made[1], made[3], made[4], None]
    assert bench.ready.waiting == 0


def test_a_higher_priority_goes_first_and_equal_ones_in_the_order_of_the_list() -> None:
    bench = Bench({})
    low, plain, high, also_high = (bench.add(priority=priority) for priority in (-1, 0, 5, 5))
    assert [bench.take() for _ in range(4)] == [high, also_high, plain, low]


def test_a_free_host_is_never_behind_a_limited_one() -> None:
    bench = Bench({"host:*": Limit(1)})
    slow = [bench.add("host:slow", priority=9) for _ in range(3)]
    other = bench.add("host:other")
    assert [bench.take() for _ in range(3)] == [slow[0], other, None]
    bench.come_back(slow[0])
    assert bench.take() is slow[1]


def test_starts_per_second_are_counted_from_the_moment_at_which_attempts_begin() -> None:
    bench = Bench({"api": Limit(per_second=2)})
    made = [bench.add("api") for _ in range(5)]
    assert [bench.take() for _ in range(3)] == [*made[:2], None]
    bench.advance(10)
    assert bench.take() is None, "the first two have not begun"
    bench.begin(made[0])
    bench.advance(0.5)
    bench.begin(made[1])
    bench.advance(0.499)
    assert bench.take() is None
    bench.advance(0.001)
    assert [bench.take(), bench.take()] == [made[2], None]
    bench.come_back(made[2])
    assert bench.take() is made[3], "one that never began was no start"


def test_a_fraction_spaces_the_starts() -> None:
    bench = Bench({"api": Limit(per_second=0.2)})
    first, second = bench.add("api"), bench.add("api")
    assert bench.take() is first
    bench.begin(first)
    bench.come_back(first)
    bench.advance(4.999)
    assert bench.take() is None
    bench.advance(0.001)
    assert bench.take() is second


def test_starts_of_an_earlier_run_count() -> None:
    bench = Bench({"api": Limit(per_second=3)})
    bench.known.continue_after(bench.now - 0.25)
    made = bench.add("api")
    assert bench.take() is None
    bench.advance(0.75)
    assert bench.take() is made


def test_a_limit_that_is_raised_lets_more_run_and_one_that_is_lowered_leaves_those_that_run() -> None:
    bench = Bench({"api": Limit(1)})
    made = [bench.add("api") for _ in range(4)]
    assert [bench.take(), bench.take()] == [made[0], None]
    for budget in bench.known.change("api", Limit(3)):
        bench.ready.wake(budget)
    assert [bench.take() for _ in range(3)] == [made[1], made[2], None]
    bench.known.change("api", Limit(1))
    bench.come_back(made[0])
    bench.come_back(made[1])
    assert bench.take() is None
    bench.come_back(made[2])
    assert bench.take() is made[3]


def test_a_limit_that_is_named_twice_counts_once() -> None:
    bench = Bench({"api": Limit(2)})
    made = bench.add("api", "api")
    assert bench.take() is made
    bench.come_back(made)
    assert [use.held for use in bench.known.uses()] == [0]


def test_why_an_attempt_waits_and_who_is_before_it() -> None:
    bench = Bench({"api": Limit(1)})
    running, blocked, first, second, high = (
        bench.add("api"),
        bench.add("api"),
        bench.add(),
        bench.add(),
        bench.add(priority=1),
    )
    assert bench.take() is high
    assert bench.take() is running
    assert bench.take() is first
    full = bench.ready.blocked_by(blocked)
    assert full is not None
    assert (full.name, list(full.holders)) == ("api", [running.id])
    third = bench.add()
    assert bench.ready.blocked_by(third) is None
    assert [bench.ready.place(attempt) for attempt in (second, third)] == [1, 2]
    (use,) = bench.known.uses()
    assert (use.held, use.waiting) == (1, 1)


@pytest.mark.parametrize("seed", range(40))
def test_the_queue_follows_the_rule_whatever_happens(seed: int) -> None:
    choose = random.Random(seed)
    limits = {
        "api": Limit(choose.randint(1, 3)),
        "rate": Limit(per_second=choose.choice([0.5, 1, 2, 3])),
        "both": Limit(2, choose.choice([1, 2])),
        "host:*": Limit(choose.randint(1, 2)),
    }
    names = ["api", "rate", "both", *(f"host:{letter}" for letter in "abc")]
    bench = Bench(limits)
    for _ in range(400):
        what = choose.random()
        if what < 0.35:
            bench.add(
                *choose.sample(names, choose.choice([0, 0, 1, 1, 2, 3])), priority=choose.choice([0, 0, 0, 1, -1])
            )
        elif what < 0.6:
            wanted = bench.wanted()
            assert bench.take() is wanted
        elif what < 0.7 and (coming := [attempt for attempt in bench.held if attempt.id not in bench.begun]):
            bench.begin(choose.choice(coming))
        elif what < 0.85 and bench.held:
            bench.come_back(choose.choice(bench.held))
        elif what < 0.9 and bench.waiting:
            bench.cancel(choose.choice(bench.waiting))
        elif what < 0.92:
            name = choose.choice(list(limits))
            if limits[name].at_once is not None:
                bench.limits[name] = Limit(choose.randint(1, 4), limits[name].per_second)
                for budget in bench.known.change(name, bench.limits[name]):
                    bench.ready.wake(budget)
        else:
            bench.advance(choose.choice([0.1, 0.5, 1.0, 2.0]))
        assert bench.ready.waiting == len(bench.waiting)
    waiting = Counter(limit_of(name, limits) for attempt in bench.waiting for name in attempt.task.limits)
    assert {use.name: use.waiting for use in bench.known.uses() if use.waiting} == waiting


@pytest.mark.parametrize("hosts", [1, 100, 5_000])
def test_a_dispatch_does_not_look_at_what_waits(hosts: int) -> None:
    """Counted in looks at limits, which no machine makes faster or slower."""
    bench = Bench({"api": Limit(50), "host:*": Limit(2)})
    for number in range(5_000):
        bench.ready.add(Attempt(number + 1, TaskDef(number + 1, limits=("api", f"host:{number % hosts}"))))
    running: list[Attempt] = []
    done = 0
    while True:
        if (attempt := bench.ready.take()) is not None:
            running.append(attempt)
        elif running:
            bench.ready.give_back(running.pop(0))
            done += 1
        else:
            break
    assert done == 5_000
    assert bench.looks < 12 * done
