"""Groups failures by a fingerprint of the error's type, its place in the user's code, and its message without details.

The fingerprint leaves out what differs between two occurrences of one bug: numbers, ids, paths and quoted values in the
message, and the line of the frame, which moves with every edit of the file above it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePath
from typing import Final

from pipeloom.text import first_line

_FRAME: Final = re.compile(r'^\s*File "(?P<path>.*)", line (?P<line>\d+)(?:, in (?P<function>\S+))?', re.MULTILINE)
_FOREIGN: Final = re.compile(
    r"[/\\](site-packages|dist-packages|lib[/\\]python\d|pipeloom[/\\](engine|store|tui|console|cli))|^<frozen"
)
_QUOTED: Final = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`")
_PLACE: Final = re.compile(r"(?:[a-z]+://|[A-Za-z]:\\|~?/)[^\s,;)\]]+")
_TOKEN: Final = re.compile(r"\b(?=\w*\d)[\w.:+-]+")
"""Words with a digit: numbers, times, hexadecimal ids, names with a number."""
_MASK: Final = "…"


@dataclass(frozen=True, slots=True)
class Frame:
    """A line of a traceback that names a place."""

    path: str
    line: int
    function: str

    @property
    def is_users(self) -> bool:
        """Whether the place is in the user's own code."""
        return _FOREIGN.search(self.path) is None

    @property
    def place(self) -> str:
        """The place as in "transform.py:41"."""
        return f"{PurePath(self.path).name}:{self.line}"


def frames(error: str) -> list[Frame]:
    """Return the places of a traceback, outermost first."""
    return [Frame(found["path"], int(found["line"]), found["function"] or "") for found in _FRAME.finditer(error)]


def deepest_frame(error: str) -> Frame | None:
    """Return the deepest frame in the user's own code; without one, the deepest of all."""
    known = frames(error)
    return next((frame for frame in reversed(known) if frame.is_users), known[-1] if known else None)


def masked(message: str) -> str:
    """Return the message without quoted values, paths, numbers and ids."""
    for pattern in (_QUOTED, _PLACE, _TOKEN):
        message = pattern.sub(_MASK, message)
    return message


def fingerprint(error_type: str | None, error: str | None, message: str | None) -> str:
    """Return twelve hexadecimal digits that are equal for all occurrences of one failure."""
    import hashlib  # it loads OpenSSL, which no reader of a file needs

    frame = deepest_frame(error or "")
    place = "" if frame is None else f"{PurePath(frame.path).name} {frame.function}"
    identity = "\n".join((error_type or "", place, masked(first_line(message or error or ""))))
    return hashlib.blake2s(identity.encode("utf-8", "backslashreplace"), digest_size=6).hexdigest()
