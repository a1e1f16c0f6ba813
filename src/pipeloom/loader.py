"""Finds the `Pipeline` that a command line names. Code is imported only when the user names it."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from importlib.abc import InspectLoader
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType, ModuleType
from typing import cast

from pipeloom.errors import UsageError
from pipeloom.pipeline import Pipeline
from pipeloom.users_code import blamed, users_error

_LONGEST = 4096
_PREFIX = "pipeloom_file_"
_imported: ContextVar[str | None] = ContextVar("pipeloom_imported", default=None)


def load_pipeline(spec: str) -> Pipeline:
    """Return the pipeline that `path/to/file.py[:name]` or `package.module[:name]` stands for.

    Raises `UsageError` when there is no such file or module, when importing it fails, or when it is not clear which
    pipeline is meant.
    """
    if len(spec) > _LONGEST:
        raise UsageError(f"{spec[:60]}… is too long to name a pipeline.")
    place, _, name = spec.rpartition(":") if _has_name(spec) else (spec, "", "")
    module = import_file(place) if _is_path(place) else _import_module(place)
    found = {key: value for key, value in vars(module).items() if isinstance(value, Pipeline)}
    if name:
        return _named(found, vars(module), name, place)
    distinct = {id(value): value for value in found.values()}
    if len(distinct) == 1:
        return next(iter(distinct.values()))
    if not found:
        raise UsageError(f"{place} holds no Pipeline: write `pipeline = Pipeline(name=…, tasks=…, worker_fn=…)` in it.")
    raise UsageError(f"{place} holds several pipelines: choose one with {place}:{' or :'.join(found)}.")


def being_imported() -> str | None:
    """Return the file or module of a pipeline that this thread is importing; None when it imports none."""
    return _imported.get()


@contextmanager
def _importing(place: str) -> Iterator[None]:
    token = _imported.set(place)
    try:
        yield
    finally:
        _imported.reset(token)


def loaded_files() -> list[str]:
    """Return the paths of the modules that `import_file` has made in this process."""
    return list(loaded_modules().values())


def loaded_modules() -> dict[str, str]:
    """Return the names and the paths of the modules that `import_file` has made in this process."""
    return {
        name: str(module.__file__)
        for name, module in list(sys.modules.items())
        if name.rpartition(".")[2].startswith(_PREFIX)
    }


def loaded_sources() -> tuple[Source, ...]:
    """Return these modules with their text, for a machine that may not have the files."""
    return tuple(Source(name, path, Path(path).read_bytes()) for name, path in loaded_modules().items())


@dataclass(frozen=True, slots=True)
class Source:
    """A module that was loaded from a path, with its text, for another process or machine."""

    name: str
    path: str
    text: bytes

    def load(self) -> None:
        """Load the module in this process, unless it is loaded; from the file where this machine has the same one.

        Raises what the module's code raises.
        """
        if self.name in sys.modules and _texts.get(self.name, self.text) == self.text:
            return
        sys.modules.pop(self.name, None)  # a process that outlives a run may have an older text
        if self._is_here():
            import_file(self.path)
        else:
            self._make()
        _texts[self.name] = self.text

    def _is_here(self) -> bool:
        try:
            return Path(self.path).read_bytes() == self.text
        except OSError:
            return False

    def _make(self) -> None:
        spec = importlib.util.spec_from_loader(self.name, _TextLoader(self), origin=self.path)
        module = importlib.util.module_from_spec(cast("ModuleSpec", spec))
        module.__file__ = self.path
        sys.modules[self.name] = module
        try:
            with _importing(self.path):
                cast("ModuleSpec", spec).loader.exec_module(module)  # type: ignore[union-attr]
        except BaseException:
            del sys.modules[self.name]
            raise


class _TextLoader(InspectLoader):
    """Makes a module of a text; `get_source` gives tracebacks their lines."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def get_source(self, fullname: str) -> str:  # noqa: ARG002 - there is one
        """Return the text."""
        return importlib.util.decode_source(self._source.text)

    def get_code(self, fullname: str) -> CodeType:
        """Return the code, compiled with the path of the original file."""
        return self.source_to_code(self.get_source(fullname), self._source.path)


_texts: dict[str, bytes] = {}
"""Module to the text that it was made of, for those that came from another process."""


def _has_name(spec: str) -> bool:
    """Tell whether `spec` ends in `:name` (a colon in a folder's name does not count)."""
    _, colon, name = spec.rpartition(":")
    return bool(colon) and name.isidentifier() and not _exists(Path(spec))


def _is_path(place: str) -> bool:
    return place.endswith(".py") or "/" in place or _exists(Path(place))


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # for example of a name that is too long
        return False


def _named(found: dict[str, Pipeline], namespace: dict[str, object], name: str, place: str) -> Pipeline:
    if name in found:
        return found[name]
    known = f"it holds {', '.join(found)}" if found else "it holds no Pipeline"
    if name in namespace:
        raise UsageError(f"{name} in {place} is a {type(namespace[name]).__name__}, not a Pipeline; {known}.")
    raise UsageError(f"{place} has no {name!r}; {known}.")


def import_file(place: str) -> ModuleType:
    """Import a Python file, once; its module's name follows from its path, so it is the same in every process.

    Raises `UsageError` when there is no such file or when importing it fails.
    """
    path = Path(place)
    if _exists(path) and path.is_dir():
        raise UsageError(f"{path} is a folder: name the Python file in it that holds the pipeline.")
    if not _exists(path):
        raise UsageError(f"There is no file {path}: name the Python file that holds the pipeline.")
    real = path.resolve()
    package, root = _package_of(real)
    stem = os.fsencode(real.stem).decode("utf-8", "replace")  # a name that is no UTF-8 has no place in a pickle
    name = f"{package}{_PREFIX}{stem}_{hashlib.sha256(os.fsencode(real)).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    # As `python file.py` does, so that the file may import its neighbours; never the current directory as such.
    for folder in (root, real.parent):
        if str(folder) not in sys.path:
            sys.path.insert(0, str(folder))
    module_spec = importlib.util.spec_from_file_location(name, real)
    if module_spec is None or module_spec.loader is None:
        raise UsageError(f"{path} is not a Python file: its name must end in .py.")
    module = importlib.util.module_from_spec(module_spec)
    # Dataclasses and pickling look a class's module up by name; a neighbour that imports the file gets the same module.
    names = {name, *({f"{package}{real.stem}"} - sys.modules.keys())}
    sys.modules.update(dict.fromkeys(names, module))
    try:
        with _importing(str(path)):
            module_spec.loader.exec_module(module)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        for each in names:
            del sys.modules[each]
        raise UsageError(_import_failure(str(path), error)) from error
    return module


def _package_of(path: Path) -> tuple[str, Path]:
    """Return the package of a file, with a dot after it, and the folder that it is in; "" for a file in no package."""
    root, package = path.parent, ""
    while (root / "__init__.py").is_file() and root.name.isidentifier():
        root, package = root.parent, f"{root.name}.{package}"
    return package, root


def _import_module(name: str) -> ModuleType:
    try:
        with _importing(name):
            return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(error.name + ".")):
            raise UsageError(
                f"There is no module {name}: name an installed module, or a file such as ./{name}.py."
            ) from None
        raise UsageError(_import_failure(name, error)) from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise UsageError(_import_failure(name, error)) from error


def _import_failure(place: str, error: BaseException) -> str:
    """Return one sentence with the error and the user's own line that it comes from."""
    hint = blamed(error)
    if isinstance(error, ImportError) and "no known parent package" in str(error):
        hint = f"To import with a dot, put an __init__.py into the folder {Path(place).resolve().parent.name}/."
    return f"{place} cannot be imported: {users_error(error, place)}. {hint}".rstrip()
