"""Environments in the user's cache: one for what files need and this pipeloom, made once, under a lock.

One that was not finished has no mark and is made again. Any may be removed: it is made again when it is needed.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_path

from pipeloom.environment.extras import READY
from pipeloom.environment.needs import fits, in_force
from pipeloom.environment.own import NAME, Own
from pipeloom.environment.script import Script
from pipeloom.environment.uv import install, make_environment, resolved
from pipeloom.errors import UsageError
from pipeloom.user_state import private_folder, user_folder

OLDEST_PYTHON = ">=3.11"
"""What pipeloom itself needs."""


@dataclass(frozen=True, slots=True)
class Environment:
    """What an environment has to contain, and its place."""

    scripts: tuple[Script, ...]
    own: Own

    @property
    def has_this_python(self) -> bool:
        """Whether it is made with this interpreter: all files take it."""
        return all(map(fits, self.scripts))

    @property
    def python(self) -> str:
        """The interpreter, as uv is asked for it: this one where it fits."""
        if self.has_this_python:
            return os.path.realpath(sys.executable)  # the one that a virtual environment is of
        wanted = (str(script.requires_python) for script in self.scripts)
        return ",".join((OLDEST_PYTHON, *filter(None, wanted)))

    @property
    def requirements(self) -> tuple[str, ...]:
        """What the files need."""
        return tuple(dict.fromkeys(str(one) for script in self.scripts for one in script.dependencies))

    @property
    def folder(self) -> Path:
        """Where it is; raises `UsageError` for a user without a home."""
        cache = user_folder(user_cache_path)
        if cache is None:
            raise UsageError("This user has no home, so there is no place for an environment: set XDG_CACHE_HOME.")
        made_for = [self.requirements, self.python, platform.python_version(), platform.machine(), self.own.identity]
        return cache / "environments" / hashlib.sha256(json.dumps(made_for).encode()).hexdigest()[:16]

    @property
    def is_ready(self) -> bool:
        """Whether it is there, whole, and its interpreter, too."""
        return self._mark.is_file() and os.access(self.program("python"), os.X_OK)

    def program(self, name: str) -> Path:
        """Return the path of a program in it."""
        return self.folder / "bin" / name

    def told(self, uv: str) -> list[str]:
        """Return the distributions that uv would install, as `name==version`; empty when that is not known."""
        from packaging.requirements import Requirement

        wanted = [Requirement(one) for one in self.requirements]
        ours = [one for one in wanted if one.name.lower() == NAME]
        extras = {*self.own.extras, *(extra for one in ours for extra in one.extras)}
        of_ours = [*in_force(map(Requirement, self.own.requires), ("", *extras))]
        for one in of_ours:
            one.marker = None
        others = [one for one in wanted if one not in ours]
        if versions := resolved(uv, self.python, [str(one) for one in (*others, *of_ours)]):
            versions.append(f"{NAME}=={self.own.version}")
        return sorted(versions)

    def make(self, uv: str, versions: Sequence[str], waiting: Callable[[], None]) -> None:
        """Make it, if no other process has; `waiting` is called while one does.

        The versions are those that were shown. Raises `UsageError` when there is no place for it or uv cannot make it.
        """
        try:
            private_folder(self.folder.parent)
            with _locked(self.folder.with_suffix(".lock"), waiting) as lock:
                if not self.is_ready:
                    self._make(uv, versions, lock)
        except OSError as error:
            raise UsageError(f"No environment can be made in {self.folder.parent}: {error.strerror}.") from error

    def _make(self, uv: str, versions: Sequence[str], lock: int) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)  # what was not finished; uv says so where that fails
        make_environment(uv, self.folder, self.python)
        arguments = [*self.own.requirement(self.folder), *self.requirements]
        exact = self.folder / "versions.txt"
        exact.write_text("\n".join(one for one in versions if not one.startswith(f"{NAME}==")), encoding="utf-8")
        install(uv, self.folder, [*arguments, "--constraint", str(exact)], lock=lock)
        self._mark.touch()

    @property
    def _mark(self) -> Path:
        return self.folder / READY


@contextmanager
def _locked(path: Path, waiting: Callable[[], None]) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)
