"""How code and values get to Dask's workers and back: by cloudpickle, because a script's own classes must travel too.

cloudpickle sends what is defined in `__main__` by value, and knows such a class again when an instance comes back.
Modules that were loaded from a path have no name that another process could import: they travel as their source.

Both ends are this program: nothing is ever unpickled that came from a file.
"""

from __future__ import annotations

import io
import pickle
import uuid
from typing import Any, Final, cast
from weakref import WeakKeyDictionary, WeakValueDictionary

import cloudpickle

from pipeloom.engine.events import Finish, Logged
from pipeloom.errors import UsageError
from pipeloom.messages import MsgTaskProgress, MsgTaskStarted
from pipeloom.pipeline import Pipeline, WorkerFn
from pipeloom.text import first_line

PLAIN: Final = frozenset({MsgTaskProgress, MsgTaskStarted, Finish, Logged})
"""Entries that hold builtins alone and never change: they need no pickle of their own."""


Code = tuple[WorkerFn, frozenset[type], tuple[type[BaseException] | str, ...]]
"""Worker function, message types and what is worth a retry: what all attempts of a run have in common."""

_tokens: WeakKeyDictionary[type, str] = WeakKeyDictionary()
_types: WeakValueDictionary[str, type] = WeakValueDictionary()
"""Message types that both ends know: a message then names its class, which would else travel with each of them."""


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    def reducer_override(self, obj: Any) -> Any:
        token = _tokens.get(obj) if isinstance(obj, type) else None
        return super().reducer_override(obj) if token is None else (_type_of, (token,))


def _type_of(token: str) -> type:
    return _types[token]


def packed(value: Any) -> bytes:
    """Return the pickle; raises whatever pickling `value` raises."""
    buffer = io.BytesIO()
    _Pickler(buffer, pickle.HIGHEST_PROTOCOL).dump(value)
    return buffer.getvalue()


def packed_code(code: Code) -> bytes:
    """Return the pickle, and know its message types from now on; raises whatever pickling raises."""
    tokens = {_tokens.get(kind) or uuid.uuid4().hex: kind for kind in code[1]}
    data: bytes = cloudpickle.dumps((code, tokens), pickle.HIGHEST_PROTOCOL)
    _know(tokens)
    return data


def unpacked_code(data: bytes) -> Code:
    """Return the code, and know its message types from now on; raises whatever unpickling raises."""
    code, tokens = unpacked(data)
    _know(tokens)
    return cast("Code", code)


def _know(tokens: dict[str, type]) -> None:
    for token, kind in tokens.items():
        _tokens[kind], _types[token] = token, kind


def plainly_packed(value: Any) -> bytes:
    """Return the pickle of what holds builtins and our own records alone: much faster."""
    return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)


def unpacked(data: bytes) -> Any:
    """Return the value; raises whatever unpickling it raises."""
    return pickle.loads(data)  # noqa: S301 - see above


def check_sendable(pipeline: Pipeline) -> None:
    """Raise `UsageError` when the worker function or a message type cannot get into another process at all."""
    for what, value in (("worker_fn", pipeline.worker_fn), ("a message type", frozenset(pipeline.handlers))):
        try:
            cloudpickle.dumps(value)
        except Exception as error:
            raise UsageError(f'With executor="dask", {what} must be picklable: {first_line(error)}.') from error
