"""A command line that is being typed, split as bash and fish split it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_BREAKS_COMMAND: Final = "|&;()"
_REDIRECTS: Final = "<>"
_ENDS: Final = f" \t\n{_BREAKS_COMMAND}{_REDIRECTS}"
_ESCAPED_IN_DOUBLE: Final = ("$", "`", '"', "\\", "\n")


@dataclass(frozen=True, slots=True)
class TypedLine:
    """The words before the cursor: the complete ones, and the one that is typed."""

    words: tuple[str, ...]
    """Without their quotes, the program first."""
    word: str
    """What the last word means as far as it is typed."""
    quote: str = ""
    """The quotation mark that is open in the last word."""
    typed: str = ""
    """The last word as it is typed."""
    redirected: bool = False
    """Whether the last word is where output goes to, or input comes from."""


def split_line(line: str) -> TypedLine:
    """Split a line up to the cursor; never fails."""
    return _Splitter(line).split()


class _Splitter:
    """Goes through a line once."""

    def __init__(self, line: str) -> None:
        self._line = line
        self._place = 0
        self._start = 0
        """Where the last word begins."""
        self._words: list[str] = []
        self._word = ""
        self._begun = False
        """Whether there is a last word, which may be empty."""
        self._quote = ""
        self._redirected = False

    def split(self) -> TypedLine:
        while self._place < len(self._line):
            char = self._line[self._place]
            self._place += 1
            if self._quote:
                self._take_quoted(char)
            elif char in _ENDS:
                self._take_end(char)
            else:
                self._take(char)
        typed = self._line[self._start :]
        return TypedLine(tuple(self._words), self._word, self._quote, typed, self._redirected)

    def _take_quoted(self, char: str) -> None:
        if char == self._quote:
            self._quote = ""
        elif char == "\\" and self._quote == '"' and self._next() in _ESCAPED_IN_DOUBLE:
            self._word += self._next()
            self._place += 1
        else:
            self._word += char

    def _take_end(self, char: str) -> None:
        if char in _REDIRECTS and self._word.isdigit():  # the number of a stream
            self._begun = False
        if self._begun and not self._redirected:
            self._words.append(self._word)
        if char in _BREAKS_COMMAND:
            self._words.clear()
        self._redirected = char in _REDIRECTS or (self._redirected and not self._begun)
        self._word, self._begun, self._start = "", False, self._place

    def _take(self, char: str) -> None:
        if not self._begun:
            self._start = self._place - 1
        self._begun = True
        if char in "'\"":
            self._quote = char
        elif char == "\\":
            self._word += self._next()
            self._place += 1
        else:
            self._word += char

    def _next(self) -> str:
        return self._line[self._place : self._place + 1]


def escaped(text: str, quote: str = "") -> str:
    """Return a text as it is typed outside quotation marks, or inside those that are open."""
    if quote == "'":
        return text.replace("'", "'\\''")
    if quote == '"':
        return "".join("\\" + char if char in '$`"\\' else char for char in text)
    return "".join(char if char.isalnum() or char in "_-./:=@%+,~^" else "\\" + char for char in text)
