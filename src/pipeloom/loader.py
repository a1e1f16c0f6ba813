"""Finds the `Pipeline` that a command line names. Code is imported only when the user names it."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from types import ModuleType
from typing import Final

from pipeloom.code.sources import PREFIX, Source, importing, make_module
from pipeloom.code.version import Version, load_again, note_version, strangers_within
from pipeloom.errors import UsageError
from pipeloom.pipeline import Pipeline
from pipeloom.users_code import blamed, users_error

_LONGEST = 4096
_PROJECT: Final = ("pyproject.toml", "setup.py", "setup.cfg")
"""Files of which a project has one in its folder."""
_WITH_EFFECTS: Final = frozenset({"antigravity", "this"})
"""Modules of Python that do something when they are imported."""
_imported: ContextVar[str | None] = ContextVar("pipeloom_imported", default=None)


def load_pipeline(spec: str) -> Pipeline:
    """Return the pipeline that `path/to/file.py[:name]` or `package.module[:name]` stands for.

    Raises `UsageError` when there is no such file or module, when importing it fails, or when it is not clear which
    pipeline is meant.
    """
    if len(spec) > _LONGEST:
        raise UsageError(f"{spec[:60]}… is too long to name a pipeline.")
    place, _, name = spec.rpartition(":") if _has_name(spec) else (spec, "", "")
    folder = _folder_of(place)
    strangers = strangers_within(folder)
    module = import_file(place) if _is_path(place) else _import_module(place, folder)
    pipeline = _chosen(module, place, name)
    named = f"{Path(place).resolve()}{f':{name}' * bool(name)}" if _is_path(place) else spec
    note_version(pipeline, named, folder, module, strangers)
    return pipeline


def file_named(spec: str) -> Path | None:
    """Return the file that a pipeline's name on a command line leads to; None for a module."""
    place = spec.rpartition(":")[0] if _has_name(spec) else spec
    return Path(place) if len(spec) <= _LONGEST and _is_path(place) else None


def reload_pipeline(version: Version, accept: Callable[[Pipeline, Version], None]) -> None:
    """Load the pipeline of a version from its files as they are now, and have it accepted.

    Raises `UsageError` as `load_pipeline`, and what `accept` raises: nothing has changed then.
    """
    if version.spec is None:
        raise UsageError("This pipeline was not loaded from a file of its own: its code cannot be loaded again.")
    if not _reloading.acquire(blocking=False):
        raise UsageError("The code is being loaded again already: wait for the end of that.")
    try:
        importlib.invalidate_caches()
        load_again(version, load_pipeline, accept)
    finally:
        _reloading.release()


_reloading: Final = threading.Lock()


def _chosen(module: ModuleType, place: str, name: str) -> Pipeline:
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

    Raises `UsageError` as `read_pipeline`, and when importing it fails.
    """
    path = Path(place)
    text = read_pipeline(path)
    real = path.resolve()
    package, root = _package_of(real)
    stem = os.fsencode(real.stem).decode("utf-8", "replace")  # a name that is no UTF-8 has no place in a pickle
    name = f"{package}{PREFIX}{stem}_{hashlib.sha256(os.fsencode(real)).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    _keep_pythons_own(real)
    # As `python file.py` does, so that the file may import its neighbours; never the current directory as such.
    for folder in (root, real.parent):
        if str(folder) not in sys.path:
            sys.path.insert(0, str(folder))
    alias = f"{package}{real.stem}"
    try:
        with _importing(str(path)), importing(_folder_of(str(real))):
            source = Source(name, str(real), text, "" if alias in sys.modules else alias)
            return make_module(source)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise UsageError(_import_failure(str(path), error)) from error


def read_pipeline(path: Path) -> bytes:
    """Return the content of a pipeline's file; raises `UsageError` when it is none, or cannot be read."""
    if _exists(path) and path.is_dir():
        raise UsageError(f"{path} is a folder: name the Python file in it that holds the pipeline.")
    if not _exists(path):
        raise UsageError(f"There is no file {path}: name the Python file that holds the pipeline.")
    if path.resolve().suffix != ".py":
        raise UsageError(f"{path} is not a Python file: its name must end in .py.")
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}.") from error


def _keep_pythons_own(path: Path) -> None:
    """Import the module of Python that has the name of a file, or a later `import` would find the file in its place."""
    name = path.stem
    if name in sys.stdlib_module_names - _WITH_EFFECTS and name not in sys.modules:
        spec = importlib.util.find_spec(name)
        with suppress(ImportError):  # it is of another system
            if spec is not None and spec.origin != str(path):
                importlib.import_module(name)


def _package_of(path: Path) -> tuple[str, Path]:
    """Return the package of a file, with a dot after it, and the folder that it is in; "" for a file in no package.

    Below the `src` of a project, folders are packages also without an `__init__.py`.
    """
    root = path.parent
    while (root / "__init__.py").is_file() and root.name.isidentifier():
        root = root.parent
    if (source := _source_folder(path)) is not None and source in root.parents:
        root = source
    package = path.parent.relative_to(root).parts
    return "".join(f"{name}." for name in package), root


def _source_folder(path: Path) -> Path | None:
    """Return the `src` of the project that a file is in, if all folders from there have names of packages."""
    for folder in path.parents:
        if folder.name == "src" and any((folder.parent / name).is_file() for name in _PROJECT):
            return folder
        if not folder.name.isidentifier():
            return None
    return None


def _folder_of(place: str) -> Path | None:
    """Return the folder whose modules belong to a pipeline: of its package, else of its file; None: there is none."""
    if _is_path(place):
        real = Path(place).resolve()
        package, root = _package_of(real)
        return root / package.partition(".")[0]
    try:
        spec = importlib.util.find_spec(place.partition(".")[0])
    except (ImportError, ValueError):  # said by the import
        return None
    if spec is None or not spec.has_location or spec.origin is None:
        return None
    origin = Path(spec.origin)
    return origin if origin.parent.name in ("site-packages", "dist-packages") else origin.parent


def _import_module(name: str, folder: Path | None) -> ModuleType:
    try:
        with _importing(name), importing(folder):
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
