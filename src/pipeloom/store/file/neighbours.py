"""The files beside a database that belong to it: what a person names as a target must not be one of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from pipeloom.errors import UsageError

LOCK: Final = ".lock"
CONTROL: Final = ".control"
HELD: Final = ".held-"
"""Begins the suffix of the files in which messages of atomic attempts wait; the attempt's id follows."""
_SUFFIXES: Final = ("", "-wal", "-shm", "-journal", LOCK, CONTROL)


def beside(db_path: Path, suffix: str) -> Path:
    """Return the path of a neighbour of the real file, also when a link leads to it."""
    real = Path(os.path.realpath(db_path))
    return real.with_name(real.name + suffix)


def check_apart(target: Path, db_path: Path) -> None:
    """Raise `UsageError` when `target` is a part of the database, by whatever name or link, or lies in its spool."""
    parts = [beside(db_path, suffix) for suffix in _SUFFIXES]
    real = Path(os.path.realpath(target))
    is_held = real.parent == parts[0].parent and real.name.startswith(f"{parts[0].name}{HELD}")
    if is_held or real in parts or parts[-1] in real.parents or any(_is_same(target, part) for part in parts):
        raise UsageError(f"{target} belongs to the database itself: choose another file.")


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except (OSError, ValueError):
        return False
