"""How the values of a column are stored: a rule for each type of the mapping, without importing any library's types."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Any, Final
from uuid import UUID

_LARGEST: Final = 2**63
_PANDAS_MISSING: Final = frozenset({"NaTType", "NAType"})
_NUMPY_KINDS: Final = "biufSU"


class MisfitError(Exception):
    """A value fits no rule of its column; the text says why."""


@dataclass(frozen=True, slots=True)
class Rule:
    """How the values of one type are stored."""

    affinity: str
    """INTEGER, REAL, TEXT or BLOB."""
    one: Callable[[Any], Any]
    """Returns any value as it is stored; raises `MisfitError`."""
    native: type | None = None
    """The type whose values are stored as they are, if `all_fit`."""
    all_fit: Callable[[Sequence[Any]], object] = bool
    """Tells whether SQLite can hold all values of the native type; may raise `ValueError` or `OverflowError`."""
    quick: Mapping[type, Callable[[Any], Any]] = field(default_factory=dict)
    """By exact type: what makes a value what is stored; may raise `MisfitError`."""


def is_missing(value: Any) -> bool:
    """Tell whether the value is None, NaN, pandas' NaT or NA, or NumPy's NaT."""
    if value is None:
        return True
    kind = type(value)
    if issubclass(kind, float) or _is_numpy(kind):
        return bool(value != value)  # noqa: PLR0124 - NaN and NaT are what does not equal itself
    if issubclass(kind, Decimal):
        return bool(value.is_nan())
    return kind.__name__ in _PANDAS_MISSING and kind.__module__.startswith("pandas.")


def plain(value: Any) -> Any:
    """Return a NumPy scalar as the Python value that equals it; any other value as it is."""
    if not _is_numpy(type(value)):
        return value
    if value.dtype.kind in _NUMPY_KINDS:
        return value.item()
    return value.astype("datetime64[us]").item() if value.dtype.kind == "M" else value


def _is_numpy(kind: type) -> bool:
    return (
        kind.__module__ == "numpy" and hasattr(kind, "dtype") and hasattr(kind, "item") and kind.__name__ != "ndarray"
    )


# -- one value each ---------------------------------------------------------------------------------------------------


def _integer(value: Any) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # pandas keeps integers with gaps as floats
    if not isinstance(value, int):
        raise MisfitError
    if not -_LARGEST <= value < _LARGEST:
        raise MisfitError("SQLite's integers have 64 bits")
    return int(value)


def _real(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise MisfitError
    try:
        return float(value)
    except OverflowError:
        raise MisfitError("it is too large for a float") from None


def _truth(value: Any) -> int:
    if isinstance(value, bool) or (isinstance(value, int) and value in (0, 1)):
        return int(value)
    raise MisfitError


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise MisfitError
    text = str.__str__(value)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise MisfitError("text with a lone surrogate is no UTF-8; store bytes, or replace it") from None
    return text


def _blob(value: Any) -> bytes:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    raise MisfitError


def _day(value: Any) -> str:
    if isinstance(value, datetime):
        if value.tzinfo is not None or value.time() != time():
            raise MisfitError("it has a time of day; a date is wanted")
        value = value.date()
    if isinstance(value, date):
        return value.isoformat()
    raise MisfitError


def _moment(value: Any) -> str:
    if not isinstance(value, datetime):
        raise MisfitError
    if value.tzinfo is not None:
        try:
            value = value.astimezone(UTC)
        except OverflowError:
            raise MisfitError("it is outside the years 1 to 9999 in UTC") from None
    return datetime.isoformat(value, timespec="microseconds")


def _exact(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        raise MisfitError("use Decimal(str(value))" if isinstance(value, float) else "")
    number = Decimal(value)
    if not number.is_finite():
        raise MisfitError("it is infinite")
    return format(number, "f")


def _identifier(value: Any) -> str:
    if isinstance(value, UUID):
        return str(value)
    raise MisfitError


# -- the rules --------------------------------------------------------------------------------------------------------


def _are_storable_texts(values: Sequence[str]) -> bool:
    joined = "".join(values)
    return joined.isascii() or bool(joined.encode())


def _have_64_bits(values: Sequence[int]) -> bool:
    array("q", values)
    return True


def _are_numbers(values: Sequence[float]) -> bool:
    return not math.isnan(sum(values))


RULES: Final[dict[type, Rule]] = {
    int: Rule("INTEGER", _integer, int, _have_64_bits),
    float: Rule("REAL", _real, float, _are_numbers),
    bool: Rule("INTEGER", _truth, quick={bool: int}),
    str: Rule("TEXT", _text, str, _are_storable_texts),
    bytes: Rule("BLOB", _blob, bytes, lambda _values: True),
    date: Rule("TEXT", _day, quick={date: date.isoformat}),
    datetime: Rule("TEXT", _moment, quick={datetime: _moment}),
    Decimal: Rule("TEXT", _exact, quick={Decimal: _exact}),
    UUID: Rule("TEXT", _identifier, quick={UUID: str}),
}


def rule_of(kind: Any) -> Rule | None:
    """Return the rule for a type of the mapping; None when there is none."""
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _rule_of_enum(kind)
    return RULES.get(kind)


def _rule_of_enum(kind: type[Enum]) -> Rule | None:
    """Return the rule of an Enum whose values are all texts or all integers: the value is stored."""
    kinds = {type(member.value) for member in kind}
    if kinds not in ({str}, {int}):
        return None
    rule = RULES[kinds.pop()]

    def one(value: Any) -> Any:
        if not isinstance(value, (kind, str, int)):
            raise MisfitError
        try:
            return rule.one(kind(value).value)
        except ValueError:
            raise MisfitError(f"it is no value of {kind.__name__}") from None

    return Rule(rule.affinity, one)


def all_stored(rule: Rule, values: Sequence[Any], *, nullable: bool) -> Sequence[Any] | None:
    """Return a column's values as they are stored; None when they have to be looked at one by one."""
    kinds = set(map(type, values))
    present = values
    if nullable and type(None) in kinds:
        kinds.discard(type(None))
        present = [value for value in values if value is not None]
    if len(kinds) != 1:
        return None if kinds else values
    (kind,) = kinds
    try:
        if kind is rule.native:
            return values if rule.all_fit(present) else None
        make = rule.quick.get(kind)
        if make is None:
            return None
        return [value if value is None else make(value) for value in values]
    except (MisfitError, ValueError, OverflowError):  # ValueError: a lone surrogate
        return None


def stored(rule: Rule, value: Any, *, nullable: bool) -> Any:
    """Return one value as it is stored; raises `MisfitError`."""
    if is_missing(value):
        if nullable:
            return None
        raise MisfitError("the column takes no missing values")
    return rule.one(plain(value))
