"""Quoting for systemd's unit files and for crontabs."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from pipeloom.errors import UsageError


def systemd_command(words: Sequence[str]) -> str:
    """Return a command line for `ExecStart=`: `%` and, behind the program, `$` are doubled."""
    program, *arguments = words
    return " ".join([_systemd_word(program), *(_systemd_word(word).replace("$", "$$") for word in arguments)])


def systemd_path(path: str) -> str:
    """Return a path for a setting that takes the rest of its line."""
    return _checked(path).replace("%", "%%")


def _systemd_word(word: str) -> str:
    word = _checked(word).replace("%", "%%")
    if word and not set(word) & set(" \t\"'\\;"):
        return word
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'


def crontab_command(words: Sequence[str], folder: str) -> str:
    """Return a command line for a crontab, which runs it in `folder` by a shell: a `%` there would end the line."""
    command = f"cd {shlex.quote(folder)} && {shlex.join(words)}"
    return _checked(command).replace("%", "\\%")


def _checked(text: str) -> str:
    if unfit := next((char for char in text if not char.isprintable() and char != "\t"), None):
        raise UsageError(f"A unit and a crontab have a line for each setting: {text!r:.100} cannot hold {unfit!r}.")
    return text
