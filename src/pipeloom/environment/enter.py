"""The way into an environment: what a file needs is asked about once, and the program starts again in there."""

from __future__ import annotations

import os
import shlex
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NoReturn

from pipeloom.environment.environments import Environment
from pipeloom.environment.extras import how_to_add, how_to_get
from pipeloom.environment.needs import Lack, lacking
from pipeloom.environment.own import own
from pipeloom.environment.script import Script
from pipeloom.environment.uv import find_uv
from pipeloom.errors import UsageError
from pipeloom.text import as_typed, clean
from pipeloom.user_state import UserRecords

GUARD: Final = "PIPELOOM_ENVIRONMENT"
"""Environment variable with what this process was started for, so that it is not started again and again."""
CHANGED: Final = (GUARD, "VIRTUAL_ENV", "PATH", "PYTHONHOME")
"""Environment variables that are others in there."""
_AGREED: Final = "environments"
_PROGRAMS: Final = ("pipeloom", "pipeloom-tui")


def enter(scripts: Sequence[Script], program: str, arguments: Sequence[str], *, yes: bool, ask: bool = True) -> None:
    """Return when this interpreter has what the files need; else start the program again where it has.

    The files are those that the user has named on the command line. What would be installed is shown, and asked for
    once for each file and what it says; `yes` is the answer. Raises `UsageError` without a terminal to ask on, when the
    answer is no, or without uv.
    """
    lacks = {script.path: found for script in scripts if (found := lacking(script))}
    if not lacks:
        return
    told = _told(lacks)
    environment = Environment(tuple(scripts), own())
    if os.environ.get(GUARD) == _guard(environment) and sys.prefix == os.environ.get("VIRTUAL_ENV"):
        raise UsageError(f"{told} The environment in {sys.prefix} does not have it: remove that folder, and try again.")
    agreed = yes or _is_agreed(scripts)
    if not agreed and not (ask and _may_ask()):
        if not environment.is_ready:
            _uv(environment, told)
        raise UsageError(f"{told} {_what_to_type(program, arguments)}")
    if not (agreed and environment.is_ready):
        _make(environment, lacks, agreed=agreed)
    if not yes:
        _agree(scripts)
    _start_again(environment, program, arguments)


def refuse_unmet(script: Script) -> None:
    """Raise `UsageError` when a file needs what this interpreter does not have: here, nothing is installed."""
    if found := lacking(script):
        raise UsageError(f"{_told({script.path: found})} Leave, and name the file on the command line.")


def _make(environment: Environment, lacks: dict[Path, list[Lack]], *, agreed: bool) -> None:
    uv = _uv(environment, _told(lacks))
    versions = [] if agreed else _ask(uv, environment, lacks)
    _say(f"Making the environment {environment.folder} …")
    environment.make(uv, versions, lambda: _say("Another pipeloom makes it: waiting for that."))


def _uv(environment: Environment, told: str) -> str:
    """Return the path of uv; raises `UsageError` with the ways to go on without it."""
    uv = find_uv()
    if uv is None:
        raise UsageError(
            f"{told} uv would make an environment with it: {how_to_get('uv')}. Or install it: "
            f"{how_to_add(environment.requirements)}"
        )
    return uv


def _ask(uv: str, environment: Environment, lacks: dict[Path, list[Lack]]) -> list[str]:
    """Show what would be installed, and ask; return the versions. Raises `UsageError` after a no."""
    for path, found in lacks.items():
        _say(f"{clean(path.name, 200)} needs what is not installed here:")
        for lack in found:
            _say(f"  {clean(lack.told, 200)}")
    versions = environment.told(uv)
    _say(f"uv would make an environment for it in {clean(environment.folder, 300)}, with")
    if not environment.has_this_python:
        _say(f"  Python {clean(environment.python, 200)}, which uv finds or downloads")
    shown = ", ".join(versions or environment.requirements)
    for line in textwrap.wrap(clean(shown, 4000), 76, break_long_words=False, break_on_hyphens=False):
        _say(f"  {line}")
    if not versions:
        _say("and with what that and pipeloom need, whose versions cannot be told now.")
    _say("Make it, and run there? [y/N] ", end="")
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise UsageError("Nothing was installed, and nothing was run.")
    return versions


def _what_to_type(program: str, arguments: Sequence[str]) -> str:
    place = 1 if program == _PROGRAMS[0] else 0
    typed = shlex.join([program, *arguments[:place], "--yes", *arguments[place:]])
    return f"To have uv make an environment with it, type: {typed}"


def _told(lacks: dict[Path, list[Lack]]) -> str:
    (path, found), *_ = lacks.items()
    return f"{as_typed(path)} needs {', '.join(lack.told for lack in found)}, which is not installed here."


def _may_ask() -> bool:
    return all(stream is not None and not stream.closed and stream.isatty() for stream in (sys.stdin, sys.stderr))


def _say(text: str, end: str = "\n") -> None:
    sys.stderr.write(f"{text}{end}")
    sys.stderr.flush()


def _guard(environment: Environment) -> str:
    return " ".join(script.digest[:16] for script in environment.scripts)


def _start_again(environment: Environment, program: str, arguments: Sequence[str]) -> NoReturn:
    """Replace this process: its terminal, its signals and its exit code are the next one's."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    surroundings = {
        **os.environ,
        GUARD: _guard(environment),
        "VIRTUAL_ENV": str(environment.folder),
        "PATH": os.pathsep.join([str(environment.folder / "bin"), os.environ.get("PATH", os.defpath)]),
    }
    surroundings.pop("PYTHONHOME", None)
    python = str(environment.program("python"))
    try:
        os.execve(python, [python, str(environment.program(program)), *arguments], surroundings)  # noqa: S606 - no shell
    except OSError as error:
        raise UsageError(f"{python} cannot be started: {error.strerror}. Remove {environment.folder}.") from error


# -- what the user has agreed to -------------------------------------------------------------------------------------


def _is_agreed(scripts: Sequence[Script]) -> bool:
    known = UserRecords(_AGREED).read()
    return all(known.get(str(script.path)) == script.digest for script in scripts)


def _agree(scripts: Sequence[Script]) -> None:
    def add(known: dict[str, object]) -> None:
        for script in scripts:
            known.pop(str(script.path), None)
            known[str(script.path)] = script.digest

    if not _is_agreed(scripts):
        UserRecords(_AGREED).change(add)
