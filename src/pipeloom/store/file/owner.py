"""One process writes to a file at a time: an operating-system lock on a file beside it says which.

The lock is `fcntl.flock` alone: checking that the locked file is still the one at its path, and closing it in a forked
child, need the descriptor, which no lock library hands out by a public name.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import stat
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from pipeloom.errors import FileBusyError, StoreError
from pipeloom.store.file.neighbours import LOCK, beside
from pipeloom.text import clean, kind_of_entry
from pipeloom.times import local_stamp, monotonic

_TRY_S: Final = 0.5
"""Seconds for which the lock is tried: `is_owned` of another process has it for a moment."""
_RETRY_S: Final = 0.05
_NOT_AWAITED: Final = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_LONGEST_NOTE: Final = 4_096
"""Bytes of a lock file that are read."""
_HELD: Final = frozenset({errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK})
"""Error numbers of a lock that another process has."""
_NO_LOCKS: Final = frozenset({errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS})
"""Error numbers of a file system without locks: there, no process owns a file."""


_unsigned: Final[set[Path]] = set()
"""Lock files that this process has locked, and where it has not written yet that it is the owner."""
_taking: Final = threading.Lock()
"""Held from the lock to the entry in `_unsigned`: a look in between would take this process for another."""


def lock_path(db_path: Path) -> Path:
    """Return the path of the lock file: beside the real file, also when a link leads to it."""
    return beside(db_path, LOCK)


class OwnerLock:
    """Held from before the file is opened until after it is closed. The kernel drops it when the process dies."""

    def __init__(self, db_path: Path) -> None:
        self._db_path = db_path
        self._path = lock_path(db_path)
        self._started_at = ""
        self._descriptor: int | None = None

    def acquire(self, started_at: str, wait_s: float = 0.0) -> None:
        """Take the lock and write down who has it; raises `FileBusyError` naming the owner that has it all the time."""
        self._started_at = started_at
        # A forked child would share the lock with us and keep it after our death.
        os.register_at_fork(after_in_child=self._close)
        self._take(wait_s)

    def keep(self) -> None:
        """Take the lock again when its file was removed or replaced; raises `FileBusyError` when another has it now."""
        if self._descriptor is not None and not self._is_at_path(self._descriptor):
            self.release()
            self._take()

    def release(self) -> None:
        """Give the lock up; the lock file stays: a lock on a deleted file would exclude no other process."""
        if self._descriptor is not None:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            self._close()

    def _take(self, wait_s: float = 0.0) -> None:
        deadline = monotonic() + max(_TRY_S, wait_s)
        try:
            while (descriptor := self._locked()) is None:
                if monotonic() > deadline:
                    raise FileBusyError(f"{self._db_path} is in use by {owner_name(self._db_path)}.")
                time.sleep(_RETRY_S)
            owner = {"pid": os.getpid(), "host": os.uname().nodename, "started_at": self._started_at}
            note = json.dumps(owner).encode() + b"\n"
            os.pwrite(descriptor, note, 0)  # before the rest is cut off: there is a note at any time, in the first line
            os.ftruncate(descriptor, len(note))
            _unsigned.discard(self._path)
        except OSError as error:
            self._close()
            if error.errno in _NO_LOCKS:
                raise StoreError(
                    f"The file system of {self._db_path} takes no locks ({error.strerror}), and one process alone may "
                    "write to a file: choose a folder on a local disk."
                ) from error
            raise StoreError(
                f"Cannot write beside {self._db_path}: {error.strerror}. Choose a folder where you may create files."
            ) from error

    def _locked(self) -> int | None:
        """Return the descriptor of the locked file; None when another process has it, or has just removed the file."""
        self._descriptor = descriptor = _opened(self._path, os.O_RDWR | os.O_CREAT)
        try:
            with _taking:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _unsigned.add(self._path)
        except OSError as error:
            if error.errno not in _HELD:
                raise
        else:
            if self._is_at_path(descriptor):
                return descriptor
        self._close()
        return None

    def _is_at_path(self, descriptor: int) -> bool:
        """Tell whether the lock file is still the one that its path names."""
        try:
            there, held = os.stat(self._path), os.fstat(descriptor)  # noqa: PTH116 - before each commit
        except OSError:
            return False
        return (there.st_dev, there.st_ino) == (held.st_dev, held.st_ino)

    def _close(self) -> None:
        """Close the descriptor. A forked child's is its own: the parent keeps the lock."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            _unsigned.discard(self._path)
            os.close(descriptor)


def _opened(path: Path, flags: int) -> int:
    """Open the lock file; raises `StoreError` when it is no ordinary file. Follows no link, and waits for nothing."""
    with suppress(FileNotFoundError):
        _check_ordinary(path, path.lstat().st_mode)  # before it is opened: that alone has effects on some devices
    descriptor = os.open(path, flags | _NOT_AWAITED, 0o600)
    try:
        _check_ordinary(path, os.fstat(descriptor).st_mode)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _check_ordinary(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise StoreError(f"{path} is {kind_of_entry(mode)}, not a lock file: remove it.")


def is_owned(db_path: Path) -> bool:
    """Tell whether a living process owns the file, as the kernel knows: what the lock file says proves nothing.

    Raises `StoreError` when it cannot be told: the lock file is another user's, or no file.
    """
    path = lock_path(db_path)
    try:
        descriptor = _opened(path, os.O_RDONLY)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise StoreError(f"{path} cannot be read ({error.strerror}): it cannot be told who owns {db_path}.") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in _NO_LOCKS
    finally:
        os.close(descriptor)
    return False


def other_owner(db_path: Path) -> str | None:
    """Return a phrase for the living process that owns the file.

    None when there is none, when it is this one, and when it cannot be told.
    """
    try:
        with _taking:
            if not is_owned(db_path) or lock_path(db_path) in _unsigned:
                return None
        if owner(db_path).get("pid") == os.getpid():
            return None
    except StoreError:
        return None
    return owner_name(db_path)


def why_unknown(db_path: Path) -> str:
    """Return why it cannot be told whether a process owns the file; "" when it can."""
    try:
        is_owned(db_path)
    except StoreError as error:
        return str(error)
    return ""


def owner(db_path: Path) -> dict[str, Any]:
    """Return what the last owner wrote down: `pid`, `host`, `started_at`; empty when nothing is known."""
    try:
        descriptor = _opened(lock_path(db_path), os.O_RDONLY)
        try:
            noted = json.loads(os.read(descriptor, _LONGEST_NOTE).partition(b"\n")[0])
        finally:
            os.close(descriptor)
    except (StoreError, OSError, ValueError, RecursionError):
        return {}
    return noted if isinstance(noted, dict) else {}


def owner_name(db_path: Path) -> str:
    """Return a phrase that names the owner to a person."""
    noted = owner(db_path)
    if not noted:
        return "another pipeloom process"
    since = local_stamp(noted.get("started_at")) or noted.get("started_at")
    return clean(f"pipeloom process {noted.get('pid')} on {noted.get('host')}, since {since}", 200)
