"""Parameters of a run: types from annotations, one text for each value, and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pytest

from pipeloom import Pipeline, TaskDef
from pipeloom.errors import UsageError
from pipeloom.parameters.declared import bound, parameters_of, texts_of
from pipeloom.parameters.texts import Texts, kept, read_back, typed, words_of
from pipeloom.pipeline import list_tasks


class Level(Enum):
    LOW = 1
    HIGH = 2


def every(
    number: int,
    share: float,
    full: bool,
    name: str,
    day: date,
    at: datetime,
    folder: Path,
    level: Level,
    mode: Literal["fast", "slow", 3],
    end: date | None,
    note: str | None,
    regions: list[str],
    days: list[date],
    sizes: list[int] | None,
) -> Iterator[TaskDef]:
    """Take one of each type."""
    return iter(())


TEXTS: Texts = {
    "number": "3",
    "share": "0.1",
    "full": "true",
    "name": "",
    "day": "2026-11-01",
    "at": "2026-11-01T12:00:00+01:00",
    "folder": "a/b",
    "level": "2",
    "mode": "3",
    "end": None,
    "note": "",
    "regions": ["eu,us", "x"],
    "days": [],
    "sizes": ["1", "2"],
}


def test_each_type_has_one_text_which_is_read_kept_and_typed() -> None:
    parameters = parameters_of(every)
    values = bound("shop", parameters, TEXTS)
    assert values == {
        "number": 3,
        "share": 0.1,
        "full": True,
        "name": "",
        "day": date(2026, 11, 1),
        "at": datetime.fromisoformat("2026-11-01T12:00+01:00"),
        "folder": Path("a/b"),
        "level": Level.HIGH,
        "mode": 3,
        "end": None,
        "note": "",
        "regions": ["eu,us", "x"],
        "days": [],
        "sizes": [1, 2],
    }
    assert texts_of(parameters, values) == TEXTS
    assert bound("shop", parameters, values) == values
    assert read_back(kept(TEXTS)) == TEXTS
    assert bound("shop", parameters, typed(words_of(TEXTS).split(" "))) == values


@pytest.mark.parametrize(
    ("name", "given", "words"),
    [
        ("number", "3.5", "'3.5' is not what number takes: int"),
        ("number", True, "True is not what number takes: int"),
        ("share", "much", "takes: float"),
        ("full", "yes", "takes: true or false"),
        ("name", 3, "3 is not what name takes: str"),
        ("day", "1.11.2026", "takes: date as 2026-11-30"),
        ("day", datetime(2026, 11, 1, tzinfo=UTC), "takes: date as"),
        ("day", ["2026-11-01", "2026-11-02"], "takes: date as"),
        ("day", None, "takes: date as"),
        ("at", "noon", "takes: datetime as 2026-11-30T12:00"),
        ("level", "HIGH", "takes: 1 or 2"),
        ("mode", "quick", "takes: fast or slow or 3"),
        ("end", "never", "takes: date as 2026-11-30 or nothing"),
        ("days", ["2026-11-01", "x"], "takes: list of date"),
        ("sizes", ["1", None], "takes: list of int or nothing"),
    ],
)
def test_a_value_of_another_type_is_refused_with_what_the_parameter_takes(name: str, given: object, words: str) -> None:
    with pytest.raises(UsageError) as raised:
        bound("shop", parameters_of(every), {**TEXTS, name: given})
    assert words in str(raised.value)


def days(start: date, end: date, region: list[str] = ["eu", "us"], limit: int = None) -> Any:  # type: ignore[assignment] # noqa: B006, RUF013
    return [TaskDef(f"{one}-{start}-{end}-{limit}") for one in region]


def test_what_is_missing_or_unknown_is_told_with_all_there_is() -> None:
    there = (
        "it has start (date as 2026-11-30), end (date as 2026-11-30), region (list of str; eu, us unless given), "
        "limit (int or nothing; may be left out)."
    )
    with pytest.raises(UsageError) as raised:
        bound("shop", parameters_of(days), {})
    assert str(raised.value) == f"shop needs start and end, as -p start=…: {there}"
    with pytest.raises(UsageError) as raised:
        bound("shop", parameters_of(days), {"day": "2026-11-01"})
    assert str(raised.value) == f"shop has no parameter 'day': {there}"
    with pytest.raises(UsageError, match="shop has no parameter 'day': it has none"):
        list_tasks(Pipeline("shop", [TaskDef(1)], print), {"day": "1"})


def untyped(day):  # type: ignore[no-untyped-def]
    return day


def of_no_text(day: dict[str, str]) -> Any:
    return day


def of_two(day: int | str) -> Any:
    return day


def of_many(*day: int) -> Any:
    return day


def of_no_name(day: "Missing") -> Any:  # type: ignore[name-defined] # noqa: F821, UP037
    return day


def wrong_default(day: date = "today") -> Any:  # type: ignore[assignment]
    return day


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (untyped, "parameter day of untyped has no type: annotate it"),
        (of_no_text, "has the type dict[str, str]: annotate it with int, float"),
        (of_two, "has the type int | str"),
        (of_many, "of_many takes *day: the parameters of a run are given by name"),
        (of_no_name, "of of_no_name cannot be read: NameError: name 'Missing' is not defined"),
        (wrong_default, "default of wrong_default is of another type: 'today' is not what day takes"),
    ],
)
def test_a_function_whose_parameters_have_no_text_is_refused(function: Callable[..., Any], words: str) -> None:
    with pytest.raises(UsageError) as raised:
        parameters_of(function)
    assert words in str(raised.value)


def test_a_decorated_function_lists_the_tasks_with_its_parameters() -> None:
    pipeline = Pipeline("shop", worker_fn=print)
    assert pipeline.tasks(days) is days
    today = list_tasks(pipeline, {"start": "2026-11-01", "end": date(2026, 11, 2), "region": "eu"})
    assert [task.task_id for task in today.tasks] == ["eu-2026-11-01-2026-11-02-None"]
    assert today.params == {"start": "2026-11-01", "end": "2026-11-02", "region": ["eu"], "limit": None}
    with pytest.raises(UsageError, match="has tasks already"):
        pipeline.tasks(days)


class Shop:
    def days(self, start: date) -> list[TaskDef]:
        return [TaskDef(str(start))]

    def __call__(self, start: date) -> list[TaskDef]:
        return self.days(start)


@pytest.mark.parametrize("function", [Shop().days, Shop(), partial(days, end=date(2026, 11, 2), region=["eu"])])
def test_methods_callable_objects_and_partials_list_tasks_too(function: Any) -> None:
    assert len(list_tasks(Pipeline("shop", function, print), {"start": "2026-11-01"}).tasks) == 1


def test_a_pipeline_without_tasks_and_a_function_that_fails_are_told() -> None:
    with pytest.raises(UsageError, match=r"shop has no tasks: give tasks=…, or a function with @pipeline\.tasks"):
        list_tasks(Pipeline("shop", worker_fn=print), {})

    def fails() -> Any:
        raise KeyError("temp_max")

    with pytest.raises(UsageError, match=r"cannot be made: KeyError: 'temp_max' \(test_parameters.py, line \d+\)"):
        list_tasks(Pipeline("shop", fails, print), {})
    with pytest.raises(UsageError, match="tasks must be a list of tasks, not int"):
        list_tasks(Pipeline("shop", lambda: 3, print), {})  # type: ignore[arg-type, return-value]


def test_a_list_item_may_hold_any_character_and_the_equals_sign_splits_once() -> None:
    assert typed(["a=1", "b=x=y", "a=,"]) == {"a": ["1", ","], "b": "x=y"}
    with pytest.raises(UsageError, match="-p takes NAME=VALUE, not 'a'"):
        typed(["a"])


@pytest.mark.parametrize("text", ["", "[1]", '{"a": 3, "b": ["x", 1], "c": "y"}', "{", "null"])
def test_params_of_a_file_from_elsewhere_are_read_as_far_as_they_are_texts(text: str) -> None:
    assert read_back(text) == ({"c": "y"} if "c" in text else {})
