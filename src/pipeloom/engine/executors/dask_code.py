"""How code and values get to Dask's workers and back: by cloudpickle, because a script's own classes must travel too.

cloudpickle sends what is defined in `__main__` by value, and knows such a class again when an instance of it comes back.
Modules that were loaded from a path have no name that another process could import: they travel as their source.

Both ends are this program: nothing is ever unpickled that came from a file.
"""

from __future__ import annotations

import hashlib
import io
import linecache
import pickle
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import cloudpickle

from pipeloom.engine.records import Finish, Logged
from pipeloom.errors import UsageError
from pipeloom.loader import import_file, loaded_modules
from pipeloom.messages import MsgTaskProgress, MsgTaskStarted
from pipeloom.pipeline import Pipeline
from pipeloom.text import first_line

PLAIN: Final = frozenset({MsgTaskProgress, MsgTaskStarted, Finish, Logged})
"""Entries that hold builtins alone and never change: they need no pickle of their own."""

_digests: dict[str, str] = {}
"""Module to the digest of the source that it was made of, in this worker."""


def packed(value: Any) -> bytes:
    """Return the pickle; raises whatever pickling `value` raises."""
    buffer = io.BytesIO()
    cloudpickle.Pickler(buffer, pickle.HIGHEST_PROTOCOL).dump(value)
    return buffer.getvalue()


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


@dataclass(frozen=True, slots=True)
class Source:
    """A module that was loaded from a path, as it travels."""

    name: str
    path: str
    text: bytes

    @property
    def digest(self) -> str:
        """What tells this text from any other."""
        return hashlib.sha256(self.text).hexdigest()

    def load(self) -> None:
        """Make the module here, unless it is here already; from the file itself where the worker has the same one.

        Raises whatever the module's code raises.
        """
        if self.name in sys.modules and _digests.get(self.name, self.digest) == self.digest:
            return
        sys.modules.pop(self.name, None)  # a worker that outlives a run may have an older text
        if self._is_here():
            import_file(self.path)
        else:
            self._make()
        _digests[self.name] = self.digest

    def _is_here(self) -> bool:
        try:
            return Path(self.path).read_bytes() == self.text
        except OSError:
            return False

    def _make(self) -> None:
        module = ModuleType(self.name)
        module.__file__ = self.path
        lines = self.text.decode("utf-8", "replace").splitlines(keepends=True)
        linecache.cache[self.path] = (len(self.text), None, lines, self.path)  # for tracebacks
        sys.modules[self.name] = module  # dataclasses and pickling look a class's module up by name
        try:
            exec(compile(self.text, self.path, "exec"), module.__dict__)  # noqa: S102 - what importing does
        except BaseException:
            del sys.modules[self.name]
            raise


def sources() -> tuple[Source, ...]:
    """Return the modules that were loaded from a path in this process."""
    return tuple(Source(name, path, Path(path).read_bytes()) for name, path in loaded_modules().items())
