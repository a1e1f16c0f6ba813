"""Notes about each database file in the user's state directory: the settings of its screens, its last pipeline.

All files below the user's own directories are private.
"""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any, Final

from platformdirs import user_state_path

from pipeloom.text import first_line, kind_of_entry, size
from pipeloom.times import monotonic, now_stamp

_FILES: Final = 500
"""Entries of a table at most, as of database files; older ones are forgotten."""
_LOCK_S: Final = 2.0
"""Seconds for which another program may keep the lock."""
_MOST_BYTES: Final = 1_000_000
"""Of a file of the user's own."""

_log = logging.getLogger(__name__)


def user_folder(find: Callable[[str], Path]) -> Path | None:
    """Return pipeloom's folder that platformdirs `find`s; None where the user has no home, as in a container."""
    try:
        folder = find("pipeloom")
    except RuntimeError as error:  # neither HOME nor an entry in /etc/passwd
        _log.debug("Nothing is kept for this user: %s", error)
        return None
    return folder if folder.is_absolute() else None


def private_folder(path: Path) -> Path:
    """Return a folder that its user alone may enter: made with those above it that are missing, or closed to others."""
    for folder in reversed([folder for folder in (path, *path.parents) if not folder.exists()]):
        folder.mkdir(mode=0o700, exist_ok=True)
        folder.chmod(0o700)  # the umask may have taken rights of the user's own
    if path.stat().st_mode & 0o077:
        with suppress(PermissionError):  # it is of another user
            path.chmod(0o700)
    return path


def read_small(path: Path) -> bytes:
    """Return the content of a file of at most a megabyte; raises `OSError` for any other, and for what is no file."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe is not waited for
    try:
        found = os.fstat(descriptor)
        if (kind := kind_of_entry(found.st_mode)) is not None:
            raise OSError(errno.EINVAL, f"it is {kind}, not a file")
        if found.st_size > _MOST_BYTES:
            raise OSError(errno.EFBIG, f"it has {size(found.st_size)}, and {size(_MOST_BYTES)} at most are read")
        return os.read(descriptor, _MOST_BYTES)
    finally:
        os.close(descriptor)


def write_private(path: Path, text: str) -> None:
    """Write a file that its user alone may read, whole or not at all; of a link, the file that it leads to."""
    import tempfile

    private_folder(path.parent)
    real = Path(os.path.realpath(path))
    descriptor, name = tempfile.mkstemp(prefix=f"{real.name}.", dir=real.parent)
    fresh = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            os.fchmod(descriptor, 0o600)
            stream.write(text)
        fresh.replace(real)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise


SCREENS: Final = "screens"
"""The table of what the screens remember of each database file."""


class UserRecords:
    """A table of JSON in the user's state directory, the newest entry last. One that cannot be read counts as empty.

    Programs that change it at the same time lose nothing: each reads and writes it under a lock. One that cannot be
    read is never written over: it is kept under another name.
    """

    def __init__(self, name: str, path: Path | None = None) -> None:
        folder = user_folder(user_state_path)
        self._path = path or (folder and folder / f"{name}.json")

    def read(self) -> dict[str, Any]:
        """Return the entries."""
        return {} if self._path is None else _read(self._path)[0]

    def set_aside(self) -> str:
        """Give a table that cannot be read another name; return a sentence about it, "" for nothing to tell."""
        if self._path is None or not _read(self._path)[1]:
            return ""
        try:
            with _locked(self._path.parent):
                return _set_aside(self._path)
        except OSError as error:
            return f"{self._path} cannot be read, nor be given another name: {error.strerror or error}."

    def change(self, change: Callable[[dict[str, Any]], None]) -> None:
        """Read the entries, let `change` have its way, and write them, where that is possible.

        A table that cannot be read is set aside, which is logged.
        """
        if self._path is None:
            return
        try:
            with _locked(private_folder(self._path.parent)):
                if told := _set_aside(self._path):
                    _log.warning("%s", told)
                known = self.read()
                change(known)
                write_private(self._path, _fitted(known))
        except OSError as error:
            _log.debug("%s is not kept: %s", self._path.name, error)


def _read(path: Path) -> tuple[dict[str, Any], str]:
    """Return the entries of a table, and why it cannot be read, "" for no reason; one without content has none."""
    try:
        content = read_small(path)
        known = json.loads(content) if content else {}
    except FileNotFoundError:
        return {}, ""
    except OSError as error:
        return {}, error.strerror or str(error)
    except (ValueError, RecursionError) as error:
        return {}, f"it is no JSON: {first_line(error)}"
    return (known, "") if isinstance(known, dict) else ({}, "it is no JSON object")


def _set_aside(path: Path) -> str:
    """Give a table that cannot be read another name beside it; return a sentence, "" for one that is fine."""
    why = _read(path)[1]
    if not why:
        return ""
    real = Path(os.path.realpath(path))
    names = (f"{real.name}.unreadable{f'-{number}' if number else ''}" for number in count())
    kept = next(kept for kept in map(real.with_name, names) if not os.path.lexists(kept))
    real.rename(kept)
    return f"{path} cannot be read ({why}): it is kept as {kept.name}, and a new one is begun."


def _fitted(known: dict[str, Any]) -> str:
    """Return the newest entries as JSON that is not too large to be read again."""
    entries = list(known.items())[-_FILES:]
    while len(text := json.dumps(dict(entries))) > _MOST_BYTES:
        entries = entries[len(entries) // 4 + 1 :]
    return text


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder, unless another has it for longer than a change takes, or there are no locks."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        deadline = monotonic() + _LOCK_S
        while not _taken(descriptor) and monotonic() < deadline:
            time.sleep(0.005)
        yield
    finally:
        os.close(descriptor)


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        _log.debug("The state folder cannot be locked: %s", error)
    return True


class UserState:
    """Texts by name about one database file."""

    def __init__(self, db_path: Path, path: Path | None = None, *, name: str = SCREENS) -> None:
        self._records = UserRecords(name, path)
        self._key = os.path.realpath(db_path)
        mine = self._records.read().get(self._key)
        self._state: dict[str, Any] = mine if isinstance(mine, dict) else {}
        self._lent: dict[str, str] = {}

    def get(self, name: str) -> str:
        """Return the text under `name`; "" for none."""
        if name in self._lent:
            return self._lent.pop(name)
        value = self._state.get(name)
        return value if isinstance(value, str) else ""

    def lend(self, name: str, value: str) -> None:
        """Let the next `get` of `name` return `value`; what is kept under it stays."""
        self._lent[name] = value

    def put(self, name: str, value: str) -> None:
        """Keep `value` under `name`; "" removes it."""
        if value:
            self._state[name] = value
        else:
            self._state.pop(name, None)

    def save(self) -> None:
        """Write the texts, where that is possible."""

        def put(known: dict[str, Any]) -> None:
            known.pop(self._key, None)
            if self._state:
                known[self._key] = self._state

        self._records.change(put)


PIPELINES: Final = "pipelines"
"""The table of the user's database files, by absolute path without links: what was run on each, and when."""
LAST: Final = "last"
USED: Final = "used"


def remember_pipeline(db_path: Path, spec: str) -> None:
    """Note that this user runs the pipeline `spec` on the file: a database is never trusted to name code."""
    state = UserState(db_path, name=PIPELINES)
    state.put(LAST, spec)
    state.put(USED, now_stamp())
    state.save()


def last_pipeline(db_path: Path) -> str:
    """Return the pipeline that this user last ran on the file; "" when none is known."""
    return UserState(db_path, name=PIPELINES).get(LAST)
