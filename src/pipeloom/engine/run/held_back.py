"""What atomic attempts put, until their end: in memory up to a bound, then in a file of each beside the database.

The file is private to the user. Only the process that wrote it reads it: one that a kill has left is removed unread.
"""

from __future__ import annotations

import errno
import io
import os
import pickle
import re
import threading
import weakref
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any, Final

from pipeloom.engine.events import Together
from pipeloom.errors import MessageError, StoreError
from pipeloom.secrets import Secret
from pipeloom.store.file.neighbours import HELD, beside
from pipeloom.text import first_line

MEMORY: Final = 16 << 20
"""Bytes that all attempts of a run hold in memory together."""

_FRAME: Final = 64
"""Bytes that a message takes in memory besides its content."""


class Holds:
    """Makes the places where the attempts of a run hold back what they put."""

    def __init__(self, db_path: Path) -> None:
        self._db_path = db_path
        self._room = _Room(MEMORY)

    def clear(self) -> None:
        """Remove the files that killed runs have left; the caller owns the database."""
        place = beside(self._db_path, HELD)
        ours = re.compile(rf"{re.escape(place.name)}\d+")
        with suppress(OSError), os.scandir(place.parent) as entries:
            for left in [entry.path for entry in entries if ours.fullmatch(entry.name)]:
                with suppress(OSError):  # it is no file
                    os.unlink(left)  # noqa: PTH108 - as `scandir` names it

    def make(self, attempt_id: int) -> HeldBack:
        """Return a place for what an attempt puts."""
        return HeldBack(beside(self._db_path, f"{HELD}{attempt_id}"), self._room)


class _Room:
    """The memory that the attempts of a run share."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken = 0
        self._lock = threading.Lock()

    def take(self, size: int) -> bool:
        """Take `size` bytes, or give them back where it is negative; return whether there was room."""
        with self._lock:
            self._taken += size
            return self._taken <= self._most


class HeldBack:
    """What one attempt has put, in order. Thread-safe; going through it can be repeated, and closes it to more."""

    def __init__(self, path: Path, room: _Room) -> None:
        self._path = path
        self._room = room
        self._lock = threading.Lock()
        self._frames: list[bytes] = []
        """The newest messages, which are in memory."""
        self._in_memory = 0
        self._in_file = 0
        """Messages that the file holds."""
        self._identity = (0, 0, 0)
        self._remove: weakref.finalize[[str, int], HeldBack] | None = None
        """Removes the file, once: at the latest when nothing refers to this any more, or the program ends."""
        self._is_closed = False
        self._kinds: set[_Named] = set()
        """Classes and secrets that the pickles name by number: kept as long as these are."""
        self.size = 0
        """Bytes in memory and in the file."""
        self.trouble: Exception | None = None
        """Why a message could not be kept: the attempt cannot be done then."""

    def put(self, entry: Any) -> None:
        """Keep what one `put` has taken; raises `MessageError` when it cannot be pickled, `StoreError` for the file."""
        try:
            self._keep(_packed(entry, self._kinds))
        except Exception as error:
            self.trouble = error
            raise

    def __iter__(self) -> Iterator[Any]:
        """Yield what was kept, one message in memory at a time; raises `StoreError` when the file is not there."""
        with self._lock:
            self._is_closed = True
            frames, in_file = self._frames, self._in_file
        if in_file:
            try:
                with os.fdopen(self._opened(os.O_RDONLY), "rb") as file:
                    for _ in range(in_file):
                        yield pickle.load(file)  # noqa: S301 - its own file, as `_opened` has checked
            except (OSError, EOFError, pickle.UnpicklingError) as error:
                raise StoreError(f"{self._path} cannot be read: {_why(error)}.") from error
        for frame in frames:
            yield pickle.loads(frame)  # noqa: S301 - made by `put`

    def discard(self) -> None:
        """Forget all, and remove the file."""
        with self._lock:
            self._is_closed = True
            self._clear_memory()
            self._kinds.clear()
            if self._remove is not None:
                self._remove()

    def _keep(self, frame: bytes) -> None:
        with self._lock:
            if self._is_closed:
                return
            self._frames.append(frame)
            self.size += len(frame)
            self._in_memory += len(frame) + _FRAME
            if not self._room.take(len(frame) + _FRAME):
                self._move_to_file()

    def _move_to_file(self) -> None:
        try:
            with os.fdopen(self._opened(os.O_WRONLY | os.O_APPEND), "ab") as file:
                file.writelines(self._frames)
        except OSError as error:
            raise StoreError(f"{self._path} cannot be written: {_why(error)}.") from error
        self._in_file += len(self._frames)
        self._clear_memory()

    def _clear_memory(self) -> None:
        self._room.take(-self._in_memory)
        self._in_memory, self._frames = 0, []

    def _opened(self, flags: int) -> int:
        """Open the file, and make it the first time; raises `OSError`, also when another is in its place by now."""
        is_new = self._remove is None
        flags |= os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | (os.O_CREAT | os.O_EXCL if is_new else 0)
        descriptor = os.open(self._path, flags, 0o600)
        status = os.fstat(descriptor)
        identity = status.st_dev, status.st_ino, status.st_uid
        if is_new:
            self._identity = identity
            self._remove = weakref.finalize(self, _removed, str(self._path), os.getpid())
        elif identity != self._identity:
            os.close(descriptor)
            raise FileNotFoundError(errno.ENOENT, "another file is in its place")
        return descriptor


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or first_line(error)


def _removed(path: str, pid: int) -> None:
    """Remove a file; not in a child that a worker function has forked."""
    if os.getpid() == pid:
        with suppress(OSError):
            os.unlink(path)  # noqa: PTH108 - when the interpreter ends there is no time for more


# -- pickles that this process reads -----------------------------------------------------------------------------------


class _Pickler(pickle.Pickler):
    """Names classes by their number: those of a function, or of a module that was loaded again, have no other name.

    Secrets, too: their values are in no file.
    """

    def __init__(self, file: io.BytesIO, named: set[_Named]) -> None:
        super().__init__(file, pickle.HIGHEST_PROTOCOL)
        self._named = named

    def reducer_override(self, obj: Any) -> Any:
        if not isinstance(obj, (type, Secret)):
            return NotImplemented
        number = _numbers.get(obj)
        if number is None:
            with _numbering:
                number = _numbers.setdefault(obj, next(_unused))
                _kinds[number] = obj
        self._named.add(obj)
        return _kind, (number,)


_Named = type | Secret
_kinds: Final[weakref.WeakValueDictionary[int, _Named]] = weakref.WeakValueDictionary()
_numbers: Final[weakref.WeakKeyDictionary[_Named, int]] = weakref.WeakKeyDictionary()
_unused: Final = count()
_numbering: Final = threading.Lock()


def _kind(number: int) -> _Named:
    return _kinds[number]


def _packed(entry: Any, named: set[_Named]) -> bytes:
    """Return the pickle of what one `put` has taken; raises `MessageError` when there can be none."""
    buffer = io.BytesIO()
    try:
        _Pickler(buffer, named).dump(entry)
    except Exception as error:
        kind = type(next(iter(entry.messages), entry) if type(entry) is Together else entry).__name__
        what = f"{kind} cannot be held back until the task is done: {first_line(error)}"
        raise MessageError(f"{what}. An atomic task puts what can be pickled.") from error
    return buffer.getvalue()
