"""The way back to the home screen: the program starts again, as it was when it showed that.

A pipeline leaves modules, threads, another folder and other variables behind, which the next one must not find.
"""

from __future__ import annotations

import atexit
import json
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final, NoReturn, Self

from pipeloom.errors import UsageError

_NOTE: Final = "PIPELOOM_WAY_BACK"
"""Environment variable with the way back, for the program that starts in another environment."""


@dataclass(frozen=True, slots=True)
class WayBack:
    """How the program was started that showed the home screen."""

    words: tuple[str, ...]
    """The interpreter and its arguments."""
    folder: str
    variables: dict[str, str | None]
    """Of the environment; None: one that is taken out."""

    @classmethod
    def from_here(cls) -> Self:
        """Return the way back to this program as it is now."""
        return cls((sys.executable, *sys.orig_argv[1:]), os.path.realpath("."), dict(os.environ))

    @classmethod
    def noted(cls) -> Self | None:
        """Return the way that the program before this one has noted, which is told once; None without one."""
        with suppress(ValueError, TypeError):
            words, folder, variables = json.loads(os.environ.pop(_NOTE, ""))
            return cls(tuple(words), folder, os.environ | variables)
        return None

    @contextmanager
    def for_the_next(self) -> Iterator[None]:
        """Note the way for a program that takes the place of this one meanwhile."""
        from pipeloom.environment.enter import CHANGED  # most programs stay

        os.environ[_NOTE] = json.dumps([self.words, self.folder, {name: self.variables.get(name) for name in CHANGED}])
        try:
            yield
        finally:
            os.environ.pop(_NOTE, None)

    def go(self) -> NoReturn:
        """Replace this process, after what Python does at its end; raises `UsageError` when that is not possible."""
        for thread in threading.enumerate():
            if not thread.daemon and thread is not threading.current_thread():
                thread.join()
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        try:
            os.chdir(self.folder)
            variables = {name: value for name, value in self.variables.items() if value is not None}
            os.execve(self.words[0], self.words, variables)  # noqa: S606 - no shell
        except OSError as error:
            raise UsageError(f"The home screen cannot be shown again: {error.strerror}.") from error
