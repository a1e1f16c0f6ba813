"""The live picture of a run against a naive one."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pipeloom.filters import Filter, parse
from pipeloom.status import TRANSITIONS, Status
from pipeloom.store.rows import AttemptRow
from pipeloom.tui.live.board import _GROUPS, Board


def row(task: int, status: Status = Status.QUEUED, attempt: int = 1, **changes: Any) -> AttemptRow:
    given = {"name": f"task-{task}"} | changes
    return AttemptRow(task * 100 + attempt, 1, task, attempt, status=status, **given)


def naive(rows: dict[int, AttemptRow], where: Filter) -> list[AttemptRow]:
    """Sort everything anew: what the board must show at less cost."""
    return sorted(
        (kept for kept in rows.values() if where.matches(kept)),
        key=lambda kept: (_GROUPS[kept.status], int(kept.task_id)),
    )


steps = st.lists(
    st.tuples(st.integers(0, 11), st.sampled_from(["next", "retry", "progress", "filter"]), st.integers(0, 7)),
    max_size=60,
)


@given(steps)
def test_the_board_shows_what_sorting_everything_anew_would_show(actions: list[tuple[int, str, int]]) -> None:
    board, rows, where = Board(), {}, Filter()
    for task in range(12):
        rows[task] = row(task)
    board.apply(rows.values(), None, 0.0)
    for task, action, pick in actions:
        current = rows[task]
        after = sorted(TRANSITIONS[current.status])
        if action == "next" and after:
            rows[task] = current._replace(status=after[pick % len(after)])
        elif action == "retry" and not after:
            rows[task] = row(task, Status.QUEUED, current.attempt + 1)
        elif action == "progress":
            rows[task] = current._replace(progress=pick / 10)
        elif action == "filter":
            where = parse(["", "status:running,queued", "-status:done", "task-1"][pick % 4])
            board.set_filter(where)
        board.apply([rows[task]], None, 1.0)
        expected = naive(rows, where)
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
        assert at_once.tasks_per_s(3.0) == singly.tasks_per_s(3.0)
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


def test_the_rate_counts_tasks_that_ended_lately() -> None:
    board = Board()
    board.apply([row(task) for task in range(30)], None, 100.0)
    assert board.tasks_per_s(100.5) is None
    for second in range(20):
        board.apply([row(second, Status.DONE)], None, 101.0 + second)
    assert board.tasks_per_s(120.5) == 1.0
    assert board.history(121.0, 3) == (1.0, 1.0, 1.0)
    assert board.tasks_per_s(140.0) == 0.0
