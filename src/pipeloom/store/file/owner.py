"""One process writes to a file at a time: an operating-system lock beside it says which."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from pathlib import Path
from typing import Any, Final

from filelock import FileLock, Timeout

from pipeloom.errors import FileBusyError, StoreError
from pipeloom.text import clean

_PROBE_S: Final = 0.5
"""How long to try for the lock: whoever looks whether there is an owner (`is_owned`) has it for a moment."""


def lock_path(db_path: Path) -> Path:
    """Return the path of the lock file: beside the real file, whatever links lead to it."""
    real = Path(os.path.realpath(db_path))
    return real.with_name(real.name + ".lock")


class OwnerLock:
    """Held from before the file is opened until after it is closed. The kernel drops it when the process dies."""

    def __init__(self, db_path: Path) -> None:
        self._db_path = db_path
        self._path = lock_path(db_path)
        self._started_at = ""
        self._lock = FileLock(str(self._path), timeout=0, mode=0o600, thread_local=False)

    def acquire(self, started_at: str) -> None:
        """Take the lock and note who has it; raises `FileBusyError` naming the owner when somebody else has."""
        self._started_at = started_at
        self._take()
        # A forked child would share the lock with us and keep it after our death.
        os.register_at_fork(after_in_child=self._forget)

    def _take(self) -> None:
        try:
            self._lock.acquire(timeout=_PROBE_S, poll_interval=_PROBE_S / 10)
        except Timeout:
            raise FileBusyError(f"{self._db_path} is in use by {owner_name(self._db_path)}.") from None
        except OSError as error:
            raise StoreError(
                f"Cannot write beside {self._db_path}: {error.strerror}. Choose a folder where you may create files."
            ) from error
        owner = {"pid": os.getpid(), "host": socket.gethostname(), "started_at": self._started_at}
        self._path.write_text(json.dumps(owner) + "\n", encoding="utf-8")

    def keep(self) -> None:
        """Take the lock again when its file was removed or replaced; raises `FileBusyError` when somebody else did."""
        descriptor = self._lock._context.lock_file_fd
        if descriptor is None:
            return
        try:
            there, held = os.stat(self._path), os.fstat(descriptor)  # noqa: PTH116 - before each commit
            if (there.st_dev, there.st_ino) == (held.st_dev, held.st_ino):
                return
        except OSError:
            pass  # it is gone
        self._lock.release(force=True)
        self._take()

    def release(self) -> None:
        """Give the lock up; the lock file stays, so that nobody can lock a deleted one."""
        self._lock.release()

    def _forget(self) -> None:
        """Close the inherited descriptor in a forked child; the parent's lock is another reference to the same file."""
        descriptor = self._lock._context.lock_file_fd
        if descriptor is not None:
            self._lock._context.lock_file_fd = None
            os.close(descriptor)


def is_owned(db_path: Path) -> bool:
    """Tell whether a living process owns the file. Asks the kernel: what is written in the lock file proves nothing."""
    try:
        descriptor = os.open(lock_path(db_path), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def other_owner(db_path: Path) -> str | None:
    """Return a phrase that names the living process, other than this one, that owns the file, if there is one."""
    if not is_owned(db_path) or owner(db_path).get("pid") == os.getpid():
        return None
    return owner_name(db_path)


def owner(db_path: Path) -> dict[str, Any]:
    """Return what the last owner of the file wrote down: `pid`, `host`, `started_at`; empty when nothing is known."""
    try:
        noted = json.loads(lock_path(db_path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return noted if isinstance(noted, dict) else {}


def owner_name(db_path: Path) -> str:
    """Return a phrase that names the owner for a person."""
    noted = owner(db_path)
    if not noted:
        return "another pipeloom process"
    return clean(f"pipeloom process {noted.get('pid')} on {noted.get('host')}, since {noted.get('started_at')}", 200)
