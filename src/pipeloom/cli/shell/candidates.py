"""What may come at a place of a command line: commands, options, their values, and the user's files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pipeloom.cli.command import is_argument
from pipeloom.cli.shell.file_names import databases, pipelines
from pipeloom.text import first_line

_DATABASE: Final = "DB"
_PIPELINE: Final = "PIPELINE"
_FILTERS: Final = frozenset({"FILTER", "ID|FILTER"})


@dataclass(frozen=True, slots=True)
class Candidate:
    """A word that may be meant."""

    value: str
    help: str = ""
    goes_on: bool = False
    """Whether more is typed behind it."""


class ShellFilesError(Exception):
    """The shell completes names of files itself."""


def candidates(program: str, words: Sequence[str], word: str) -> list[Candidate]:
    """Return what may be meant by `word` after the other words, of which the first is the program.

    Raises `ShellFilesError` where any file may come.
    """
    return [one for one in _all(program, list(words[1:]), word) if one.value.startswith(word)]


def _all(program: str, words: list[str], word: str) -> Iterable[Candidate]:
    if program == "pipeloom-tui":
        from pipeloom.cli.cockpit import program as cockpit

        return _Place.after(_made(cockpit), words).candidates(word)
    from pipeloom.cli.main import COMMANDS, command_named

    given = [name for name in words if not name.startswith("-")]
    if not given:
        commands = [Candidate(name, line) for name, (_, line) in COMMANDS.items()]
        return commands if not word.startswith("-") else [Candidate("--version"), Candidate("--help")]
    if given[0] not in COMMANDS:
        return []
    return _Place.after(command_named(given[0]), words[words.index(given[0]) + 1 :]).candidates(word)


def _made(program: Any) -> Any:
    import typer

    return typer.main.get_command(program)


@dataclass
class _Place:
    """A place on the command line of a command."""

    command: Any
    arguments: list[str]
    """Those before it."""
    waiting: Any = None
    """The option whose value comes next."""
    only_arguments: bool = False
    """Whether `--` came before."""

    @classmethod
    def after(cls, command: Any, words: Iterable[str]) -> _Place:
        place = cls(command, [])
        for word in words:
            place._take(word)
        return place

    def _take(self, word: str) -> None:
        if self.waiting is not None:
            self.waiting = None
        elif self.only_arguments or not word.startswith("-") or word == "-":
            self.arguments.append(word)
        elif word == "--":
            self.only_arguments = True
        else:
            option = self._option(word)
            self.waiting = option if option is not None and not option.is_flag else None

    def _option(self, name: str) -> Any:
        return next((one for one in self._options() if name in (*one.opts, *one.secondary_opts)), None)

    def _options(self) -> list[Any]:
        return [param for param in self.command.params if not is_argument(param)]

    def candidates(self, word: str) -> Iterator[Candidate]:
        if self.waiting is not None:
            yield from self._values(self.waiting, word)
        elif word.startswith("-") and not self.only_arguments:
            name, equals, value = word.partition("=")
            option = self._option(name) if equals else None
            if option is not None and not option.is_flag:
                for one in self._values(option, value):
                    yield Candidate(f"{name}={one.value}", one.help, one.goes_on)
            else:
                yield from self._names()
        else:
            yield from self._next_argument(word)

    def _names(self) -> Iterator[Candidate]:
        for option in self._options():
            told = first_line(option.help or "", 100)
            for name in (*option.opts, *option.secondary_opts):
                if name.startswith("--"):
                    yield Candidate(name, told)
        yield Candidate("--help", "Show this message and exit.")

    def _next_argument(self, word: str) -> Iterator[Candidate]:
        params = [param for param in self.command.params if is_argument(param)]
        place = len(self.arguments)
        if params and (place < len(params) or params[-1].nargs == -1):
            yield from self._values(params[min(place, len(params) - 1)], word)

    def _values(self, param: Any, word: str) -> Iterator[Candidate]:
        choices = getattr(param.type, "choices", None)
        meaning = str(param.metavar or "").upper()
        if choices:
            yield from (Candidate(str(getattr(choice, "value", choice))) for choice in choices)
        elif meaning == _DATABASE:
            yield from self._files(databases(word), word)
        elif meaning == _PIPELINE:
            yield from self._files(pipelines(word), word)
        elif meaning in _FILTERS:
            from pipeloom.cli.shell.filter_words import filter_words

            db = Path(self.arguments[0]).expanduser() if self.arguments else None
            yield from (Candidate(*one) for one in filter_words(word, db))
        elif meaning in ("FILE", "PATH", "DIR") or "path" in type(param.type).__name__.lower():
            raise ShellFilesError

    @staticmethod
    def _files(found: Iterable[tuple[str, bool]], word: str) -> Iterator[Candidate]:
        if word.startswith("~") or "$" in word:
            raise ShellFilesError  # which knows whose home it is
        there = [Candidate(name, goes_on=goes_on) for name, goes_on in found]
        if not there:
            raise ShellFilesError
        yield from there
