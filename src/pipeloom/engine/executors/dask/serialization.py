"""Pickles code and values for Dask's workers, with cloudpickle: a script's own classes must get there too.

cloudpickle sends what is defined in `__main__` by value, and recognizes such a class when an instance comes back.
What is defined in the modules of a version is named, and found in that version at the other end: their sources are sent
to each worker once.

Both ends are this program: nothing from a file is unpickled.
"""

from __future__ import annotations

import io
import pickle
import uuid
from collections.abc import Container, Sequence
from typing import Any, Final, cast
from weakref import WeakKeyDictionary, WeakValueDictionary

import cloudpickle

from pipeloom.code.pickles import loads, named_in
from pipeloom.code.version import Version
from pipeloom.engine.events import Begun, Finish, InputsTaken, Logged
from pipeloom.errors import UsageError
from pipeloom.messages import MsgTaskProgress, MsgTaskStarted
from pipeloom.pipeline import Pipeline, WorkerFn
from pipeloom.secrets import Secret
from pipeloom.text import first_line

PLAIN: Final = frozenset({MsgTaskProgress, MsgTaskStarted, Begun, Finish, InputsTaken, Logged})
"""Immutable entries that hold builtins only: they need no cloudpickle."""


Code = tuple[WorkerFn, frozenset[type], tuple[type[BaseException] | str, ...], frozenset[str], tuple[Secret, ...]]
"""What all attempts with one worker function have in common: that, message types, `retry_on`, limits and secrets."""

MAX_CODES: Final = 64
"""Worker functions of which program and workers keep the pickles."""

_tokens: WeakKeyDictionary[type, str] = WeakKeyDictionary()
_types: WeakValueDictionary[str, type] = WeakValueDictionary()
"""Message types that both ends know: a message then holds a token in place of its pickled class."""


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    def __init__(self, file: io.BytesIO, modules: Container[str]) -> None:
        super().__init__(file, pickle.HIGHEST_PROTOCOL)
        self._modules = modules

    def reducer_override(self, obj: Any) -> Any:
        if (named := named_in(self._modules, obj)) is not NotImplemented:
            return named
        token = _tokens.get(obj) if isinstance(obj, type) else None
        return super().reducer_override(obj) if token is None else (_type_of, (token,))


class _CodePickler(_Pickler):
    """Sends the message types that the other end does not know yet."""

    def reducer_override(self, obj: Any) -> Any:
        named = named_in(self._modules, obj)
        return cloudpickle.Pickler.reducer_override(self, obj) if named is NotImplemented else named


def _type_of(token: str) -> type:
    return _types[token]


def packed(value: Any, version: Version | None = None) -> bytes:
    """Return the pickle of a value of the version; raises any error of pickling it."""
    buffer = io.BytesIO()
    _Pickler(buffer, () if version is None else version.modules).dump(value)
    return buffer.getvalue()


def packed_code(code: Code, version: Version | None = None) -> bytes:
    """Return the pickle, and register its message types; raises any error of pickling."""
    buffer, tokens = io.BytesIO(), {_tokens.get(kind) or uuid.uuid4().hex: kind for kind in code[1]}
    _CodePickler(buffer, () if version is None else version.modules).dump((code, tokens))
    _register(tokens)
    return buffer.getvalue()


def unpacked_code(data: bytes, version: Version | None = None) -> Code:
    """Return the code, and register its message types; raises any error of unpickling."""
    code, tokens = loads(data, version)
    _register(tokens)
    return cast("Code", code)


def _register(tokens: dict[str, type]) -> None:
    for token, kind in tokens.items():
        _tokens[kind], _types[token] = token, kind


def plainly_packed(value: Any) -> bytes:
    """Return the pickle of a value that holds builtins and our own records only: much faster."""
    return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)


def unpacked(data: bytes) -> Any:
    """Return the value; raises any error of unpickling it."""
    return pickle.loads(data)  # noqa: S301 - our own bytes


def check_sendable(pipeline: Pipeline, functions: Sequence[WorkerFn]) -> None:
    """Raise `UsageError` when a worker function or a message type cannot be pickled."""
    for what, value in (*(("worker_fn", one) for one in functions), ("a message type", frozenset(pipeline.handlers))):
        try:
            cloudpickle.dumps(value)
        except Exception as error:
            raise UsageError(f'With executor="dask", {what} must be picklable: {first_line(error)}.') from error
