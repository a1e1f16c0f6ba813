"""What is masked, in which forms, and what it costs."""

from __future__ import annotations

import json

import pytest

from pipeloom.secrets import masks
from pipeloom.secrets.masks import masked, masked_json, masked_start
from pipeloom.text import clean, first_line, storable
from pipeloom.tui.style import text as shown


@pytest.mark.parametrize(
    ("value", "text", "told"),
    [
        ("hunter2", "a hunter2, hunter23", "a •••, •••3"),
        ("hunter2", "Hunter2", "Hunter2"),
        ("a/b c&d", "?t=a/b%20c%26d a%2Fb+c%26d a%2fb%20c%26d", "?t=••• ••• •••"),
        ('say "ü"', json.dumps({"t": 'say "ü"'}), '{"t": "•••"}'),
        ('say "ü"', json.dumps(json.dumps('say "ü"', ensure_ascii=False)), '"\\"•••\\""'),
        ("it's\\", f"{['it' + chr(39) + 's' + chr(92)]}", '["•••"]'),
        ("tökén", f"{'tökén'.encode()!r}", "b'•••'"),
        ("hunter2", "Basic dXNlcjpodW50ZXIyIQ==", "Basic dXNlcjp•••IQ=="),
        ("hunter2", "aHVudGVyMg==", "•••g=="),
        ("one\ntwo-\nthree", "one\ntwo-\nthree", "•••"),
        ("one\ntwo-\nthree", "| two-\n| three\n| one", "| •••\n| •••\n| one"),
        (" padded\n", "[padded]", "[•••]"),
        ("abcd", "abc abcde ABCD", "abc •••e ABCD"),
    ],
)
def test_a_value_is_found_as_programs_write_it(value: str, text: str, told: str) -> None:
    masks.learn(value)
    assert masked(text) == told


def test_the_longest_of_several_values_is_masked() -> None:
    masks.learn("abcd")
    masks.learn("abcdefgh")
    masks.learn("efghij")
    assert masked("abcdefgh abcd abcdefghij efghij") == "••• ••• •••ij •••"


@pytest.mark.parametrize(
    ("value", "text", "told"),
    [
        ("hunter2", '{"hunter2": ["x hunter2", 1]}', {"•••": ["x •••", 1]}),
        ("12345", '{"n": 12345, "f": 0.123456, "m": 7}', {"n": "•••", "f": "•••", "m": 7}),
        ("true", '{"ok": true}', "•••"),
        ('", "', '["a", "b"]', "•••"),
        ("null", '{"ok": 1}', {"ok": 1}),
    ],
)
def test_masked_json_stays_json(value: str, text: str, told: object) -> None:
    masks.learn(value)
    assert json.loads(masked_json(text)) == told


@pytest.mark.parametrize("place", range(480, 520))
def test_a_text_that_is_cut_shows_no_part_of_a_value(place: int) -> None:
    masks.learn("correct-horse-battery")
    text = "." * place + "correct-horse-battery" * 40
    for told in (clean(text), first_line(text), storable(text, 300), masked_start(text, 500)):
        assert not any(part in told for part in ("corr", "horse", "battery", "tery"))


@pytest.mark.parametrize("place", [1_978, 1_990, 1_999])
def test_a_first_line_shows_no_part_of_a_value(place: int) -> None:
    masks.learn("correct-horse-battery")
    assert set(first_line("\n" * place + "correct-horse-battery")) <= {"•"}


def test_what_a_screen_shows_is_masked() -> None:
    masks.learn("hunter2")
    assert shown.cell("x hunter2").plain == shown.content("x hunter2").plain == "x •••"
    assert shown.lines("x\nhunter2").plain == "x\n•••"


def test_without_secrets_a_text_stays_the_same_object() -> None:
    text = "a text"
    assert masked(text) is text
    assert masked_json(text) is text
    assert masked_start(text, 3) is text
