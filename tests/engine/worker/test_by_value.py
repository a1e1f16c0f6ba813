"""What `put` takes is what is stored: containers are copied, and what can be read only once is refused."""

from __future__ import annotations

import csv
import json
import threading
from array import array
from collections import OrderedDict, UserDict, defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from types import MappingProxyType, SimpleNamespace
from typing import Any, NamedTuple

import pytest

from pipeloom.engine.worker.by_value import by_value
from pipeloom.engine.worker.validation import as_json
from pipeloom.engine.worker.weight import weight
from pipeloom.errors import MessageError


@dataclass(frozen=True)
class Msg:
    rows: Any


@dataclass
class Row:
    """A row object that a worker fills again for each message."""

    key: int
    tags: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Slotted:
    rows: list[int]


class Plain:
    def __init__(self, rows: list[int]) -> None:
        self.rows = rows
        self.lock = threading.Lock()


class Pair(NamedTuple):
    name: str
    rows: list[int]


def changed(value: Any, change: Callable[[Any], object]) -> tuple[Any, Any]:
    """Return what a message held when it was put, and what it holds after the worker changed its own."""
    msg = Msg(value)
    kept = by_value(msg)
    before = repr(kept)
    change(value)
    return before, repr(kept)


@pytest.mark.parametrize(
    ("value", "change"),
    [
        pytest.param([(1, "a")], list.clear, id="a batch of tuples"),
        pytest.param([[1, 2]], lambda rows: rows[0].clear(), id="rows that are lists"),
        pytest.param([{"a": 1}], lambda rows: rows[0].clear(), id="rows that are dicts"),
        pytest.param(([1],), lambda rows: rows[0].clear(), id="a list in a tuple"),
        pytest.param({"a": {"b": [1]}}, lambda rows: rows["a"]["b"].clear(), id="dicts in dicts"),
        pytest.param({1, 2}, set.clear, id="a set"),
        pytest.param(bytearray(b"abc"), bytearray.clear, id="bytes that change"),
        pytest.param(array("i", [1, 2]), lambda rows: rows.pop(), id="an array"),
        pytest.param(deque([[1]]), lambda rows: rows[0].clear(), id="a deque"),
        pytest.param(defaultdict(list, a=[1]), lambda rows: rows["a"].clear(), id="a defaultdict"),
        pytest.param(OrderedDict(a=[1]), lambda rows: rows["a"].clear(), id="an ordered dict"),
        pytest.param(UserDict(a=[1]), lambda rows: rows["a"].clear(), id="a user's dict"),
        pytest.param(Row(1, ["a"]), lambda row: row.tags.clear(), id="a row object's list"),
        pytest.param(Row(1), lambda row: setattr(row, "key", 2), id="a row object's value"),
        pytest.param([Row(1)], lambda rows: setattr(rows[0], "key", 2), id="row objects in a batch"),
        pytest.param(SimpleNamespace(a=[1]), lambda row: row.a.clear(), id="a namespace"),
        pytest.param(Pair("a", [1]), lambda row: row.rows.clear(), id="a named tuple"),
        pytest.param(Slotted([1]), lambda row: row.rows.clear(), id="slots"),
    ],
)
def test_what_a_worker_changes_after_put_is_its_own(value: Any, change: Callable[[Any], object]) -> None:
    before, after = changed(value, change)
    assert before == after


def test_a_view_and_a_window_of_memory_are_taken_as_they_are_now() -> None:
    given, data = {"a": 1}, bytearray(b"abc")
    kept = by_value(Msg([given.values(), given.items(), memoryview(data), MappingProxyType(given)]))
    given.clear()
    data[:] = b"xyz"
    assert kept.rows == [[1], [("a", 1)], b"abc", {"a": 1}]


@pytest.mark.parametrize(
    "value",
    [
        pytest.param((number for number in range(3)), id="a generator"),
        pytest.param(iter([1]), id="an iterator"),
        pytest.param(map(str, [1]), id="map"),
        pytest.param(zip([1], [2], strict=True), id="zip"),
        pytest.param(csv.reader([]), id="a csv reader"),
        pytest.param([iter([1])], id="in a list"),
        pytest.param({"rows": iter([1])}, id="in a dict"),
        pytest.param(Row(1, iter([])), id="in a row object"),  # type: ignore[arg-type]
    ],
)
def test_what_can_be_read_only_once_is_refused_with_what_to_write_instead(value: Any) -> None:
    with pytest.raises(MessageError, match=r"Msg holds an iterator .* put a list, as in rows.*=list\(\.\.\.\)"):
        by_value(Msg(value))


def test_containers_that_hold_themselves_are_refused() -> None:
    rows: list[Any] = []
    rows.append(rows)
    with pytest.raises(MessageError, match="one that holds itself"):
        by_value(Msg(rows))


def test_a_message_that_cannot_change_is_not_copied() -> None:
    msg = Msg((1, "a", None, b"x", (2.5, True)))
    assert by_value(msg) is msg


def test_what_python_cannot_copy_stays_the_same_object() -> None:
    plain = Plain([1])
    kept = by_value(Msg([plain, plain.lock])).rows
    plain.rows.clear()
    assert (kept[0].rows, kept[0].lock, kept[1]) == ([1], plain.lock, plain.lock)


@dataclass(frozen=True)
class Signal:
    """Says all by its class."""


@pytest.mark.parametrize("taken", [by_value, weight])
def test_a_message_without_a_field_is_one(taken: Callable[[Any], object]) -> None:
    assert taken(Signal())


def test_equal_sets_are_kept_as_equal_texts() -> None:
    names = [f"column-{number}" for number in range(50)]
    kept = {as_json({"columns": made(order)})[0] for made in (set, frozenset) for order in (names, names[::-1])}
    assert kept == {json.dumps({"columns": f"{{{', '.join(sorted(map(repr, names)))}}}"})}
