"""The live picture of a run against a naive one."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.tui.conftest import CLOCK, RUN, at

from pipeloom.filters import Filter, parse
from pipeloom.status import TRANSITIONS, RunStatus, Status
from pipeloom.store.rows import AttemptRow, RunRow
from pipeloom.tui.live.board import _GROUPS, _QUEUED_AGAIN, Board


def row(task: int, status: Status = Status.QUEUED, attempt: int = 1, **changes: Any) -> AttemptRow:
    given = {"name": f"task-{task}"} | changes
    return AttemptRow(task * 100 + attempt, 1, task, attempt, status=status, **given)


def naive(rows: dict[int, AttemptRow], where: Filter, held: int | None = None) -> list[AttemptRow]:
    """Sort everything anew: what the board must show at less cost."""
    return sorted(
        (kept for kept in rows.values() if where.matches(kept) or kept.task_id == held),
        key=lambda kept: (_group(kept), _start(kept), int(kept.task_id)),
    )


def _group(kept: AttemptRow) -> int:
    return _QUEUED_AGAIN if kept.status is Status.QUEUED and kept.attempt > 1 else _GROUPS[kept.status]


def _start(kept: AttemptRow) -> tuple[str, int]:
    """Where a task stands among those that wait for another attempt."""
    again = kept.status is Status.RETRYING or _group(kept) == _QUEUED_AGAIN
    return (kept.due_at or kept.queued_at or "", kept.id) if again else ("", 0)


steps = st.lists(
    st.tuples(
        st.integers(0, 11),
        st.sampled_from(["next", "retry", "progress", "filter", "hold", "let go"]),
        st.integers(0, 7),
    ),
    max_size=60,
)


@given(steps)
def test_the_board_shows_what_sorting_everything_anew_would_show(actions: list[tuple[int, str, int]]) -> None:
    board, where = Board(), Filter()
    rows: dict[int, AttemptRow] = {}
    held: int | None = None
    for task in range(12):
        rows[task] = row(task)
    board.apply(rows.values(), None, 0.0)
    for task, action, pick in actions:
        current = rows[task]
        after = sorted(TRANSITIONS[current.status])
        if action == "next" and after:
            rows[task] = current._replace(status=after[pick % len(after)])
        elif action == "retry" and not after:
            due: dict[str, Any] = (
                {"status": Status.RETRYING, "due_at": at(pick)} if pick % 2 else {"queued_at": at(pick)}
            )
            rows[task] = row(task, Status.QUEUED, current.attempt + 1)._replace(**due)
        elif action == "progress":
            rows[task] = current._replace(progress=pick / 10)
        elif action == "filter":
            where = parse(["", "status:running,queued", "-status:done", "task-1"][pick % 4])
            board.set_filter(where)
        elif action == "hold" and board.index(task) is not None:
            board.hold(held := task)
        elif action == "let go":
            board.hold(held := None)
        board.apply([rows[task]], None, 1.0)
        expected = naive(rows, where, held)
        assert list(board.window(0, 99)) == board.shown() == expected
        assert board.count() == len(expected)
        assert [board.index(kept.task_id) for kept in expected] == list(range(len(expected)))
        assert list(board.window(2, 5)) == expected[2:5]
        assert {status: count for status, count in board.counts.items() if count} == Counter(
            kept.status for kept in rows.values()
        )


news = st.tuples(st.integers(0, 9), st.sampled_from(list(Status)), st.integers(1, 3))


@given(
    st.lists(st.lists(news, min_size=1, max_size=12), max_size=4),
    st.sampled_from(["", "status:running,queued", "-status:done"]),
)
def test_what_comes_at_once_is_as_if_it_had_come_one_by_one(
    deliveries: list[list[tuple[int, Status, int]]], text: str
) -> None:
    at_once, singly = Board(), Board()
    for board in (at_once, singly):
        board.set_filter(parse(text))
    for number, delivery in enumerate(deliveries):
        if number == 2:
            for board in (at_once, singly):
                board.sort(lambda kept: kept.status)
        rows = [row(task, status, attempt) for task, status, attempt in delivery]
        at_once.apply(rows, None, 1.0)
        for one in rows:
            singly.apply([one], None, 1.0)
        assert at_once.shown() == singly.shown()
        assert [at_once.index(kept.task_id) for kept in at_once.shown()] == list(range(at_once.count()))
        assert (at_once.counts, at_once.total()) == (singly.counts, singly.total())
        for task in range(10):
            assert at_once.attempts_of(task) == singly.attempts_of(task)
            assert at_once.silent_s(row(task), 5.0) == singly.silent_s(row(task), 5.0)


@given(st.lists(st.integers(0, 3000), unique=True, max_size=200), st.data())
def test_tasks_that_run_and_end_are_in_the_order_in_which_they_were_submitted(
    tasks: list[int], data: st.DataObject
) -> None:
    board = Board()
    board.apply([row(task) for task in range(3001)], None, 0.0)
    board.set_filter(parse("status:running"))
    board.apply([row(task, Status.RUNNING) for task in tasks], None, 0.0)
    ended = data.draw(st.lists(st.sampled_from(tasks), unique=True)) if tasks else []
    board.apply([row(task, Status.DONE) for task in ended], None, 0.0)
    left = [row(task, Status.RUNNING) for task in sorted(set(tasks) - set(ended))]
    assert list(board.window(0, 10_000)) == left
    assert [board.index(kept.task_id) for kept in left] == list(range(len(left)))
    assert list(board.window(1, 4)) == left[1:4]
    assert board.count() == len(left)


def test_ten_thousand_tasks_that_come_few_at_a_time_are_all_in_order() -> None:
    board = Board()
    for first in range(0, 10_000, 5):
        board.apply([row(task) for task in range(first, first + 5)], None, 0.0)
    assert [kept.task_id for kept in board.window(0, 20_000)] == list(range(10_000))
    assert board.count() == 10_000


def test_ten_thousand_tasks_that_start_and_end_out_of_order_are_all_in_order() -> None:
    board = Board()
    board.apply([row(task) for task in range(10_000)], None, 0.0)
    board.set_filter(parse("status:running"))
    for first in (0, 1):
        for task in range(first, 10_000, 2):
            board.apply([row(task, Status.RUNNING)], None, 0.0)
    assert [kept.task_id for kept in board.window(4_000, 4_003)] == [4_000, 4_001, 4_002]
    for task in range(10_000):
        board.apply([row(task, Status.DONE)], None, 0.0)
    assert (board.count(), list(board.window(0, 5))) == (0, [])


@given(
    st.lists(st.tuples(st.integers(0, 14), st.sampled_from(["name", "sort", "back", "filter"]), st.integers(0, 7))),
    st.booleans(),
)
def test_a_sorted_board_is_in_order_after_each_sort_and_complete_in_between(
    actions: list[tuple[int, str, int]], descending: bool
) -> None:
    board, rows, where = Board(), {}, Filter()
    for task in range(12):
        rows[task] = row(task)
    board.apply(rows.values(), None, 0.0)
    for task, action, pick in actions:
        if action == "name":  # tasks 12 to 14 come later
            rows[task] = row(task, Status.RUNNING, name=f"{pick}")
            board.apply([rows[task]], None, 1.0)
        elif action == "filter":
            where = parse(["", "status:running", "task-1"][pick % 3])
            board.set_filter(where)
        elif action == "back":
            board.sort(None)
            places = {kept: place for place, kept in enumerate(board._rows)}
            wanted = sorted(filter(where.matches, rows.values()), key=lambda kept: (_GROUPS[kept.status], places[kept]))
            assert board.shown() == wanted
        else:
            board.sort(lambda kept: kept.name, descending=descending)
            names = [kept.name for kept in board.shown()]
            assert names == sorted(names, reverse=descending)
        shown = board.shown()
        assert sorted(shown) == sorted(filter(where.matches, rows.values()))
        assert [board.index(kept.task_id) for kept in shown] == list(range(len(shown))) == list(range(board.count()))


def test_the_attempts_of_a_task_are_kept_and_the_failed_one_keeps_its_error() -> None:
    board = Board()
    failed = row(1, Status.ERROR, message="KeyError")
    board.apply([failed], None, 0.0)
    board.apply([row(1, Status.RUNNING, attempt=2)], None, 0.0)
    assert [(kept.attempt, kept.message) for kept in board.attempts_of(1)] == [(1, "KeyError"), (2, "")]
    board.apply([failed._replace(message="KeyError: 'x'")], None, 0.0)
    assert board.attempts_of(1)[0].message == "KeyError: 'x'"
    assert board.attempts_of("nobody") == []


def test_late_news_of_an_older_attempt_say_nothing_of_the_newest() -> None:
    board = Board()
    board.apply([row(1, Status.RUNNING, attempt=3)], None, 10.0)
    board.apply([row(1, Status.ERROR, attempt=2), row(1, Status.ERROR, attempt=1)], None, 15.0)
    assert board.silent_s(row(1), 20.0) == 10.0
    assert [(kept.attempt, kept.status) for kept in board.attempts_of(1)] == [
        (1, Status.ERROR),
        (2, Status.ERROR),
        (3, Status.RUNNING),
    ]


def test_the_rate_counts_tasks_that_ended_lately_but_not_those_that_were_cancelled() -> None:
    board = Board()
    board.apply([row(task) for task in range(500)], RUN, 100.0)
    assert board.tasks_per_s(CLOCK - 40.5) is None, "the run has just begun"
    for second in range(20):
        board.apply([row(second, Status.DONE, finished_at=at(second))], None, 100.0)
    board.apply([row(task, Status.CANCELLED, finished_at=at(19)) for task in range(100, 500)], None, 100.0)
    now = CLOCK - 41 + 19.5
    assert board.tasks_per_s(now) == 1.0
    assert board.history(now, 3) == (1.0, 1.0, 1.0)
    assert board.tasks_per_s(now + 20) == 0.0


ends = st.sampled_from([Status.DONE, Status.ERROR, Status.CANCELLED, Status.INTERRUPTED])


@given(st.lists(st.tuples(st.integers(0, 9), ends, st.integers(0, 40)), max_size=40), st.randoms())
def test_a_viewer_that_comes_late_shows_the_rate_and_the_time_left_of_the_owner(
    seen: list[tuple[int, Status, int]], random: Random
) -> None:
    owner, viewer = Board(), Board()
    owner.apply([row(task) for task in range(12)], RUN, 0.0)
    attempts: dict[int, list[AttemptRow]] = {task: [row(task)] for task in range(12)}
    for number, (task, status, second) in enumerate(seen):
        last = attempts[task][-1]
        if last.status is Status.QUEUED:
            running = last._replace(status=Status.RUNNING, started_at=at(second))
            ended = running._replace(status=status, finished_at=at(second + 2), duration_s=2.0)
            for step in (running, ended) if second % 3 else (running,):
                owner.apply([step], None, float(number))
                attempts[task][-1] = step
        else:
            again = row(task, Status.QUEUED, last.attempt + 1)
            owner.apply([again] if last.status is not Status.RUNNING else [], None, float(number))
            attempts[task] += [again] if last.status is not Status.RUNNING else []
    rows = [kept for tried in attempts.values() for kept in tried]
    random.shuffle(rows)
    viewer.apply(rows, RUN, 777.0)
    for now in (CLOCK - 30, CLOCK, CLOCK + 5):
        assert viewer.tasks_per_s(now) == owner.tasks_per_s(now)
        assert viewer.history(now, 60) == owner.history(now, 60)
        for past_s in (None, 3.0):
            assert viewer.time_left(now, past_s) == pytest.approx(owner.time_left(now, past_s))


def test_the_next_running_task_is_found_in_any_order() -> None:
    board = Board()
    board.apply([row(task, Status.RUNNING if task in (2, 5) else Status.DONE) for task in range(8)], None, 0.0)
    assert [board.next_running(place) for place in (0, 1, 7)] == [1, 0, 0]
    board.sort(lambda kept: kept.name)
    assert [board.next_running(place) for place in (0, 2, 4, 5)] == [2, 5, 5, 2]
    board.apply([row(task, Status.DONE) for task in (2, 5)], None, 0.0)
    assert board.next_running(0) is None


def test_tasks_that_are_tried_again_wait_behind_the_others_in_the_order_in_which_they_will_start() -> None:
    board = Board()
    board.apply([row(task) for task in range(6)], None, 0.0)
    board.apply([row(0, Status.ERROR, message="429"), row(1, Status.ERROR, message="503")], None, 0.0)
    board.apply(
        [
            row(0, Status.RETRYING, 2, due_at=at(9)),
            row(1, Status.RETRYING, 2, due_at=at(5)),
            row(2, Status.QUEUED, 2, queued_at=at(3)),
            row(3, Status.QUEUED, 2, queued_at=at(1)),
        ],
        None,
        0.0,
    )
    assert [kept.task_id for kept in board.shown()] == [4, 5, 3, 2, 1, 0]
    assert [board.index(task) for task in range(6)] == [5, 4, 3, 2, 0, 1]
    assert [board.last_error(kept) for kept in board.shown()] == ["", "", "", "", "503", "429"]


@pytest.mark.parametrize("descending", [False, True])
def test_rows_without_a_value_come_last_in_both_directions(descending: bool) -> None:
    board = Board()
    board.apply([row(task, progress=None if task % 3 else task / 10) for task in range(9)], None, 0.0)
    board.sort(lambda kept: kept.progress, descending=descending)
    assert [kept.task_id for kept in board.shown()] == [*([6, 3, 0] if descending else [0, 3, 6]), 1, 2, 4, 5, 7, 8]


@pytest.mark.parametrize(
    ("text", "shown"), [("pipeline:load", 0), ("pipeline:extract", 2), ("-pipeline:load task-1", 1)]
)
@pytest.mark.parametrize("early", [True, False])
def test_a_filter_by_pipeline_is_about_the_run_that_is_shown(text: str, shown: int, early: bool) -> None:
    board = Board()
    run = RunRow(1, "extract", RunStatus.RUNNING, "2026-08-04T12:00:00.000000+00:00")
    if early:
        board.set_filter(parse(text))
    board.apply([row(1), row(2)], run, 0.0)
    if not early:
        board.set_filter(parse(text))
    assert board.count() == shown
