"""Copies the containers of a message in `put`: what the message holds then is what is stored.

The worker may go on changing its lists, dicts and rows. Every executor stores the same: between processes pickling
copies, between threads this module does.
"""

from __future__ import annotations

import copy
import re
import types
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator, KeysView, ValuesView
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from functools import lru_cache
from itertools import chain
from operator import attrgetter
from pathlib import PosixPath, PurePosixPath
from typing import Any, Final
from uuid import UUID

from pipeloom.errors import MessageError

MAX_DEPTH: Final = 100
"""Containers inside each other that a message may have."""

OBJECT_DEPTH: Final = 4
"""Attributes of attributes that a plain object is copied through."""

_IMMUTABLE: Final = frozenset(
    {
        types.NoneType, bool, int, float, complex, str, bytes, range, slice, type, date, datetime, time, timedelta,
        timezone, Decimal, Fraction, UUID, PosixPath, PurePosixPath, re.Pattern, types.FunctionType,
        types.BuiltinFunctionType, types.MethodType, types.ModuleType,
    }
)  # fmt: skip
_TUPLE: Final = frozenset({tuple})


def by_value(msg: Any) -> Any:
    """Return `msg`, or a copy of it in which every container is a copy; the rows of a batch included.

    Raises `MessageError` for an iterator, which can be read only once, and for containers that are nested too deep.
    Objects that Python cannot copy (a lock, a connection) stay the same object.
    """
    kind: Any = type(msg)
    values_of = frozen_values(kind)
    if values_of is not None and _IMMUTABLE.issuperset(map(type, values_of(msg))):
        return msg  # most messages of one row
    try:
        return _copied(msg, type(msg).__name__, MAX_DEPTH)
    except _OneTimeError as error:
        raise MessageError(
            f"{type(msg).__name__} holds {error.what}, which can be read only once, and the writer may have to read it "
            f"again: put a list, as in {error.where}=list(...)."
        ) from None
    except (_DepthError, RecursionError):
        raise MessageError(
            f"{type(msg).__name__} holds containers nested more than {MAX_DEPTH} deep, or one that holds itself."
        ) from None


class _OneTimeError(Exception):
    """The message holds an iterator."""

    def __init__(self, value: object, where: str) -> None:
        self.what = f"an iterator ({type(value).__name__})"
        self.where = where


class _DepthError(Exception):
    """The message holds containers that are nested too deep."""


def _copied(value: Any, where: str, depth: int) -> Any:
    kind: Any = type(value)
    if kind in _IMMUTABLE:
        return value
    if not depth:
        raise _DepthError
    copier = _COPIERS.get(kind) or _copier(kind)
    return copier(value, where, depth - 1)


# -- containers --------------------------------------------------------------------------------------------------------


def _copied_list(value: list[Any], where: str, depth: int) -> list[Any]:
    return value[:] if _is_flat(value) else [_copied(item, where, depth) for item in value]


def _copied_tuple(value: tuple[Any, ...], where: str, depth: int) -> tuple[Any, ...]:
    if _is_flat(value):
        return value
    items = [_copied(item, where, depth) for item in value]
    if all(new is old for new, old in zip(items, value, strict=True)):
        return value
    return type(value)._make(items) if hasattr(value, "_make") else type(value)(items)


def _is_flat(value: Iterable[Any]) -> bool:
    """Tell whether all items are immutable, or tuples of what is: as the rows of a batch mostly are."""
    kinds = set(map(type, value))
    if kinds <= _IMMUTABLE:
        return True
    return kinds == _TUPLE and set(map(type, chain.from_iterable(value))) <= _IMMUTABLE


def _copied_dict(value: dict[Any, Any], where: str, depth: int) -> dict[Any, Any]:
    twin = copy.copy(value)
    for key, item in value.items():
        if type(item) not in _IMMUTABLE:
            twin[key] = _copied(item, f"{where}[{key!r:.40}]", depth)
    return twin


def _copied_set(value: Any, _where: str, _depth: int) -> Any:
    return copy.copy(value)  # items are hashable, so they do not change


def _copied_deque(value: deque[Any], where: str, depth: int) -> deque[Any]:
    return deque((_copied(item, where, depth) for item in value), value.maxlen)


def _listed(value: Iterable[Any], where: str, depth: int) -> list[Any]:
    return [_copied(item, where, depth) for item in value]


# -- records, frames, other objects ------------------------------------------------------------------------------------


def _copied_record(value: Any, where: str, depth: int) -> Any:
    """Copy an instance of a dataclass field by field; a frozen one that holds no container stays the same object."""
    kind: Any = type(value)
    changed = _changed(value, _attributes(kind), where, depth)
    return value if not changed and _is_frozen(kind) else _twin(value, changed)


def _copied_object(value: Any, where: str, depth: int) -> Any:
    """Copy an instance of a plain class by its attributes; one that leads on to many others stays the same object."""
    kind: Any = type(value)
    try:
        changed = _changed(value, _attributes(kind) or tuple(vars(value)), where, min(depth, OBJECT_DEPTH))
    except _DepthError:
        return value
    return _twin(value, changed)


def _changed(value: Any, names: tuple[str, ...], where: str, depth: int) -> dict[str, Any]:
    """Return the copies of those attributes that are copied."""
    changed = {}
    for name in names:
        part = getattr(value, name, None)
        new = _copied(part, f"{where}.{name}", depth)
        if new is not part:
            changed[name] = new
    return changed


def _twin(value: Any, changed: dict[str, Any]) -> Any:
    """Return a shallow copy with other attributes; the same object where Python cannot copy it (a lock)."""
    try:
        twin = copy.copy(value)
    except Exception:  # noqa: BLE001 - the code of a user's class may raise anything
        return value
    if twin is not value:
        for name, new in changed.items():
            object.__setattr__(twin, name, new)
    return twin


@lru_cache(maxsize=512)
def _attributes(kind: type) -> tuple[str, ...]:
    """Return the names of the attributes that instances have by their class; empty where the instance has a dict."""
    if is_dataclass(kind):
        return tuple(field.name for field in fields(kind))
    if hasattr(kind, "__dict__") and "__dict__" in dir(kind):
        return ()
    slots = (getattr(base, "__slots__", ()) for base in kind.__mro__)
    return tuple(name for names in slots for name in ((names,) if isinstance(names, str) else names))


@lru_cache(maxsize=512)
def frozen_values(kind: Any) -> Callable[[Any], tuple[Any, ...]] | None:
    """Return what reads the fields of a frozen dataclass that sets them all; None for any other class."""
    if not _is_frozen(kind) or not all(field.init for field in fields(kind)):
        return None
    return attrgetter("__class__", *(_attributes(kind) or ("__class__",)))  # of one name alone it returns no tuple


@lru_cache(maxsize=512)
def _is_frozen(kind: type) -> bool:
    parameters = getattr(kind, "__dataclass_params__", None)
    return parameters is not None and parameters.frozen


def _copied_by_method(value: Any, _where: str, _depth: int) -> Any:
    """Copy an array or a frame with its data."""
    method = getattr(value, "copy", None) or value.clone
    return method()


def _same(value: Any, _where: str, _depth: int) -> Any:
    return value


def _refused(value: Any, where: str, _depth: int) -> Any:
    raise _OneTimeError(value, where.partition(".")[2] or where)


Copier = Callable[[Any, str, int], Any]

_COPIERS: Final[dict[type, Copier]] = {
    list: _copied_list,
    tuple: _copied_tuple,
    dict: _copied_dict,
    set: _copied_set,
    frozenset: _same,
    deque: _copied_deque,
    bytearray: lambda value, _where, _depth: bytearray(value),
    memoryview: lambda value, _where, _depth: bytes(value),
    array: lambda value, _where, _depth: value[:],
    types.MappingProxyType: lambda value, where, depth: _copied_dict(dict(value), where, depth),
}


@lru_cache(maxsize=512)
def _copier(kind: type) -> Copier:
    """Return what copies instances of a class that is not listed."""
    if issubclass(kind, Iterator):
        return _refused
    if issubclass(kind, (KeysView, ValuesView)) or kind.__name__ == "dict_items":
        return _listed
    for base in (list, dict, set, deque, bytearray):
        if issubclass(kind, base):
            return _copied_subclass
    if issubclass(kind, tuple):
        return _copied_tuple
    if issubclass(kind, (Enum, frozenset, str, bytes, int, float, date, time, timedelta, PurePosixPath)):
        return _same
    if any(hasattr(kind, name) for name in ("__array__", "__dataframe__", "__arrow_c_stream__")):
        return _copied_by_method if hasattr(kind, "copy") or hasattr(kind, "clone") else _same
    if is_dataclass(kind):
        return _copied_record
    return _copied_object if _holds_attributes(kind) else _same


CACHES: Final = (_attributes, frozen_values, _is_frozen, _copier)
"""What is remembered of classes."""


def _holds_attributes(kind: type) -> bool:
    return "__dict__" in dir(kind) or bool(_attributes(kind))


def _copied_subclass(value: Any, where: str, depth: int) -> Any:
    """Copy an instance of a subclass of a container, then the containers in it."""
    twin = copy.copy(value)
    if isinstance(twin, dict):
        for key, item in list(twin.items()):
            if type(item) not in _IMMUTABLE:
                dict.__setitem__(twin, key, _copied(item, where, depth))
    elif isinstance(twin, list):
        list.__setitem__(twin, slice(None), [_copied(item, where, depth) for item in twin])
    return twin
