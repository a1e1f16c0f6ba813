"""Progress bars, sparklines and the badges of statuses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.style import Style

from pipeloom.status import Status
from pipeloom.tui.style.glyphs import badge, spark, status_text, wants_ascii
from pipeloom.tui.widgets.bar import bar, bar_content, parts_content, pieces

ANYTHING = st.one_of(st.none(), st.floats(), st.integers(), st.text(), st.booleans(), st.just(10**400))


@given(progress=ANYTHING, width=st.integers(-5, 300), ascii_only=st.booleans())
def test_a_bar_has_exactly_its_width_whatever_the_progress(progress: object, width: int, ascii_only: bool) -> None:
    assert cell_len(bar(progress, width, ascii_only=ascii_only).plain) == max(0, width)
    assert bar_content(progress, width, "bold", "dim", ascii_only=ascii_only).cell_length == max(0, width)


@pytest.mark.parametrize("progress", [None, float("nan"), float("inf"), "a", True, -1, 0, 10**400])
def test_unknown_and_none_fill_nothing(progress: object) -> None:
    assert pieces(progress, 10) == ("", "━" * 10)


def test_a_bar_moves_by_half_cells() -> None:
    assert pieces(0.5, 10) == ("━━━━━", "╺━━━━")
    assert pieces(0.55, 10) == ("━━━━━╸", "━━━━")
    assert pieces(1, 10) == ("━" * 10, "")
    assert pieces(0.5, 10, ascii_only=True) == ("#####", "-----")


@given(st.floats(0, 1, exclude_max=True), st.integers(1, 200))
def test_only_the_end_looks_like_the_end(progress: float, width: int) -> None:
    assert pieces(progress, width)[0] != "━" * width


@given(st.lists(st.floats(0, 1), min_size=2), st.integers(1, 100))
def test_more_progress_never_draws_less(progress: list[float], width: int) -> None:
    lengths = [cell_len(pieces(value, width)[0]) for value in sorted(progress)]
    assert lengths == sorted(lengths)


def test_every_status_has_a_glyph_of_its_own_in_both_sets() -> None:
    for ascii_only in (False, True):
        glyphs = {badge(status, ascii_only=ascii_only).glyph for status in Status}
        assert len(glyphs) == len(Status)
    assert all(badge(status, ascii_only=True).label.isascii() for status in Status)


def test_a_word_that_is_no_status_is_shown_as_a_question() -> None:
    assert badge("[/]banana\n").label == "? [/]banana␊"
    assert badge(None).style == "status--unknown"


def test_a_status_is_told_by_word_and_glyph_besides_its_colour() -> None:
    text = status_text(Status.ERROR, lambda name: Style(color="red") if name == "status--error" else Style())
    assert text.plain == "× error"
    assert str(text.style) == "red"


def test_a_sparkline_is_scaled_to_its_highest_value() -> None:
    assert spark((0, 1, 2, 4, 8), 5) == "▁▂▃▅█"
    assert spark((0, 0), 5) == "▁▁"
    assert spark((1, 2, 3), 2) == "▆█"
    assert spark((float("nan"), float("inf"), -1, 1), 9, ascii_only=True) == "___#"
    assert spark((1,), 0) == spark((), 5) == ""


def test_ascii_is_used_where_the_terminal_has_nothing_else() -> None:
    assert wants_ascii({}, "ANSI_X3.4-1968")
    assert wants_ascii({"PIPELOOM_ASCII": "1"}, "UTF-8")
    assert not wants_ascii({}, "utf8")


@given(
    st.lists(st.floats(0, 1), min_size=4, max_size=4).filter(lambda shares: sum(shares) > 0),
    st.integers(0, 80),
    st.booleans(),
)
def test_a_bar_of_parts_is_as_long_as_one_of_their_sum_and_shows_each_part(
    shares: list[float], width: int, ascii_only: bool
) -> None:
    whole = max(1.0, sum(shares))
    parts = [(share / whole, f"$s{place}", "#ox+"[place]) for place, share in enumerate(shares)]
    bar = parts_content(parts, width, ascii_only=ascii_only)
    filled, empty = pieces(sum(share for share, _, _ in parts), width, ascii_only=ascii_only)
    assert bar.cell_length == width
    assert bar.plain.endswith(empty)
    lengths = {span.style: span.end - span.start for span in bar.spans}
    assert sum(length for style, length in lengths.items() if style != "$rail") == len(filled)
    shown = [place for place, share in enumerate(shares) if share > 0]
    if len(filled) >= len(shown):
        assert all(lengths[f"$s{place}"] >= 1 for place in shown)
    else:
        assert lengths.get(f"$s{shown[-1]}", 0) == bool(filled), "of too many parts, the last stays"
