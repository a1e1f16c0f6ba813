"""Sources: what is imported from a pipeline's folder is compiled from a text that is kept, and quoted in tracebacks."""

from __future__ import annotations

import importlib
import importlib.util
import linecache
import os
import sys
import threading
import traceback
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Final

PREFIX: Final = "pipeloom_file_"
"""Begins the names of modules that were imported by the path of their file."""
_INSTALLED: Final = ("site-packages", "dist-packages")
_OURS: Final = str(Path(__file__).parents[1]) + os.sep


@dataclass(frozen=True, slots=True)
class Source:
    """A module as it was loaded, with its text: for tracebacks, and for another process or machine."""

    name: str
    path: str
    text: bytes
    alias: str = ""
    """Another name under which its neighbours find it."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the module."""
        return (self.name, self.alias) if self.alias else (self.name,)


class NotedLoader(SourceFileLoader):
    """Makes a module of a text that is kept; never of a compiled file, which an edit in the same second outdates."""

    def __init__(self, source: Source, *, later: bool = False) -> None:
        """Make a module of the source; `later` is one that was imported after its pipeline was loaded."""
        super().__init__(source.name, source.path)
        self.source = source
        self.later = later

    def get_source(self, fullname: str) -> str:  # noqa: ARG002 - there is one
        """Return the text."""
        return importlib.util.decode_source(self.source.text)

    def get_code(self, fullname: str) -> CodeType:  # noqa: ARG002 - there is one
        """Return the code, and let tracebacks quote the text from now on."""
        self.quote()
        return self.source_to_code(self.source.text, self.source.path)

    def quote(self) -> None:
        """Let tracebacks quote the text, whatever becomes of the file."""
        try:
            text = self.get_source("")
        except (SyntaxError, UnicodeDecodeError):  # raised again by the compiler, with its place
            return
        # Without a time of change: such an entry is never compared with the file.
        linecache.cache[self.source.path] = (len(text), None, text.splitlines(keepends=True), self.source.path)


def module_spec(source: Source, locations: list[str] | None = None, *, later: bool = False) -> ModuleSpec:
    """Return the spec of a module that is made of the source; `locations` are those of a package's modules."""
    if locations is None and Path(source.path).name == "__init__.py":
        locations = [str(Path(source.path).parent)]
    spec = importlib.util.spec_from_file_location(
        source.name, source.path, loader=NotedLoader(source, later=later), submodule_search_locations=locations
    )
    assert spec is not None
    return spec


def _loader_of_module(module: object) -> NotedLoader | None:
    loader = getattr(module, "__dict__", {}).get("__loader__")
    return loader if isinstance(loader, NotedLoader) else None


def source_of_module(module: object) -> Source | None:
    """Return the source that a module was made of; None for one that was not imported here."""
    loader = _loader_of_module(module)
    return None if loader is None else loader.source


def loaded_sources() -> tuple[Source, ...]:
    """Return the sources of all modules that were imported with a pipeline, in the order of their imports."""
    found = (_loader_of_module(module) for module in list(sys.modules.values()))
    return tuple(dict.fromkeys(loader.source for loader in found if loader is not None and not loader.later))


def later_sources(folder: Path) -> Iterator[Source]:
    """Yield the sources of the modules of a folder that functions have imported since its pipeline was loaded."""
    for name in list(_later):
        source = source_of_module(sys.modules.get(name))
        if source is not None and is_within(source.path, folder):
            yield source


def is_within(path: str | None, folder: Path) -> bool:
    """Tell whether a file belongs to the user's code in a folder: no installed package in it, and nothing of ours."""
    if not path or not path.endswith(".py") or path.startswith(_OURS):
        return False
    top = str(folder)  # texts: this is asked of every module of the process
    if path != top and not path.startswith(top.rstrip(os.sep) + os.sep):
        return False
    return not any(f"{os.sep}{name}{os.sep}" in path[len(top) :] for name in _INSTALLED)


# -- the import ------------------------------------------------------------------------------------------------------


class _Import:
    """An import that goes on in this thread: what it finds in the folder is noted, what it has a text of is served."""

    def __init__(self, folder: Path | None, texts: Mapping[str, Source]) -> None:
        self._folder = folder
        self._texts = texts

    def find(self, name: str, path: Sequence[str] | None, target: ModuleType | None) -> ModuleSpec | None:
        """Return the spec of a module as any other finder has it, with a `NotedLoader` where it is the user's."""
        if name in self._texts:
            return module_spec(self._texts[name])
        spec = _found_elsewhere(name, path, target)
        return spec if spec is None or self._folder is None else _noted(spec, self._folder)


def _found_elsewhere(name: str, path: Sequence[str] | None, target: ModuleType | None) -> ModuleSpec | None:
    """Return the spec of a module as the other finders have it."""
    for finder in sys.meta_path:
        find = getattr(finder, "find_spec", None)
        spec: ModuleSpec | None = None if find is None or finder is _finder else find(name, path, target)
        if spec is not None:
            return spec
    return None


def _noted(spec: ModuleSpec, folder: Path, *, later: bool = False) -> ModuleSpec:
    """Return the spec of a module, with a `NotedLoader` where it is one of the user's in the folder."""
    if type(spec.loader) is not SourceFileLoader or not is_within(spec.origin, folder):
        return spec
    path = str(spec.origin)
    try:
        source = Source(spec.name, path, Path(path).read_bytes())
    except OSError:
        return spec
    return module_spec(source, spec.submodule_search_locations, later=later)


class _Finder(MetaPathFinder):
    """Asks the import that goes on in this thread, if it is one of `importing`; notes what functions import later."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of a module; None where there is nothing to note."""
        if (going_on := _import.get()) is not None:
            return going_on.find(fullname, path, target)
        spec = _found_elsewhere(fullname, path, target) if _folders else None
        folder = None if spec is None else next((one for one in _folders if is_within(spec.origin, one)), None)
        if spec is None or folder is None:
            return spec
        _later.add(fullname)
        return _noted(spec, folder, later=True)


def note_later_imports(folder: Path) -> None:
    """Note what is imported from a folder from now on, by functions of its pipeline for example."""
    if folder not in _folders:
        _folders.append(folder)


_folders: Final[list[Path]] = []
"""The folders of the pipelines that were loaded."""
_later: Final[set[str]] = set()
"""Names of modules that were imported from them since."""


_import: ContextVar[_Import | None] = ContextVar("pipeloom_import", default=None)
_finder: Final = _Finder()


@contextmanager
def importing(folder: Path | None, texts: Iterable[Source] = ()) -> Iterator[None]:
    """Import modules of a folder from texts that are kept: those given, else those of the files."""
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)
    token = _import.set(_Import(folder, {name: source for source in texts for name in source.names}))
    try:
        yield
    finally:
        _import.reset(token)


def make_module(source: Source) -> ModuleType:
    """Make the module of a source under all of its names; raises what its code raises, and then there is none."""
    module = importlib.util.module_from_spec(module_spec(source))
    # Dataclasses and pickling look a class's module up by name; a neighbour that imports the file gets the same module.
    sys.modules.update(dict.fromkeys(source.names, module))
    try:
        module.__loader__.exec_module(module)  # type: ignore[union-attr]
    except BaseException:
        for name in source.names:
            sys.modules.pop(name, None)
        raise
    return module


def load_sources(sources: Sequence[Source]) -> dict[str, ModuleType]:
    """Have this process use modules of these texts, and return them by name; those that it has are kept.

    When one has another text, all are made again: its neighbours hold parts of it. Raises what their code raises.
    """
    names = [name for source in sources for name in source.names]
    with _loading:
        if any(source_of_module(sys.modules.get(source.name)) != source for source in sources):
            for name in names:
                sys.modules.pop(name, None)
            _add_to_path(sources)
            with importing(None, sources):
                for source in sources:
                    if source.name in sys.modules:
                        continue
                    if source.name.rpartition(".")[2].startswith(PREFIX):
                        make_module(source)
                    else:
                        importlib.import_module(source.name)
        return {name: sys.modules[name] for name in names}


def _add_to_path(sources: Iterable[Source]) -> None:
    """Let the modules find what was not sent along, where this machine has it."""
    for source in sources:
        root = Path(source.path).parents[len(source.name.split(".")) - 1 + (Path(source.path).name == "__init__.py")]
        for folder in {str(root), str(Path(source.path).parent)}:
            if source.name.rpartition(".")[2].startswith(PREFIX) and folder not in sys.path and Path(folder).is_dir():
                sys.path.insert(0, folder)


_loading: Final = threading.RLock()


# -- what tracebacks quote ---------------------------------------------------------------------------------------------


@contextmanager
def quoting(frames: Iterable[types.FrameType]) -> Iterator[None]:
    """Let tracebacks of the frames, made in this block, quote the texts that the frames' code was made of."""
    loaders = {loader.path: loader for loader in map(_loader_of, frames) if loader is not None}
    with _quoted:
        before = {path: linecache.cache.get(path) for path in loaders}
        for loader in loaders.values():
            loader.quote()
        try:
            yield
        finally:
            for path, entry in before.items():
                if entry is not None:
                    linecache.cache[path] = entry


def frames_of(error: BaseException | None) -> Iterator[types.FrameType]:
    """Yield the frames of an error and of its causes, of those in groups, too."""
    seen: set[int] = set()
    left = [error]
    while left:
        one = left.pop()
        if one is None or id(one) in seen or len(seen) > _MOST_ERRORS:
            continue
        seen.add(id(one))
        yield from (frame for frame, _ in traceback.walk_tb(one.__traceback__))
        left += [one.__cause__, one.__context__]
        if isinstance(one, BaseExceptionGroup):
            left += one.exceptions[:_MOST_ERRORS]


def _loader_of(frame: types.FrameType) -> NotedLoader | None:
    loader = frame.f_globals.get("__loader__")
    return loader if isinstance(loader, NotedLoader) and frame.f_code.co_filename == loader.path else None


_MOST_ERRORS: Final = 100
_quoted: Final = threading.RLock()
"""Held while a traceback is made: two versions of a file have one name."""
