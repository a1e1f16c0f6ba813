"""About how many bytes a message holds in memory: enough to bound a queue by, cheap enough for every message."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any, Final

from pipeloom.messages import MsgTaskProgress

_SCALARS: Final = frozenset({int, float, bool, type(None)})
_SAMPLE: Final = 64
_DEPTH: Final = 6
_BASE: Final = 64
"""Bytes counted for any object besides what it holds."""


def weight(msg: Any) -> int:
    """Return about how many bytes `msg` holds; of a long list a sample speaks for all."""
    if type(msg) is MsgTaskProgress:  # by far the most frequent
        return _BASE if msg.message is None else _BASE + len(msg.message)
    try:
        return _weight(msg, _DEPTH)
    except Exception:  # noqa: BLE001 - attributes of a user's object may raise anything
        return _BASE


def _weight(value: Any, depth: int) -> int:
    kind = type(value)
    if kind in _SCALARS:
        return _BASE
    if isinstance(value, (str, bytes, bytearray)):
        return _BASE + len(value)
    if not depth:
        return _BASE
    if isinstance(value, dict):
        return _sampled(len(value), value.values(), depth) + _BASE * len(value)
    if isinstance(value, (list, tuple)):
        return _sampled(len(value), value[:: len(value) // _SAMPLE + 1], depth)
    if isinstance(value, (set, frozenset)):
        return _sampled(len(value), value, depth)
    if isinstance(nbytes := getattr(value, "nbytes", None), int):  # arrays of numpy and their like
        return _BASE + nbytes
    own = getattr(value, "__dict__", None)
    if own is None:
        own = {name: getattr(value, name, None) for base in kind.__mro__ for name in getattr(base, "__slots__", ())}
    total = _BASE
    for part in own.values():
        total += _BASE if type(part) in _SCALARS else _weight(part, depth - 1)
    return total


def _sampled(length: int, values: Iterable[Any], depth: int) -> int:
    weights = [_weight(part, depth - 1) for part in islice(values, _SAMPLE)]
    return _BASE + (sum(weights) * length // len(weights) if weights else 0)
