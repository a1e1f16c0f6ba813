"""The list of the user's files, in the state directory."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pipeloom.times import now_stamp
from pipeloom.user_state import LAST, PIPELINES, USED, UserRecords

_LONGEST: Final = 4096


@dataclass(frozen=True, slots=True)
class KnownFile:
    """A file of the list."""

    path: Path
    pipeline: str = ""
    """What this user last ran on it, as a command line names it; "" for nothing."""
    used_at: str = ""
    """When this user last ran or opened it."""


def known_files() -> list[KnownFile]:
    """Return the user's files, the one that was used last first."""
    found = [
        KnownFile(Path(path), _text(noted, LAST), _text(noted, USED))
        for path, noted in UserRecords(PIPELINES).read().items()
        if isinstance(noted, dict) and 0 < len(path) <= _LONGEST and "\0" not in path and path.startswith("/")
    ]
    return sorted(found, key=lambda file: file.used_at, reverse=True)


def set_list_aside() -> str:
    """Give a list that cannot be read another name; return a sentence about it, "" for nothing to tell."""
    return UserRecords(PIPELINES).set_aside()


def note_opened(path: Path, *, again: bool = True) -> None:
    """Note that this user has opened a file; without `again`, one that is known stays where it is in the list."""
    key = os.path.realpath(path)
    records = UserRecords(PIPELINES)
    if not again and key in records.read():
        return

    def note(known: dict[str, Any]) -> None:
        before = known.pop(key, None)
        known[key] = {**(before if isinstance(before, dict) else {}), USED: now_stamp()}

    records.change(note)


def forget(path: Path) -> None:
    """Take a file out of the list; the file stays as it is."""

    def drop(known: dict[str, Any]) -> None:
        known.pop(str(path), None)

    UserRecords(PIPELINES).change(drop)


def _text(noted: dict[str, Any], name: str) -> str:
    value = noted.get(name)
    return value if isinstance(value, str) else ""
