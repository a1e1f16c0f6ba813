"""What is wrong with the user's code, in words: its errors, and files that are loaded in the place of Python's own."""

from __future__ import annotations

import importlib
import inspect
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from importlib.machinery import FrozenImporter
from itertools import takewhile
from pathlib import Path
from typing import Any, Final, cast

from pipeloom.errors import UsageError
from pipeloom.text import clean, first_line

_NOT_THE_USERS: Final = (
    *(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")),
    str(Path(__file__).parent),
)
"""Folders of Python, of installed packages and of pipeloom: what is raised there comes from a line elsewhere."""
_STDLIB: Final = sysconfig.get_path("stdlib")
_NOT_FOUND_BY_PATH: Final = {name for name in sys.stdlib_module_names if FrozenImporter.find_spec(name) is not None}
_NOT_FOUND_BY_PATH.update(sys.builtin_module_names)


def called_function(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function that a call of `function` runs: inside `partial`, or the method of an object."""
    while isinstance(function, partial):
        function = function.func
    return function if inspect.isroutine(function) else type(function).__call__


def is_async(function: Callable[..., object]) -> bool:
    """Tell whether calling the function makes a coroutine, as far as looking can tell."""
    return inspect.iscoroutinefunction(called_function(function))


def check_called(function: object, where: str, argument: str) -> None:
    """Raise `UsageError` unless a call of the function runs it; `where` needs it, to give it `argument`."""
    if not callable(function) or is_async(function):
        raise UsageError(f"{where} needs a function of {argument}: `def`, not `async def`.")


def shown_name(function: Callable[..., Any]) -> str:
    """Return what a text calls the function."""
    called = called_function(function)
    return str(getattr(function, "__name__", None) or getattr(called, "__qualname__", None) or type(function).__name__)


def name_of(function: object) -> str | None:
    """Return `module:name` of a function at the top level of a module, or in a class there; None of any other."""
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(name, str):
        return None
    module = "__main__" if module == "__mp_main__" else module  # as a worker process calls the program's
    return f"{module}:{name}" if _named(sys.modules.get(module), name) is function else None


def function_named(name: str) -> Callable[..., Any]:
    """Return the function that `name_of` has named; raises `UsageError` when it is not there any more."""
    module, _, path = name.partition(":")
    try:
        found = _named(sys.modules.get(module) or importlib.import_module(module), path)
    except Exception as error:  # importing runs the user's code
        raise UsageError(f"The worker function {path} cannot be imported: {users_error(error)}.") from error
    if not callable(found):
        raise UsageError(
            f"The worker function {path} is not there any more: {clean(module, 200)} has none of that name."
        )
    return cast("Callable[..., Any]", found)


def _named(module: object, path: str) -> object:
    for part in path.split("."):
        module = getattr(module, part, None)
    return module


def users_error(error: BaseException, place: str = "") -> str:
    """Return the error's class and text, and the file and line; `place` names the file of a text without one."""
    if isinstance(error, SyntaxError) and error.lineno:
        return f"SyntaxError: {first_line(error.msg)} ({Path(error.filename or place).name}, line {error.lineno})"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith("<")]
    frames = [frame for frame in frames if not frame.filename.startswith(_NOT_THE_USERS)]
    where = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {first_line(error)}{where}"


def in_their_place() -> Iterator[Path]:
    """Yield the files that a new process would load for modules of Python that this one uses."""
    used = {name for name in sys.stdlib_module_names - _NOT_FOUND_BY_PATH if _file_of(name).startswith(_STDLIB)}
    used.add("multiprocessing")
    for folder in (
        "",
        *takewhile(lambda place: not place.startswith(_STDLIB) and not place.endswith(".zip"), sys.path),
    ):
        yield from (file.resolve() for file in sorted(Path(folder).glob("*.py")) if file.stem in used)


def blamed(error: BaseException) -> str:
    """Return a sentence that names such a file when the error comes from it, or from a name that it lacks; else ""."""
    frames = traceback.walk_tb(error.__traceback__)
    raised_in = {frame.f_globals.get("__name__"): frame.f_code.co_filename for frame, _ in frames}
    said = first_line(error)
    for name in sys.stdlib_module_names:
        file = raised_in.get(name) or (_file_of(name) if f"'{name}'" in said else "")
        if file.endswith(".py") and not file.startswith((_STDLIB, "<")):
            return f"{file} is loaded in the place of Python's own module {name}: rename it."
    return ""


def _file_of(name: str) -> str:
    return str(getattr(sys.modules.get(name), "__file__", None) or "")


def check_worker(worker: object, where: str = "") -> None:
    """Raise `UsageError` unless a worker function is one that runs when it is called."""
    if not callable(worker):
        raise UsageError(f"{where}worker_fn must be a function of (task, q), not {type(worker).__name__}.")
    called = called_function(worker)
    if inspect.isgeneratorfunction(called) or inspect.isasyncgenfunction(called):
        raise UsageError(
            f"{where}worker_fn {shown_name(worker)} must be a function without `yield`: "
            "calling a generator runs nothing."
        )
