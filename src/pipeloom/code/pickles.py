"""Pickles of the user's values: classes and functions of a version's modules are named, and found in that version.

Python pickles a class by its name, and refuses one that a newer class of that name has replaced. Both ends are this
program, or a process that it has started.
"""

from __future__ import annotations

import io
import pickle
import types
from collections.abc import Container
from typing import Any

from pipeloom.code.version import Version
from pipeloom.users_code import called_function


class NamingPickler(pickle.Pickler):
    """Names the classes and functions of some modules, also when others have taken their places since."""

    def __init__(self, file: io.BytesIO, modules: Container[str]) -> None:
        super().__init__(file, pickle.HIGHEST_PROTOCOL)
        self._modules = modules

    def reducer_override(self, obj: Any) -> Any:
        """Return the name of a class or function of the modules; leave all else to Python."""
        return named_in(self._modules, obj)


def named_in(modules: Container[str], obj: Any) -> Any:
    """Return how a pickle names `obj`, if it is a class or function of one of the modules, else `NotImplemented`."""
    if not isinstance(obj, (type, types.FunctionType)) or obj.__module__ not in modules or "<" in obj.__qualname__:
        return NotImplemented
    return found, (obj.__module__, obj.__qualname__)


def found(module: str, name: str) -> Any:
    """Return the class or function of that name as it is imported now."""
    return Version().find(module, name)


class VersionUnpickler(pickle.Unpickler):
    """Finds classes and functions in the modules of a version."""

    def __init__(self, data: bytes | memoryview, version: Version) -> None:
        super().__init__(io.BytesIO(data))
        self._version = version

    def find_class(self, module: str, name: str) -> Any:
        """Return a class or function of the version; of any other module as Python does."""
        if (module, name) == (__name__, found.__name__):
            return self._version.find
        return self._version.find(module, name) if module in self._version.modules else super().find_class(module, name)


def dumps(value: Any, version: Version) -> bytes:
    """Return the pickle of `value`; raises any error of pickling it."""
    buffer = io.BytesIO()
    NamingPickler(buffer, version.modules).dump(value)
    return buffer.getvalue()


def loads(data: bytes | memoryview, version: Version | None) -> Any:
    """Return the value of a pickle as an object of the version; raises any error of unpickling it."""
    if version is None or not version.modules:
        return pickle.loads(data)  # noqa: S301 - our own bytes
    return VersionUnpickler(data, version).load()


def is_found(function: Any, version: Version) -> bool:
    """Tell whether a function of the version's modules is found there by name; one of others stays as it is."""
    try:
        loads(dumps(function, version), version)
    except Exception:  # noqa: BLE001 - as in `translated`
        return getattr(called_function(function), "__module__", None) not in version.modules
    return True


def translated(value: Any, version: Version) -> Any:
    """Return a copy of `value` in which classes and functions are those of the version; itself where there is none."""
    try:
        return loads(dumps(value, version), version)
    except Exception:  # noqa: BLE001 - pickling runs the user's code, and many objects cannot be pickled
        return value
