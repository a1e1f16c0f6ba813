"""How code and values get to Dask's workers and back: by cloudpickle, because a script's own classes must travel too.

cloudpickle sends what is defined in `__main__` by value, and knows such a class again when an instance comes back.
Modules that were loaded from a path have no name that another process could import: they travel as their source.

Both ends are this program: nothing is ever unpickled that came from a file.
"""

from __future__ import annotations

import io
import pickle
from typing import Any, Final

import cloudpickle

from pipeloom.engine.records import Finish, Logged
from pipeloom.errors import UsageError
from pipeloom.messages import MsgTaskProgress, MsgTaskStarted
from pipeloom.pipeline import Pipeline
from pipeloom.text import first_line

PLAIN: Final = frozenset({MsgTaskProgress, MsgTaskStarted, Finish, Logged})
"""Entries that hold builtins alone and never change: they need no pickle of their own."""


def packed(value: Any) -> bytes:
    """Return the pickle; raises whatever pickling `value` raises."""
    buffer = io.BytesIO()
    cloudpickle.Pickler(buffer, pickle.HIGHEST_PROTOCOL).dump(value)
    return buffer.getvalue()


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
            packed(value)
        except Exception as error:
            raise UsageError(f'With executor="dask", {what} must be picklable: {first_line(error)}.') from error
