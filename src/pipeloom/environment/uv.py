"""The program `uv`: where it is, and the three things that it is asked for."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pipeloom.errors import UsageError
from pipeloom.text import clean

_RESOLVE_S: Final = 60.0
_SAID: Final = 600
"""Characters of what uv has said that a sentence quotes."""


def find_uv() -> str | None:
    """Return the path of uv: of the distribution that the extra `pipeloom[uv]` brings, else on the PATH."""
    try:
        from uv import find_uv_bin

        return str(find_uv_bin())
    except (ImportError, OSError):
        return shutil.which("uv")


def resolved(uv: str, python: str, requirements: Sequence[str]) -> list[str]:
    """Return what uv would install for the requirements, as `name==version`; empty when that is not known.

    Nothing is built for it: the code of a package runs only after the question.
    """
    command = [uv, "pip", "compile", "--quiet", "--no-build", "--no-header", "--no-annotate", "--python", python, "-"]
    try:
        done = subprocess.run(  # noqa: S603 - our own arguments, and those of the file that the user has agreed to
            command,
            input="\n".join(requirements),
            capture_output=True,
            text=True,
            timeout=_RESOLVE_S,
            cwd="/",
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    lines = [line.partition(" ;")[0].strip() for line in done.stdout.splitlines()]
    return [line for line in lines if line and not line.startswith("#")] if done.returncode == 0 else []


def make_environment(uv: str, folder: Path, python: str) -> None:
    """Make an empty environment in `folder`; raises `UsageError` with what uv says when it cannot."""
    _run([uv, "venv", "--quiet", "--no-project", "--python", python, str(folder)], folder.parent)


def install(uv: str, folder: Path, arguments: Sequence[str], *, lock: int) -> None:
    """Install into the environment in `folder`; raises `UsageError` with what uv says when it cannot.

    uv inherits the descriptor of the lock: it goes on when this process is killed.
    """
    python = str(folder / "bin" / "python")
    _run([uv, "pip", "install", "--python", python, *arguments], folder.parent, lock)


def _run(command: list[str], folder: Path, *kept: int) -> None:
    watched = sys.stderr is not None and sys.stderr.isatty()
    try:
        done = subprocess.run(  # noqa: S603 - our own arguments, and those of the file that the user has agreed to
            command,
            cwd=folder,  # not the user's: a pyproject.toml there is of another project
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=None if watched else subprocess.PIPE,  # with bars, for a person
            pass_fds=kept,
            check=False,
        )
    except OSError as error:
        raise UsageError(f"uv cannot be started: {error.strerror} ({command[0]}).") from error
    if done.returncode != 0:
        said = (
            "what it says is above"
            if watched
            else clean(" ".join((done.stderr or b"").decode(errors="replace").split()), _SAID)
        )
        raise UsageError(f"uv could not make the environment: {said}")
