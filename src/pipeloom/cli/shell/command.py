"""`pipeloom completion`: the script of a shell, printed or installed."""

from __future__ import annotations

import os
import shlex
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Final

import typer

from pipeloom.cli.common import note
from pipeloom.cli.output import output, write
from pipeloom.cli.shell.scripts import PROGRAMS, SCRIPTS, Shell
from pipeloom.errors import UsageError

_RC: Final = {Shell.BASH: ".bashrc", Shell.ZSH: ".zshrc"}
_NAMES: Final = ", ".join(Shell)


def completion_command(
    shell: Annotated[
        Shell | None,
        typer.Argument(metavar="SHELL", help=f"{_NAMES}; the one that this is typed in.", show_default=False),
    ] = None,
    install: Annotated[
        bool, typer.Option("--install", help="Write the script to your home, and let the shell read it at its start.")
    ] = False,
) -> None:
    """Print the script that gives bash, zsh or fish the completion of `pipeloom` and `pipeloom-tui`.

    For bash and zsh: eval "$(pipeloom completion)" in ~/.bashrc or ~/.zshrc, after compinit if that is called there.
    For fish: pipeloom completion | source in ~/.config/fish/config.fish. Or --install, once.

    Exit codes: 0 fine; 2 the command line, or the home cannot be written to; 4 the output could not be written.
    """
    chosen = shell or _shell_around()
    if chosen is None:
        raise UsageError(f"It cannot be told which shell this is: name one of {_NAMES}.")
    if not install:
        with output():
            write([SCRIPTS[chosen]])
        return
    try:
        for path in _install(chosen):
            note(f"{path} was written.")
    except (OSError, RuntimeError) as error:  # there may be no home
        reason = getattr(error, "strerror", None) or error
        raise UsageError(
            f"The completion cannot be installed: {reason}. Without: pipeloom completion {chosen}"
        ) from None
    note(f"Start {chosen} again, and press tab after pipeloom.")


def _shell_around() -> Shell | None:
    """Return the shell that has started this program, by way of others such as `uv run`, else that of the user."""
    import psutil

    names: list[str] = []
    with suppress(psutil.Error):
        names += (process.name() for process in psutil.Process().parents())
    names.append(Path(os.environ.get("SHELL", "")).name)
    return next((Shell(name) for name in (one.lstrip("-") for one in names) if name in set(Shell)), None)


def _install(shell: Shell) -> list[Path]:
    """Write the script, and a line that reads it to the start of the shell; return the files that have changed."""
    home = Path.home()
    if shell is Shell.FISH:
        folder = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config") / "fish" / "completions"
        return [path for name in PROGRAMS if _changed(path := folder / f"{name}.fish", SCRIPTS[shell])]
    data = Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    script = data / "pipeloom" / f"completion.{shell}"
    rc = (Path(os.environ.get("ZDOTDIR") or home) if shell is Shell.ZSH else home) / _RC[shell]
    line = f"[ -r {shlex.quote(str(script))} ] && . {shlex.quote(str(script))}  # completion of pipeloom\n"
    before = rc.read_text(encoding="utf-8", errors="surrogateescape") if rc.exists() else ""
    changed = [script] if _changed(script, SCRIPTS[shell]) else []
    if line in before:
        return changed
    with rc.open("a", encoding="utf-8") as stream:
        stream.write(line if not before or before.endswith("\n") else f"\n{line}")
    return [*changed, rc]


def _changed(path: Path, text: str) -> bool:
    """Write a file unless it has this text; tell whether it was written."""
    if path.exists() and path.read_text(encoding="utf-8", errors="replace") == text:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return True
