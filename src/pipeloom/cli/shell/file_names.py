"""The user's database files and pipelines, as names that are typed."""

from __future__ import annotations

import ast
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

_MAGIC: Final = b"SQLite format 3\0"
_ENDINGS: Final = (".db", ".sqlite", ".sqlite3", ".db3")
_LOOKED_AT: Final = 2_000
"""Entries of a folder that are looked at."""
_LONGEST_SOURCE: Final = 1_000_000

Names = Iterator[tuple[str, bool]]
"""Names, and whether more follows them."""


def databases(word: str) -> Names:
    """Yield the SQLite files that `word` begins, and the folders on the way to others."""
    yield from _entries(word, _is_database)


def pipelines(word: str) -> Names:
    """Yield the Python files that `word` begins, the folders, and after `file.py:` the pipelines that it defines."""
    path, colon, _ = word.rpartition(":")
    if colon and path.endswith(".py"):
        for name in _pipelines_of(Path(path)):
            yield f"{path}:{name}", False
    else:
        yield from _entries(word, lambda entry: entry.name.endswith(".py"))


def _entries(word: str, is_meant: Callable[[os.DirEntry[str]], bool]) -> Names:
    """Yield the entries of the folder of `word` that begin as it does; hidden ones only after a dot."""
    folder, _, begun = word.rpartition("/")
    typed = word[: len(word) - len(begun)]
    try:
        with os.scandir((folder or "/") if typed else ".") as listing:
            found = [entry for _, entry in zip(range(_LOOKED_AT), listing, strict=False)]
    except OSError:
        return
    for entry in sorted(found, key=lambda entry: entry.name):
        if not entry.name.startswith(begun) or (entry.name.startswith(".") and not begun.startswith(".")):
            continue
        try:
            if entry.is_dir():
                if entry.name != "__pycache__":
                    yield f"{typed}{entry.name}/", True
            elif entry.is_file() and is_meant(entry):
                yield f"{typed}{entry.name}", False
        except OSError:
            continue


def _is_database(entry: os.DirEntry[str]) -> bool:
    """Tell by its first bytes: nothing else in this process has it open, so closing it drops no locks of SQLite's."""
    if entry.stat().st_size == 0:
        return entry.name.endswith(_ENDINGS)
    descriptor = os.open(entry.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return os.read(descriptor, len(_MAGIC)) == _MAGIC
    finally:
        os.close(descriptor)


def _pipelines_of(path: Path) -> Iterator[str]:
    """Yield the names that a file gives to pipelines at its top, as far as its text shows: it is not imported."""
    try:
        text = path.read_bytes()[:_LONGEST_SOURCE]
        tree = ast.parse(text)
    except (OSError, ValueError, SyntaxError, RecursionError):
        return
    for statement in tree.body:
        targets = statement.targets if isinstance(statement, ast.Assign) else []
        if isinstance(statement, ast.AnnAssign):
            targets = [statement.target]
        value = getattr(statement, "value", None)
        called = value.func if isinstance(value, ast.Call) else None
        made = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
        if made == "Pipeline":
            yield from (target.id for target in targets if isinstance(target, ast.Name))
