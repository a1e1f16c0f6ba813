"""Cuts what a terminal sends into keys and whole sequences, and drops what is no key.

Textual takes a sequence that it does not know for keys, and so what is left of one that a slow line has cut: of a late
answer to a question about colours, its `r` runs a task again. The shapes are those of ECMA-48, section 5.4 and 5.6:
control sequences, and strings up to their terminator.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from typing import Final

from textual._ansi_sequences import ANSI_SEQUENCES_KEYS

ESCAPE: Final = "\x1b"
_PASTE: Final = "\x1b[200~"
_PASTE_END: Final = "\x1b[201~"
_LONGEST: Final = 1 << 16
"""Characters after which a string that does not end is given up."""
_LONGEST_PASTE: Final = 1 << 22

_CONTROL: Final = re.compile(r"\x1b\[(?:\[.|M...|\d+\$|(?![\[M])[0-?]*[ -/]*[@-~])", re.DOTALL)
"""A control sequence, after a function key of the Linux console, an old report of the mouse, and a key of rxvt."""
_CONTROL_BEGUN: Final = re.compile(r"\x1b\[(?:\[|M.{0,2}|[0-?]*[ -/]*)\Z", re.DOTALL)
_SINGLE: Final = re.compile(r"\x1bO[0-9;]*[@-~]")
_SINGLE_BEGUN: Final = re.compile(r"\x1bO[0-9;]*\Z")
_STRING: Final = re.compile(
    r"""\x1b(?: \](?=[0-9]+;|[lLI]) | P(?=[0-9>!=?$+]) | _(?=G) | [\^X] )
    [^\x07\x1b\x18\x1a]* (?: \x07 | \x18 | \x1a | \x1b\\ | (?=\x1b[^\\]) )""",
    re.VERBOSE,
)
"""A string of the terminal: OSC, DCS, APC, PM or SOS. Another sequence ends it; other beginnings are alt and a key."""
_STRING_BEGUN: Final = re.compile(
    r"""\x1b(?: \](?: [0-9]{0,5} | (?:[0-9]{1,5};|[lLI]) [^\x07\x1b\x18\x1a]*)
    | P(?: [0-9>!=?$+] [^\x07\x1b\x18\x1a]* )?
    | _(?: G [^\x07\x1b\x18\x1a]* )?
    | [\^X] [^\x07\x1b\x18\x1a]* ) \x1b?\Z""",
    re.VERBOSE,
)
_KNOWN: Final = re.compile(
    r"\x1b\[(?:<?[-\d;]+[mM]|M...|\?\d+;\d\$y|\d+;\d+R|48;\d[\d:;]*t|[IO]|(?:[\d:]*;?){2,3}[u~ABCDEFHPQRS])", re.DOTALL
)
"""Control sequences that Textual understands besides those of its table."""


class TerminalInput:
    """Keeps a sequence that has begun until it is whole. A lone escape is a key once nothing has followed it."""

    def __init__(self) -> None:
        self._held = ""
        self._pasting = False

    def give_up_escape(self) -> bool:
        """Take the lone escape that is held for a key; return whether there was one."""
        if self._pasting or self._held != ESCAPE:
            return False
        self._held = ""
        return True

    def feed(self, text: str) -> Iterator[str]:
        """Yield what is whole: a run of characters, a sequence that is known, an escape, or a paste with its marks."""
        text, self._held = self._held + text, ""
        while text:
            if self._pasting:
                text = yield from self._paste(text)
            elif text[0] != ESCAPE:
                plain = text.partition(ESCAPE)[0]
                text = text[len(plain) :]
                yield plain
            elif (whole := _CONTROL.match(text) or _SINGLE.match(text)) is not None:
                text = text[whole.end() :]
                if whole[0] == _PASTE:
                    self._pasting = True
                elif whole[0] in ANSI_SEQUENCES_KEYS or _KNOWN.fullmatch(whole[0]):
                    yield whole[0]
            elif (string := _STRING.match(text)) is not None:
                text = text[string.end() :]
            elif self._is_begun(text):
                self._held = text
                return
            else:
                size = 1 if text[1:2] in ("", ESCAPE) else 2  # an escape, or alt and a key
                yield text[:size]
                text = text[size:]

    def _is_begun(self, text: str) -> bool:
        """Tell whether the rest of the sequence may still come."""
        begun = text == ESCAPE or any(each.match(text) for each in (_CONTROL_BEGUN, _SINGLE_BEGUN, _STRING_BEGUN))
        return begun and len(text) < _LONGEST

    def _paste(self, text: str) -> Generator[str, None, str]:
        """Yield the paste once its end has come, without control sequences: Textual would take them for keys."""
        pasted, end, rest = text.partition(_PASTE_END)
        if not end and len(text) < _LONGEST_PASTE:
            self._held = text
            return ""
        self._pasting = False
        yield f"{_PASTE}{pasted.replace(ESCAPE, '')}{_PASTE_END}"
        return rest
