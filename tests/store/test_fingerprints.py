"""What makes two failures the same one."""

from __future__ import annotations

import pytest

from pipeloom.store.fingerprints import deepest_frame, fingerprint, masked

TRACEBACK = """Traceback (most recent call last):
  File "/home/me/etl/weather.py", line {line}, in load
    number(row)
  File "/home/me/etl/weather.py", line {deeper}, in number
    return parse(text)
  File "/usr/lib/python3.11/site-packages/parser/__init__.py", line 7, in parse
    raise ValueError(text)
ValueError: bad value
"""


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("KeyError: 'user_id'", "KeyError: …"),
        ('no column "temp" in row 14', "no column … in row …"),
        ("HTTP 429 from https://api.example.org/v1/users?page=3, giving up", "HTTP … from …, giving up"),
        ("[Errno 2] No such file or directory: /data/in/2026-08-01.csv", "[Errno …] No such file or directory: …"),
        ("run 6ba7b810-9dad-11d1-80b4-00c04fd430c8 is gone", "run … is gone"),
        ("no answer from 10.0.0.7:5432 within 30 s", "no answer from … within … s"),
        ("out of memory", "out of memory"),
    ],
)
def test_what_differs_between_two_occurrences_is_masked(message: str, shown: str) -> None:
    assert masked(message) == shown


def test_the_place_is_the_deepest_frame_of_the_users_code() -> None:
    frame = deepest_frame(TRACEBACK.format(line=3, deeper=41))
    assert frame is not None
    assert frame.place == "weather.py:41"
    assert frame.function == "number"


def test_without_a_frame_of_the_users_the_deepest_one_counts() -> None:
    frame = deepest_frame('  File "/usr/lib/python3.11/json/decoder.py", line 355, in raw_decode\n')
    assert frame is not None
    assert frame.place == "decoder.py:355"
    assert deepest_frame("the worker reported an error") is None


def test_an_edit_above_the_frame_leaves_the_fingerprint_as_it_is() -> None:
    first = fingerprint("ValueError", TRACEBACK.format(line=3, deeper=41), "ValueError: bad value 17")
    moved = fingerprint("ValueError", TRACEBACK.format(line=9, deeper=52), "ValueError: bad value 4")
    assert first == moved
    assert first != fingerprint("KeyError", TRACEBACK.format(line=3, deeper=41), "ValueError: bad value 17")
    assert first != fingerprint("ValueError", TRACEBACK.replace("number", "figure"), "ValueError: bad value 17")
    assert first != fingerprint("ValueError", TRACEBACK, "ValueError: too large")
