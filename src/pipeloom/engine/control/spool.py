"""The spool: the directory beside the database through which requests and answers go.

Only its user can reach it (0700). Each file in it appears by a rename, whole or not at all. Neither side follows a link
or reads a file of another user. Every access goes through a descriptor of the directory that was checked.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import uuid4

from pipeloom.errors import ControlError
from pipeloom.store.file.neighbours import CONTROL, beside
from pipeloom.times import unix_time

MAX_BYTES: Final = 1 << 20
"""Of a request, and of an answer."""
FORGOTTEN_S: Final = 60.0
"""Seconds after which an answer that was not fetched, or a file that was not renamed, is removed."""

_NAME: Final = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.(request|answer)")
_PARTIAL: Final = re.compile(r"\.[0-9a-f]{32}")
_SHARED: Final = 0o077


class NotOursError(Exception):
    """A file in the spool was not put there by this user's programs."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file in the spool."""

    name: str
    request_id: str | None
    """None: not a file of the spool."""
    is_request: bool
    age_s: float


def spool_path(db_path: Path) -> Path:
    """Return the path of the spool: beside the real file, with links resolved."""
    return beside(db_path, CONTROL)


def make_spool(path: Path) -> None:
    """Create the spool, or empty one that a dead owner left; raises `ControlError` if it is not this user's."""
    try:
        with suppress(FileExistsError):
            path.mkdir(mode=0o700)
        with opened(path) as directory:
            clear(directory)
    except OSError as error:
        raise ControlError(f"{path} cannot be used: {error.strerror}.") from error


def remove_spool(path: Path) -> None:
    """Remove the spool and its files, as far as possible."""
    with suppress(OSError, ControlError):
        with opened(path) as directory:
            clear(directory)
        path.rmdir()


@contextmanager
def opened(path: Path) -> Iterator[int]:
    """Yield a descriptor of the spool; raises `ControlError` when other users could reach into it."""
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        status = os.fstat(directory)
        if status.st_uid != os.geteuid() or status.st_mode & _SHARED:
            raise ControlError(f"{path} is not a private directory of this user (mode 0700): remove it.")
        yield directory
    finally:
        os.close(directory)


def entries(directory: int, most: int = 100) -> list[Entry]:
    """Return up to `most` of the files."""
    found = []
    now = unix_time()
    with os.scandir(directory) as scanned:
        for one in scanned:
            with suppress(FileNotFoundError):
                age_s = now - one.stat(follow_symlinks=False).st_mtime
                known = _NAME.fullmatch(one.name)
                if known is not None:
                    found.append(Entry(one.name, known[1], known[2] == "request", age_s))
                elif not _PARTIAL.fullmatch(one.name) or age_s > FORGOTTEN_S:
                    found.append(Entry(one.name, None, is_request=False, age_s=age_s))
            if len(found) == most:
                break
    return found


def read(directory: int, name: str) -> bytes:
    """Return the content of a file of this user; raises `NotOursError` for any other file."""
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise NotOursError(f"{name}: {error.strerror}") from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
            raise NotOursError(f"{name} is no ordinary file")
        if status.st_uid != os.geteuid() or status.st_mode & _SHARED:
            raise NotOursError(f"{name} is not a private file of this user")
        if status.st_size > MAX_BYTES:
            raise NotOursError(f"{name} has {status.st_size:,} bytes")
        return os.read(descriptor, MAX_BYTES)
    finally:
        os.close(descriptor)


def write(directory: int, name: str, data: bytes) -> None:
    """Write a file, whole or not at all."""
    partial = f".{uuid4().hex}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(partial, flags, 0o600, dir_fd=directory)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        os.rename(partial, name, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException:
        remove(directory, partial)
        raise


def remove(directory: int, name: str) -> bool:
    """Remove a file, a link or an empty directory, never a link's target; returns whether it was there."""
    try:
        os.unlink(name, dir_fd=directory)
    except (IsADirectoryError, PermissionError):
        with suppress(OSError):
            os.rmdir(name, dir_fd=directory)
    except FileNotFoundError:
        return False
    return True


def clear(directory: int) -> None:
    """Remove every entry."""
    for name in os.listdir(directory):
        remove(directory, name)
