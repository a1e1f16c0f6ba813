"""How many rows are usual: healthy runs are not odd, and what is far away is."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest

from pipeloom.status import Status
from pipeloom.store.rows import AttemptRow
from pipeloom.store.usual_rows import LEAST, MOST, usual_rows

Noise = Callable[[random.Random, int], float]
"""Returns the rows of a run, by its number."""


def poisson(numbers: random.Random, mean: float) -> int:
    passed, count = numbers.expovariate(1), 0
    while passed < mean:
        passed, count = passed + numbers.expovariate(1), count + 1
    return count


def gaussian(share: float) -> Noise:
    return lambda numbers, run: numbers.gauss(10_000, 10_000 * share)


def arriving(mean: float) -> Noise:
    return lambda numbers, run: poisson(numbers, mean)


def lognormal(sigma: float) -> Noise:
    return lambda numbers, run: 1000 * math.exp(numbers.gauss(0, sigma))


NOISES: dict[str, Noise] = {
    "nothing": lambda numbers, run: 0,
    "constant": lambda numbers, run: 500,
    **{f"gaussian {share}": gaussian(share) for share in (0.05, 0.2, 0.3)},
    **{f"poisson {mean}": arriving(mean) for mean in (0.1, 0.7, 1, 3, 5, 10, 100)},
    **{f"lognormal {sigma}": lognormal(sigma) for sigma in (0.1, 0.5, 1, 2)},
    "more each run": lambda numbers, run: 1000 * 1.01**run * math.exp(numbers.gauss(0, 0.1)),
    "fewer each run": lambda numbers, run: 100_000 * 0.995**run * math.exp(numbers.gauss(0, 0.1)),
    "steady growth": lambda numbers, run: 1000 + 50 * run,
    "weekends": lambda numbers, run: poisson(numbers, 20 if run % 7 > 4 else 200),
}


def share_marked(noise: Noise, runs: int = 1_000, seeds: int = 3) -> float:
    marked = 0
    for seed in range(seeds):
        numbers, past = random.Random(seed), list[int]()
        for run in range(runs):
            rows, usual = max(0, round(noise(numbers, run))), usual_rows(past[-MOST:])
            marked += usual is not None and not usual[0] <= rows <= usual[1]
            past.append(rows)
    return marked / (runs * seeds)


@pytest.mark.parametrize("noise", NOISES)
def test_of_a_thousand_healthy_runs_at_most_one_in_a_hundred_is_odd(noise: str) -> None:
    assert share_marked(NOISES[noise]) <= 0.01


@pytest.mark.parametrize("share", [0.0, 0.25, 4.0])
def test_a_run_with_nothing_or_with_four_times_more_or_fewer_is_odd(share: float) -> None:
    for seed in range(50):
        numbers = random.Random(seed)
        low, high = usual_rows([round(numbers.gauss(1000, 100)) for _ in range(MOST)]) or (0, 0)
        assert not low <= 1000 * share <= high


def test_a_few_attempts_tell_nothing() -> None:
    assert usual_rows([10] * (LEAST - 1)) is None
    assert usual_rows([100] * LEAST) == (64, 154)


@pytest.mark.parametrize("strange", [0, 10**15])
def test_one_strange_attempt_does_not_make_the_next_one_usual(strange: int) -> None:
    for count in range(LEAST, MOST + 1):
        low, high = usual_rows([strange, *[1000] * (count - 1)]) or (0, 0)
        assert 500 < low < 1000 < high < 2000


def test_the_range_can_be_stored_whatever_the_past_was() -> None:
    low, high = usual_rows([0, 0, 0, 2**62, 2**62, 2**62]) or (1, 0)
    assert low == 0
    assert 2**60 < high < 2**63


@pytest.mark.parametrize(
    ("status", "rows", "odd"),
    [
        (Status.DONE, 9, -1),
        (Status.DONE, 10, 0),
        (Status.DONE, 20, 0),
        (Status.DONE, 21, 1),
        (Status.DONE, None, 0),
        (Status.RUNNING, 0, 0),
        (Status.RUNNING, 21, 1),
        (Status.ERROR, 9, 0),
        (Status.ERROR, 21, 1),
    ],
)
def test_too_few_rows_are_known_at_the_end_alone(status: Status, rows: int | None, odd: int) -> None:
    assert AttemptRow(1, 1, 1, 1, "one", status, rows=rows, rows_low=10, rows_high=20).odd == odd
    assert AttemptRow(1, 1, 1, 1, "one", status, rows=rows).odd == 0
