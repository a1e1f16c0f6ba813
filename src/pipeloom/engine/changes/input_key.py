"""The input key of a task: its version, and the content of the files that it reads.

A file whose size and time are as they were is not read. Its content is compared by a hash once they moved.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from pipeloom.errors import PipeloomError
from pipeloom.pipeline import task_inputs, task_version
from pipeloom.secrets import masked
from pipeloom.text import clean, size
from pipeloom.times import local_stamp, stamp

_SECOND_NS: Final = 1_000_000_000
_STEP_NS: Final = 20_000_000
"""Longest step in which the times of a filesystem advance, where it keeps fractions of a second; else two seconds."""
_LATEST_NS: Final = 10**20
"""Times from here on are no dates."""
_CHUNK: Final = 1 << 20


class InputError(PipeloomError):
    """A file that a task reads is not there, or is none."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"The input {clean(name, 200)} {why}.")
        self.why = why


class FileKey(NamedTuple):
    """A file as it was."""

    size: int
    """In bytes."""
    changed_ns: int | None
    """Its time of change; None where a later change could have the same."""
    digest: str

    def is_as(self, found: os.stat_result) -> bool:
        """Tell whether size and time are the same, so that the content is, too."""
        return self.changed_ns == found.st_mtime_ns and self.size == found.st_size


@dataclass(frozen=True, slots=True)
class InputKey:
    """Version and files of a task, by the paths as they were given, with secrets masked."""

    version: str | None = None
    files: Mapping[str, FileKey] = field(default_factory=dict)

    @property
    def text(self) -> str | None:
        """The key as the file keeps it, as JSON; None for a task with neither."""
        kept: dict[str, Any] = {} if self.version is None else {"version": masked(self.version)}
        if self.files:
            kept["inputs"] = {masked(name): key for name, key in self.files.items()}
        return json.dumps(kept, separators=(",", ":")) if kept else None

    def lines(self) -> list[str]:
        """Return version and files in words, a line for each."""
        told = [] if self.version is None else [f"version {self.version}"]
        return told + [f"{name}  {size(key.size)}{_changed(key.changed_ns)}" for name, key in self.files.items()]


def _changed(changed_ns: int | None) -> str:
    if changed_ns is None:
        return ""
    return f", changed {local_stamp(stamp(datetime.fromtimestamp(changed_ns // _SECOND_NS, UTC)))}"


def key_of(text: str | None) -> InputKey:
    """Return the key that the file keeps; what another program has written there counts for nothing."""
    try:
        found = json.loads(text or "{}")
        files = {name: _read(values) for name, values in found.get("inputs", {}).items()}
        version = found.get("version")
    except (ValueError, TypeError, AttributeError, RecursionError):
        return InputKey()
    return InputKey(version if isinstance(version, str) else None, files)


def _read(values: object) -> FileKey:
    match values:
        case [int(count), int() | None as changed_ns, str(digest)] if count >= 0 and abs(changed_ns or 0) < _LATEST_NS:
            return FileKey(count, changed_ns, digest)
    raise TypeError(values)


def is_same(text: str | None, version: str | None, names: Sequence[str]) -> bool:
    """Tell whether version and files are as in a key by size and time alone: without a difference, nothing is read.

    For the many tasks that have not changed, this costs a third of looking for what differs.
    """
    if text is None:
        return version is None and not names
    try:
        kept = json.loads(text)
        files = kept.get("inputs", {})
        if kept.get("version") != version or len(files) != len(names):
            return False
        for name in names:
            found, (size, changed_ns, _) = os.stat(name), files[name]  # noqa: PTH116
            if found.st_mtime_ns != changed_ns or found.st_size != size:
                return False
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return False
    return True


def version_key(task: object) -> str | None:
    """Return the key of a task that reads no files, as JSON; None for no key, and for a task that reads some."""
    return None if task_inputs(task) else InputKey(task_version(task)).text


def taken(task: object, known: str | None, check: Callable[[], None]) -> str | None:
    """Return the key of a task as its files are now, as JSON; None for a task that reads none.

    Files that are as in the `known` key are not read. `check` is called while a file is read, and may raise. Raises
    `InputError` for a file that cannot be read.
    """
    names = task_inputs(task)
    if not names:
        return None
    before = key_of(known).files
    return InputKey(task_version(task), {name: _file_key(name, before.get(masked(name)), check) for name in names}).text


def _file_key(name: str, before: FileKey | None, check: Callable[[], None]) -> FileKey:
    now_ns = time.time_ns()
    found = looked_at(name)
    if before is not None and before.is_as(found):
        return before
    changed_ns = found.st_mtime_ns
    step_ns = 2 * _SECOND_NS if changed_ns % _SECOND_NS == 0 else _STEP_NS
    return FileKey(found.st_size, changed_ns if changed_ns + step_ns < now_ns else None, digest_of(name, check))


def looked_at(name: str) -> os.stat_result:
    """Return size and time of an input; raises `InputError` where it is no file that can be read."""
    try:
        found = os.stat(name)  # noqa: PTH116 - a third of the time of `Path.stat`, for each of 100,000
    except (OSError, ValueError) as error:
        raise _input_error(name, error) from None
    if not stat.S_ISREG(found.st_mode):
        what = "a folder: name the files in it" if stat.S_ISDIR(found.st_mode) else "no ordinary file"
        raise InputError(name, f"is {what}")
    return found


def digest_of(name: str, check: Callable[[], None] = lambda: None) -> str:
    """Return the hash of a file's content; raises `InputError` where it cannot be read."""
    digest = hashlib.blake2b(digest_size=16)
    try:
        with Path(name).open("rb", buffering=0) as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
                check()
    except OSError as error:
        raise _input_error(name, error) from None
    return digest.hexdigest()


def _input_error(name: str, error: Exception) -> InputError:
    if isinstance(error, FileNotFoundError):
        return InputError(name, "is missing")
    why = error.strerror if isinstance(error, OSError) else error
    return InputError(name, f"cannot be read: {clean(why, 200)}")
