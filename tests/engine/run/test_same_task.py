"""Tasks are found again by what they were, not by an id alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.engine.conftest import Bench

from pipeloom.engine.run.resume import Resume
from pipeloom.engine.run.same_task import same_tasks
from pipeloom.errors import UsageError
from pipeloom.messages import TaskDef
from pipeloom.pipeline import Pipeline, checked_tasks, list_tasks
from pipeloom.protocols import Channel
from pipeloom.status import Status
from pipeloom.store.rows import TaskStanding


def listed(*names: str) -> list[TaskDef]:
    return [TaskDef(number, name) for number, name in enumerate(names)]


def failing(*names: str) -> Any:
    def work(task: TaskDef, _q: Channel) -> None:
        if task.name in names:
            raise ValueError(task.name)

    return work


def ran(bench: Bench, run_id: int) -> list[str]:
    return [name for (name,) in bench.rows("SELECT name FROM task_runs WHERE run_id = ? ORDER BY id", run_id)]


def test_ids_from_a_place_in_a_list_are_found_by_their_names_in_every_later_run(bench: Bench) -> None:
    bench.run(failing("c"), listed("b", "c", "d"))
    bench.run(failing("c"), listed("a", "b", "c", "d"), resume=Resume())
    assert ran(bench, 2) == ["a", "c"]
    bench.run(failing(), listed("new", "a", "b", "c", "d"), resume=Resume())
    assert ran(bench, 3) == ["new", "c"]
    bench.run(failing(), listed("d", "c", "b", "a"), resume=Resume())
    assert ran(bench, 4) == []


def test_a_done_task_whose_id_means_something_else_is_refused_with_both_shown(bench: Bench) -> None:
    bench.run(failing(), [TaskDef("x", "monday"), TaskDef("y", "tuesday", params={"day": 2, "page": 1})])
    with pytest.raises(UsageError, match="Task 'x' is sunday now, and was monday"):
        bench.run(failing(), [TaskDef("x", "sunday")], resume=Resume())
    changed = [TaskDef("x", "monday"), TaskDef("y", "tuesday", params={"day": 3, "page": 1})]
    with pytest.raises(UsageError, match=r"Task 'y' \(tuesday\) has other params now: day 3 \(was 2\)"):
        bench.run(failing(), changed, resume=Resume())
    assert bench.rows("SELECT count(*) FROM pipeline_runs") == [(1,)]


def test_a_failed_task_may_run_again_with_corrected_params(bench: Bench) -> None:
    bench.run(failing("page"), [TaskDef("x", "page", params={"url": "htp://a"}), TaskDef("y", "other")])
    bench.run(failing(), [TaskDef("x", "page", params={"url": "http://a"}), TaskDef("y", "other")], resume=Resume())
    assert ran(bench, 2) == ["page"]


OBJECT = object()
"""What JSON lacks: its text is another one in each process."""


def standing(task_id: int, name: str, params: str | None = None) -> TaskStanding:
    return TaskStanding(task_id, name, params, Status.DONE, 1, None)


@pytest.mark.parametrize(
    ("earlier", "now", "found", "changed"),
    [
        ([standing(0, "load"), standing(1, "load")], [TaskDef(n, "load") for n in range(3)], {0: 0, 1: 1}, []),
        ([standing(0, "load")], [TaskDef(5, "load"), TaskDef(0, "load")], {0: 0}, []),
        ([standing(0, "a"), standing(1, "b")], [TaskDef(1, "a"), TaskDef(0, "b")], {1: 0, 0: 1}, []),
        ([standing(0, "a", '{"p": 1}')], [TaskDef(0, "a", params={"p": 1})], {0: 0}, []),
        ([standing(0, "a")], [TaskDef(0, "a", params={"p": 1})], {}, [0]),
        ([standing(0, "a", '{"p": 1}')], [TaskDef(0, "a")], {}, [0]),
        ([standing(0, "a", '{"p": 1, "o": "<at 0x1>"}')], [TaskDef(0, "a", params={"p": 1, "o": OBJECT})], {0: 0}, []),
        ([standing(0, "a", '{"p": 2, "o": "<at 0x1>"}')], [TaskDef(0, "a", params={"p": 1, "o": OBJECT})], {}, [0]),
        ([standing(0, "a", '{"p": 1}')], [TaskDef(0, "a", params={"p": 2})], {}, [0]),
        (
            [standing(0, "load", '{"f": "b"}'), standing(1, "load", '{"f": "c"}')],
            [TaskDef(n, "load", params={"f": f}) for n, f in enumerate("abc")],
            {1: 0, 2: 1},
            [],
        ),
    ],
    ids=[
        "grown",
        "one name",
        "exchanged",
        "params",
        "params added",
        "params removed",
        "objects",
        "others beside objects",
        "other params",
        "moved by params",
    ],
)
def test_a_task_is_known_by_its_name_and_params(
    earlier: list[TaskStanding], now: list[TaskDef], found: dict[int, int], changed: list[int]
) -> None:
    same = same_tasks(now, earlier)
    assert {task_id: task.task_id for task_id, task in same.found.items()} == found
    assert list(same.changed) == changed


def test_a_name_is_the_id_of_a_task_without_one_and_an_id_its_name() -> None:
    assert (TaskDef(name="a.csv").task_id, TaskDef("a.csv").name, TaskDef(7).name) == ("a.csv", "a.csv", "7")
    assert (TaskDef(0, "").task_id, TaskDef(0, "").name) == (0, "")
    with pytest.raises(UsageError, match="has no task_id"):
        checked_tasks([TaskDef()])


@pytest.mark.parametrize("make", [lambda: (TaskDef(n) for n in range(2)), lambda: iter([TaskDef(0), TaskDef(1)])])
def test_tasks_that_were_gone_through_are_no_run_without_tasks(bench: Bench, make: Any) -> None:
    pipeline = Pipeline("p", make(), print)
    assert len(list_tasks(pipeline, {}).tasks) == 2
    with pytest.raises(UsageError, match="was gone through before"):
        list_tasks(pipeline, {})


def test_an_error_in_the_making_of_the_list_is_the_users_with_its_line() -> None:
    def days() -> Iterator[TaskDef]:
        yield TaskDef(0)
        raise TypeError("no such day")

    with pytest.raises(
        UsageError, match=r"The list of tasks cannot be made: TypeError: no such day \(test_same_task.py, line"
    ):
        checked_tasks(days())
