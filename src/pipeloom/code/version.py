"""Versions: the modules that a pipeline was made of, in one state, and what of them has changed on disk since."""

from __future__ import annotations

import hashlib
import importlib
import os
import sys
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from pipeloom.code.sources import (
    PREFIX,
    NotedLoader,
    Source,
    is_within,
    later_sources,
    loaded_sources,
    note_later_imports,
    source_of_module,
)
from pipeloom.pipeline import Pipeline
from pipeloom.times import shown, stamp
from pipeloom.users_code import called_function

_HASH_BYTES: Final = 4
_NOTED: Final = "_version"
"""The attribute of a pipeline that holds its version."""


@dataclass(frozen=True, slots=True)
class Change:
    """A file that has another content than the one that was loaded."""

    path: str
    at: float
    """When it was saved, in Unix seconds."""
    others: int = 0
    """Further files that have changed."""

    @property
    def time(self) -> str:
        """When it was saved, as "12:41", in the user's zone."""
        return shown(stamp(datetime.fromtimestamp(self.at, UTC)), "%H:%M")

    @property
    def told(self) -> str:
        """What has changed, as "pipeline.py changed 12:41"."""
        others = f" and {self.others} more" if self.others else ""
        return f"{Path(self.path).name}{others} changed {self.time}"


@dataclass(frozen=True, eq=False)
class Version:
    """The code of a pipeline as it was loaded: the sources of its file and of the modules of its folder."""

    sources: tuple[Source, ...] = ()
    hash: str | None = None
    """Eight hexadecimal digits, equal for equal sources; None where there are none."""
    spec: str | None = None
    """The text that the pipeline was loaded by; None when it was made by a program, and cannot be loaded again."""
    folder: Path | None = None
    """The folder whose modules they are."""
    modules: dict[str, ModuleType] = field(default_factory=dict)
    """By name."""
    strangers: frozenset[str] = frozenset()
    """Modules of the folder that others had imported before, which a reload leaves alone."""

    @property
    def watched(self) -> tuple[Source, ...]:
        """Its sources, and those of the modules of its folder that functions have imported since."""
        return self.sources if self.folder is None else (*self.sources, *later_sources(self.folder))

    def is_on_disk(self) -> bool:
        """Tell whether all files are there as they were loaded."""
        try:
            return all(Path(source.path).read_bytes() == source.text for source in self.watched)
        except OSError:
            return False

    def find(self, module: str, name: str) -> Any:
        """Return the class or function of a module of this version; of any other module as it is imported now.

        Raises `AttributeError` or `ImportError` when there is none.
        """
        found: Any = self.modules.get(module)
        if found is None:
            found = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
        return found


class Watch:
    """Looks at the files of a version; one that has neither another time nor another size is not read."""

    def __init__(self, version: Version) -> None:
        self._version = version
        self._seen: dict[str, tuple[int, int]] = {}
        self._changed: dict[str, float] = {}
        """Paths with the time of their change."""

    def look(self) -> Change | None:
        """Return what has changed since the version was loaded, the newest change first; None: nothing."""
        for source in self._version.watched:
            with suppress(OSError):  # an editor is about to put a new one in its place
                self._look_at(source)
        if not self._changed:
            return None
        path = max(self._changed, key=self._changed.__getitem__)
        return Change(path, self._changed[path], len(self._changed) - 1)

    def _look_at(self, source: Source) -> None:
        status = os.stat(source.path)  # noqa: PTH116 - once a second for each
        now = status.st_mtime_ns, status.st_size
        if self._seen.get(source.path) == now:
            return
        if Path(source.path).read_bytes() == source.text:
            self._changed.pop(source.path, None)
        else:
            self._changed[source.path] = status.st_mtime
        self._seen[source.path] = now


def note_version(
    pipeline: Pipeline, spec: str, folder: Path | None, module: ModuleType, strangers: frozenset[str]
) -> Version:
    """Note which sources a pipeline has just been made of, and return them as a version.

    `strangers` are the modules that others had imported from the folder before.
    """
    sources = () if folder is None else tuple(_sources_within(folder, module))
    modules = {name: sys.modules[name] for source in sources for name in source.names if name in sys.modules}
    version = Version(sources, _hash_of(sources), spec if sources else None, folder, modules, strangers)
    if not sources:
        version = _unloaded(pipeline)
    elif folder is not None:
        note_later_imports(folder)
    vars(pipeline)[_NOTED] = version  # beside the fields: a copy of the pipeline is another one
    return version


def version_of(pipeline: Pipeline) -> Version:
    """Return the version of a pipeline; of one that a program has made, the sources of this process."""
    noted: Version | None = vars(pipeline).get(_NOTED)
    return noted or _unloaded(pipeline)


def _unloaded(pipeline: Pipeline) -> Version:
    """Return the version of a pipeline that a program has made: its hash is that of the worker function's file."""
    worker: object = pipeline.worker_fn
    if not callable(worker):
        return Version()
    module = sys.modules.get(getattr(called_function(worker), "__module__", None) or "")
    path, text = getattr(module, "__file__", None), None
    if isinstance(path, str) and path.endswith(".py"):
        with suppress(OSError):
            text = Path(path).read_bytes()
    return Version(loaded_sources(), None if text is None else _hash_of([Source("", str(path), text)]))


def _sources_within(folder: Path, module: ModuleType) -> list[Source]:
    """Return the sources of the folder, without the files of other pipelines."""
    mine = source_of_module(module)
    return [
        source
        for source in loaded_sources()
        if is_within(source.path, folder) and (source == mine or not source.name.rpartition(".")[2].startswith(PREFIX))
    ]


def strangers_within(folder: Path | None) -> frozenset[str]:
    """Return the modules of a folder that are there without having been noted."""
    return frozenset(
        name
        for name, module in list(sys.modules.items())
        if folder is not None and source_of_module(module) is None and is_within(_file_of(module), folder)
    )


def _file_of(module: object) -> str | None:
    """Return the path of a module's file; of a package without one, where it would be."""
    variables = getattr(module, "__dict__", {})
    path, places = variables.get("__file__"), variables.get("__path__")
    if path is None and isinstance(places, Iterable):
        path = next((f"{place}{os.sep}__init__.py" for place in places), None)
    return path if isinstance(path, str) else None


def _hash_of(sources: Collection[Source]) -> str | None:
    """Return the short hash of the sources; the same wherever their folder is."""
    if not sources:
        return None
    above = os.path.commonpath([str(Path(source.path).parent) for source in sources])
    digest = hashlib.blake2s(digest_size=_HASH_BYTES)
    for path, text in sorted({os.path.relpath(source.path, above): source.text for source in sources}.items()):
        digest.update(b"%d %d " % (len(os.fsencode(path)), len(text)) + os.fsencode(path) + text)
    return digest.hexdigest()


# -- loading again -----------------------------------------------------------------------------------------------------


def load_again(version: Version, load: Callable[[str], Pipeline], accept: Callable[[Pipeline, Version], None]) -> None:
    """Load a pipeline from its files as they are now, and have it accepted.

    Whatever `load` or `accept` raises changes nothing: the modules of before are put back.
    """
    assert version.spec is not None
    gone = _take_out(version)
    try:
        pipeline = load(version.spec)
        accept(pipeline, version_of(pipeline))
    except BaseException:
        _take_out(version)
        _put_back(gone)
        raise


def _take_out(version: Version) -> dict[str, ModuleType]:
    """Remove the modules of the folder from those of this process, and return them."""
    folder = version.folder
    assert folder is not None
    gone = {
        name: module
        for name, module in list(sys.modules.items())
        if name not in version.strangers and (name in version.modules or _is_left_by(module, version))
    }
    for name in gone:
        del sys.modules[name]
    for name, module in gone.items():
        parent, _, child = name.rpartition(".")
        if getattr(sys.modules.get(parent), child, None) is module:
            delattr(sys.modules[parent], child)  # or it would be found there
    return gone


def _is_left_by(module: ModuleType, version: Version) -> bool:
    """Tell whether a module of the folder was imported by the version's code while it ran."""
    name = str(getattr(module, "__name__", ""))
    is_pipeline = name.rpartition(".")[2].startswith(PREFIX)
    return not is_pipeline and version.folder is not None and is_within(_file_of(module), version.folder)


def _put_back(gone: dict[str, ModuleType]) -> None:
    sys.modules.update(gone)
    for name, module in gone.items():
        parent, _, child = name.rpartition(".")
        if parent in sys.modules and not child.startswith(PREFIX):
            setattr(sys.modules[parent], child, module)
        if isinstance(module.__loader__, NotedLoader):
            module.__loader__.quote()
