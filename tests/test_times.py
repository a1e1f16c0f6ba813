"""Times as the file keeps them, as people read them, and as people write them, in zones that change their clocks."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from tests.conftest import Zone

from pipeloom.filters import FilterError, parse
from pipeloom.times import local_stamp, moment, read_duration, zone_names


@pytest.mark.parametrize(
    ("name", "iso", "text"),
    [
        ("UTC", "2026-08-01T12:00:41.000000+00:00", "2026-08-01 12:00:41 UTC"),
        ("Europe/Berlin", "2026-08-01T12:00:41.000000+00:00", "2026-08-01 14:00:41 CEST"),
        ("Europe/Berlin", "2026-10-25T00:30:00.000000+00:00", "2026-10-25 02:30:00 CEST"),
        ("Europe/Berlin", "2026-10-25T01:30:00.000000+00:00", "2026-10-25 02:30:00 CET"),
        ("America/New_York", "2026-01-01T02:00:00.000000+00:00", "2025-12-31 21:00:00 EST"),
        ("Asia/Kolkata", "2026-01-01T02:00:00+02:00", "2026-01-01 05:30:00 IST"),
        ("UTC", "2026-08-01T12:00:41", ""),
        ("UTC", "soon", ""),
        ("America/New_York", "0001-01-01T00:00:00+00:00", ""),
    ],
)
def test_a_time_is_shown_in_the_users_zone_with_its_name(zone: Zone, name: str, iso: str, text: str) -> None:
    zone(name)
    assert local_stamp(iso) == text


@pytest.mark.parametrize(
    ("name", "names"),
    [("UTC", "UTC"), ("Europe/Berlin", "CET/CEST"), ("America/New_York", "EST/EDT"), ("Asia/Kolkata", "IST")],
)
def test_a_list_of_times_names_the_zone_both_names_where_the_clocks_change(zone: Zone, name: str, names: str) -> None:
    zone(name)
    assert zone_names() == names


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90.0), ("1h30m", 5400.0), ("250ms", 0.25), ("1.5h", 5400.0), ("2d", 172_800.0), ("1w", 604_800.0),
        ("1h30", None), ("10", None), ("1 h", None), ("h", None), ("", None), ("1h30m5", None),
    ],
)  # fmt: skip
def test_a_length_of_time_has_a_unit_behind_each_number(text: str, seconds: float | None) -> None:
    assert read_duration(text) == seconds


def test_what_is_no_time_is_none() -> None:
    assert [moment(value) for value in (None, "", "x", 5, "2026-08-01")] == [None] * 5


@pytest.mark.parametrize(
    ("name", "text", "bounds"),
    [
        ("UTC", "started:2026-08-01", ("2026-08-01T00:00", "2026-08-02T00:00")),
        ("Europe/Berlin", "started:2026-08-01", ("2026-07-31T22:00", "2026-08-01T22:00")),
        ("Europe/Berlin", "started:2026-03-29", ("2026-03-28T23:00", "2026-03-29T22:00")),  # 23 hours
        ("Europe/Berlin", "started:2026-10-25", ("2026-10-24T22:00", "2026-10-25T23:00")),  # 25 hours
        ("America/New_York", "started:2026-11-01", ("2026-11-01T04:00", "2026-11-02T05:00")),
        ("America/New_York", "started:2026-03-08..2026-03-09", ("2026-03-08T05:00", "2026-03-10T04:00")),
        ("Europe/Berlin", "started:today", ("2026-08-03T22:00", "2026-08-04T22:00")),
        ("America/New_York", "started:yesterday", ("2026-08-02T04:00", "2026-08-03T04:00")),
        ("Europe/Berlin", "started:2026-08-01T12:00..2026-08-01T13:00Z", ("2026-08-01T10:00", "2026-08-01T13:00")),
        # An hour that comes twice is meant both times, and one that does not come is the one after it.
        ("Europe/Berlin", "started:2026-10-25T02:30..2026-10-25T02:30", ("2026-10-25T00:30", "2026-10-25T01:30")),
        ("Europe/Berlin", "started:2026-03-29T02:30..2026-03-29T04:00", ("2026-03-29T01:30", "2026-03-29T02:00")),
        ("Europe/Berlin", "started:2026-10-25T02:30+01:00..2026-10-25T03:00", ("2026-10-25T01:30", "2026-10-25T02:00")),
    ],
)
def test_days_and_times_of_a_filter_are_the_users(zone: Zone, name: str, text: str, bounds: tuple[str, str]) -> None:
    zone(name)
    _, values = parse(text, now=datetime(2026, 8, 4, 3, 0, tzinfo=UTC)).sql()
    assert tuple(str(value)[:16] for value in values) == bounds


def test_a_day_that_no_clock_can_tell_is_no_date(zone: Zone) -> None:
    zone("America/New_York")
    with pytest.raises(FilterError, match="is no date"):
        parse("started:9999-12-31")
