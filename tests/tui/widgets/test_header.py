"""The three lines above the table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.content import Content

from pipeloom.engine.commands import EngineLoad
from pipeloom.status import RunStatus, Status
from pipeloom.tui.live.header import _sample
from pipeloom.tui.widgets.header import HeaderState, RunHeader, Spent, render_header
from pipeloom.tui.widgets.line_layout import Part, line

STATE = HeaderState(
    pipeline="weather",
    file="etl.db",
    run_id=12,
    executor="threads",
    status=RunStatus.RUNNING,
    counts={
        Status.RUNNING: 3,
        Status.QUEUED: 24,
        Status.DONE: 41,
        Status.ERROR: 1,
        Status.RETRYING: 1,
        Status.CANCELLED: 2,
    },
    tasks_per_s=2.1,
    history=(1, 2, 3, 4),
    messages_per_s=1234,
    busy=4,
    workers=4,
    elapsed_s=41.3,
    eta_s=29,
)


def rows(state: HeaderState, width: int) -> list[str]:
    return [row.rstrip() for row in render_header(state, width).plain.split("\n")]


def test_a_wide_header_says_all() -> None:
    title, progress, counts = rows(STATE, 120)
    assert title.startswith("● weather  etl.db · run 12 · threads ")
    assert title.endswith("running 00:41 · eta ~29s")
    assert progress.startswith("━")
    assert progress.endswith("44/72   61%  2.1 tasks/s ▃▅▇█")
    assert counts.startswith("● 3 running  ○ 24 queued  » 1 retrying  ✓ 41 done  × 1 error  ■ 2 cancelled ")
    assert counts.endswith("workers 4/4 · 1.2k msg/s")


def test_the_bar_of_an_interrupted_run_is_not_full() -> None:
    state = replace(
        STATE, status=RunStatus.INTERRUPTED, counts={Status.DONE: 1, Status.ERROR: 1, Status.INTERRUPTED: 2}
    )
    _title, progress, counts = (row.rstrip() for row in render_header(state, 80, ascii_only=True).plain.split("\n"))
    bar = progress.split()[0]
    assert "2/4   50%" in progress
    assert bar.count("-") == pytest.approx(len(bar) / 2, abs=1)
    assert "2 interrupted" in counts


def test_a_narrow_header_keeps_what_matters() -> None:
    title, progress, counts = rows(STATE, 40)
    assert "weather" in title
    assert "running 00:41" in title
    assert "44/72" in progress
    assert "× 1" in counts
    assert "✓ 41" in counts


def test_errors_are_the_last_count_to_go() -> None:
    assert rows(STATE, 6)[2] == "× 1"


@given(
    width=st.integers(1, 200),
    counts=st.dictionaries(st.sampled_from(Status), st.integers(0, 10**9)),
    elapsed=st.one_of(st.none(), st.floats()),
    text=st.text(max_size=60),
    notice=st.text(max_size=100),
    ascii_only=st.booleans(),
)
def test_no_state_is_wider_than_its_header(
    width: int, counts: dict[Status, int], elapsed: float | None, text: str, notice: str, ascii_only: bool
) -> None:
    state = replace(STATE, counts=counts, elapsed_s=elapsed, eta_s=elapsed, pipeline=text, file=text, notice=notice)
    lines = render_header(state, width, ascii_only=ascii_only).split("\n")
    assert len(lines) == 3
    assert all(row.cell_length <= width for row in lines)


def test_a_notice_goes_before_names() -> None:
    state = replace(STATE, notice="etl.db is locked by another program")
    assert "etl.db is locked by another program" in rows(state, 70)[0]


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_a_long_notice_goes_before_all_else_at_any_width(width: int) -> None:
    state = replace(STATE, notice=f"nothing more can be saved: {'the disk has gone ' * 9}", owner_pid=123)
    assert "nothing more can be saved: the" in rows(state, width)[0]


def test_a_paused_run_says_so_and_lost_workers_are_counted() -> None:
    title, _progress, counts = rows(replace(STATE, paused=True, lost=1), 120)
    assert "paused 00:41" in title
    assert "workers 4/4 · 1 stuck" in counts


def test_a_run_without_tasks_is_a_bare_rail() -> None:
    assert rows(HeaderState(pipeline="p", file="f"), 60)[1].endswith("0/0    0%")


async def test_an_equal_state_costs_no_repaint(themed_app: Callable[..., Any]) -> None:
    drawn: list[HeaderState | None] = []

    class Noting(RunHeader):
        def render(self) -> Content:
            drawn.append(self.state)
            return super().render()

    header = Noting()
    async with themed_app(header).run_test() as pilot:
        header.state = STATE
        await pilot.pause()
        drawn.clear()
        header.state = replace(STATE)
        await pilot.pause()
        assert drawn == []
        header.state = replace(STATE, busy=3)
        await pilot.pause()
        assert len(drawn) == 1


def test_a_line_drops_the_part_of_the_lowest_rank_first() -> None:
    left = [Part(Content("aaa"), 3), Part(Content("bbb"), 1)]
    right = [Part(Content("ccc"), 2)]
    assert line(left, right, 14).plain == "aaa  bbb   ccc"
    assert line(left, right, 9).plain == "aaa   ccc"
    assert line(left, right, 6).plain == "aaa   "
    assert line(left, right, 2).plain == "a…"
    assert line([], [], 3).plain == "   "


@pytest.mark.parametrize(
    ("width", "shown"),
    [(21, "etl  start=2026-08-01"), (20, "etl  start=2026-08-…"), (13, "etl  start=2…"), (12, "etl")],
)
def test_a_part_may_be_cut_before_it_goes(width: int, shown: str) -> None:
    parts = [Part(Content("etl"), 9), Part(Content("start=2026-08-01"), 2, least=8)]
    assert line(parts, [], width).plain.rstrip() == shown


def test_the_fourth_line_says_where_the_time_goes() -> None:
    state = replace(STATE, spent=Spent(0.75, 0.05, 0.2, 0.0), backlog=12, commits_per_s=98.2, commit_s=0.0041)
    *_, load = render_header(state, 120, 4).plain.split("\n")
    assert load.startswith("time  working 75% · waiting for the writer 5% · backing off 20% · idle 0% ")
    assert load.endswith("queue 12 · 98 commits/s of 4 ms")
    assert len(render_header(state, 40, 4).plain.split("\n")[-1]) == 40


def test_a_sample_tells_who_works_who_waits_and_for_what() -> None:
    load = EngineLoad(workers=4, busy=2, lost=0, waiting=0, backlog=0, paused=False, blocked=1)
    assert _sample(load, retrying=1) == Spent(0.25, 0.25, 0.25, 0.25)
    assert _sample(load, retrying=9) == Spent(0.25, 0.25, 0.5, 0.0)
    assert _sample(replace(load, busy=6, blocked=0), retrying=1) == Spent(1.0, 0.0, 0.0, 0.0)
