"""Text from anywhere, made safe to show and to store."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.cells import cell_len

from pipeloom.text import LIMIT, LongNames, as_text, clean, clip_middle, counted, figure, first_line, storable

ODD = "\x00\x07\x1b\t\r\n\x7f\x80\x9b\u061c\u200b\u200c\u200d\u200e\u202a\u202e\u2060\u2066\u2069\ufeff\ufffe\uffff"
ODD += "\U000e0001\U000e0041\U0001fffe\U0010ffff\ud800\udfff\udcff\u0301\u0489\u20dd\ufe20aé日👩"
TEXTS = st.one_of(
    st.text(st.characters(codec=None, exclude_categories=[])),
    st.text(st.sampled_from(ODD)),
    st.text(st.sampled_from(ODD), min_size=LIMIT - 2, max_size=LIMIT + 3),
)


def is_refused(char: str) -> bool:
    """Tell whether a terminal might obey, reorder or hide the character; written apart from the code on purpose."""
    code = ord(char)
    return (
        unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"}
        or unicodedata.bidirectional(char) in {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
        or code in {0x061C, 0x200B, 0x200C, 0x200E, 0x200F, 0x2060, 0xFEFF}
        or 0xE0000 <= code <= 0xE007F
        or 0xFDD0 <= code <= 0xFDEF
        or code & 0xFFFE == 0xFFFE
    )


@given(TEXTS, st.booleans())
@example("a\r\n" * 300, True)
@example("\r" * 10 + "\n", True)
@example("\t" * 499, True)
@example("e" + "\u0301" * 600, False)
def test_clean_text_has_nothing_a_terminal_obeys(text: str, multiline: bool) -> None:
    shown = clean(text, multiline=multiline)
    assert not [char for char in shown if is_refused(char) and not (multiline and char == "\n")]
    assert len(shown) <= LIMIT


@given(TEXTS, st.booleans(), st.integers(1, 600))
@example("\t" * 499, True, 500)
@example("a" * 498 + "\t\t", True, 500)
@example("e" + "\u0301" * 600, False, 500)
@example("\r\r\n", True, 500)
def test_cleaning_twice_changes_nothing(text: str, multiline: bool, limit: int) -> None:
    once = clean(text, limit, multiline=multiline)
    assert clean(once, limit, multiline=multiline) == once


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=LIMIT))
def test_plain_text_is_shown_as_it_is(text: str) -> None:
    assert clean(text) == clean(text, multiline=True) == text


@given(TEXTS)
def test_no_base_carries_more_than_four_marks(text: str) -> None:
    run = 0
    for char in clean(text):
        run = run + 1 if "\u0300" <= char <= "\u036f" else 0
        assert run <= 4


def test_control_characters_become_their_pictures() -> None:
    assert clean("\x1b[31m\0\t\r\n\x7f\x9b") == "␛[31m␀␉␍␊␡\ufffd"


def test_several_lines_keep_their_breaks_and_lose_their_tabs() -> None:
    assert clean("a\r\nb\n\tc\rd", multiline=True) == "a\nb\n    c␍d"


def test_family_emoji_and_wide_characters_pass() -> None:
    text = "👩‍👩‍👧‍👦 日本語 é"
    assert clean(text) == text


def test_a_long_text_ends_in_an_ellipsis() -> None:
    assert clean("x" * 501) == "x" * 499 + "…"
    assert clean("x" * 500) == "x" * 500


class Counting(str):
    """A string that refuses to be read whole."""

    __slots__ = ()

    def __getitem__(self, part: object) -> str:
        assert isinstance(part, slice)
        assert part.stop is not None
        assert part.stop <= 4 * LIMIT
        return super().__getitem__(part)

    def _whole(self, *_args: object, **_options: object) -> str:
        raise AssertionError("read as a whole")

    translate = replace = splitlines = strip = encode = __iter__ = _whole  # type: ignore[assignment]


def test_ten_megabytes_are_cut_before_anything_else() -> None:
    text = Counting("\x1b" * 10_000_000)
    assert clean(text) == clean(text, multiline=True) == "␛" * 499 + "…"
    assert first_line(text) == "␛" * 499 + "…"


class Broken:
    def __str__(self) -> str:
        raise RuntimeError("no")


class RudeError(Exception):
    def __str__(self) -> str:
        raise self


def test_an_object_that_cannot_be_printed_is_named() -> None:
    assert as_text(Broken()) == clean(Broken()) == first_line(Broken()) == "<unprintable Broken>"
    assert as_text(RudeError()) == "<unprintable RudeError>"
    assert as_text(12) == "12"


@pytest.mark.parametrize(
    ("text", "line"), [("", ""), ("\n\n  a\nb", "a"), (" \t ", ""), ("\x1b[0m\nb", "␛[0m"), (None, "None")]
)
def test_the_first_line_is_the_first_that_says_something(text: object, line: str) -> None:
    assert first_line(text) == line


@given(TEXTS, st.integers(0, 400))
@example("\udcff" * 400, 400)
def test_what_is_stored_can_be_encoded_and_compared(text: str, limit: int) -> None:
    kept = storable(text, limit)
    kept.encode("utf-8")
    assert "\0" not in kept
    assert len(kept) <= limit
    assert storable(kept, len(kept)) == kept


def test_storing_escapes_what_sqlite_cannot_hold() -> None:
    assert storable("a\udcffb\0c", 100) == "a\\udcffb␀c"
    assert storable("é\0", 100) == "é␀"


def test_storing_keeps_head_and_tail_of_a_long_text() -> None:
    kept = storable("h" * 5000 + "t" * 5000, 1000)
    assert len(kept) == 1000
    assert kept.startswith("hhh")
    assert kept.endswith("ttt")
    assert "9,000 characters left out" in kept


@pytest.mark.parametrize(
    ("count", "words", "text"),
    [
        (1, ("day",), "1 day"),
        (0, ("day",), "0 days"),
        (2, ("log line",), "2 log lines"),
        (1234, ("attempt",), "1,234 attempts"),
        (1, ("kind of failure", "kinds of failure"), "1 kind of failure"),
        (3, ("kind of failure", "kinds of failure"), "3 kinds of failure"),
    ],
)
def test_a_number_goes_with_its_word(count: int, words: tuple[str, ...], text: str) -> None:
    assert counted(count, *words) == text


@pytest.mark.parametrize(("value", "text"), [(-0.0, "0"), (0, "0"), (2.5, "2.5"), (-1.5, "-1.5"), (3.0, "3")])
def test_a_figure_of_nothing_has_no_sign(value: float, text: str) -> None:
    assert figure(value) == text


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [
        ("seattle", 7, "seattle"),
        ("load of the day 2025-03-01", 16, "load …2025-03-01"),
        ("/home/someone/etl.db", 12, "/ho…e/etl.db"),
        ("seattle", 4, "sea…"),
        ("seattle", 1, "…"),
        ("seattle", 0, ""),
    ],
)
def test_a_text_that_is_cut_in_the_middle_keeps_its_end(text: str, width: int, shown: str) -> None:
    assert clip_middle(text, width, len) == shown


@pytest.mark.parametrize(
    ("names", "width", "shown"),
    [
        (["load-2025-03-01", "load-2025-03-02"], 12, "loa…25-03-01"),
        (["s3://raw/region=north/year=2025/part-0.parquet", "s3://raw/region=south/year=2025/part-0.parquet"], 16,
         "s3:…nor….parquet"),
        (["export of customer 1 to the warehouse of the north", "export of customer 2 to the warehouse of the north"],
         32, "export of customer 1…f the north"),
        (["a" * 30 + "1" + "b" * 8, "a" * 30 + "2" + "b" * 8], 20, "aaaaaa…aaaa1bbbbbbbb"),
        (["only one that is long", "short"], 10, "onl…s long"),
        (["raw/region=north/year=2025/part-0.parquet", "raw/region=south/year=2025/part-0.parquet", "export of all"], 16,
         "raw/region=nor…t"),
        (["warehouse/ok/orders_1_full.parquet", "warehouse/fail/items_2_full.parquet"], 12, "…ok/…ders_1…"),
    ],
)  # fmt: skip
def test_a_name_is_cut_where_all_are_the_same(names: list[str], width: int, shown: str) -> None:
    assert LongNames(names, least=8).cut(names[0], width, len) == shown


@given(
    st.text("ab/", max_size=40), st.sets(st.text("01-", max_size=8), min_size=2), st.text("yz.", max_size=40),
    st.integers(11, 40), st.lists(TEXTS, max_size=2),
)  # fmt: skip
def test_names_that_differ_look_different_when_cut(
    head: str, middles: set[str], tail: str, width: int, others: list[str]
) -> None:
    names = [f"{head}<{middle}>{tail}" for middle in middles]
    seen = LongNames([*others, *names])
    assert not seen.note(names), "in the same way from then on"
    told = {seen.cut(name, width, len) for name in names}
    assert max(map(len, told)) <= width
    if not any(name[:3] == other[:3] for name in names for other in others) and max(map(len, middles)) + 7 <= width:
        assert len(told) == len(names)


@given(st.lists(TEXTS), TEXTS, st.integers(0, 40))
def test_a_name_that_is_cut_fits(names: list[str], name: str, width: int) -> None:
    cut = LongNames(names).cut(name, width, cell_len)
    assert cell_len(cut) <= width
    assert cut == name or cell_len(name) > width


@given(TEXTS, st.integers(0, 40))
def test_a_text_that_is_cut_fits(text: str, width: int) -> None:
    cut = clip_middle(text, width, len)
    assert len(cut) <= width
    assert cut == text or len(text) > width
