"""Numbers and times as people read them."""

from __future__ import annotations

from datetime import UTC, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeloom.tui.style import format as fmt

NOON = "2026-08-01T12:00:00.250000+00:00"
NOON_UNIX = 1785585600.25


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0s"),
        (-0.0, "0.0s"),
        (4.12, "4.1s"),
        (9.96, "10s"),
        (59.4, "59s"),
        (59.6, "1m00s"),
        (723, "12m03s"),
        (7500, "2h05m"),
        (273_600, "3d04h"),
    ],
)
def test_durations_show_two_units(seconds: float, text: str) -> None:
    assert fmt.duration(seconds) == text


@pytest.mark.parametrize(("seconds", "text"), [(0, "00:00"), (41.9, "00:41"), (723, "12:03"), (7509, "2:05:09")])
def test_a_stopwatch_keeps_its_width(seconds: float, text: str) -> None:
    assert fmt.stopwatch(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "<1s"), (2.2, "~2s"), (89, "~89s"), (700, "~12m"), (7200, "~2h"), (200_000, "~2d")]
)
def test_an_estimate_is_as_coarse_as_it_deserves(seconds: float, text: str) -> None:
    assert fmt.eta(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0/s"),
        (0.42, "0.4/s"),
        (2.1, "2.1/s"),
        (999.4, "999/s"),
        (1234, "1.2k/s"),
        (3.4e6, "3.4M/s"),
        (5e13, "50T/s"),
    ],
)
def test_rates_are_short(value: float, text: str) -> None:
    assert fmt.rate(value) == text


def test_a_rate_names_its_unit() -> None:
    assert fmt.rate(2.1, "tasks") == "2.1 tasks/s"


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0%"), (0.62, "62%"), (0.29, "29%"), (0.999, "99%"), (1, "100%"), (7, "100%"), (-1, "0%")]
)
def test_a_hundred_percent_means_all(value: float, text: str) -> None:
    assert fmt.percent(value) == text


def test_counts_have_separators() -> None:
    assert fmt.count(1_234_567) == "1,234,567"


@pytest.mark.parametrize(
    ("later", "text"),
    [(0, "now"), (41, "41s ago"), (720, "12m ago"), (18_000, "5h ago"), (300_000, "3d ago"), (-50, "now")],
)
def test_an_age_is_one_unit(later: float, text: str) -> None:
    assert fmt.age(NOON, NOON_UNIX + later) == text


def test_times_are_shown_in_the_zone_that_is_given() -> None:
    assert fmt.stamp(NOON, timezone(timedelta(hours=14))) == "2026-08-02 02:00:00"


def test_a_time_without_zone_is_no_time_of_ours() -> None:
    assert fmt.stamp("2026-08-01T12:00:00", UTC) == ""


ANYTHING: Any = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.just(10**400),
    st.floats(),
    st.text(),
    st.binary(),
    st.datetimes().map(str),
    st.sampled_from(["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"]),
)


@given(value=ANYTHING, now=st.floats(0, 1e10))
def test_nothing_makes_them_raise(value: object, now: float) -> None:
    for function in (
        fmt.duration,
        fmt.stopwatch,
        fmt.eta,
        fmt.short,
        fmt.rate,
        fmt.count,
        fmt.percent,
        fmt.stamp,
    ):
        assert isinstance(function(value), str)
    assert isinstance(fmt.age(value, now), str)


@pytest.mark.parametrize("value", [None, "a", float("nan"), float("inf"), -1, True, 10**400])
def test_what_is_no_amount_shows_as_nothing(value: object) -> None:
    assert fmt.duration(value) == fmt.eta(value) == fmt.rate(value) == fmt.stopwatch(value) == ""
