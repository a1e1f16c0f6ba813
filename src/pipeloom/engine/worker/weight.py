"""The approximate size of a message in memory: what the bounds of the queue count.

Asking an object for its size runs the user's code, which may raise anything; then the next way is tried.
"""

from __future__ import annotations

import io
import pickle
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import date, time, timedelta, tzinfo
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from functools import lru_cache
from itertools import chain, islice
from pathlib import PurePath
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any, Final
from uuid import UUID

from pipeloom.engine.events import Together
from pipeloom.engine.worker.by_value import frozen_values
from pipeloom.messages import MsgTaskProgress
from pipeloom.tables.table import TableRows

_SCALARS: Final = frozenset({int, float, bool, type(None)})
_TEXTS: Final = frozenset({str, bytes})
_TUPLE: Final = frozenset({tuple})
_FLAT: Final = _SCALARS | _TEXTS | {type}
_SMALL: Final = (
    int, float, complex, date, time, timedelta, tzinfo, Decimal, Fraction, UUID, Enum, PurePath, type, range,
    FunctionType, BuiltinFunctionType, MethodType, ModuleType,
)  # fmt: skip
_SAMPLE: Final = 64
_DEPTH: Final = 6
_BASE: Final = 64
"""Bytes counted for an object besides what it holds."""
_PROBE: Final = 64 << 20
"""Bytes at which pickling an object, only to see how long it is, ends."""


def weight(msg: Any) -> int:
    """Return the approximate number of bytes that `msg` holds; a long list is weighed by a sample. Raises nothing."""
    if type(msg) is MsgTaskProgress:  # most messages are progress
        return _BASE if msg.message is None else _BASE + len(msg.message)
    if type(msg) is Together:
        return _BASE + msg.weight
    if type(msg) is TableRows:
        return msg.size
    try:
        flat = flat_weight(msg)
        return _weight(msg, _DEPTH) if flat is None else flat
    except BaseException:  # noqa: BLE001 - the code of a user's class may raise anything, SystemExit included
        return _BASE


def flat_weight(msg: Any) -> int | None:
    """Return the weight of a frozen dataclass of numbers and texts alone, which needs no copy; None for any other."""
    kind: Any = type(msg)
    values_of = frozen_values(kind)
    if values_of is not None and _FLAT.issuperset(map(type, values := values_of(msg))):
        return _flat(values)
    return None


def _weight(value: Any, depth: int) -> int:
    kind = type(value)
    if kind in _SCALARS:
        return _BASE
    if issubclass(kind, (str, bytes, bytearray)):
        return _BASE + len(value)
    if not depth or issubclass(kind, _SMALL):
        return _BASE
    if issubclass(kind, dict):
        return _sampled(len(value), value.values(), depth) + _BASE * len(value)
    if issubclass(kind, (list, tuple)):
        if len(value) <= _SAMPLE and _FLAT.issuperset(map(type, value)):
            return _flat(value)
        return _sampled(len(value), value[:: len(value) // _SAMPLE + 1], depth)
    if issubclass(kind, (set, frozenset, deque)):
        return _sampled(len(value), value, depth)
    return _BASE + _other(value, depth)


def _flat(values: Sequence[Any]) -> int:
    """Return the bytes of what holds numbers and texts alone: most messages of one row, and most rows of a batch."""
    return _BASE * (1 + len(values)) + sum([len(value) for value in values if type(value) in _TEXTS])


def _sampled(length: int, values: Iterable[Any], depth: int) -> int:
    sample = list(islice(values, _SAMPLE))
    if _TUPLE.issuperset(map(type, sample)) and _FLAT.issuperset(map(type, chain.from_iterable(sample))):
        held = _BASE * len(sample) + _flat(list(chain.from_iterable(sample)))  # the rows of a batch
    else:
        held = sum(_weight(part, depth - 1) for part in sample)
    return _BASE + (held * length // len(sample) if sample else 0)


# -- other objects -----------------------------------------------------------------------------------------------------


def _other(value: Any, depth: int) -> int:
    """Return the bytes of an object by the first way that works, else those of its attributes."""
    kind: Any = type(value)
    for size_of in _ways(kind):
        with suppress(BaseException):
            return max(0, int(size_of(value)))
    with suppress(BaseException):
        return _attributes(value, depth)
    return 0


@lru_cache(maxsize=512)
def _ways(kind: Any) -> tuple[Callable[[Any], Any], ...]:
    """Return the ways to ask instances of a class for their size, best first."""
    ways: list[Callable[[Any], Any]] = []
    if hasattr(kind, "memory_usage"):  # pandas
        ways.append(_memory_usage)
    if hasattr(kind, "estimated_size"):  # polars
        ways.append(lambda value: value.estimated_size())
    if hasattr(kind, "nbytes"):  # NumPy, Arrow
        ways.append(lambda value: value.nbytes)
    own_size = kind.__sizeof__ is not object.__sizeof__
    if own_size:
        ways.append(lambda value: value.__sizeof__())
    if not own_size and not kind.__dictoffset__ and not _slots(kind):
        ways.append(_pickled)
    return tuple(ways)


def _memory_usage(value: Any) -> int:
    """Return the bytes of a frame, a series or an index; of strings and other objects in it by a sample."""
    length = len(value)
    sample = value
    if length > _SAMPLE:
        step = slice(None, None, length // _SAMPLE + 1)
        sample = value.iloc[step] if hasattr(value, "iloc") else value[step]
    objects = _total(sample.memory_usage(deep=True)) - _total(sample.memory_usage())
    return _total(value.memory_usage()) + objects * length // max(1, len(sample))


def _total(used: Any) -> int:
    return int(used.sum() if hasattr(used, "sum") else used)


def _attributes(value: Any, depth: int) -> int:
    kind: Any = type(value)
    own = getattr(value, "__dict__", None)
    parts = list(own.values()) if type(own) is dict else []
    parts += [getattr(value, name, None) for name in _slots(kind)]
    return sum(_BASE if type(part) in _SCALARS else _weight(part, depth - 1) for part in parts)


@lru_cache(maxsize=512)
def _slots(kind: Any) -> tuple[str, ...]:
    slots = (getattr(base, "__slots__", ()) for base in kind.__mro__)
    return tuple(name for names in slots for name in ((names,) if isinstance(names, str) else tuple(names)))


CACHES: Final = (_ways, _slots)
"""What is remembered of classes."""


class _FullError(Exception):
    """The probe has seen enough."""


class _Probe(io.RawIOBase):
    """Counts what is written to it."""

    def __init__(self) -> None:
        self.length = 0

    def write(self, data: Any) -> int:
        """Count the data; raises `_FullError` at the bound."""
        self.length += len(data)
        if self.length > _PROBE:
            raise _FullError
        return len(data)


def _pickled(value: Any) -> int:
    """Return how long the pickle of an object is, up to the bound; 0 for one that cannot be pickled."""
    probe = _Probe()
    with suppress(BaseException):
        pickle.Pickler(probe, pickle.HIGHEST_PROTOCOL).dump(value)
    return probe.length
