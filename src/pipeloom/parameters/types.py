"""The types that a parameter can have, and how values of each are read from a text and written as one."""

from __future__ import annotations

import types
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, Union, get_args, get_origin

from pipeloom.parameters.texts import Text
from pipeloom.secrets import MASK, Secret

NAMES: Final = (
    "int, float, bool, str, date, datetime, Path, Secret, an Enum, a Literal, a list of them, or one of these | None"
)


@dataclass(frozen=True, slots=True)
class ParameterType:
    """How values of a type are read and written."""

    label: str
    read: Callable[[Any], Any]
    """Returns the value that a value or its text stands for; raises `ValueError` for any other."""
    write: Callable[[Any], Text] = str
    is_optional: bool = False
    """Whether None is one of the values."""


def type_of(hint: Any) -> ParameterType | None:
    """Return how values of an annotation are read; None for one that is not known."""
    options = get_args(hint)
    if get_origin(hint) in (Union, types.UnionType):
        inner = [option for option in options if option is not type(None)]
        found = type_of(inner[0]) if len(inner) == 1 and len(options) == 2 else None
        return None if found is None else or_none(found)
    if get_origin(hint) is list:
        found = _single(options[0])
        return None if found is None else _list_of(found)
    return _single(hint)


def _single(hint: Any) -> ParameterType | None:
    if get_origin(hint) is Literal:
        return _choice({_text(value): value for value in get_args(hint)})
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _choice({_text(member.value): member for member in hint})
    return _SINGLE.get(hint)


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _choice(values: dict[str, Any]) -> ParameterType:
    def read(given: Any) -> Any:
        for text, value in values.items():
            if (type(given) is type(value) and given == value) or (type(given) is str and given == text):
                return value
        raise ValueError

    return ParameterType(
        " or ".join(values), read, lambda value: next(text for text, one in values.items() if one is value)
    )


def or_none(inner: ParameterType) -> ParameterType:
    """Return the type that has None as well; an empty text is None, unless the type has that itself."""

    def read(given: Any) -> Any:
        return None if given is None or (given == "" and inner is not _SINGLE[str]) else inner.read(given)

    return ParameterType(
        f"{inner.label} or nothing", read, lambda value: None if value is None else inner.write(value), is_optional=True
    )


def _list_of(inner: ParameterType) -> ParameterType:
    def read(given: Any) -> list[Any]:
        if given == "":
            return []
        return [inner.read(one) for one in (given if isinstance(given, list | tuple) else [given])]

    return ParameterType(f"list of {inner.label}", read, lambda values: [_only(inner.write(value)) for value in values])


def _only(text: Text) -> str:
    assert isinstance(text, str)
    return text


def _read(kinds: type | tuple[type, ...], from_text: Callable[[str], Any], given: Any, *, but: Any = ()) -> Any:
    """Return `given` if it is of one of `kinds` and of none of `but`, or what it is the text of."""
    if isinstance(given, kinds) and not isinstance(given, but):
        return given
    if isinstance(given, str):
        return from_text(given)
    raise ValueError


def _number(given: Any) -> float:
    return float(_read((int, float), float, given, but=bool))


_SINGLE: Final[dict[Any, ParameterType]] = {
    int: ParameterType("int", partial(_read, int, int, but=bool)),
    float: ParameterType("float", _number),
    bool: ParameterType("true or false", _choice({"true": True, "false": False}).read, _text),
    str: ParameterType("str", partial(_read, str, str)),
    date: ParameterType(
        "date as 2026-11-30", partial(_read, date, date.fromisoformat, but=datetime), lambda day: day.isoformat()
    ),
    datetime: ParameterType(
        "datetime as 2026-11-30T12:00", partial(_read, datetime, datetime.fromisoformat), lambda at: at.isoformat()
    ),
    Path: ParameterType("path", partial(_read, Path, Path)),
    Secret: ParameterType("secret", partial(_read, Secret, Secret), lambda _: MASK),
}
