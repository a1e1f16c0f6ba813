"""Answers a shell that asks how a command line may go on. Reads files and changes none."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Final

from pipeloom.cli.shell.candidates import Candidate, ShellFilesError, candidates
from pipeloom.cli.shell.scripts import VARIABLE, Shell
from pipeloom.cli.shell.typed_line import TypedLine, escaped, split_line
from pipeloom.text import clean

_MOST: Final = 500


def complete(program: str, arguments: Sequence[str]) -> None:
    """Write the answer for the shell that the environment names. A mistake of ours shows nothing at all."""
    shell = os.environ.pop(VARIABLE, "")
    try:
        sys.stdout.write(answer(program, shell, arguments))
        sys.stdout.flush()
    except Exception:  # noqa: BLE001 - a traceback would be drawn over the line that is typed
        os._exit(1)


def answer(program: str, shell: str, arguments: Sequence[str]) -> str:
    """Return the answer: lines whose form is that of the shell's script; `files` leaves the word to the shell."""
    match shell, list(arguments):
        case Shell.ZSH, [*words, word]:
            typed = TypedLine((program, *words), word)
        case ((Shell.BASH | Shell.FISH), [line, *_]):
            typed = split_line(line)
        case _:
            return ""
    while typed.words and "=" in typed.words[0]:  # a variable for this command
        typed = TypedLine(typed.words[1:], typed.word, typed.quote, typed.typed, typed.redirected)
    if typed.redirected:
        return "files\n"
    try:
        found = [one for one in candidates(program, typed.words, typed.word) if clean(one.value) == one.value][:_MOST]
    except ShellFilesError:
        return "files\n"
    if shell == Shell.BASH:
        return _for_bash(found, typed, arguments[1] if len(arguments) > 1 else "")
    return "".join(_line(shell, one) for one in found)


def _line(shell: str, one: Candidate) -> str:
    told = clean(one.help, 100)
    kind = "" if shell == Shell.FISH else "on\t" if one.goes_on else "end\t"
    return f"{kind}{one.value}\t{told}\n"


def _for_bash(found: list[Candidate], typed: TypedLine, breaks: str) -> str:
    """Return what bash puts in place of the part of the word that it replaces: what follows the last of its breaks."""
    kept = _kept(typed, breaks)
    values = [one.value for one in found]
    goes_on = any(one.goes_on for one in found)
    if goes_on and typed.quote and len(values) == 1:
        values.append(f"{values[0]}…")  # of a single one, bash closes the quotation mark
    return "".join(
        f"{line}\n" for line in ("on" if goes_on else "end", *(escaped(one[kept:], typed.quote) for one in values))
    )


def _kept(typed: TypedLine, breaks: str) -> int:
    """Return how many characters of what the word means stay before the part that bash replaces."""
    if typed.quote:
        opened = typed.typed.rindex(typed.quote) if typed.typed.count(typed.quote) == 1 else 0
        return len(split_line(typed.typed[:opened]).word)
    kept = 0
    inside = ""
    for place, char in enumerate(typed.typed):
        if inside:
            inside = "" if char == inside else inside
        elif char in "'\"":
            inside = char
        elif char in breaks and not char.isspace() and typed.typed[place - 1 : place] != "\\":
            kept = len(split_line(typed.typed[: place + 1]).word)
    return kept
